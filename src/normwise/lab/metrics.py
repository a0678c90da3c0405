"""The metrics that a run can be judged by, in one table."""

from __future__ import annotations

from typing import NamedTuple

from normwise.errors import RequestError, choice
from normwise.lab.task import Kind
from normwise.records.metric import ACCURACY, LOSS, Metric


class _Known(NamedTuple):
    """A row of the table: the metric, the tasks that it judges, and torchmetrics' class where that computes it."""

    metric: Metric
    kinds: tuple[Kind, ...]
    library: str = ""


_LABELED: tuple[Kind, ...] = ("classification", "binary", "multilabel")
_CLASSES: tuple[Kind, ...] = ("classification", "binary")
_NUMBERS: tuple[Kind, ...] = ("regression",)

_ROWS = (
    _Known(ACCURACY, _LABELED),
    _Known(Metric("balanced_accuracy", "balanced accuracy", percent=True), ("classification",), "Recall"),
    _Known(Metric("f1", "F1"), _LABELED, "F1Score"),
    _Known(Metric("precision", "precision"), _LABELED, "Precision"),
    _Known(Metric("recall", "recall"), _LABELED, "Recall"),
    _Known(Metric("specificity", "specificity"), _LABELED, "Specificity"),
    _Known(Metric("auroc", "AUROC"), _LABELED, "AUROC"),
    _Known(Metric("average_precision", "average precision"), _LABELED, "AveragePrecision"),
    _Known(Metric("iou", "IoU"), _LABELED, "JaccardIndex"),
    _Known(Metric("kappa", "Cohen's κ"), _CLASSES, "CohenKappa"),
    _Known(Metric("mcc", "Matthews correlation"), _LABELED, "MatthewsCorrCoef"),
    _Known(Metric("calibration_error", "calibration error", higher_is_better=False), _CLASSES, "CalibrationError"),
    _Known(Metric("r2", "R²"), _NUMBERS),
    _Known(Metric("mse", "MSE", higher_is_better=False), _NUMBERS),
    _Known(Metric("rmse", "RMSE", higher_is_better=False), _NUMBERS),
    _Known(Metric("mae", "MAE", higher_is_better=False), _NUMBERS),
    _Known(Metric("explained_variance", "explained variance"), _NUMBERS),
    _Known(Metric("pearson", "Pearson correlation"), _NUMBERS, "PearsonCorrCoef"),
    _Known(Metric("spearman", "Spearman correlation"), _NUMBERS, "SpearmanCorrCoef"),
    _Known(Metric("mape", "MAPE", higher_is_better=False), _NUMBERS, "MeanAbsolutePercentageError"),
)
AVERAGED = ("F1Score", "Precision", "Recall", "Specificity", "JaccardIndex")
"""Those of torchmetrics that are an average over classes, in which every class counts the same (macro)."""

_TABLE = {row.metric.name: row for row in _ROWS}


def default(kind: Kind) -> Metric:
    """What a task is judged by unless another metric is asked for."""
    return {"regression": _TABLE["r2"].metric, "other": LOSS}.get(kind, ACCURACY)


def named(name: str, kind: Kind) -> Metric:
    """The metric of a name, for a kind of task.

    Raises:
        RequestError: there is no such metric, or it does not judge such a task.
    """
    if name == LOSS.name:
        return LOSS
    fitting = [row.metric.name for row in _ROWS if kind in row.kinds]
    if name not in _TABLE:
        raise RequestError(f"{choice(name, [*fitting, LOSS.name], 'metric')}, or your own as FILE.py:function")
    if name not in fitting:
        allowed = ", ".join([*fitting, LOSS.name])
        raise RequestError(
            f"metric {name!r} does not judge a task of kind {kind}; allowed: {allowed}; or give another --task"
        )
    row = _TABLE[name]
    macro = kind == "classification" and row.library in AVERAGED
    return row.metric._replace(label=f"macro {row.metric.label}") if macro else row.metric


def library(name: str) -> str:
    """The class of torchmetrics that computes a metric of the table."""
    return _TABLE[name].library
