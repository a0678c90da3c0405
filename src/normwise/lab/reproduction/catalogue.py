"""The studies by name."""

from __future__ import annotations

from importlib import import_module

from normwise.errors import RequestError, choice
from normwise.lab.reproduction.study import Study
from normwise.lab.studies import NAMES


def study(name: str) -> Study:
    """The study of a name.

    Raises:
        RequestError: there is none; the error names the nearest.
    """
    if name not in NAMES:
        raise RequestError(f"{choice(name, NAMES, 'study')}; see normwise reproduce for what they are")
    return loaded(name)


def loaded(name: str) -> Study:
    """The study of a name that is known, from its file."""
    found: Study = import_module(f"normwise.lab.studies.{name.replace('-', '_')}").STUDY
    return found


def studies() -> list[Study]:
    """Every study, in the order in which a newcomer may read them."""
    return [study(name) for name in NAMES]
