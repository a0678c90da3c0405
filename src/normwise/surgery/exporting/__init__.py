"""What ``normwise.surgery.export`` writes."""
