import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from normwise.bench.cases import Case
from normwise.bench.floor import floor
from normwise.bench.inputs import draw


class Traffic(TorchDispatchMode):
    """Counts the tensors of a size that operations read and write."""

    def __init__(self, values):
        super().__init__()
        self.values, self.reads, self.writes = values, 0, 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if "detach" not in str(function):
            self.reads += sum(isinstance(arg, torch.Tensor) and arg.numel() == self.values for arg in args)
            self.writes += result.numel() == self.values
        return result


@pytest.mark.parametrize(
    ("epilogue", "mode", "reads", "writes"),
    [
        ("bn+relu", "forward+backward", 5, 2),
        ("bn", "forward", 2, 1),
        ("bn+silu", "inference", 1, 1),
        ("bn+add+relu", "forward+backward", 6, 3),
        ("bn+add+relu", "forward", 3, 1),
        ("bn+add+relu", "inference", 2, 1),
    ],
)
def test_it_reads_and_writes_what_it_says(epilogue, mode, reads, writes):
    case = Case((6, 5), "contiguous", epilogue, mode)
    run = floor(case, draw(case))
    with Traffic(30) as traffic:
        run()
    assert (traffic.reads, traffic.writes) == (reads, writes)
