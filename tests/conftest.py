"""Fixtures for every test."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)
if not torch.cuda.is_available():  # read when Triton is first imported, by whatever test does that
    os.environ.setdefault("TRITON_INTERPRET", "1")


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def nothing_compiled() -> None:
    """What earlier tests compiled does not count towards the limit of ``torch.compile`` for one function."""
    if "torch._dynamo" in sys.modules:
        torch.compiler.reset()


@pytest.fixture
def unwritten_outputs_show() -> Iterator[None]:
    """torch.empty and its kin give NaN, so that an element that is not written is seen."""
    torch.use_deterministic_algorithms(True)
    assert torch.utils.deterministic.fill_uninitialized_memory
    assert torch.empty(3).isnan().all()
    yield
    torch.use_deterministic_algorithms(False)


@pytest.fixture
def without_kernels(monkeypatch) -> None:
    """Layers take PyTorch's kernel: for tests of something else, which would have many kernels compiled."""
    import normwise
    from normwise.ops.batch_norm import choice, op

    monkeypatch.setattr(choice, "own", lambda x, transform: None)
    monkeypatch.setattr(op, "_PLANS", {})
    assert normwise.explain(torch.empty(4, 3)).impl == "torch"


@pytest.fixture
def empty_table(tmp_path, monkeypatch) -> Iterator[Path]:
    """The folder of an empty table of tuned choices, for a GPU called abacus that the CPU is taken for."""
    from normwise.ops.batch_norm.triton import tuned

    folder = tmp_path / "cache"
    monkeypatch.setenv("NORMWISE_CACHE", str(folder))
    monkeypatch.setattr(tuned, "machine", lambda device: "abacus, 1.0")
    tuned._table.cache_clear()
    yield folder
    tuned._table.cache_clear()


@pytest.fixture
def data_dir() -> Path:
    """The folder that NORMWISE_DATA names, with mnist/, fashion-mnist/ and cifar10/ in it."""
    if "NORMWISE_DATA" not in os.environ:
        pytest.skip("needs MNIST, Fashion-MNIST and CIFAR-10: set NORMWISE_DATA to the folder that holds them")
    return Path(os.environ["NORMWISE_DATA"])


def pytest_collection_finish() -> None:
    """What is there before the tests stays: the collector need not look at it again and again."""
    gc.collect()
    gc.freeze()
