"""The experiments of the paper and of the notes, a file each.

A file holds ``STUDY`` and the functions that it names; its stem is the study's name with underscores.
"""

NAMES = (
    "example-of-the-notes",
    "figure-1a",
    "figure-1bc",
    "vanishing-gradient",
    "exploding-gradient",
    "covariate-shift",
    "learning-rate",
    "scale-invariance",
    "jacobian",
    "outside-the-gradient",
    "whitening-cost",
    "population-statistics",
    "per-feature-map",
    "saturation",
    "inception",
    "inception-ensemble",
    "recurrent",
    "domain-adaptation",
    "lab-09-4",
    "note-001",
    "input-scaling",
    "batch-size",
    "one-large-weight",
    "place",
    "which-layers",
    "init-sweep",
    "activation-histograms",
    "weight-init",
    "optimizers",
    "weight-decay",
    "dropout",
    "dropout-ensemble",
    "bn-regularizes",
    "validation-data",
    "random-or-grid",
)
"""In the order in which a newcomer may read them."""
