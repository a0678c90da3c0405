"""All cases: in two halves, rules are tuned on one and judged on the other, and the fresh ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache

from benchmarks.doctor.case import FRESH, HALVES, KINDS, Case


@cache
def cases() -> tuple[Case, ...]:
    """Every case with its half: within a kind they alternate, before the fresh ones."""
    from benchmarks.doctor import failing, fresh, healthy, misuse

    found = (*failing.CASES, *healthy.CASES, *misuse.CASES)
    return (*halved(found), *(replace(case, half=FRESH) for case in fresh.CASES))


def halved(found: Iterable[Case]) -> Iterator[Case]:
    """The cases, by turns for tuning and for judging within each kind."""
    seen = dict.fromkeys(KINDS, 0)
    for case in found:
        yield replace(case, half=HALVES[seen[case.kind] % len(HALVES)])
        seen[case.kind] += 1


def chosen(half: str = "all", kind: str = "", name: str = "") -> list[Case]:
    """The cases of a half and a kind, or with a name."""
    return [
        case
        for case in cases()
        if (half == "all" or case.half == half) and kind in ("", case.kind) and name in ("", case.name)
    ]
