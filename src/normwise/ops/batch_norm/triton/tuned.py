"""What was found to be quickest on a device: choices that take the place of the rule's, kept on disk.

A launch looks its problem up. It never measures and never waits, so that the same table gives the same bits. The file
lies where the CPU's kernels do. Its name is a hash of what a choice depends on, the rule, the kernels and Triton's
version: where one of them has changed, the table is another one, and empty.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from normwise.errors import CacheWarning
from normwise.ops import disk
from normwise.ops.batch_norm.triton.choice import Choice, Problem, candidates

Table = dict[str, dict[Problem, Choice]]
"""By the name of the device; choices that were measured, those of the rule included."""


def known(device: torch.device, problem: Problem) -> Choice | None:
    """What the table says, or None where it says nothing."""
    name = machine(device)
    return None if name is None else _table().get(name, {}).get(problem)


def rows(device: torch.device) -> int:
    """How many problems of a device the table has."""
    name = machine(device)
    return 0 if name is None else len(_table().get(name, {}))


def remember(device: torch.device, problem: Problem, choice: Choice) -> Path | None:
    """Put a choice into the table, of this process and on disk; the file, or None where none can be written.

    Rows that other processes have written meanwhile stay. Of two that write at the very same moment, one is lost.
    """
    name = machine(device)
    assert name is not None
    stored = _read()
    for table in (_table(), stored):
        table.setdefault(name, {})[problem] = choice
    written = {each: {_key(p): _row(c) for p, c in found.items()} for each, found in stored.items()}
    return disk.write(_file(), json.dumps(written).encode())


@contextlib.contextmanager
def trying(device: torch.device, problem: Problem, choice: Choice) -> Iterator[None]:
    """Let launches take a choice, in this process and for the time being."""
    name = machine(device)
    assert name is not None
    found = _table().setdefault(name, {})
    before = found.get(problem)
    found[problem] = choice
    try:
        yield
    finally:
        del found[problem]
        if before is not None:
            found[problem] = before


@functools.cache
def machine(device: torch.device) -> str | None:
    """The name and capability of a GPU, for example ``NVIDIA H100 80GB HBM3, 9.0``; None for what is no GPU."""
    if device.type != "cuda":
        return None
    major, minor = torch.cuda.get_device_capability(device)
    return f"{torch.cuda.get_device_name(device)}, {major}.{minor}"


@functools.cache
def _table() -> Table:
    """Read from disk when it is first asked for."""
    return _read()


@functools.cache
def _file() -> str:
    triton: Any = importlib.import_module("triton")
    digest = hashlib.sha256(triton.__version__.encode())
    for name in ("choice", "kernels", "activations", "launch"):
        digest.update(Path(__file__).with_name(f"{name}.py").read_bytes())
    return f"triton-{digest.hexdigest()[:16]}.json"


def _read() -> Table:
    for content in disk.contents(_file()):
        try:
            return {
                name: dict(_parsed(key, row) for key, row in rows.items()) for name, rows in json.loads(content).items()
            }
        except Exception as error:  # whatever is made of a damaged file
            warnings.warn(
                f"{_file()}, which says what is quickest on this GPU, is damaged and ignored ({type(error).__name__}); "
                "normwise warmup --shape … --tune writes it anew",
                CacheWarning,
                stacklevel=2,
            )
    return {}


def _key(problem: Problem) -> str:
    return " ".join(map(str, problem))


def _row(choice: Choice) -> list[Any]:
    return [choice.algorithm, [*choice.tile], *choice[2:]]


def _parsed(key: str, row: object) -> tuple[Problem, Choice]:
    """A row that the file may have: nothing but a candidate of its problem holds every value."""
    problem = Problem(*map(int, key.split()))
    (choice,) = (choice for choice in candidates(problem) if _row(choice) == row)
    return problem, choice
