"""A diagnosis as a report."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from normwise.doctor import panels
from normwise.doctor.diagnosis import Diagnosis
from normwise.doctor.finding import Finding, Severity
from normwise.doctor.panels import Reading
from normwise.doctor.treatment import Treatment
from normwise.figures import scales
from normwise.lab import machine
from normwise.probes.watched import Watched
from normwise.records.metric import LOSS, Metric
from normwise.report import Entry, Group, Page, Section, Table
from normwise.report import write as write_page
from normwise.report.html import Tone

TONES: dict[Severity, Tone] = {Severity.INFO: "quiet", Severity.WARNING: "warning", Severity.CRITICAL: "alarm"}
LAYERS = 8  # the most that are named


def write(
    diagnosis: Diagnosis,
    path: Path,
    *,
    subtitle: str = "",
    command: str = "",
    metric: Metric | None = None,
    chance: float | None = None,
) -> None:
    """Write the report as one HTML file; arguments as in ``page``."""
    write_page(page(diagnosis, subtitle=subtitle, command=command, metric=metric, chance=chance), path)


def page(
    diagnosis: Diagnosis,
    *,
    subtitle: str = "",
    command: str = "",
    metric: Metric | None = None,
    chance: float | None = None,
) -> Page:
    """The report as plain data.

    Args:
        diagnosis: of a watched training, of an examined network, or with treatments.
        subtitle: one line below the verdict; by default how many trainings of how many steps were watched.
        command: the command line that makes the report again.
        metric: what runs are judged by; by default that of the settings or of the examination.
        chance: what guessing scores in it; by default that of the examination.
    """
    reading = _reading(diagnosis, metric, chance)
    return Page(
        title=_title(diagnosis),
        verdict=diagnosis.verdict,
        subtitle=subtitle or _subtitle(diagnosis),
        notes=diagnosis.notes,
        groups=list(_groups(diagnosis, reading)),
        facts=list(_facts(diagnosis)),
        command=command,
        entries=[_entry(finding) for finding in diagnosis.findings],
        advice=diagnosis.recommendation.change if diagnosis.recommendation else "",
    )


def _reading(diagnosis: Diagnosis, metric: Metric | None, chance: float | None) -> Reading:
    examination, settings = diagnosis.evidence.examination, diagnosis.evidence.settings
    if examination is not None:
        found = Metric(examination.metric, examination.label, examination.higher_is_better, examination.percent)
        return Reading(metric or found, examination.chance if chance is None else chance)
    given = settings.get("metric")
    found = Metric.of(dict(given)) if isinstance(given, Mapping) else LOSS
    return Reading(metric or found, chance)


def _title(diagnosis: Diagnosis) -> str:
    settings = diagnosis.evidence.settings
    if diagnosis.evidence.examination is not None:
        return "A trained network, examined"
    if "model" in settings and "data" in settings:
        return f"Diagnosis of {settings['model']} on {settings['data']}"
    return "Diagnosis of a training"


def _subtitle(diagnosis: Diagnosis) -> str:
    examination, trainings = diagnosis.evidence.examination, diagnosis.evidence.trainings
    if examination is not None:
        return f"{_counted(len(examination.norms), 'batch normalization')} on {_counted(examination.batches, 'batch')}"
    if not trainings:
        return ""
    steps = max(training.watched.steps for training in trainings)
    tried = f", {_counted(len(diagnosis.treatments), 'treatment')}" if diagnosis.treatments else ""
    return f"{_counted(len(trainings), 'training')} of {_counted(steps, 'step')}{tried}"


def _counted(count: int, what: str) -> str:
    plural = f"{what}es" if what.endswith("ch") else f"{what}s"
    return f"{count:,} {what if count == 1 else plural}"


def _groups(diagnosis: Diagnosis, reading: Reading) -> Iterator[Group]:
    evidence = diagnosis.evidence
    shown = panels.evidence(evidence.trainings, reading)
    if shown:
        yield Group("Evidence", shown, _evidence_caption(diagnosis))
    if evidence.examination is not None:
        yield Group("Evidence", panels.examined(evidence.examination, reading))
    if diagnosis.treatments:
        ordered = _ordered(diagnosis.treatments, reading.metric)
        table = _table(ordered, diagnosis, reading.metric)
        yield Group("Treatments", panels.treated(ordered, reading), table=table)


def _evidence_caption(diagnosis: Diagnosis) -> str:
    trainings = diagnosis.evidence.trainings
    seen = trainings[0].watched
    said = f"Layers in the order of the forward, the first at the top; {_counted(len(seen.observations), 'recorded step')}"
    said += f" of {seen.steps:,}"
    return f"{said}, seed {trainings[0].seed}." if len(trainings) > 1 else f"{said}."


def _ordered(treatments: Sequence[Treatment], metric: Metric) -> list[Treatment]:
    """``nothing`` first, then the best first; those that were dropped last."""

    def key(treatment: Treatment) -> tuple[bool, bool, float]:
        score = math.inf if treatment.mean is None else -metric.score(treatment.mean)
        return treatment.name != "nothing", bool(treatment.dropped), score

    return sorted(treatments, key=key)


def _table(treatments: Sequence[Treatment], diagnosis: Diagnosis, metric: Metric) -> Table:
    chosen = diagnosis.recommendation.name if diagnosis.recommendation else None
    rows = [
        [
            each.name,
            _changes(each),
            _verdict(each) + ", recommended" * (each.name == chosen),
            _mean(each, metric),
            _gain(each, metric),
        ]
        for each in treatments
    ]
    caption = f"Validation {metric.label}: mean ± standard deviation over the seeds. Gain: how much better than nothing, "
    caption += "with its 95 % interval, widened for the number of treatments. Random: a remedy drawn for each seed."
    units = (", %", ", points") if metric.percent else ("", "")
    columns = ["treatment", "changes", "verdict", f"validation {metric.label}{units[0]}", f"gain{units[1]}"]
    return Table(caption, columns, rows, 3)


def _changes(treatment: Treatment) -> str:
    if treatment.name == "random":
        return ", ".join(dict.fromkeys(run.remedy for run in treatment.runs if run.remedy)) or "–"
    return ", ".join(f"{key} = {_value(value)}" for key, value in treatment.settings.items()) or "–"


def _mean(treatment: Treatment, metric: Metric) -> str:
    if treatment.mean is None:
        return "–"
    return _number(treatment.mean, metric) + ("" if treatment.std is None else f" ± {_number(treatment.std, metric, 2)}")


def _number(value: float, metric: Metric, digits: int = 3) -> str:
    """A value without its unit, which is in the column's head."""
    return f"{100 * value:.1f}" if metric.percent else f"{value:.{digits}g}"


