"""Functions that take a network and return a changed one."""

from normwise.surgery.change import Change, Surgery
from normwise.surgery.export import Export, export
from normwise.surgery.fold import fold
from normwise.surgery.freeze import freeze, unfreeze
from normwise.surgery.insert import batch_normalize

__all__ = ["Change", "Export", "Surgery", "batch_normalize", "export", "fold", "freeze", "unfreeze"]
