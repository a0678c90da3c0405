"""Telling a user's network from another: by what it is, as far as that can be told, and not only by its name."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from types import CodeType
from typing import Any

import torch
from torch import Tensor, nn

from normwise.lab.factory import Factory
from normwise.lab.networks import make

ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def digest(own: Factory) -> str:
    """The first 16 hexadecimal digits of a SHA-256 over the network that ``own`` makes with seed 0.

    What counts: its modules as they print, every weight and buffer, and the bytecode of every ``forward`` that is not
    torch's. A function with other arguments in its closure, or a changed file that the network's own file imports, so
    makes another network. What a ``forward`` calls outside its module is not seen.
    """
    network = make(own, seed=0)
    found = hashlib.sha256(ADDRESS.sub("", repr(network)).encode())
    for name, tensor in network.state_dict().items():
        found.update(name.encode() + _bytes(tensor))
    classes = sorted({type(module) for module in network.modules()}, key=lambda kind: kind.__qualname__)
    for kind in classes:
        if not kind.__module__.startswith("torch."):
            for part in _code(getattr(kind.forward, "__code__", None)):
                found.update(part)
    return found.hexdigest()[:16]


def function_digest(own: Factory) -> str:
    """The first 16 hexadecimal digits of a SHA-256 over the code of a loss or metric, its defaults and its closure."""
    found = hashlib.sha256(own.name.encode())
    function = own.callable
    closed = [ADDRESS.sub("", repr(cell.cell_contents)) for cell in getattr(function, "__closure__", None) or ()]
    for part in (*_code(getattr(function, "__code__", None)), repr(closed).encode()):
        found.update(part)
    found.update(ADDRESS.sub("", repr(getattr(function, "__defaults__", None))).encode())
    return found.hexdigest()[:16]


def _bytes(tensor: Tensor) -> bytes:
    if nn.parameter.is_lazy(tensor):
        return b""
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def _code(code: CodeType | None) -> Iterator[bytes]:
    if code is not None:
        yield code.co_code
        yield repr(code.co_names).encode()
        for constant in code.co_consts:
            yield from _constant(constant)


def _constant(constant: Any) -> Iterator[bytes]:
    if isinstance(constant, CodeType):
        yield from _code(constant)
    else:
        yield repr(constant).encode()
