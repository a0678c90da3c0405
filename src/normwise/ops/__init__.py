"""The transform as functional operators, and the activations that can follow it."""

from normwise.ops.activations import NAMES as ACTIVATIONS
from normwise.ops.activations import Activation, activation, activation_of
from normwise.ops.batch_norm import BatchNormOutput, batch_norm, normalize
from normwise.ops.batch_norm.choice import Explanation, explain
from normwise.ops.batch_norm.recompute import recompute_activations

__all__ = [
    "ACTIVATIONS",
    "Activation",
    "BatchNormOutput",
    "Explanation",
    "activation",
    "activation_of",
    "batch_norm",
    "explain",
    "normalize",
    "recompute_activations",
]
