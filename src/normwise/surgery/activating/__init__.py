"""The parts of putting other activations into a network."""
