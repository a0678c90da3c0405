"""A study that was made up, which takes no time, and the catalogue with it alone."""

from __future__ import annotations

from normwise.figures import lines
from normwise.lab.reproduction.drawing import drawn
from normwise.lab.reproduction.study import Claim, Measurement, Study, Training, judged
from normwise.report import Table

MADE: list[int] = []
"""The seeds of the measurements that were made."""

STOP: list[BaseException] = []
"""What the next measurements raise, the last first."""


def measured(context, factor):
    MADE.append(context.seed)
    if STOP:
        raise STOP.pop()
    return {"value": factor * (context.seed + 1)}


def plan(asked):
    return [Measurement("double", measured, {"factor": 2}, seed) for seed in range(asked.seeds or 2)]


def trained(asked):
    options = {"model": "mlp:4", "steps": 2, "batch_size": 8, "eval_every": 1}
    arms = {"plain": {}, "bn": {"norm": "batch"}}
    return [*plan(asked), Training(arms, asked.data, asked.seeds or 1, options)]


def values(outcome):
    return [found["value"] for found in outcome.measured["double"]]


def figures(outcome):
    line = lines.Line("double", list(range(len(values(outcome)))), values(outcome))
    return [drawn("doubles", lines, lines.info("Doubles", lines.Axis("seed"), lines.Axis("value"), [line]))]


def table(outcome):
    return Table("The values.", ["seed", "value"], [[str(s), str(v)] for s, v in enumerate(values(outcome))])


def made(name="made-up", **changed):
    """The study; its first claim holds, its second does not."""
    parts = {
        "title": "Doubling doubles",
        "source": "Ioffe and Szegedy 2015, section 3.3",
        "notes": ("000", "004"),
        "claims": (
            Claim("Values are even.", "no remainder", lambda o: judged(not any(v % 2 for v in values(o)), "2 and 4.")),
            Claim(
                "Values are small.", "below 3", lambda o: judged(max(values(o)) < 3, "Up to 4.", most=max(values(o)))
            ),
        ),
        "plan": plan,
        "figures": figures,
        "table": table,
        "see": "It rises.",
        "why": "Two is <two>.",
        "changes": "Another factor.",
        "quick_seconds": 1,
        "full": "the same",
    }
    return Study(name=name, **{**parts, **changed})


def catalogue(monkeypatch, *studies):
    """Let these be all studies that there are."""
    MADE.clear()
    STOP.clear()
    found = {one.name: one for one in studies}
    monkeypatch.setattr("normwise.lab.reproduction.catalogue.NAMES", tuple(found))
    monkeypatch.setattr("normwise.lab.reproduction.catalogue.loaded", found.__getitem__)
