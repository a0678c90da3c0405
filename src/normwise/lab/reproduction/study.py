"""What a study declares: an experiment of the paper or of the notes, what it claims, and how that is judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from normwise.lab.reproduction import wording
from normwise.lab.reproduction.asked import Asked

if TYPE_CHECKING:
    from normwise.lab.panels import Panel
    from normwise.lab.reproduction.outcome import Outcome
    from normwise.report import Table


class Verdict(StrEnum):
    """What the numbers say of a claim; ``undecided`` where they lie within noise or a trial failed."""

    HOLDS = "holds"
    FAILS = "does not hold"
    UNDECIDED = "undecided"


class Judged(NamedTuple):
    """A claim beside the numbers.

    Attributes:
        verdict: what they say.
        words: one or two sentences with the numbers and their units.
        evidence: the same numbers by name, for machines.
    """

    verdict: Verdict
    words: str
    evidence: Mapping[str, Any] = {}


def judged(holds: bool | None, words: str, **evidence: Any) -> Judged:
    """A judgment: the claim holds, does not hold or, with None, is undecided."""
    verdict = {True: Verdict.HOLDS, False: Verdict.FAILS, None: Verdict.UNDECIDED}[
        holds if holds is None else bool(holds)
    ]
    return Judged(verdict, wording.read(words), evidence)


class Claim(NamedTuple):
    """What a source says, so that numbers can decide it.

    Attributes:
        text: the claim in one sentence.
        threshold: where the border lies, and why there; fixed before the numbers are known.
        judge: from the outcome to a judgment.
    """

    text: str
    threshold: str
    judge: Callable[[Outcome], Judged]


@dataclass(frozen=True)
class Training:
    """Arms that the lab trains, as ``normwise compare`` does: each with seeds 0 up to ``seeds``.

    Attributes:
        arms: by name the keys that an arm sets; see ``normwise.lab.settings.Keys``. Names are unique in a study.
        data: a data set's name, or ``module:function`` of a ``make_data``.
        seeds: runs of each arm.
        options: ``steps`` or ``epochs``, ``model``, ``eval_every``, … and keys for all arms; see
            ``normwise.lab.options.GENERAL``.
        whole: parts whose curves are measured on all their examples instead of a fixed sample: ``test``, for example.
    """

    arms: Mapping[str, Mapping[str, Any]]
    data: str
    seeds: int = 3
    options: Mapping[str, Any] = field(default_factory=dict)
    whole: tuple[str, ...] = ()


@dataclass(frozen=True)
class Measurement:
    """A function that measures something, run once in a process of its own.

    Attributes:
        name: what the outcome calls it; several measurements, such as those of several seeds, may share a name.
        measure: a function at the top level of a module: ``measure(context, **parameters)``. It returns a mapping of
            numbers, texts, lists and mappings: what JSON holds.
        parameters: plain values, part of what its record is found by.
        seed: seeds torch's and the context's generators.
        data: the data set that it needs, as for ``Training``; empty for none.
    """

    name: str
    measure: Callable[..., Mapping[str, Any]]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    data: str = ""


Trial = Training | Measurement


@dataclass(frozen=True, kw_only=True)
class Study:
    """An experiment.

    Attributes:
        name: what ``normwise reproduce`` calls it.
        title: what it shows, in one sentence.
        source: who says it, with the section.
        notes: the numbers of the study notes that it belongs to: ``000`` to ``004``.
        claims: what is judged.
        plan: from what is asked to the trials.
        figures: from the outcome to its figures, the main one first; see ``drawn``.
        table: from the outcome to its table.
        see: what to look at in the main figure, for a learner, in two or three sentences.
        why: why it comes out so, for a learner; one or two paragraphs, with an empty line between them.
        changes: what would change the result.
        quick_seconds: about how long ``--scale quick`` takes on two cores.
        full: what ``--scale full`` is, in a few words, with its time: ``50,000 steps, 3 seeds; 12 minutes``.
        data: the data set that it needs; empty for none.
        alternatives: other data sets on which the claims make sense, ``digits`` for example.
    """

    name: str
    title: str
    source: str
    notes: tuple[str, ...] = ()
    claims: tuple[Claim, ...]
    plan: Callable[[Asked], Sequence[Trial]]
    figures: Callable[[Outcome], Sequence[Panel]]
    table: Callable[[Outcome], Table]
    see: str
    why: str
    changes: str
    quick_seconds: int
    full: str
    data: str = ""
    alternatives: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Let texts be written over several lines of a file."""
        for name in ("see", "why", "changes"):
            paragraphs = [" ".join(part.split()) for part in getattr(self, name).split("\n\n")]
            object.__setattr__(self, name, "\n\n".join(paragraphs))
