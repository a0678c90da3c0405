"""The figures of a comparison and of a benchmark, one module each.

Every module has the same four functions: ``info`` makes plain data of records, ``title`` names them,
``describe`` says in words what they show (the alternative text), ``draw`` makes a matplotlib figure of them. matplotlib
is imported when something is drawn.
"""

from normwise.figures import activations, curves, gradients, learning_rate, preactivations, speed
from normwise.figures.files import save, svg

__all__ = ["activations", "curves", "gradients", "learning_rate", "preactivations", "save", "speed", "svg"]
