"""What an estimate of population moments did."""

from __future__ import annotations

from typing import NamedTuple

from normwise.surgery.estimating import tally
from normwise.surgery.estimating.passes import Seen
from normwise.surgery.estimating.running import Statistics
from normwise.surgery.table import table


class Estimate(NamedTuple):
    """What one layer's statistics come from.

    Attributes:
        name: the layer's dotted name; of a function's the running mean's.
        batches: how many batches reached it, of all processes; a layer that is called twice in a forward counts two.
        values: how many values per channel those held.
        note: why its statistics are as before; empty where they are new.
    """

    name: str
    batches: int
    values: int
    note: str = ""


class Population(NamedTuple):
    """What ``estimate_population`` did; prints as a table.

    Attributes:
        mode: how.
        batches: how many batches were taken, of all processes; each of them once per layer where ``layerwise``.
        layers: every batch normalization, in registration order; last those that are functions.
    """

    mode: str
    batches: int
    layers: list[Estimate]

    def __str__(self) -> str:
        rows = [
            (name, str(batches), str(values), f"as before: {note}" if note else "new")
            for name, batches, values, note in self.layers
        ]
        return table(("name", "batches", "values per channel", "statistics"), rows)

    def __repr__(self) -> str:
        return str(self)


def statistics(name: str, seen: Seen, mode: str) -> Statistics | str:
    """The new mean and variance of a layer, or why there are none."""
    if name in seen.problems:
        return seen.problems[name]
    if name not in seen.tallies:
        return "no batch reached it"
    found = tally.population(seen.tallies[name], mode)
    if found is not None:
        return found
    many = seen.tallies[name].values.count.max() > 1
    return "no batch had two values per channel; mode='pooled' needs none" if many else "fewer than two values"


def population(mode: str, seen: Seen, notes: dict[str, str]) -> Population:
    """What was done, given the note of every layer."""
    return Population(mode, seen.batches, [_estimate(name, seen, note) for name, note in notes.items()])


def _estimate(name: str, seen: Seen, note: str) -> Estimate:
    if name not in seen.tallies:
        return Estimate(name, 0, 0, note)
    each = seen.tallies[name]
    return Estimate(name, each.batches, int(each.values.count.max()), note)
