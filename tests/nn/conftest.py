import pytest

from normwise.ops.batch_norm import cpu, triton
from normwise.ops.batch_norm.implementations import KERNELS

WAYS = ["cpu", "torch"] + ["triton"] * (triton.INSTALLED and triton.is_interpreted())


@pytest.fixture(params=WAYS)
def way(request, monkeypatch) -> str:
    """Update running statistics by the compiled kernel, in plain torch, or by the GPU's kernel in its interpreter."""
    if request.param != "cpu":
        monkeypatch.setattr(cpu, "updater", lambda *_: None)
    if request.param == "triton":
        monkeypatch.setitem(KERNELS, "cpu", triton)
    return request.param
