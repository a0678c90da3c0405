"""Writing a network to a file that runs without this library, after seeing that it computes what the network does."""

from __future__ import annotations

import importlib.util
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram, ShapesCollection
from torch.utils import _pytree as pytree

from normwise.errors import InvalidArgumentError, SurgeryError, first_line
from normwise.surgery import example as example_
from normwise.surgery.change import Change
from normwise.surgery.fold import fold_if_any
from normwise.surgery.folding.agreement import difference, tolerance_of

ONNX = ("onnx", "onnxscript", "onnxruntime")
LARGEST = 2**31 - 2**20
"""Bytes of weights that an ONNX file can hold by itself."""

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
            that of the first tensor. Where the example has one, the network is also run on two copies of it.
        tolerance: as for ``fold``.

    Returns:
        What was written.

    Raises:
        InvalidArgumentError: (a ValueError) ``path`` ends in something else, or its folder does not exist.
        SurgeryError: (a ValueError) the network, or a part of it, is in training mode; a package is missing; it cannot
            be folded or exported; the file computes something else.
    """
    path = Path(path)
    kind = _kind(path)
    _refuse_training(model)
    folded = fold_if_any(model, example, tolerance)
    examples = [example_.arguments(example)]
    if any_batch:
        examples.append(_doubled(examples[0]))
    program = _program(folded.model, *examples[-1], any_batch=any_batch)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".normwise-") as folder, _quiet():
        temporary = Path(folder) / path.name
        kind.write(program, temporary)
        worst = max(_compare(model, kind.load(temporary), each, tolerance) for each in examples)
        temporary.replace(path)
    return Export(path, folded.changes, worst)


class _Kind(NamedTuple):
    """A kind of file: how a program is written to one, and how one is loaded as a function of the arguments."""

    write: Callable[[ExportedProgram, Path], None]
    load: Callable[[Path], Callable[..., list[Any]]]


def _kind(path: Path) -> _Kind:
    kinds = {".onnx": _Kind(_write_onnx, _load_onnx), ".pt2": _Kind(_write_pt2, _load_pt2)}
    if path.suffix not in kinds:
        raise InvalidArgumentError(
            f"{path} must end in .onnx, for onnxruntime and others, or in .pt2, for torch.export.load; "
            f"it ends in {path.suffix!r}"
        )
    if not path.parent.is_dir():
        raise InvalidArgumentError(f"there is no folder {path.parent} to write {path.name} to; make it first")
    missing = [name for name in ONNX if path.suffix == ".onnx" and importlib.util.find_spec(name) is None]
    if missing:
        raise SurgeryError(
            f"writing {path.name} needs {', '.join(missing)}: pip install 'normwise[export]', or write a .pt2 file"
        )
    return kinds[path.suffix]


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


def _doubled(arguments: _Arguments) -> _Arguments:
    """The arguments with all examples twice: with a single one, a program would be made for one alone."""
    batch = _batch(arguments)
    return pytree.tree_map(  # type: ignore[no-any-return]
        lambda value: torch.cat([value, value]) if _has_batch(value, batch) else value, arguments
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
        with _quiet(), torch.no_grad():
            return torch.export.export(network, args, kwargs, dynamic_shapes=dynamic, strict=False)
    except Exception as error:
        hint = "; if it is made for one number of examples, give any_batch=False" if any_batch else ""
        raise SurgeryError(f"torch.export cannot export the network: {first_line(error)}{hint}") from error


def _write_onnx(program: ExportedProgram, path: Path) -> None:
    size = sum(tensor.nbytes for tensor in program.state_dict.values())
    if size > LARGEST:
        raise SurgeryError(
            f"the weights take {size / 2**30:.1f} GiB, and an ONNX file holds up to 2 GiB; write a .pt2 file"
        )
    try:
        written = torch.onnx.export(program, dynamo=True, verbose=False)
    except Exception as error:
        raise SurgeryError(f"torch.onnx cannot export the network: {first_line(error.__cause__ or error)}") from error
    assert written is not None
    written.save(path, external_data=False)


def _load_onnx(path: Path) -> Callable[..., list[Any]]:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]

    def run(*args: Any, **kwargs: Any) -> list[Any]:
        given = [value.cpu().numpy() for value in _tensors((args, kwargs))]
        return [torch.as_tensor(y) for y in session.run(None, dict(zip(names, given, strict=True)))]

    return run


def _write_pt2(program: ExportedProgram, path: Path) -> None:
    torch.export.save(program, path)


def _load_pt2(path: Path) -> Callable[..., list[Any]]:
    module = torch.export.load(path).module()
    return lambda *args, **kwargs: _tensors(module(*args, **kwargs))


def _tensors(values: Any) -> list[Tensor]:
    return [value for value in pytree.tree_leaves(values) if isinstance(value, Tensor)]


def _compare(model: nn.Module, run: Callable[..., list[Any]], arguments: _Arguments, tolerance: float | None) -> float:
    """How far the file's outputs are from the network's."""
    args, kwargs = arguments
    expected = _tensors(example_.call(model, args, kwargs))
    try:
        with torch.no_grad():
            outputs = [y.to(x.device) for x, y in zip(expected, run(*args, **kwargs), strict=True)]
    except Exception as error:
        raise SurgeryError(f"the file that was written does not run: {first_line(error)}") from error
    allowed = tolerance_of(model, expected) if tolerance is None else tolerance
    worst = difference(expected, outputs)
    if not worst <= allowed:
        raise SurgeryError(
            f"the file computes something else than the network: its outputs differ by {worst:.3g} of the largest, "
            f"more than tolerance={allowed:.3g}; nothing was written"
        )
    return worst


@contextmanager
def _quiet() -> Iterator[None]:
    """What torch and onnxscript say about themselves stays unsaid."""
    disabled = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
