"""Training a network in several ways, side by side, and saying what each did."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from normwise.lab.options import Source
from normwise.lab.status import OnProgress, Status

if TYPE_CHECKING:  # the command line needs this package's tables alone, at once
    from normwise.lab.comparison import Comparison


def compare(
    arms: str | Sequence[str] = ("plain", "bn"),
    data: Source = "digits",
    *,
    on_progress: OnProgress = lambda status: None,
    **options: Any,
) -> Comparison:
    """Train a network once for every arm, learning rate and seed, and compare what came of it.

    Each run trains in a process of its own with one compute thread; factories that are given as functions instead of
    names train in this process, one run after another. Runs that have ended in the same directory are not trained
    again, and one that was interrupted goes on from its last checkpoint, with the same numbers as if it had not been.

    Args:
        arms: the variants, each ``[name:] key=value, …``; see ``normwise.lab.arms``.
        data: the name of a data set, a table (``.csv`` or ``.parquet``, with ``target=``), or a ``make_data`` function
            or its name; see ``normwise.lab.data.load``.
        on_progress: told how far the comparison has come.
        **options: those of ``normwise compare``, under the same names, and every key of an arm; see
            ``normwise.lab.options.GENERAL`` and ``normwise.lab.settings.Keys``.

    Returns:
        The comparison; its report and figures are written to its directory, ``runs/compare-<data>-<model>`` and
        what else was asked, unless ``out`` says otherwise.

    Raises:
        RequestError: for a wrong request; nothing was started.
        JobError: when records cannot be written.

    Example:
        >>> result = compare(arms=["plain", "bn"], steps=2000)  # doctest: +SKIP
        >>> print(result.verdict)  # doctest: +SKIP
    """
    from normwise.lab import runner

    runner.prepare()
    from normwise.lab import events, study
    from normwise.lab.comparison import Comparison
    from normwise.lab.plan import plan
    from normwise.lab.progress import ProgressReport
    from normwise.records.files import write_json
    from normwise.records.study import STUDY, disk_error, opened

    if options.get("tensorboard"):
        events.require()
    planned = plan((arms,) if isinstance(arms, str) else arms, data, options)
    planned = planned._replace(study={**planned.study, "notes": study.notes(planned)})
    report = ProgressReport(planned)

    def tell(status: Status) -> None:
        report(status)
        on_progress(status)

    with opened(planned.out, planned.study, planned.question):
        try:
            study.train(planned.runs, planned.data, planned.workers, tell)
            if options.get("tensorboard"):
                for run in planned.runs:
                    events.complete(run.record())
            result = Comparison(planned)
            result.write()
            write_json(planned.out / STUDY, {**planned.study, "verdict": result.verdict})
        except OSError as error:
            raise disk_error(f"{error.filename or planned.out}: {error.strerror or error}") from error
    return result
