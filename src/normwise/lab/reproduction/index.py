"""Every study after another, and the index page of all of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from normwise import figures
from normwise.errors import NormwiseError, RequestError
from normwise.lab.question import usable_device
from normwise.lab.reproduction import page as pages
from normwise.lab.reproduction.asked import Asked
from normwise.lab.reproduction.catalogue import studies
from normwise.lab.reproduction.reproduce import checked_scale, checked_seeds, checked_workers, reproduce
from normwise.lab.reproduction.result import Reproduction, tally
from normwise.lab.reproduction.study import Study, Verdict
from normwise.lab.status import Status
from normwise.records.study import ELSEWHERE, disk_error
from normwise.report import Card, IndexPage, PageClaim, write_study

ALL = "all"
INDEX = "index.html"

OnStudy = Callable[[str, int, int, float], None]
"""Told of a study's name, its number from 1, how many there are, and the share of it that is done."""


class Ended(NamedTuple):
    """What came of one of many studies.

    Attributes:
        study: the study.
        verdicts: of its claims; none where it was not run.
        reason: why it was not run, or what failed; empty where all went well.
        card: it in the index.
        result: it as plain data for JSON.
    """

    study: Study
    verdicts: Sequence[Verdict]
    reason: str
    card: Card
    result: dict[str, Any]


class All(NamedTuple):
    """What came of every study, and the index page."""

    ended: Sequence[Ended]
    page: Path

    @property
    def failed(self) -> list[Ended]:
        """Those that were not run, or not to their end."""
        return [each for each in self.ended if each.reason]

    def as_dict(self) -> dict[str, Any]:
        """The results as plain data for JSON."""
        return {"studies": [each.result for each in self.ended], "index": str(self.page)}


def reproduce_all(
    *,
    scale: str = "quick",
    data: str | None = None,
    out: str | Path | None = None,
    on_study: OnStudy = lambda name, number, count, share: None,
    **options: Any,
) -> All:
    """Run every study, each in its own directory, and write an index page.

    A study whose data are missing, or that fails, does not stop the others. Without ``out`` each goes where it goes
    when it is asked for alone, so that one finds what the other has done, and only the index has a directory.

    Args:
        scale: ``quick`` or ``full``.
        data: other data, for the studies whose claims make sense there; the others keep their own.
        out: a directory, in which each study gets one by its name.
        on_study: told how far it has come.
        **options: the others of ``reproduce``.

    Raises:
        RequestError: for a wrong request; nothing was started.
    """
    every = studies()
    allowed = {name for one in every for name in (one.data, *one.alternatives) if name}
    if data is not None and data not in allowed:
        raise RequestError(f"no study takes --data {data}; allowed: {', '.join(sorted(allowed))}")
    asked = Asked(checked_scale(scale), data or "", checked_seeds(options.get("seeds")))
    checked_workers(options.get("workers"))
    usable_device(options.get("device", "cpu"))
    index = (Path(out) if out else Path("runs") / f"reproduce-{ALL}-{scale}") / INDEX
    try:
        index.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise RequestError(f"{index.parent} is, or lies below, a file; {ELSEWHERE}") from None
    except OSError as error:
        raise RequestError(f"{index.parent} cannot be written: {error.strerror}; {ELSEWHERE}") from None
    ended = []
    for number, one in enumerate(every, 1):

        def tell(status: Status, name: str = one.name, number: int = number) -> None:
            on_study(name, number, len(every), status.steps_done / max(status.steps, 1))

        on_study(one.name, number, len(every), 0.0)
        own = {"scale": scale, "data": data if data in (one.data, *one.alternatives) else None, **options}
        ended.append(_ended(one, index.parent, Path(out) / one.name if out else None, tell, own))
        try:
            write_study(_page(ended, asked, options.get("device", "cpu"), len(every)), index)
        except OSError as error:
            raise disk_error(f"{index}: {error.strerror}") from None
    return All(ended, index)


def _ended(
    one: Study, folder: Path, out: Path | None, tell: Callable[[Status], None], options: dict[str, Any]
) -> Ended:
    try:
        found = reproduce(one.name, out=out, on_progress=tell, **options)
    except NormwiseError as error:
        return _not_run(one, str(error))
    except Exception as error:  # a fault of one study is no reason to lose the others
        return _not_run(one, f"{type(error).__name__}: {error}")
    reason = "; ".join(f"{name} failed: {why}" for name, why in found.outcome.failed.items())
    return Ended(one, found.verdicts, reason, _card(found, folder), found.as_dict())


def _not_run(one: Study, reason: str) -> Ended:
    claims = [PageClaim(claim.text, "undecided", "not run") for claim in one.claims]
    said = {"study": one.name, "source": one.source, "claims": [], "reason": reason}
    return Ended(one, (), reason, Card(one.name, one.title, claims, reason=f"Not run: {reason}"), said)


def _card(found: Reproduction, folder: Path) -> Card:
    one = found.study
    link = Path(os.path.relpath(found.report, folder)).as_posix()
    card = Card(one.name, one.title, pages.claims(found.claims), link)
    if not found.panels:
        return card._replace(reason=f"A trial failed: {'; '.join(found.outcome.failed.values())}")
    main = found.panels[0]
    return card._replace(svg=figures.svg(main.narrow or main.figure, f"{one.name}-{main.name}"), alt=main.alt)


def _page(ended: Sequence[Ended], asked: Asked, device: str, count: int) -> IndexPage:
    verdicts = [verdict for each in ended for verdict in each.verdicts]
    run = sum(bool(each.verdicts) for each in ended)
    words = tally(verdicts, run)
    missing = [each.study.name for each in ended if each.reason]
    words += f" Not run, or not to the end: {', '.join(missing)}." if missing else ""
    going = f", {count - len(ended)} studies to come" if len(ended) < count else ""
    command = ["normwise", "reproduce", ALL, "--scale", str(asked.scale)]
    command += ["--data", asked.data] if asked.data else []
    command += ["--seeds", str(asked.seeds)] if asked.seeds is not None else []
    command += ["--device", device] if device != "cpu" else []
    return IndexPage(
        "The experiments of the paper and of the notes, and whether their claims hold here",
        words,
        f"scale {asked.scale.words}{going}",
        [each.card for each in ended],
        " ".join(command),
    )
