"""What studies measure, and what several of them share."""
