"""How many examples are measured while a run trains."""

SAMPLES = {"train": 500, "validation": 1000, "test": 500}
"""Examples of each part on which curves are measured, the same ones every time."""

PROBED = 100
"""Training examples on which activations and gradients are measured."""
