"""Writing a network to a file that runs without this library, after seeing that it computes what the network does."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram, ShapesCollection
from torch.utils import _pytree as pytree

from normwise.errors import SurgeryError, first_line
from normwise.surgery import compiled
from normwise.surgery import example as example_
from normwise.surgery.change import Change
from normwise.surgery.exporting.files import Kind, kind_of, quiet, tensors
from normwise.surgery.fold import fold_if_any
from normwise.surgery.folding.agreement import gap

_Arguments = tuple[tuple[Any, ...], dict[str, Any]]


class Export(NamedTuple):
    """What was written.

    Attributes:
        path: the file.
        changes: what became of each normalization.
        difference: the largest difference between the file's outputs and the network's on the example, relative to the
            largest absolute output.
    """

    path: Path
    changes: list[Change]
    difference: float


def export(
    model: nn.Module, path: str | Path, example: Any, *, any_batch: bool = True, tolerance: float | None = None
) -> Export:
    """Fold a network and write it for inference: ONNX for ``.onnx``, ``torch.export`` for ``.pt2``.

    The file is run once, by onnxruntime or by torch, and compared with ``model``. It is written under another name and
    takes its own only when it agrees, so that a file of that name from before stays until then.

    Args:
        model: the network, in evaluation; it is left as it is.
        path: where to write.
        example: an input as the network will be called, as for ``fold``.
        any_batch: inputs may have any number of examples: the first axis of each tensor whose first axis is as long as
            that of the first tensor. The network is also run on two copies of the example, and on the first of it
            where it takes one alone.
        tolerance: as for ``fold``.

    Returns:
        What was written.

    Raises:
        InvalidArgumentError: (a ValueError) ``model`` is no network, ``path`` ends in something else, or its folder
            does not exist.
        SurgeryError: (a ValueError) the network, or a part of it, is in training mode; a package is missing; it cannot
            be folded or exported; it returns what a file cannot; with ``any_batch``, what it does depends on the number
            of examples; the file computes something else.
    """
    compiled.refuse_others(model)
    path = Path(path)
    kind = kind_of(path)
    _refuse_training(model)
    folded = fold_if_any(model, example, tolerance)
    _refuse_outputs(example_.run(model, example), path.suffix)
    examples = _examples(model, example_.arguments(example)) if any_batch else [example_.arguments(example)]
    program = _program(folded.model, *examples[-1], any_batch=any_batch)
    if any_batch:
        _refuse_conditions(program)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".normwise-") as folder, quiet():
        temporary = Path(folder) / path.name
        kind.write(program, temporary)
        run = _loaded(kind, temporary)
        worst = max(_compare(model, run, each, tolerance) for each in examples)
        temporary.replace(path)
    return Export(path, folded.changes, worst)


def _refuse_training(model: nn.Module) -> None:
    training = [name for name, module in model.named_modules() if module.training]
    if model.training:
        raise SurgeryError(
            "the network is in training mode, in which normalization takes the moments of each batch and dropout "
            "drops: call model.eval() before export"
        )
    if training:
        raise SurgeryError(
            f"parts of the network are in training mode: {', '.join(training[:5])}; call model.eval() before export"
        )


def _refuse_outputs(outputs: Any, suffix: str) -> None:
    allowed = (Tensor, type(None)) if suffix == ".onnx" else (Tensor, type(None), int, float)
    others = {type(leaf).__name__ for leaf in pytree.tree_leaves(outputs) if not isinstance(leaf, allowed)}
    if others:
        raise SurgeryError(
            f"the network returns {', '.join(sorted(others))}, which a {suffix} file cannot; wrap it in a module that "
            "returns tensors, or tuples, lists or dicts of them"
        )


def _refuse_conditions(program: ExportedProgram) -> None:
    """Refuse a program that is right for some numbers of examples only: a file may not be able to tell."""
    found = [code for code in getattr(program, "_guards_code", ()) if not _SAME_NUMBER.fullmatch(code)]
    found += [
        f"{symbol} in {bounds.lower}–{bounds.upper}"
        for symbol, bounds in program.range_constraints.items()
        if str(symbol).startswith("s") and (bounds.lower > 2 or bounds.upper < 2**31)
    ]
    if found:
        raise SurgeryError(
            f"what the network does depends on the number of examples: it was followed where {found[0]}; "
            "give any_batch=False for a file for as many as the example has"
        )


_SAME_NUMBER = re.compile(r"L\[\S+\.size\(\)\[0\] == L\[\S+\.size\(\)\[0\]")
"""What torch notes of two inputs that have as many examples as each other, as those of a batch do."""


def _examples(model: nn.Module, arguments: _Arguments) -> list[_Arguments]:
    """The first example alone, where the network takes one; as they are; and each twice.

    With a single one, torch would make a program for one alone.
    """
    single, doubled = _each(arguments, lambda value: value[:1]), _each(arguments, lambda value: torch.cat([value] * 2))
    try:
        example_.call(model, *single)
    except SurgeryError:
        return [arguments, doubled]
    return [single, arguments, doubled]


def _each(arguments: _Arguments, change: Callable[[Tensor], Tensor]) -> _Arguments:
    """The arguments with other examples."""
    batch = _batch(arguments)
    return pytree.tree_map(  # type: ignore[no-any-return]
        lambda value: change(value) if _has_batch(value, batch) else value, arguments
    )


def _batch(arguments: _Arguments) -> int:
    """The number of examples: the first axis of the first tensor that has one."""
    tensors = (value for value in pytree.tree_leaves(arguments) if isinstance(value, Tensor) and value.ndim)
    return next((len(tensor) for tensor in tensors), 0)


def _has_batch(value: Any, batch: int) -> bool:
    return isinstance(value, Tensor) and value.ndim > 0 and len(value) == batch


def _program(network: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], *, any_batch: bool) -> ExportedProgram:
    shapes: Any = ShapesCollection()  # type: ignore[no-untyped-call]
    batch = _batch((args, kwargs))
    for value in pytree.tree_leaves((args, kwargs)) if any_batch else ():
        if _has_batch(value, batch):
            shapes[value] = {0: Dim.DYNAMIC}
    dynamic = shapes.dynamic_shapes(network, args, kwargs) if any_batch else None
    try:
        with quiet(), torch.no_grad():
            return torch.export.export(network, args, kwargs, dynamic_shapes=dynamic, strict=False)
    except Exception as error:
        hint = "; if it is made for one number of examples, give any_batch=False" if any_batch else ""
        raise SurgeryError(f"torch.export cannot export the network: {first_line(error)}{hint}") from error


def _loaded(kind: Kind, path: Path) -> Callable[..., list[Any]]:
    try:
        return kind.load(path)
    except Exception as error:  # whatever a runtime says of a file that it does not take
        raise SurgeryError(f"the file that was written cannot be loaded: {first_line(error)}") from error


def _compare(model: nn.Module, run: Callable[..., list[Any]], arguments: _Arguments, tolerance: float | None) -> float:
    """How far the file's outputs are from the network's."""
    args, kwargs = arguments
    expected = tensors(example_.call(model, args, kwargs))
    try:
        with torch.no_grad():
            outputs = [y.to(x.device) for x, y in zip(expected, run(*args, **kwargs), strict=True)]
    except Exception as error:
        raise SurgeryError(f"the file that was written does not run: {first_line(error)}") from error
    found = gap(model, expected, outputs, tolerance)
    if found.too_large:
        raise SurgeryError(
            f"the file computes something else than the network, off by {found}; nothing was written. "
            "If the network does something else for another number of examples, give any_batch=False"
        )
    return found.worst
