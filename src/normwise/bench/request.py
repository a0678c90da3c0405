"""What was asked for: from the words of the command line to the cases and networks to measure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from normwise.bench import cases, entries
from normwise.bench.cases import Case
from normwise.bench.entries import Network
from normwise.bench.measure import Settings
from normwise.errors import RequestError
from normwise.lab.values import count, one_of
from normwise.ops.batch_norm.choice import IMPLS

TABLE_SECONDS, QUICK_SECONDS, OWN_SECONDS = 0.4, 0.3, 2.0


class Request(NamedTuple):
    """What to measure and how.

    Attributes:
        cases: the rows of the table.
        steps: networks to time a training step of.
        peaks: networks to count the memory of a step of.
        chain: whether to count what the chain keeps.
        settings: how cases are measured.
        compiled: names of the cases that ``torch.compile`` competes in; None for all.
        threads: of torch, or None to leave them.
    """

    cases: tuple[Case, ...]
    steps: tuple[Network, ...]
    peaks: tuple[Network, ...]
    chain: bool
    settings: Settings
    compiled: tuple[str, ...] | None
    threads: int | None


def request(
    *,
    shapes: Iterable[str] = (),
    only: str | None = None,
    quick: bool = False,
    compile: bool = False,  # noqa: A002 - the option's name
    impl: str = "auto",
    threads: int | str | None = None,
) -> Request:
    """Read the options of ``normwise bench``.

    Args:
        shapes: measure these, as ``32x64x56x56``, in every layout, epilogue and mode, instead of the table.
        only: keep the cases with this in their names; the networks are then left out.
        quick: a subset of the table that takes about a minute.
        compile: let ``torch.compile`` compete in all cases, not only in a few of the table.
        impl: the implementation that ours uses, one of ``auto``, ``cpu``, ``torch``, ``reference``.
        threads: the number of threads, or None for torch's.

    Raises:
        RequestError: one of them is not allowed, or nothing is left to measure.
    """
    own = tuple(cases.read_shape(text) for text in shapes)
    if own and quick:
        raise RequestError("both shapes and quick are given; quick is a subset of the table, so give one of them")
    asked = cases.of_shapes(own) if own else cases.quick() if quick else cases.table()
    networks = not own and only is None
    seconds = OWN_SECONDS if own else QUICK_SECONDS if quick else TABLE_SECONDS
    return Request(
        cases=cases.matching(asked, only),
        steps=(entries.QUICK_STEPS if quick else entries.STEPS) if networks else (),
        peaks=(entries.QUICK_PEAKS if quick else entries.PEAKS) if networks else (),
        chain=networks,
        settings=Settings(one_of("impl", *IMPLS)(impl), compile, seconds),
        compiled=None if compile else () if quick or own else cases.COMPILED,
        threads=None if threads is None else count("threads")(str(threads)),
    )
