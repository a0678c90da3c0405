"""Making normalizations part of what is next to them; see ``normwise.surgery.fold``."""
