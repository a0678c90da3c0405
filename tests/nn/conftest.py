import pytest

from normwise.nn import statistics
from normwise.ops.batch_norm import cpu, triton

WAYS = ["cpu", "torch"] + ["triton"] * (triton.INSTALLED and triton.is_interpreted())


@pytest.fixture(params=WAYS)
def way(request, monkeypatch) -> str:
    """Update running statistics by the compiled kernel, in plain torch, or by the GPU's kernel in its interpreter."""
    if request.param != "cpu":
        monkeypatch.setattr(cpu, "can_update", lambda *_: False)
    if request.param == "triton":
        monkeypatch.setattr(statistics, "cpu", triton)
    return request.param
