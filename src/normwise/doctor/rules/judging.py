"""What several rules share: severity by outcome, several seeds as one finding, and what treatments say of a trouble."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from normwise.doctor.evidence import Evidence, Training
from normwise.doctor.finding import Finding, Severity
from normwise.doctor.outcome import Status
from normwise.doctor.rule import Rule
from normwise.doctor.treatment import Treatment

TUNED = "chosen on the tuning half of the cases in benchmarks/doctor"
SHARE = 1 / 3
"""Of the trainings: a trouble in so many is a trouble of the network, in fewer at most a warning."""
HALF = 0.5
"""Of what a remedy scores beyond chance: where ``nothing`` leaves so much, what the remedy cures is a trouble."""

NOTHING_BESIDE = 0.25
"""Of what another remedy gained: what gained less does not speak for the trouble that it is for."""
NEARLY_ALL = 0.9
"""The skill from which even a fault that is beyond doubt did no harm that could be seen."""

REFUTED = "refuted"
"""In a finding's evidence: its remedies gained nothing, and others helped much."""

BAD = (Status.STUCK, Status.DIVERGED)


@dataclass(frozen=True)
class Seen:
    """What a rule saw in one training.

    Attributes:
        words: as in ``Finding``, and so are ``where``, ``since_step``, ``evidence`` and ``weight``.
        strong: whether the numbers alone are enough for a warning where a training is only slow.
        severity: where it does not follow from the outcome.
        where: see words.
        since_step: see words.
        evidence: see words.
        weight: see words.
        remedies: where others than the rule's are likely.
    """

    words: str
    where: tuple[str, ...] = ()
    since_step: int | None = None
    evidence: dict[str, Any] = field(default_factory=dict)
    weight: float = 0.5
    strong: bool = False
    severity: Severity | None = None
    remedies: tuple[str, ...] = ()


See = Callable[[Training, Evidence], Seen | None]


def rule(see: See, *, cures: Sequence[str] = (), cured: str = "", always: bool = False, **about: Any) -> Rule:
    """A rule that looks at each training by itself.

    Args:
        see: what there is in one training.
        cures: remedies that speak for this trouble where they help much; see ``cure``.
        cured: what to say then where nothing was seen; without it the trouble has to be seen.
        always: whether it is worth knowing also where a training learned, as information.
        **about: the other attributes of the rule.
    """

    def judge(evidence: Evidence) -> Iterable[Finding]:
        found = _merged(result, see, evidence)
        helped = cure(evidence, cures)
        if helped is not None and (found is not None or cured):
            return [_by_treatment(result, found, helped, cured)]
        if found is not None and is_refuted(evidence, result.remedies):
            found = replace(found, evidence={**found.evidence, REFUTED: True})
        learned = all(training.outcome.status is Status.LEARNED for training in evidence.trainings)
        if found is None or (learned and not always and not found.severity.is_trouble):
            return []
        return [found]

    result = Rule(judge=judge, **about)
    return result


def _merged(of: Rule, see: See, evidence: Evidence) -> Finding | None:
    """What was seen in several trainings as one finding, with the words of the first of the worst of them."""
    found = [(training, seen) for training in evidence.trainings if (seen := see(training, evidence)) is not None]
    if not found:
        return None
    levels = [seen.severity or severity(training.outcome.status, seen.strong) for training, seen in found]
    level = max(levels, key=list(Severity).index)
    few = len(found) < SHARE * len(evidence.trainings)
    if few and not level.is_trouble:
        return None
    first = found[levels.index(level)][1]
    several = len(evidence.trainings) > 1
    return Finding(
        of.id,
        of.name,
        Severity.WARNING if few else level,
        first.where,
        first.since_step,
        first.evidence | ({"runs": len(found), "of": len(evidence.trainings)} if several else {}),
        first.remedies or of.remedies,
        first.words + (f" Seen in {_of(len(found), len(evidence.trainings))} runs." if several else ""),
        first.weight * len(found) / len(evidence.trainings),
    )


def certain(training: Training) -> Severity | None:
    """The severity of a fault that is no matter of thresholds: a warning too where much, and not all, was learned.

    More than all, a loss below 0, is no learning.
    """
    learned, skill = training.outcome.status is Status.LEARNED, training.outcome.skill or 0.0
    return Severity.WARNING if learned and not NEARLY_ALL <= skill <= 1 else None


def _of(part: int, whole: int) -> str:
    if part == whole:
        return "both" if whole == 2 else f"all {whole}"
    return f"{part} of {whole}"


def severity(status: Status, strong: bool) -> Severity:
    """How much a trouble matters, by what came of the training."""
    if status in BAD:
        return Severity.CRITICAL if strong else Severity.WARNING
    return Severity.WARNING if strong and status is Status.SLOW else Severity.INFO


def cure(evidence: Evidence, names: Sequence[str]) -> Treatment | None:
    """The best of these remedies, where it helped and ``nothing`` leaves at least half of what it scores beyond chance.

    None too where a remedy that is not among the names helped beyond its margin better: then that is the cure.
    """
    helped = [treatment for treatment in evidence.treatments if helped_much(treatment, evidence)]
    singles = [treatment for treatment in helped if treatment.name != "random" and " + " not in treatment.name]
    named = [treatment for treatment in singles if treatment.name in names]
    if not named:
        return None
    best = max(named, key=lambda treatment: treatment.gain or 0.0)
    most = max(singles, key=lambda treatment: treatment.gain or 0.0)
    return best if (best.gain or 0.0) + (best.margin or 0.0) >= (most.gain or 0.0) else None


def is_refuted(evidence: Evidence, names: Sequence[str]) -> bool:
    """Whether these remedies, though tried, gained next to nothing where a single other one helped much.

    Batch normalization, which nearly every rule names, speaks for none of them and against none.
    """
    own, others = [], []
    for treatment in evidence.treatments:
        parts = set(treatment.name.split(" + "))
        if parts & {"nothing", "random"} or treatment.gain is None:
            continue
        if parts & (set(names) - {"batch-normalization"}):
            own.append(treatment.gain)
        elif len(parts) == 1 and not parts & set(names) and helped_much(treatment, evidence):
            others.append(treatment.gain)
    return bool(own and others) and max(own) < NOTHING_BESIDE * max(others)


def helped_much(treatment: Treatment, evidence: Evidence) -> bool:
    """Whether it helped, and ``nothing`` leaves at least half of what it scores beyond chance."""
    nothing = next((each for each in evidence.treatments if each.name == "nothing"), None)
    if nothing is None or not treatment.helped or treatment.gain is None or treatment.mean is None:
        return False
    if nothing.mean is None:
        return True
    chance = evidence.chance if evidence.chance is not None else _worst(treatment.mean, nothing.mean)
    return treatment.gain >= HALF * abs(treatment.mean - chance)


def _worst(treated: float, nothing: float) -> float:
    """What stands in for an unknown chance: 0 of a metric that grows; of one that falls, so that it has to halve."""
    return 0.0 if treated > nothing else treated + nothing


def _by_treatment(of: Rule, found: Finding | None, helped: Treatment, cured: str) -> Finding:
    """The finding that a treatment makes a trouble."""
    measured = {"remedy": helped.name, "gain": helped.gain, "margin": helped.margin}
    if found is None:
        return Finding(
            of.id, of.name, Severity.WARNING, evidence=measured, remedies=of.remedies, words=cured, weight=0.5
        )
    level = found.severity if found.severity.is_trouble else Severity.WARNING
    return replace(found, severity=level, evidence={**found.evidence, **measured})
