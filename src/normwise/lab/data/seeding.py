"""Random numbers that follow from where in the data they are drawn: torch's, NumPy's and Python's generators."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor


class States(NamedTuple):
    """The states of the three global generators of this process, on the CPU."""

    torch: Tensor
    numpy: Any
    python: Any

    @classmethod
    def now(cls) -> States:
        """The current states."""
        return cls(torch.get_rng_state(), np.random.get_state(), random.getstate())  # noqa: NPY002

    def restore(self) -> None:
        """Make these the current states."""
        torch.set_rng_state(self.torch)
        np.random.set_state(self.numpy)  # noqa: NPY002 - the generator that transforms draw from
        random.setstate(self.python)


def number(*place: object) -> int:
    """A number of 63 bits that follows from a place, for example a seed, an epoch and an index."""
    digest = hashlib.blake2b(repr(place).encode(), digest_size=8)
    return int.from_bytes(digest.digest(), "little") >> 1


def seed(drawn: int) -> None:
    """Seeds the three generators by a number."""
    torch.default_generator.manual_seed(drawn)
    np.random.seed(drawn & 0xFFFFFFFF)  # noqa: NPY002
    random.seed(drawn)


@contextmanager
def seeded(drawn: int) -> Iterator[None]:
    """The three generators seeded by a number for as long as this lasts, and then as they were."""
    before = States.now()
    seed(drawn)
    try:
        yield
    finally:
        before.restore()
