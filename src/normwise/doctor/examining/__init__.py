"""Measuring a trained network with batch normalization; see ``normwise.doctor.examine``."""
