"""Why a network does not train, and which remedy helps: everything but the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from normwise.lab.options import Source, flag
from normwise.lab.status import OnProgress

if TYPE_CHECKING:  # the command line needs this function's name alone, at once
    from normwise.doctor.diagnosis import Diagnosis

STEPS = 500
"""Updates of a run where neither steps nor epochs were asked for."""


def diagnose(
    data: Source = "digits",
    *,
    model: Source = "mlp",
    weights: str | Path | None = None,
    treat: bool = True,
    ignore: str | Sequence[str] = (),
    budget: str | float | None = None,
    on_progress: OnProgress = lambda status: None,
    on_note: Callable[[str], None] = lambda note: None,
    **options: Any,
) -> Diagnosis:
    """Train a network as it is given, say what is wrong, try the remedies and measure which one helps.

    The network is trained on several seeds and measured meanwhile. If it does not train well, the likeliest remedies
    are tried with the same seeds, batch normalization always among them, beside two controls: ``nothing``, which are
    the runs that were watched, and ``random``, a remedy drawn by lot for each seed. Something is recommended only where
    it is better than nothing beyond seed noise, by the task's metric on validation data in evaluation mode.

    With ``weights`` nothing is trained: the statistics of the network's batch normalizations are examined.

    Processes, records and directory are as for ``normwise.lab.compare``: runs that have ended are not trained again.

    Args:
        data: the name of a data set, a table (``.csv`` or ``.parquet``, with ``target=``), or a ``make_data`` function
            or its name.
        model: ``mlp``, ``cnn``, or a ``make_model`` function or its name.
        weights: a file of trained weights, ``.safetensors`` or ``.pt``; nothing in it is unpickled but tensors.
        treat: whether remedies are tried.
        ignore: id or name of a rule that does not judge, or several.
        budget: the time that all may take, such as ``"10m"``: the likeliest remedies are tried for which there is time.
        on_progress: told how far the runs have come.
        on_note: told what will be tried, and about how long it takes, before it begins.
        **options: those of ``normwise doctor``, under the same names, and every key of an arm, with one value each.

    Returns:
        The findings, ranked, as a sequence, with ``verdict``, ``treatments``, ``recommendation`` and ``report``, which
        is in ``runs/doctor-<data>-<model>`` unless ``out`` says otherwise.

    Raises:
        RequestError: for a wrong request.
        JobError: when every run fails, or records cannot be written.

    Example:
        >>> found = diagnose("digits", model="mlp:100x20", activation="sigmoid")  # doctest: +SKIP
        >>> print(found.verdict)  # doctest: +SKIP
    """
    from normwise.lab import runner

    if weights is None:
        runner.prepare()  # torch is loaded there meanwhile
    from normwise.doctor.budget import seconds
    from normwise.doctor.checks import ignored
    from normwise.doctor.study import Asked, Study

    ignore = (ignore,) if isinstance(ignore, str) else ignore
    words = command_words(weights=weights, treat=treat, ignore=ignore, budget=budget)
    asked = Asked(treat, ignored(ignore), None if budget is None else seconds(budget), tuple(words))
    given = {**options, "model": model}
    if weights is not None:
        from normwise.doctor.weights_study import examined_weights

        return examined_weights(data, given, Path(weights), asked)
    length = {} if options.get("steps") or options.get("epochs") else {"steps": STEPS}
    return Study(data, {**given, **length}, asked, on_progress, on_note).diagnosed()


def command_words(
    *, weights: str | Path | None, treat: bool, ignore: Sequence[str], budget: str | float | None
) -> Iterator[str]:
    """The doctor's own options as words of a command line."""
    if weights is not None:
        yield from (flag("weights"), str(weights))
    if not treat:
        yield flag("no_treat")
    for rule in ignore:
        yield from (flag("ignore"), rule)
    if budget is not None:
        yield from (flag("budget"), str(budget))
