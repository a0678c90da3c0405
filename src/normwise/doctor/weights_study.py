"""Examining a network with trained weights, on the data and with the loss and metric of a study."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from normwise.doctor import page, rules
from normwise.doctor.checks import answerable
from normwise.doctor.diagnosis import Diagnosis
from normwise.doctor.examine import examined
from normwise.doctor.study import Asked, command
from normwise.doctor.weights import load_weights
from normwise.lab import batches, networks
from normwise.lab.batch import Batch
from normwise.lab.data import Data
from normwise.lab.objective import Objective
from normwise.lab.options import Options, Source
from normwise.lab.plan import planned
from normwise.lab.question import Question, question
from normwise.lab.settings import Settings
from normwise.records.files import write_json
from normwise.records.study import REPORT, STUDY, disk_error, opened, slug

EXAMPLES = 8


def examined_weights(data: Source, options: Options, path: Path, asked: Asked) -> Diagnosis:
    """Load weights into the network and examine its normalizations; the report is written beside those of studies.

    Raises:
        RequestError: a wrong request, or weights that do not fit.
        SurgeryError: the network has no batch normalization.
        JobError: the report cannot be written.
    """
    one = answerable(question(data, options, "doctor"))
    first = planned(one, [("given", {})], seeds=[0])
    settings = first.runs[0].job.settings
    network = _network(one, settings)
    missing = load_weights(network, path)
    factories = {what: each.callable for what, each in one.own.factories.items() if what != "model"}
    objective = Objective(settings, factories, batches.target_scaling(one.data, settings.targets))
    training, validation = (_batches(one, settings, part) for part in ("train", "validation"))
    found = examined(network, training, validation, objective, one.task, missing)
    if asked.ignore:
        found = replace(found, findings=tuple(rules.judged(found.evidence, asked.ignore)))
    folder = one.out if "out" in one.asked else one.out.with_name(f"{one.out.name}-{slug(path.stem)}")
    written = command(first.study["command"], asked.command)
    study = {**first.study, "arms": [], "runs": [], "command": written, "notes": list(found.notes)}
    with opened(folder, study, first.question):
        try:
            found = replace(found, report=folder / REPORT)
            page.write(found, folder / REPORT, command=written)
            write_json(folder / STUDY, {**study, "verdict": found.verdict})
        except OSError as error:
            raise disk_error(f"{error.filename or folder}: {error.strerror or error}") from error
    return found


def _network(one: Question, settings: Settings) -> nn.Module:
    example = batches.first(one.data, settings, EXAMPLES)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        built = networks.build(settings, example, one.own.factories.get("model"))
    return built.network.to(settings.device)


def _batches(one: Question, settings: Settings, part: str) -> Iterable[Batch]:
    """A part in batches of the size that it is trained with: in a random order, or as a loader gives them."""
    device = torch.device(settings.device)
    if not isinstance(one.data, Data):
        return batches.opened(one.data, settings, device).whole(part)
    return _shuffled(batches.tensors(one.data, settings, device)[part], settings)


def _shuffled(part: batches.Part, settings: Settings) -> Iterator[Batch]:
    """Every example once, in at least two batches of about the size: of sorted data each would have its own moments.

    The sizes differ by one at most, since a last batch of a few examples would have moments of little worth.
    """
    X, y = part
    count = len(y)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(settings.seed)).to(y.device)
    several = max(2, round(count / (settings.batch_size or count)))
    return (Batch((X[rows],), {}, y[rows], len(rows)) for rows in order.tensor_split(min(several, count)))
