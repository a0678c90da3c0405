"""The figures of a comparison, one module each.

Every module has the same four functions: ``info`` makes plain data of the records of runs, ``title`` names them,
``describe`` says in words what they show (the alternative text), ``draw`` makes a matplotlib figure of them. matplotlib
is imported when something is drawn.
"""

from normwise.figures import activations, curves, gradients, learning_rate, preactivations
from normwise.figures.files import save, svg

__all__ = ["activations", "curves", "gradients", "learning_rate", "preactivations", "save", "svg"]
