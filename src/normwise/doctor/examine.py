"""A trained network with batch normalization: do its running statistics fit, and does it help to estimate them anew?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from torch import nn
from torch.nn.parameter import is_lazy

from normwise.doctor import rules
from normwise.doctor.diagnosis import Diagnosis
from normwise.doctor.evidence import Evidence
from normwise.doctor.examination import Examination
from normwise.doctor.examining import treated
from normwise.doctor.examining.layer_inputs import LayerInputs
from normwise.doctor.examining.loaded import Loaded, same_generators
from normwise.doctor.examining.measure import Measurement, Norms, Source, measured, pieces
from normwise.doctor.examining.norms import examined_norm
from normwise.doctor.examining.own_scorer import OwnScorer
from normwise.doctor.examining.scores import Scorer, constant_loss, loss_margin, metric_margin
from normwise.errors import RequestError, SurgeryError
from normwise.lab.batch import Batch
from normwise.lab.objective import Objective
from normwise.lab.task import Chance, Task
from normwise.nn.kinds import is_batch_norm
from normwise.surgery import compiled, walk
from normwise.surgery.estimating.feed import unwrapped
from normwise.surgery.sites import census, is_normalization


def examine(
    model: nn.Module,
    loader: Iterable[Any],
    criterion: Callable[[Any, Any], Any],
    *,
    metric: str | Callable[[Any, Any], Any] | None = None,
    estimate_from: Iterable[Any] | None = None,
    steps: int | None = None,
) -> Diagnosis:
    """Examine the batch normalizations of a trained network on the batches of a loader.

        diagnosis = normwise.examine(net, loader, nn.CrossEntropyLoss())
        print(diagnosis.verdict)      # Accuracy 41.2 → 88.7 % after re-estimating the statistics of 5 batch …

    **What is measured.** Loss and metric, without dropout, in three ways: with the moments of each batch, as in
    training; with the running statistics, in evaluation; and after ``estimate_population``, each half of the batches
    with statistics from the other half, or all with those from ``estimate_from``, so that none are measured on examples
    that they come from. Of each normalization, how far its statistics are from the moments of the data.

    **What changes.** Nothing: parameters, buffers, modes, gradients and random generators are as before, bit for bit,
    also where something raises. Batches are moved to the network's device.

    Args:
        model: the network.
        loader: batches of (inputs…, target), of about the size that it was trained with; dicts whose target is under
            ``target``, ``y`` or ``labels``; or what has ``args``, ``kwargs`` and ``target``. It is passed over three
            times, with the random generators in the same state. Batches of the data that the network will be used on.
        criterion: ``criterion(outputs, target)`` returns the loss, the mean over the examples, as a scalar.
        metric: a name, as for ``normwise compare --metric``, or ``metric(outputs, targets)``, better the larger unless
            its attribute ``higher_is_better`` is False. By default the accuracy, where targets are class numbers; else
            the loss.
        estimate_from: batches that statistics are estimated from, with or without targets; all of ``loader`` is
            measured then.
        steps: how many batches to take at most, of each.

    Returns:
        The findings, ranked, as a sequence; ``evidence.examination`` has what was measured; ``treatments`` are
        ``nothing`` and ``estimate-population``, whose gain has a margin of two standard errors; ``recommendation`` is
        what to type, where that helped beyond the margin.

    Raises:
        InvalidArgumentError: (a ValueError) ``model`` is no network, or ``criterion`` no function.
        RequestError: (a ValueError) a batch has no target or does not fit; the criterion does not take the outputs or
            returns no scalar; a weight has no shape yet, or is not finite; the loss is not finite; the loader has a
            single batch.
        SurgeryError: (a ValueError) the network has no batch normalization, is compiled, or there is no batch.
        Exception: what the loader or the network raises.

    Source: Ioffe & Szegedy 2015, arXiv:1502.03167, section 3.1.
    """
    network, norms = _norms(model)
    batches = Loaded(loader, network, "loader", steps)
    other = None if estimate_from is None else Loaded(estimate_from, network, "estimate_from", steps, targets=False)
    source = Source(
        estimated=(_half(batches, 0), _half(batches, 1)) if other is None else (other,),
        measured=batches,
        pieces=pieces if other is None else (lambda count: pieces(_length(loader))),
    )
    given: list[OwnScorer] = []

    def scorer(outputs: Any, target: Any) -> Scorer:
        given.append(OwnScorer(criterion, metric, outputs, target))
        return given[0]

    with same_generators(loader, estimate_from):
        seen = measured(network, norms, source, scorer)
    chance = given[0].chance(seen.targets)
    examination = _examination(model, norms, seen, given[0], chance)
    forward = (batches if other is None else other).forward
    line = f"nw.estimate_population(net, loader{forward and ', '}{forward})"
    return _diagnosis(examination, chance, line)


def examined(
    network: nn.Module,
    training: Iterable[Batch],
    validation: Iterable[Batch],
    objective: Objective,
    task: Task,
    missing: Sequence[str] = (),
) -> Diagnosis:
    """Examine a network as ``examine`` does, with the loss and the metric of a task.

    Args:
        network: the network.
        training: what statistics are estimated from; passed over once.
        validation: what is measured; passed over once.
        objective: loss and metric.
        task: what is learned.
        missing: buffers of normalizations that its weights did not have; see ``normwise.doctor.weights``.
    """
    network, norms = _norms(network)
    source = Source((training,), validation, lambda count: 1)
    seen = measured(network, norms, source, lambda outputs, target: objective)
    examination = _examination(network, norms, seen, objective, task.chance, missing)
    return _diagnosis(examination, task.chance, "nw.estimate_population(net, loader)")


def _norms(model: nn.Module) -> tuple[nn.Module, Norms]:
    """The network and its batch normalizations with their names."""
    compiled.refuse(model, "examine")
    network = unwrapped(model)
    norms: Norms = {layer: name for name, layer in walk.find(network, is_batch_norm)}
    if not norms:
        raise SurgeryError(
            f"{type(network).__name__} has no batch normalization to examine: looked for torch's BatchNorm and "
            f"SyncBatchNorm, normwise's and subclasses of them; normalizations in the network: {census(network)}. "
            "normwise.batch_normalize inserts some; a network without them is the same in training and evaluation "
            "but for dropout"
        )
    for name, parameter in network.named_parameters():
        if is_lazy(parameter):
            raise RequestError(
                f"the weights of {type(network).__name__} have no shape yet: {name} gets one from the first batch; "
                "load trained weights, or call the network on a batch"
            )
        if not parameter.isfinite().all():
            raise RequestError(
                f"the weights of {type(network).__name__} are not finite: {name} has NaN or infinity, so there is "
                "nothing to examine; load weights from before the training diverged, or train again"
            )
    return network, norms


def _half(batches: Loaded, first: int) -> Iterable[Batch]:
    """Every second batch of a loader that has at least two."""
    index = -1
    for index, batch in enumerate(batches):
        if index % 2 == first:
            yield batch
    if index == 0:
        raise RequestError(
            "loader has a single batch, and statistics are estimated from one half of the batches and measured on the "
            "other: give smaller batches, or estimate_from= with others"
        )


def _length(loader: Any) -> int:
    try:
        return len(loader)
    except (TypeError, NotImplementedError):
        return 1


def _examination(
    model: nn.Module,
    norms: Norms,
    seen: Measurement,
    scorer: Scorer,
    chance: Chance | None,
    missing: Sequence[str] = (),
) -> Examination:
    batch, stored, estimated = seen.ways
    of_batch, of_stored = batch.measured(), stored.measured()
    of_estimated = None if estimated is None else estimated.measured()
    if of_batch.loss is None and of_stored.loss is None and (of_estimated is None or of_estimated.loss is None):
        raise RequestError(
            "the loss is not finite, whether with the moments of each batch or with running statistics: no statistics "
            "can mend that; check the inputs and targets of the loader, the criterion (log(0), a division by 0), and "
            "the weights for their size"
        )
    order = {name: index for index, name in enumerate(seen.inputs)}
    named = sorted(norms.items(), key=lambda pair: order.get(pair[1], len(order)))
    metric = scorer.metric
    return Examination(
        norms=tuple(examined_norm(layer, name, seen.inputs.get(name, LayerInputs())) for layer, name in named),
        others=len(walk.find(model, lambda module: is_normalization(module) and not is_batch_norm(module))),
        batch=of_batch,
        stored=of_stored,
        estimated=of_estimated,
        loss_margin=None if estimated is None else loss_margin(stored, estimated),
        metric=metric.name,
        higher_is_better=metric.higher_is_better,
        label=metric.label,
        percent=metric.percent,
        chance=None if chance is None else chance.value,
        batches=seen.batches,
        estimated_from=seen.estimated_from,
        missing=tuple(missing),
        was_training=model.training,
        metric_margin=None if estimated is None else metric_margin(stored, estimated),
        batch_margin=loss_margin(stored, batch),
        batch_metric_margin=metric_margin(stored, batch),
        constant=constant_loss(scorer, seen.targets, seen.width),
    )


def _diagnosis(examination: Examination, chance: Chance | None, line: str) -> Diagnosis:
    found = treated.treatments(examination)
    evidence = Evidence(examination=examination, treatments=found, chance=examination.chance)
    value = examination.value(examination.stored)
    metric = examination.judged_by
    learned = value is not None
    if chance is not None and value is not None:
        learned = metric.score(value) > metric.score(chance.value) + chance.margin
    return Diagnosis(
        findings=tuple(rules.judged(evidence)),
        evidence=evidence,
        treatments=found,
        recommendation=treated.recommendation(found, _first_track(examination) + line),
        verdict=treated.verdict(examination, found),
        learned=learned,
        metric=metric,
        chance=examination.chance,
    )


def _first_track(examination: Examination) -> str:
    """What to do before estimating where layers keep no statistics."""
    untracked = [norm.layer for norm in examination.norms if not norm.tracks]
    return "make the batch normalizations with track_running_stats=True, then " if untracked else ""
