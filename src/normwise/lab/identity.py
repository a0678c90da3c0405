"""Telling a user's functions and networks apart: by what they are, as far as that can be told, not only by a name."""

from __future__ import annotations

import functools
import hashlib
import inspect
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from normwise.lab.factory import Factory
from normwise.lab.networks import make

ADDRESS = re.compile(r" at 0x[0-9a-f]+")
ATOMS = (type(None), bool, int, float, complex, str, bytes)


def network_digest(own: Factory) -> str:
    """The first 16 hexadecimal digits of a SHA-256 over the network that ``own`` makes with seed 0.

    What counts: its modules as they print, every weight and buffer, and the code of every ``forward`` that is not
    torch's, with what that refers to. A function with other arguments in its closure, or a changed file that the
    network's own file imports, so makes another network.
    """
    network = make(own, seed=0)
    digest = _Digest(own.folder)
    digest.take("network", ADDRESS.sub("", repr(network)))
    for name, tensor in network.state_dict().items():
        digest.take(name, tensor)
    for kind in sorted({type(module) for module in network.modules()}, key=lambda kind: kind.__qualname__):
        if not kind.__module__.startswith("torch."):
            digest.take(kind.__qualname__, kind.forward)
    return digest.hex()


def function_digest(own: Factory) -> str:
    """The first 16 hexadecimal digits of a SHA-256 over a loss or metric.

    What counts: its code and that of the functions of the user's that it refers to, their defaults, closures and
    globals; of an instance that is called, its attributes, of a module its weights and buffers, too. What lies in
    installed packages counts by its name.
    """
    digest = _Digest(own.folder)
    digest.take("function", own.callable)
    return digest.hex()


class _Digest:
    """A hash over values of any type, each taken once.

    Args:
        folder: where the user's own code is; other code counts by its name.
    """

    def __init__(self, folder: Path) -> None:
        self._hash, self._folder = hashlib.sha256(), folder
        self._taken: dict[int, Any] = {}

    def hex(self) -> str:
        """The first 16 hexadecimal digits."""
        return self._hash.hexdigest()[:16]

    def take(self, name: str, value: Any) -> None:
        """Add a value under a name."""
        self._add(f"{name}:{type(value).__qualname__}")
        if isinstance(value, ATOMS):
            self._add(repr(value))
        elif id(value) not in self._taken:
            self._taken[id(value)] = value  # kept, so that no other value gets its identity
            self._take(value)

    def _add(self, text: str | bytes) -> None:
        content = text.encode() if isinstance(text, str) else text
        self._hash.update(f"{len(content)};".encode() + content)

    def _take(self, value: Any) -> None:
        if isinstance(value, Tensor):
            self._add(f"{value.dtype}{tuple(value.shape)}")
            self._add(_bytes(value))
        elif isinstance(value, np.ndarray):
            self._add(f"{value.dtype.str}{value.shape}")
            self._add(repr(value.tolist()) if value.dtype == object else np.ascontiguousarray(value).tobytes())
        elif isinstance(value, Mapping):
            for key, item in value.items():
                self.take(str(key), item)
        elif isinstance(value, (list, tuple)):
            for index, item in enumerate(value):
                self.take(str(index), item)
        elif isinstance(value, (set, frozenset)):
            self._add(repr(sorted(map(repr, value))))
        else:
            self._take_code(value)

    def _take_code(self, value: Any) -> None:
        """Functions, what behaves like one, classes and instances."""
        if isinstance(value, functools.partial):
            self.take("partial", (value.func, value.args, value.keywords))
        elif isinstance(value, MethodType):
            self.take("method", (value.__func__, value.__self__))
        elif isinstance(value, FunctionType):
            self._take_function(value)
        elif isinstance(value, CodeType):
            self._take_bytecode(value)
        elif isinstance(value, (ModuleType, BuiltinFunctionType)):
            self._add(value.__name__)
        elif isinstance(value, type):
            self._add(f"{value.__module__}.{value.__qualname__}")
            if self._is_users(value.__module__):
                self.take("class", {name: item for name, item in vars(value).items() if callable(item)})
        else:
            self._take_instance(value)

    def _take_function(self, function: Any) -> None:
        function = inspect.unwrap(function)
        self._add(f"{function.__module__}.{function.__qualname__}")
        if not self._is_users(function.__module__):
            return
        code = function.__code__
        self.take("code", code)
        self.take("defaults", (function.__defaults__, function.__kwdefaults__))
        cells = function.__closure__ or ()
        for name, cell in zip(code.co_freevars, cells, strict=True):
            self.take(name, _content(cell))
        for name in _names(code):
            if name in function.__globals__:
                self.take(name, function.__globals__[name])

    def _take_bytecode(self, code: CodeType) -> None:
        self._add(code.co_code)
        self._add(repr(code.co_names))
        for constant in code.co_consts:
            self.take("constant", constant)

    def _take_instance(self, value: Any) -> None:
        kind = type(value)
        self.take("kind", kind)
        if isinstance(value, nn.Module):
            self._add(ADDRESS.sub("", repr(value)))
            self.take("state", dict(value.state_dict()))
        for name, item in sorted(getattr(value, "__dict__", {}).items()):
            self.take(name, item)

    def _is_users(self, module: str | None) -> bool:
        """Whether code is the user's, and not of an installed package or of Python."""
        file = getattr(sys.modules.get(module or ""), "__file__", None)
        if file is None:
            return module == "__main__"
        path = Path(file)
        return path.is_relative_to(self._folder) and "site-packages" not in path.parts


def _names(code: CodeType) -> list[str]:
    """The names that a function and the functions in it look up."""
    inner = [name for constant in code.co_consts if isinstance(constant, CodeType) for name in _names(constant)]
    return list(dict.fromkeys([*code.co_names, *inner]))


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not assigned yet
        return None


def _bytes(tensor: Tensor) -> bytes:
    if nn.parameter.is_lazy(tensor):
        return b""
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
