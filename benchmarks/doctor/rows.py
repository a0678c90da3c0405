"""A case's row in the ledger, and the summary of all rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import median

from benchmarks.doctor.case import FRESH, HALVES
from benchmarks.doctor.score import Score

Row = Mapping[str, object]


def row(found: Score) -> dict[str, object]:
    """A score as the ledger holds it: yes, no or nothing; names with commas between them."""
    case = found.case
    return {
        "case": case.name,
        "half": case.half,
        "kind": case.kind,
        "source": case.source,
        "label": ", ".join(sorted(case.label)),
        "value": _number(found.value),
        "learns_at": case.learns_at,
        "failed": _said(found.failed),
        "healthy": _said(found.healthy),
        "cause": found.cause,
        "right": _said(found.right),
        "findings": ", ".join(found.findings),
        "recommendation": found.recommendation,
        "gain": _number(found.gain),
        "cured": _said(found.cured),
        "curable": "no" if found.curable == "" else found.curable or "",
        "seconds": f"{found.seconds:.1f}",
        "ratio": _number(found.ratio, 1),
        "seeds": found.seeds,
        "note": found.note,
    }


def _said(answer: bool | None) -> str:
    return {True: "yes", False: "no", None: ""}[answer]


def _number(value: float | None, digits: int = 3) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def summary(rows: Sequence[Row]) -> Iterator[str]:
    """The figures, each with the cases that are wrong, of the latest row of every case."""
    latest = list({str(each["case"]): each for each in rows}.values())
    for half in (*HALVES, FRESH):
        found = [each for each in latest if each["half"] == half]
        if not found:
            continue
        yield f"{half}: {len(found)} cases"
        for kind in ("failing", "misuse"):
            if those := [each for each in found if each["kind"] == kind]:
                yield from _of_kind(those, kind)
        sound = [each for each in found if each["kind"] == "healthy" and each["failed"] == "no"]
        if sound:
            yield _counted("healthy: false alarms", sound, lambda each: each["healthy"] == "no", listed=True)
        broken = [str(each["case"]) for each in found if each["note"]]
        if broken:
            yield f"  raised: {', '.join(broken)}"


def _of_kind(found: Sequence[Row], kind: str) -> Iterator[str]:
    failing = [each for each in found if each["label"] and each["failed"] == "yes"]
    near = [each for each in found if not each["label"] and each["failed"] == "no"]
    curable = [each for each in failing if each["curable"] not in ("", "no")]
    yield _counted(f"{kind}: detected", failing, lambda each: each["healthy"] == "no")
    yield _counted(f"{kind}: root cause right", failing, lambda each: each["right"] == "yes")
    if curable:
        yield _counted(f"{kind}: remedy found where one cures", curable, lambda each: each["cured"] == "yes")
    if near:
        yield _counted(f"{kind}: false alarms of near misses", near, lambda each: each["healthy"] == "no", listed=True)
    treated = [float(str(each["ratio"])) for each in found if each["ratio"] and each["cured"]]
    if treated:
        yield f"  {kind}: a diagnosis with treatment takes {median(treated):.1f} trainings (median of {len(treated)})"


def _counted(what: str, rows: Sequence[Row], is_so: Callable[[Row], bool], *, listed: bool = False) -> str:
    """A count with its share, and the names of those for which it is wrong: that are not so, or are, if ``listed``."""
    wrong = [_named(each) for each in rows if is_so(each) == listed]
    count = sum(map(is_so, rows))
    share = f" ({count / len(rows):.0%})" if rows else ""
    return f"  {what} {count} of {len(rows)}{share}" + (f"; {', '.join(wrong)}" if wrong else "")


def _named(each: Row) -> str:
    return f"{each['case']} [{each['cause'] or 'nothing'}]"
