"""NW116: a remedy learns much more, and no other rule says why."""

from __future__ import annotations

from collections.abc import Iterable

from normwise.doctor.evidence import Evidence
from normwise.doctor.finding import Finding, Severity
from normwise.doctor.rule import Rule
from normwise.doctor.rules.judging import HALF, helped_much
from normwise.records.metric import Metric

CONTROL = "random"


def _judge(evidence: Evidence) -> Iterable[Finding]:
    helped = [each for each in evidence.treatments if each.name != CONTROL and helped_much(each, evidence)]
    if not helped:
        return
    metric = Metric.of(evidence.settings["metric"]) if "metric" in evidence.settings else Metric("metric", "metric")
    best, nothing = max(helped, key=lambda each: each.gain or 0.0), evidence.treatments[0]
    guessing = f", where guessing has {metric.write(evidence.chance)}" if evidence.chance is not None else ""
    yield Finding(
        RULE.id,
        RULE.name,
        Severity.WARNING,
        evidence={
            "remedy": best.name, "gain": best.gain, "margin": best.margin, "without": nothing.mean, "with": best.mean,
        },
        words=f"The network learns much less than it could: validation {metric.label} is {nothing.write(metric)}, and "
        f"{best.write(metric)} with {best.name}{guessing}. No rule says why.",
        weight=0.01,
    )  # fmt: skip


RULE = Rule(
    id="NW116",
    name="learns-less-than-it-could",
    meaning="A remedy makes the network learn much more, and no other rule explains what it cures.",
    evidence="The validation metric of every remedy that was tried, against that of the training as it was given.",
    threshold=f"A remedy helped beyond seed noise, and its gain is {100 * HALF:.0f} % or more of what it scores beyond "
    "guessing; and nothing else is a warning or critical.",
    source="The share is that from which a remedy's gain speaks for the trouble that it cures, in all rules.",
    remedies=(),
    judge=_judge,
)
