"""The one place that knows how ``impl="auto"`` decides, for tests that want it to decide otherwise."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
import torch

import normwise as nw
from normwise.ops import registry


@contextlib.contextmanager
def by_kernels() -> Iterator[None]:
    """Within, ``"auto"`` takes the CPU kernels wherever they can run, however small the input is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "_is_small", lambda *args: False)
        patch.setattr(registry, "SMALL", 0)
        assert nw.explain(torch.empty(4, 3)).impl == "cpu"
        yield


@pytest.fixture(params=["auto", "kernels"])
def taken(request) -> Iterator[str]:
    """Run a test twice: as ``"auto"`` decides for its inputs, and by the kernels."""
    with by_kernels() if request.param == "kernels" else contextlib.nullcontext():
        yield request.param
