"""Small runs for the tests of training, processes and comparison."""

from pathlib import Path

from normwise.lab.plan import Plan, plan


def small(out: Path, *arms: str, **options) -> Plan:
    """A comparison of few steps on the digits."""
    return plan(arms or ("plain", "bn"), "digits", {"steps": 40, "seeds": 1, "eval_every": 10, "out": out, **options})
