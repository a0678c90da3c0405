"""From the records of the watched runs to what rules judge and remedies start from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from normwise.doctor.evidence import Training
from normwise.doctor.outcome import Evaluation, outcome
from normwise.doctor.remedies import Given
from normwise.lab.learned import beyond_chance, learned
from normwise.lab.question import Question
from normwise.lab.settings import Keys, Settings
from normwise.lab.task import Task
from normwise.probes.watched import Watched
from normwise.probes.watched_json import from_dict
from normwise.records import RunRecord
from normwise.records.files import damaged, read_json
from normwise.records.run import WATCHED

NORMALIZATIONS = ("batch_norm", "normalization")


def trainings(records: Sequence[RunRecord], task: Task) -> list[Training]:
    """What was watched of each run, and what came of it; runs that failed are left out."""
    ended = [record for record in records if record.done and record.done["status"] != "failed"]
    return [_training(record, task) for record in ended]


def _training(record: RunRecord, task: Task) -> Training:
    seen = watched(record)
    did = learned(record, beyond_chance(task, [record])) if record.metrics else None
    return Training(seen, outcome(seen, evaluations(record), learned=did), record.settings["seed"])


def watched(record: RunRecord) -> Watched:
    """What the recorder saw of a run.

    Raises:
        JobError: there is no recording, or it does not hold what was written to it.
    """
    path = record.directory / WATCHED
    plain = read_json(path)
    if plain is None:
        raise damaged(path, "there is no recording")
    try:
        return from_dict(plain)
    except ValueError as error:
        raise damaged(path, str(error)) from error


def evaluations(record: RunRecord) -> list[Evaluation]:
    """Those of a run, each with its loss and its metric on training and validation data."""
    name = record.metric.name
    return [
        Evaluation(
            line["step"],
            line["train"].get("loss"),
            line["validation"].get("loss"),
            line["train"].get(name),
            line["validation"].get(name),
        )
        for line in record.metrics
    ]


def settings_of(settings: Settings) -> dict[str, Any]:
    """What a rule or a reader has to know of how a run was trained."""
    common = ("data", "model", "task", "loss", "steps")
    return {**{name: getattr(settings, name) for name in common}, "metric": settings.metric._asdict(), **settings.keys}


def given(question: Question, settings: Settings, seen: Sequence[Watched]) -> Given:
    """What remedies start from; what the network is like is read off the first watched run."""
    keys, own = Keys(**settings.keys), "model" in question.own.factories
    first = seen[0]
    units = first.observations[0].units if first.observations else ()
    kinds = {call.kind for call in first.calls}
    return Given(
        keys,
        question.task.kind,
        own_model=own,
        streams=question.streams,
        own_batches=question.own_batches,
        activations=tuple(unit.what for unit in units),
        normalized=own and keys.norm == "none" and not kinds.isdisjoint(NORMALIZATIONS),
        ends_in=first.loss.last,
        steps=settings.steps,
        examples=question.examples,
    )
