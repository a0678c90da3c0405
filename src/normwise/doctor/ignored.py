"""The rules that are not to judge."""

from __future__ import annotations

from collections.abc import Sequence

from normwise.doctor.rules import RULES
from normwise.errors import RequestError, choice


def ignored(asked: Sequence[str]) -> tuple[str, ...]:
    """The ids of the rules that are asked for by id or by name.

    Raises:
        RequestError: there is no such rule; with the nearest.
    """
    ids = {name.lower(): rule.id for rule in RULES for name in (rule.id, rule.name)}
    for each in asked:
        if each.lower() not in ids:
            raise RequestError(choice(each, [name for rule in RULES for name in (rule.id, rule.name)], "rule"))
    return tuple(ids[each.lower()] for each in asked)
