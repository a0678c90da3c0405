"""Running a case through the doctor, and what is right or wrong in what it says."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from benchmarks.doctor import lab
from benchmarks.doctor.case import Case

NOTHING, RANDOM = "nothing", "random"


class Score(NamedTuple):
    """What came of a case.

    Attributes:
        case: which.
        value: the training metric that the network reached as it is given, the median over seeds; None: diverged.
        failed: whether most runs stayed below ``learns_at``.
        healthy: whether the doctor said so; of a loop, in most runs.
        cause: the root cause, first guess; empty for none.
        right: whether that is in the label; None where the run did not fail, or has no label.
        findings: names of all that was found, the root cause first, with severities.
        recommendation: the name of the treatment that is recommended; empty for none.
        gain: its gain.
        cured: whether its runs reach ``learns_at``; None where nothing failed or nothing was tried.
        curable: the remedy that reaches it, of those tried or, where none of them does, of the whole table; empty for
            none; None where nothing failed, or nothing was tried.
        seconds: of the diagnosis.
        ratio: these over the seconds of one training, with one process; None of a loop, or where all runs diverged.
        seeds: runs.
        note: what went wrong, if the doctor raised.
    """

    case: Case
    value: float | None
    failed: bool
    healthy: bool
    cause: str = ""
    right: bool | None = None
    findings: Sequence[str] = ()
    recommendation: str = ""
    gain: float | None = None
    cured: bool | None = None
    curable: str | None = None
    seconds: float = 0.0
    ratio: float | None = None
    seeds: int = 0
    note: str = ""


def score(case: Case, seeds: int, *, treat: bool = True) -> Score:
    """Run a case."""
    if case.loop is not None:
        return of_loop(case, seeds)
    with lab.folder() as out:
        return of_setup(case, seeds, out, treat=treat)


def shortened(case: Case, steps: int) -> Case:
    """The case with fewer steps, for a test."""
    if case.setup is not None:
        options = {**case.setup.options, "steps": steps}
        return replace(case, setup=case.setup._replace(options=options))
    loop = case.loop
    assert loop is not None
    return replace(case, loop=lambda seed, _: loop(seed, steps))


def is_below(case: Case, value: float | None) -> bool:
    """Whether a run failed."""
    return value is None or value < case.learns_at


def most(answers: Sequence[bool]) -> bool:
    """Whether more than half are true."""
    return 2 * sum(answers) > len(answers)


def of_loop(case: Case, seeds: int) -> Score:
    """Every seed is a diagnosis of its own; the cause is that of the first run that is like most."""
    assert case.loop is not None
    start = time.perf_counter()
    runs = [case.loop(seed, None) for seed in range(seeds)]
    seconds = time.perf_counter() - start
    healthy = most([_is_healthy(run.findings) for run in runs])
    shown = next(run for run in runs if _is_healthy(run.findings) == healthy)
    failed = most([is_below(case, run.value) for run in runs])
    cause = _cause(shown.findings)
    return Score(
        case, median(run.value for run in runs), failed, healthy, cause, _right(case, failed, cause),
        _named(shown.findings), seconds=seconds, seeds=seeds,
    )  # fmt: skip


def of_setup(case: Case, seeds: int, out: Path, *, treat: bool) -> Score:
    """The diagnosis of a setup, its runs in a directory."""
    from normwise.doctor.diagnose import diagnose

    assert case.setup is not None
    start = time.perf_counter()
    found = diagnose(
        case.setup.data, **lab.options(case.setup), treat=treat, seeds=seeds, out=str(out), workers=0
    )  # fmt: skip
    seconds = time.perf_counter() - start
    records = lab.records(out, NOTHING)
    values = [lab.value(record, case.judged_at) for record in records]
    failed = most([is_below(case, value) for value in values])
    cause = found.cause.name if found.cause else ""
    advised = found.recommendation
    tried = {each.name: each for each in found.treatments}
    cured = curable = None
    if failed and tried and case.label:
        cured = advised is not None and cures(case, tried[advised.name].runs)
        curable = advised.name if advised and cured else _curing(case, found, seeds, out)
    whole = [record.timing[-1]["seconds"] for record in records if record.done["status"] == "finished"]
    return Score(
        case, _middle(values), failed, found.healthy, cause, _right(case, failed, cause), _named(found),
        advised.name if advised else "", advised.gain if advised else None, cured, curable, seconds,
        seconds / median(whole) if whole else None, seeds,
    )  # fmt: skip


def cures(case: Case, runs: Sequence[Any]) -> bool:
    """Whether most of a treatment's runs learn."""
    values = [lab.value(lab.record(Path(run.directory)), case.judged_at) for run in runs]
    return most([not is_below(case, value) for value in values])


def _curing(case: Case, found: Any, seeds: int, out: Path) -> str:
    """A remedy of the table that makes most runs learn: of those tried, else of all others; empty for none."""
    for each in found.treatments:
        if each.name not in (NOTHING, RANDOM) and len(each.runs) == seeds and cures(case, each.runs):
            return str(each.name)
    train, names = every_remedy(case, found, seeds, out)
    names = [name for name in (*case.cure, *names) if name in names]
    for name in dict.fromkeys(names):
        if cures(case, train(name, [0])) and cures(case, train(name, range(seeds))):
            return name
    return ""


def every_remedy(
    case: Case, found: Any, seeds: int, out: Path
) -> tuple[Callable[[str, Sequence[int]], list[Any]], list[str]]:
    """What trains a remedy of the table with some seeds, and the names of those that apply."""
    from normwise.doctor.remedies import applicable
    from normwise.doctor.trainer import Trainer
    from normwise.doctor.trainings import given
    from normwise.doctor.treat import Wanted
    from normwise.lab.question import question

    assert case.setup is not None
    asked = {**lab.options(case.setup), "seeds": seeds, "out": str(out), "workers": 0}
    trainer = Trainer(question(case.setup.data, asked, "doctor"), lambda status: None)
    start = given(trainer.question, trainer.settings, [each.watched for each in found.evidence.trainings])
    settings = {remedy.name: dict(remedy.settings(start) or {}) for remedy in applicable(start)}
    settings = {name: changed for name, changed in settings.items() if not trainer.refused(name, changed)}
    for name in case.cure:
        parts = name.split(" + ")
        if len(parts) > 1 and all(part in settings for part in parts):
            settings[name] = {key: value for part in parts for key, value in settings[part].items()}

    def train(name: str, wanted: Sequence[int]) -> list[Any]:
        return trainer([Wanted(name, settings[name], seed) for seed in wanted])

    return train, list(settings)


def _is_healthy(findings: Sequence[Any]) -> bool:
    return not any(finding.severity.is_trouble for finding in findings)


def _cause(findings: Sequence[Any]) -> str:
    return next((finding.name for finding in findings if finding.severity.is_trouble), "")


def _named(findings: Sequence[Any]) -> list[str]:
    return [f"{finding.name} ({finding.severity})" for finding in findings]


def _right(case: Case, failed: bool, cause: str) -> bool | None:
    return cause in case.label if failed and case.label else None


def _middle(values: Sequence[float | None]) -> float | None:
    """The median, a run that diverged counted as the worst."""
    ordered = sorted(values, key=lambda value: float("-inf") if value is None else value)
    return ordered[len(ordered) // 2]
