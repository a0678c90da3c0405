"""What came of a reproduction: its claims beside the numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from normwise.errors import JobError
from normwise.lab.panels import Panel
from normwise.lab.reproduction import wording
from normwise.lab.reproduction.outcome import Outcome
from normwise.lab.reproduction.study import Claim, Judged, Study, Verdict
from normwise.records.study import REPORT
from normwise.report import Table


class Seconds(NamedTuple):
    """How long the trials of a study took: on the clock, and summed over them, each on one core."""

    clock: float
    summed: float


UNKNOWN = Seconds(0.0, 0.0)


@dataclass(frozen=True)
class Reproduction:
    """What came of a study.

    Attributes:
        study: the study.
        outcome: the records of its trials.
        claims: each claim with its judgment.
        directory: where everything lies.
        command: the command line that makes it again.
        seconds: how long its trials took on the clock, and how many seconds of one core they are together.
        trials: the directories of its runs and measurements.
    """

    study: Study
    outcome: Outcome
    claims: Sequence[tuple[Claim, Judged]]
    directory: Path
    command: str
    seconds: Seconds = UNKNOWN
    trials: Sequence[Path] = ()

    @property
    def verdicts(self) -> list[Verdict]:
        """The verdict of each claim."""
        return [found.verdict for _, found in self.claims]

    @property
    def verdict(self) -> str:
        """How many claims hold, and which do not."""
        return sentence(self.claims)

    @cached_property
    def panels(self) -> Sequence[Panel]:
        """The figures; none where a trial failed."""
        return () if self.outcome.failed else self.study.figures(self.outcome)

    @cached_property
    def table(self) -> Table | None:
        """The table, with its numbers as they are read; none where a trial failed."""
        if self.outcome.failed:
            return None
        made = self.study.table(self.outcome)
        return made._replace(
            caption=wording.read(made.caption), rows=[[wording.read(cell) for cell in row] for row in made.rows]
        )

    @property
    def report(self) -> Path:
        """The page."""
        return self.directory / REPORT

    def as_dict(self) -> dict[str, Any]:
        """The result as plain data for JSON."""
        return {
            "study": self.study.name,
            "scale": str(self.outcome.scale),
            "source": self.study.source,
            "claims": [
                {"claim": claim.text, "verdict": str(found.verdict), "words": found.words,
                 "evidence": dict(found.evidence)}
                for claim, found in self.claims
            ],
            "figures": [str(self.directory / "figures" / f"{panel.name}.svg") for panel in self.panels],
            "report": str(self.report),
        }  # fmt: skip


def judgments(study: Study, outcome: Outcome) -> list[tuple[Claim, Judged]]:
    """Every claim beside the numbers; undecided where a trial failed."""
    if outcome.failed:
        why = "; ".join(f"{name} failed: {reason}" for name, reason in outcome.failed.items())
        return [(claim, Judged(Verdict.UNDECIDED, why)) for claim in study.claims]
    return [(claim, _judged(study, claim, outcome)) for claim in study.claims]


def _judged(study: Study, claim: Claim, outcome: Outcome) -> Judged:
    try:
        return claim.judge(outcome)
    except Exception as error:
        number = study.claims.index(claim) + 1
        raise JobError(
            f"claim {number} of {study.name} cannot be judged by what was measured, where a number may be missing or "
            f"not finite: {type(error).__name__}: {error}; records are kept: mend the study, or delete the folder of "
            "the measurement that is wrong, and give the command again"
        ) from error


def counted(verdicts: Sequence[Verdict]) -> str:
    """How many claims hold, in a few words: ``2 of 3 hold``; with how many are undecided."""
    every, hold, open_ = len(verdicts), verdicts.count(Verdict.HOLDS), verdicts.count(Verdict.UNDECIDED)
    if every == 1:
        return str(verdicts[0])
    if hold == every:
        return "both hold" if every == 2 else f"all {every} hold"
    if open_ == every:
        return "both undecided" if every == 2 else f"all {every} undecided"
    if every == 2 and not hold and not open_:
        return "neither holds"
    said = f"{hold or 'none'} of {every} hold{'s' * (hold <= 1)}"
    return said + (f", {open_} undecided" if open_ else "")


WORDS = {
    Verdict.HOLDS: ("holds", "hold"),
    Verdict.FAILS: ("does not", "do not"),
    Verdict.UNDECIDED: ("is undecided", "are undecided"),
}
"""Of one claim and of several."""


def tally(verdicts: Sequence[Verdict], studies: int) -> str:
    """Of many studies, how many claims hold: ``Of 5 claims in 2 studies, 4 hold and 1 does not``."""
    if not verdicts:
        return "No study was run."
    counts = {kind: verdicts.count(kind) for kind in WORDS if kind in verdicts}
    said = [f"{count} {WORDS[kind][count > 1]}" for kind, count in counts.items()]
    listed = " and ".join(part for part in (", ".join(said[:-1]), said[-1]) if part)
    claims = f"{len(verdicts)} claim{'s' * (len(verdicts) > 1)}"
    return f"Of {claims} in {studies} stud{'ies' if studies > 1 else 'y'}, {listed}."


QUOTED = 200
"""Letters of the claims that a sentence about all of them quotes; more are named by their numbers."""


def sentence(claims: Sequence[tuple[Claim, Judged]]) -> str:
    """How many claims hold, and which do not or are undecided."""
    verdicts = [judged.verdict for _, judged in claims]
    every, hold = len(verdicts), verdicts.count(Verdict.HOLDS)
    if every == 1:
        return {
            Verdict.HOLDS: "The claim holds here.",
            Verdict.FAILS: "The claim does not hold here.",
            Verdict.UNDECIDED: "The numbers do not decide whether the claim holds.",
        }[verdicts[0]]
    if hold == every:
        return f"{'Both' if every == 2 else f'All {every}'} claims hold here."
    said = [f"{hold or 'None'} of the {every} claims hold{'s' * (hold <= 1)} here."]
    if every == 2 and not hold:
        said = ["Neither claim holds here."]
    said += [_others(kind, claims) for kind in (Verdict.FAILS, Verdict.UNDECIDED) if kind in verdicts]
    return " ".join(said)


def _others(kind: Verdict, claims: Sequence[tuple[Claim, Judged]]) -> str:
    found = [(number, claim.text) for number, (claim, judged) in enumerate(claims, 1) if judged.verdict is kind]
    numbers = [str(number) for number, _ in found]
    listed = " and ".join(part for part in (", ".join(numbers[:-1]), numbers[-1]) if part)
    one = len(found) == 1
    what = {True: "does not" if one else "do not", False: "is undecided" if one else "are undecided"}
    text = " ".join(text for _, text in found)
    quoted = f": {text}" if len(text) <= QUOTED else "."
    return f"{'Claim' if one else 'Claims'} {listed} {what[kind is Verdict.FAILS]}{quoted}"
