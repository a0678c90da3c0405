"""What studies measure, where it is more than a few lines."""
