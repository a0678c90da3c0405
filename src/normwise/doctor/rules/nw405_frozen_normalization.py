"""NW405: batch normalization in evaluation mode while the network trains, or training while its network is frozen."""

from __future__ import annotations

from normwise.doctor.evidence import Evidence, Training
from normwise.doctor.finding import Severity
from normwise.doctor.outcome import Status
from normwise.doctor.rules.evaluation import batch_norms, eval_gap, failed, norm_rule, nothing_examined, values_by_layer
from normwise.doctor.rules.judging import TUNED, Seen
from normwise.doctor.rules.layers import named
from normwise.probes.watched import Call, Watched

FEW_EXAMPLES = 8


def _see(training: Training, evidence: Evidence) -> Seen | None:
    return _in_evaluation(training) or _in_training(training)


def _in_evaluation(training: Training) -> Seen | None:
    watched = training.watched
    layers = [call for call in batch_norms(training) if call.facts.get("training") is False]
    learning = [call for call in layers if not _is_behind_frozen(call, watched)]
    if not layers or not (learning or failed(training)):
        return None
    bad = training.outcome.status is not Status.LEARNED or training.outcome.learned is False
    fresh = all(call.facts.get("batches") == 0 for call in layers)
    return Seen(
        f"While the network trains, {named(call.layer for call in layers)} {_is(len(layers))} in evaluation mode: "
        "values are normalized with running statistics that no longer follow the weights"
        + (", and that were never updated" if fresh else "")
        + ". Call net.train() after each evaluation.",
        where=tuple(call.layer for call in layers),
        since_step=1,
        evidence={"layers": len(layers), "never_updated": fresh},
        weight=0.95 if learning else 0.4,
        severity=Severity.WARNING if bad else Severity.INFO,
    )


def _in_training(training: Training) -> Seen | None:
    watched, examples = training.watched, training.watched.inputs.examples
    values = values_by_layer(training)
    layers = [call.layer for call in batch_norms(training) if call.layer in values and _is_behind_frozen(call, watched)]
    if not layers:
        return None
    gap, few = eval_gap(training), 0 < examples <= FEW_EXAMPLES
    bad = gap is not None or failed(training) or (few and training.outcome.status is not Status.LEARNED)
    return Seen(
        f"Behind frozen weights, {named(layers)} {_is(len(layers))} in training mode: what these weights were trained "
        f"with is replaced by the moments of batches of {examples}"
        + ("" if gap is None else f"; {gap.words}")
        + ". Call eval() of the frozen part, or nw.freeze.",
        where=tuple(layers),
        since_step=1,
        evidence={"examples": examples, **({} if gap is None else gap.evidence)},
        weight=0.85,
        severity=Severity.WARNING if bad else Severity.INFO,
    )


def _is(layers: int) -> str:
    return "is" if layers == 1 else "are"


def _is_behind_frozen(call: Call, watched: Watched) -> bool:
    """Whether all maps with weights that feed a normalization are frozen, and something else is trained."""
    feeds = [watched.calls[place] for place in call.feeds]
    maps = [each for each in feeds if each.kind in ("linear", "conv")]
    return bool(maps) and all(each.facts.get("frozen") for each in maps) and watched.parameters > 0


RULE = norm_rule(
    nothing_examined,
    _see,
    id="NW405",
    name="frozen-normalization",
    meaning="A batch normalization in evaluation mode normalizes with running statistics that stand still while the "
    "weights before it move on, so that nothing is normalized any more: train() was forgotten after an evaluation. The "
    "other way round, one in training mode behind frozen weights replaces the statistics that those weights were "
    "trained with by the moments of a few examples.",
    evidence="The mode of each batch normalization in the first forward, whether the map before it is trained, and the "
    "size of batches.",
    threshold="In evaluation mode while the map before it is trained, and the training did not learn; or in training "
    f"mode behind frozen weights, and the training did not learn (with {FEW_EXAMPLES} examples or fewer: is slow) or "
    "evaluation mode is worse than training mode. Where all is well it is information; evaluation mode behind frozen "
    "weights, as it should be, is none.",
    source=f"TrainCheck, case pytorch-forum-84911: all but batch normalization frozen, batches of four. "
    f"{FEW_EXAMPLES}: {TUNED}.",
    remedies=("estimate-population",),
)
