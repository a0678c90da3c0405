"""Collecting moments while batches pass; see ``normwise.surgery.population``."""
