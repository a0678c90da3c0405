"""Changing the class of normalizations, and fusing what follows them; see ``normwise.surgery.convert``."""
