"""Wrong requests of the doctor, and runs that cannot be judged."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from normwise.doctor.first_step import raises_in
from normwise.doctor.gains import NOTHING
from normwise.doctor.rules import RULES
from normwise.doctor.trainer import Trainer
from normwise.errors import InvalidArgumentError, JobError, RequestError, choice
from normwise.lab import batches, networks, study
from normwise.lab.batch import Batch
from normwise.lab.data.loader_data import LoaderData
from normwise.lab.question import Question
from normwise.lab.status import OnProgress
from normwise.probes import facts
from normwise.records import RunRecord

EXAMPLES = 8
KILLED = "its process was ended"
"""How the reason begins of a run that was ended from outside."""

CHANGED = "changed while the study ran"
"""Stands in the reason of a run whose functions are no longer those that the study began with."""


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


def answerable(one: Question) -> Question:
    """The question, where it is one that the doctor can answer.

    Raises:
        RequestError: a key has several values, or a loader has a single batch.
    """
    for key, given_ in one.shared.items():
        if len(given_) > 1:
            several = ", ".join(map(str, given_))
            raise RequestError(
                f"{key} has several values, {several}; the doctor examines one training: give one value, or use "
                "normwise compare for a sweep"
            )
    if one.own_batches and isinstance(one.data, LoaderData) and one.data.batches_per_epoch() == 1:
        raise RequestError(
            f"the training loader of {one.data.name} has one batch; the doctor needs several, to tell their noise from "
            "trouble: give the loader a smaller batch_size"
        )
    return one


def trainer(one: Question, on_progress: OnProgress) -> Trainer:
    """What trains for the doctor.

    Raises:
        RequestError: the settings do not go together, or with the network or the data.
    """
    try:
        return Trainer(one, on_progress)
    except RequestError as error:
        raise RequestError(_without_arm(error)) from error


def _without_arm(error: RequestError) -> str:
    """An error of the lab, which knows arms, of which the doctor's user gave none."""
    return str(error).removeprefix(f"arm {NOTHING!r}: ").replace(f"arm {NOTHING!r}", "the training")


def checked(made: Trainer) -> list[str]:
    """Try the network, the loss and the metric on a few examples; what a reader has to know of them.

    Raises:
        RequestError: one of them raises or does not fit; of a network, the layer in which it does; or the network
            cannot be watched, as a compiled one.
    """
    try:
        notes = [note.removeprefix(f"arm {NOTHING}: ") for note in study.notes(made.first)]
        facts.network_of(_network(made))
        return notes
    except InvalidArgumentError as error:
        raise RequestError(str(error)) from error
    except RequestError as error:
        text, where = _without_arm(error), _where(made)
        raise RequestError(f"{text}; it is raised in layer {where}" if where else text) from error


def _where(made: Trainer) -> str:
    """The layer in which the network raises; empty where it does not, or cannot be built."""
    try:
        return raises_in(_network(made), _example(made))
    except Exception:
        return ""


def _network(made: Trainer) -> nn.Module:
    return networks.build(made.settings, _example(made), made.question.own.factories.get("model")).network


def _example(made: Trainer) -> Batch:
    return batches.first(made.question.data, made.settings, EXAMPLES)


def refuse_failed(records: Sequence[RunRecord]) -> None:
    """Refuse to judge where no run was watched to its end.

    Raises:
        RequestError: the network, or the loss, raises in the first step.
        JobError: every run failed in another way.
    """
    ends = [record.done or {"status": "failed", "step": 0, "reason": "it did not end"} for record in records]
    if any(end["status"] != "failed" for end in ends):
        return
    if all(end["step"] == 0 and not end["reason"].startswith(KILLED) for end in ends):
        reason = ends[0]["reason"]
        if CHANGED in reason:
            raise RequestError(reason[max(0, reason.find("the source of")) :])
        raise RequestError(f"the network cannot be trained: its first step fails with {reason}")
    raise JobError(f"every run failed; the first at step {ends[0]['step']:,}: {ends[0]['reason']}")


def failures(records: Sequence[RunRecord]) -> list[str]:
    """A line for each run that failed."""
    return [
        f"seed {record.settings['seed']} failed at step {record.done['step']:,}: {record.done['reason']}"
        for record in records
        if record.done and record.done["status"] == "failed"
    ]
