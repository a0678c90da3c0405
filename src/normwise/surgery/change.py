"""What a surgery did."""

from __future__ import annotations

from typing import NamedTuple

from torch import nn

from normwise.surgery.table import table


class Change(NamedTuple):
    """One thing that a surgery did, or left alone.

    Attributes:
        name: the dotted name of the place in the changed network, empty for the network itself.
        before: what was there, empty for nothing; of a module that only moved, its old dotted name.
        after: what is there now; of a module that only moved, its new dotted name.
        why: the reason.
    """

    name: str
    before: str
    after: str
    why: str


TRACED = "followed with torch.fx"
"""What the first change of a surgery says where the network's calls were followed."""

OBSERVED = "followed as it runs on the example"
"""What it begins with where they could only be followed on the example."""


class Surgery(NamedTuple):
    """A changed network and what was changed; prints as a table.

    Attributes:
        model: the changed network.
        changes: what was done, and what could not be done.
    """

    model: nn.Module
    changes: list[Change]

    @property
    def renamed(self) -> dict[str, str]:
        """Old to new dotted name of each module whose own name changed; what is inside it moved with it."""
        return {change.before: change.after for change in self.changes if change.before != change.after == change.name}

    @property
    def left_alone(self) -> list[Change]:
        """What stayed as it was, with the reason; with an empty name that the calls could not be followed."""
        return [change for change in self.changes if change.before == change.after and change.why != TRACED]

    def __str__(self) -> str:
        return table(Change._fields, self.changes)

    def __repr__(self) -> str:
        return str(self)


def original_names(surgery: Surgery) -> dict[str, str]:
    """New to old dotted name of each module of a changed network, also of those that kept theirs.

    What the surgery added has no old name and is left out: layers, and the ``Sequential`` that holds a module with its
    normalization.
    """
    renamed, model = surgery.renamed, surgery.model
    old = {new: old for old, new in renamed.items()}
    layers = [model.get_submodule(change.name) for change in surgery.changes if not change.before]
    added = {part for layer in layers for part in layer.modules()}
    found: dict[str, str] = {}
    for name, module in model.named_modules(remove_duplicate=False):
        outer, _, key = name.rpartition(".")
        original = old.get(name) or f"{found.get(outer, outer)}.{key}".lstrip(".")
        if module not in added and renamed.get(original, name) == name:
            found[name] = original
    return found


def in_order(network: nn.Module, changes: list[Change]) -> list[Change]:
    """The changes in the order in which the changed network has the modules that they name."""
    order = {name: index for index, (name, _) in enumerate(network.named_modules(remove_duplicate=False))}
    return sorted(changes, key=lambda change: order[change.name])
