"""NW412: a trained network that is no better than guessing, whatever the statistics."""

from __future__ import annotations

from normwise.doctor.examination import KNOWS, Examination
from normwise.doctor.finding import Severity
from normwise.doctor.rules.evaluation import norm_rule, nothing_seen
from normwise.doctor.rules.judging import Seen
from normwise.doctor.rules.layers import percent


def _examine(found: Examination) -> Seen | None:
    if not found.is_guessing:
        return None
    metric = found.judged_by
    return Seen(
        f"The network is no better than guessing with the moments of each batch, with the statistics that it has and "
        f"with new ones: {metric.label} is {metric.write(found.best)} at best, and {metric.write(found.chance)} by "
        "guessing. Statistics are not what is wrong: watch a training (normwise doctor without --weights, or "
        "nw.watch), and check that these are its weights and its data.",
        evidence={"best": found.best, "chance": found.chance},
        weight=0.2,
        severity=Severity.WARNING,
    )


RULE = norm_rule(
    _examine,
    nothing_seen,
    id="NW412",
    name="no-better-than-guessing",
    meaning="The weights know nothing of these inputs: no statistics make the network better than guessing. It was not "
    "trained, did not learn, or was trained on other inputs (other scaling, other order of classes).",
    evidence="The metric with the moments of each batch, with the running statistics and with statistics estimated "
    "anew; what guessing scores; and the loss of the best constant prediction.",
    threshold=f"The best of the three is within noise of guessing, and the loss is at least {percent(KNOWS)} of the "
    "best constant's.",
    source="The best constant prediction, as for a training.",
    remedies=(),
)
