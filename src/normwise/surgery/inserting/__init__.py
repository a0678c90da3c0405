"""Finding the places of normalization in a network, and putting layers there; see ``normwise.surgery.insert``."""