def _gain(treatment: Treatment, metric: Metric) -> str:
    if treatment.gain is None or treatment.name == "nothing":
        return "–"
    said = f"{100 * treatment.gain:+.1f}" if metric.percent else f"{treatment.gain:+.2g}"
    return said + ("" if treatment.margin is None else f" ± {_number(treatment.margin, metric, 2)}")


def _verdict(treatment: Treatment) -> str:
    diverged = sum(run.status == "diverged" for run in treatment.runs)
    ended = f", {diverged} of {len(treatment.runs)} diverged" if diverged else ""
    if treatment.name == "nothing":
        return f"as given{ended}"
    if treatment.dropped:
        return "dropped after one seed"
    if treatment.helped:
        return f"helped{ended}"
    if treatment.gain is None or treatment.margin is None:
        return f"not compared{ended}"
    return ("worse" if treatment.gain < -treatment.margin else "within noise") + ended


def _entry(finding: Finding) -> Entry:
    facts = [("since step", f"{finding.since_step:,}")] if finding.since_step is not None else []
    facts += [(_words(key), _value(value)) for key, value in finding.evidence.items()]
    where = list(finding.where[:LAYERS])
    rest = [f"{len(finding.where) - LAYERS} more"] if len(finding.where) > LAYERS else []
    lists = [("where", [*where, *rest]), ("remedies", finding.remedies)]
    tone, label = TONES[finding.severity], str(finding.severity)
    return Entry(
        finding.name, finding.rule, tone, label, finding.words, facts, [(name, texts) for name, texts in lists if texts]
    )


def _facts(diagnosis: Diagnosis) -> Iterator[Section]:
    settings = diagnosis.evidence.settings
    if settings:
        yield Section("Settings", [(_words(key), _value(value)) for key, value in settings.items() if value is not None])
    if diagnosis.evidence.trainings:
        yield Section("Training", list(_training(diagnosis.evidence.trainings[0].watched)))
    yield Section("Versions", list(machine.versions("normwise", "torch", "numpy").items()))
    yield Section("Machine", list(machine.describe().items()))


def _training(watched: Watched) -> Iterator[tuple[str, str]]:
    yield "steps", f"{watched.steps:,}, every {watched.every} recorded"
    yield "parameters", f"{watched.parameters:,}" + (f", {watched.frozen:,} frozen" if watched.frozen else "")
    yield "loss", watched.loss.kind.replace("_", " ")
    if watched.optimizer is not None:
        optimizer = watched.optimizer
        yield "optimizer", optimizer.name
        yield "learning rate", _value(optimizer.lr)
        if optimizer.momentum is not None:
            yield "momentum", _value(optimizer.momentum)
        yield "weight decay", _value(optimizer.weight_decay)
    inputs = watched.inputs
    yield "examples in a batch", f"{inputs.examples:,}"
    if inputs.mean is not None and inputs.std is not None:
        yield "inputs", f"mean {_value(inputs.mean)}, deviation {_value(inputs.std)}"
    if inputs.low is not None and inputs.high is not None:
        yield "input range", f"{_value(inputs.low)} to {_value(inputs.high)}"


def _words(key: str) -> str:
    return key.replace("_", " ")


def _value(value: Any) -> str:
    """A value of any kind in a few letters."""
    if isinstance(value, Mapping):
        named = value.get("label")
        return str(named) if named else ", ".join(f"{_words(str(key))} {_value(each)}" for key, each in value.items())
    if isinstance(value, list | tuple):
        shown = ", ".join(_value(each) for each in value[:LAYERS])
        return f"{shown} and {len(value) - LAYERS} more" if len(value) > LAYERS else shown
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return _short(value)
    return str(value)


def _short(value: float) -> str:
    if not math.isfinite(value):
        return "not finite"
    if value and not 1e-4 <= abs(value) < 1e6:
        digits, exponent = f"{value:.1e}".split("e")
        raised = scales.power_of_ten(10.0 ** int(exponent)) if abs(int(exponent)) < 300 else f"10^{int(exponent)}"
        return f"{digits.replace('-', '−').removesuffix('.0')}·{raised}"
    return scales.plain(value)
