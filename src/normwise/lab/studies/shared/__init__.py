"""What studies compute and draw, where several share it or their own file would grow too long."""
