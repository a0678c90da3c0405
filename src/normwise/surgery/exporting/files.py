"""The kinds of files that a program can be written to, and how each is run."""

from __future__ import annotations

import importlib.util
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree

from normwise.errors import InvalidArgumentError, SurgeryError, first_line

ONNX = ("onnx", "onnxscript", "onnxruntime")
LARGEST = 2**31 - 2**20
"""Bytes of weights that an ONNX file can hold by itself."""


class Kind(NamedTuple):
    """A kind of file: how a program is written to one, and how one is loaded as a function of the arguments."""

    write: Callable[[ExportedProgram, Path], None]
    load: Callable[[Path], Callable[..., list[Any]]]


def kind_of(path: Path) -> Kind:
    """The kind of a file by its name, where it can be written here."""
    kinds = {".onnx": Kind(_write_onnx, _load_onnx), ".pt2": Kind(_write_pt2, _load_pt2)}
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
        given = [value.cpu().numpy() for value in tensors((args, kwargs))]
        return [torch.as_tensor(y) for y in session.run(None, dict(zip(names, given, strict=True)))]

    return run


def _write_pt2(program: ExportedProgram, path: Path) -> None:
    torch.export.save(program, path)


def _load_pt2(path: Path) -> Callable[..., list[Any]]:
    module = torch.export.load(path).module()
    return lambda *args, **kwargs: tensors(module(*args, **kwargs))


def tensors(values: Any) -> list[Tensor]:
    """The tensors in nested tuples, lists and dicts."""
    return [value for value in pytree.tree_leaves(values) if isinstance(value, Tensor)]


@contextmanager
def quiet() -> Iterator[None]:
    """What torch and onnxscript say about themselves stays unsaid, and graphs that torch prints where it fails."""
    disabled = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
