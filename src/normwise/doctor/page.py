"""A diagnosis as a report."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from normwise.doctor import panels, tables, written
from normwise.doctor.diagnosis import Diagnosis
from normwise.doctor.finding import Finding, Severity
from normwise.doctor.panels import Reading
from normwise.lab import machine
from normwise.probes.watched import Watched
from normwise.report import Entry, Group, Page, Section
from normwise.report import write as write_page
from normwise.report.html import Tone

TONES: dict[Severity, Tone] = {Severity.INFO: "quiet", Severity.WARNING: "warning", Severity.CRITICAL: "alarm"}
LAYERS = 8  # the most that are named


def write(diagnosis: Diagnosis, path: Path, *, command: str = "") -> None:
    """Write the report as one HTML file; arguments as in ``page``."""
    write_page(page(diagnosis, command=command), path)


def page(diagnosis: Diagnosis, *, command: str = "") -> Page:
    """The report as plain data.

    Args:
        diagnosis: of a watched training, of an examined network, or with treatments.
        command: the command line that makes the report again.
    """
    return Page(
        title=_title(diagnosis),
        verdict=diagnosis.verdict,
        subtitle=_subtitle(diagnosis),
        notes=diagnosis.notes,
        groups=list(_groups(diagnosis, Reading(diagnosis.metric, diagnosis.chance))),
        facts=list(_facts(diagnosis)),
        command=command,
        entries=[_entry(finding) for finding in diagnosis.findings],
        advice=diagnosis.recommendation.change if diagnosis.recommendation and not diagnosis.healthy else "",
    )


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
        norms, batches = (len(examination.norms), "batch normalization"), (examination.batches, "batch")
        return f"{written.counted(*norms)} on {written.counted(*batches)}"
    if not trainings:
        return ""
    steps = max(training.watched.steps for training in trainings)
    tried = f", {written.counted(len(diagnosis.treatments), 'treatment')}" if diagnosis.treatments else ""
    return f"{written.counted(len(trainings), 'training')} of {written.counted(steps, 'step')}{tried}"


def _groups(diagnosis: Diagnosis, reading: Reading) -> Iterator[Group]:
    evidence = diagnosis.evidence
    shown = panels.evidence(evidence.trainings, reading)
    if shown:
        yield Group("Evidence", shown, _evidence_caption(diagnosis))
    if evidence.examination is not None:
        yield Group("Evidence", panels.examined(evidence.examination, reading), panels.EXAMINED)
    if diagnosis.treatments:
        ordered = tables.ordered(diagnosis.treatments, reading.metric)
        chosen = diagnosis.recommendation.name if diagnosis.recommendation else None
        table = tables.in_report(ordered, reading.metric, chosen)
        yield Group("Treatments", panels.treated(ordered, reading), table=table)


def _evidence_caption(diagnosis: Diagnosis) -> str:
    trainings = diagnosis.evidence.trainings
    seen = trainings[0].watched
    said = "Layers in the order of the forward, the first at the top; "
    said += f"{written.counted(len(seen.observations), 'recorded step')} of {seen.steps:,}"
    said += f", seed {trainings[0].seed}." if len(trainings) > 1 else "."
    return said + " What is drawn ends shortly after the last finite value." * (seen.not_finite is not None)


def _entry(finding: Finding) -> Entry:
    facts = [("since step", f"{finding.since_step:,}")] if finding.since_step is not None else []
    facts += [(written.key(key), written.value(value)) for key, value in finding.evidence.items()]
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
        lines = [(written.key(key), written.value(value)) for key, value in settings.items() if value is not None]
        yield Section("Settings", lines)
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
        yield "learning rate", written.value(optimizer.lr)
        if optimizer.momentum is not None:
            yield "momentum", written.value(optimizer.momentum)
        yield "weight decay", written.value(optimizer.weight_decay)
    inputs = watched.inputs
    yield "examples in a batch", f"{inputs.examples:,}"
    if inputs.mean is not None and inputs.std is not None:
        yield "inputs", f"mean {written.value(inputs.mean)}, deviation {written.value(inputs.std)}"
    if inputs.low is not None and inputs.high is not None:
        yield "input range", f"{written.value(inputs.low)} to {written.value(inputs.high)}"
