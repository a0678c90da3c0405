"""Functions that take a network and return a changed one."""

from normwise.surgery.activate import activate, linear_output
from normwise.surgery.change import Change, Surgery
from normwise.surgery.convert import convert
from normwise.surgery.estimating.estimates import Population
from normwise.surgery.export import Export, export
from normwise.surgery.fold import fold
from normwise.surgery.freeze import freeze, unfreeze
from normwise.surgery.insert import batch_normalize
from normwise.surgery.population import estimate_population
from normwise.surgery.summary import Summary, summary

__all__ = [
    "Change",
    "Export",
    "Population",
    "Summary",
    "Surgery",
    "activate",
    "batch_normalize",
    "convert",
    "estimate_population",
    "export",
    "fold",
    "freeze",
    "linear_output",
    "summary",
    "unfreeze",
]
