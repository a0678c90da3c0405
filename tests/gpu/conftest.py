"""The tests of the GPU kernels run where torch sees a GPU, and are skipped elsewhere."""

import pytest
import torch

import gpu_problems


@pytest.fixture(autouse=True)
def on_a_gpu(monkeypatch):
    if gpu_problems.DEVICE == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs a GPU: torch.cuda.is_available() is False")
    monkeypatch.setenv("NORMWISE_TRITON", "1")


@pytest.fixture
def poisoned_outputs():
    """New tensors hold NaN until something is written, and operators that are not deterministic raise."""
    torch.use_deterministic_algorithms(True)
    assert torch.utils.deterministic.fill_uninitialized_memory
    assert torch.empty(3, device=gpu_problems.DEVICE).isnan().all()
    yield
    torch.use_deterministic_algorithms(False)
