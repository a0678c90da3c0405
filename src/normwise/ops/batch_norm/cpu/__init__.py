"""The transform on the CPU in as few passes over memory as it takes: numba kernels on torch's own threads.

Shapes: x, y and what has their shape (N, …, C, …); statistics (G, C).
"""

from __future__ import annotations

import functools
import importlib
import struct

import torch
from torch import Tensor

from normwise.ops.activations import Activation
from normwise.ops.batch_norm import inputs
from normwise.ops.batch_norm.cpu.job import Kind
from normwise.ops.batch_norm.cpu.split import split
from normwise.ops.batch_norm.transform import Gradients, Statistics, Transform
from normwise.ops.cpu import pages, threads

DTYPES = {torch.float32: "float32", torch.float64: "float64", torch.bfloat16: "bfloat16"}
_GRAIN = 32768  # elements below which a second thread is not worth waking, as in torch
_IDENTITY = Activation("identity")


def obstacle(x: Tensor) -> str | None:
    """Why the kernels cannot take this input, or None where they can."""
    if x.device.type != "cpu":
        return f"it needs tensors on the CPU, got one on {x.device}"
    return inputs.obstacle(x, DTYPES)


def forward(x: Tensor, residual: Tensor | None, transform: Transform) -> tuple[Tensor, Tensor]:
    """The output f(BN(x) + residual) and the batch's statistics, stacked."""
    work = _Work(x, residual, transform)
    stats = work.values(4)
    y = work.new()
    if work.split.blocks == 1:
        work.run("forward", stats, y)
    else:
        work.run("moments", stats, work.x, work.partial())
        work.run("normalize", stats, y)
    return y, stats


def normalize(x: Tensor, residual: Tensor | None, transform: Transform, stats: Statistics | Tensor) -> Tensor:
    """The output f((x − μ)·γ/√(σ² + ε) + β + residual), for given statistics."""
    work = _Work(x, residual, transform)
    y = work.new()
    work.run("normalize", stats, y)
    return y


def moments(x: Tensor, transform: Transform) -> Tensor:
    """The statistics of x alone, stacked."""
    work = _Work(x, None, transform)
    stats = work.values(4)
    work.run("moments", stats, work.x, work.partial())
    return stats


def backward(
    grad_y: Tensor, x: Tensor, residual: Tensor | None, transform: Transform, stats: Statistics | Tensor
) -> Gradients:
    """The gradients of all inputs; the statistics pass gradients on where they have a count."""
    work = _Work(x, residual, transform, grad_y)
    sums = work.values(), work.values()
    grad_x, grad_residual = work.new(), None if residual is None else work.new()
    if work.split.blocks == 1:
        work.run("backward", stats, grad_x, None, sums, grad_residual)
    else:
        work.run("backward_reduce", stats, grad_x, work.partial(), sums)
        work.run("backward_elementwise", stats, grad_x, None, sums, grad_residual)
    return Gradients(grad_x, *sums, grad_residual)


def backward_reduce(
    grad_y: Tensor, x: Tensor, residual: Tensor | None, transform: Transform, stats: Statistics | Tensor
) -> tuple[Tensor, Tensor]:
    """The gradients of weight and bias."""
    work = _Work(x, residual, transform, grad_y)
    sums = work.values(), work.values()
    work.run("backward_reduce", stats, work.x, work.partial(), sums)
    return sums


def backward_elementwise(
    grad_y: Tensor,
    x: Tensor,
    residual: Tensor | None,
    transform: Transform,
    stats: Statistics,
    sums: tuple[Tensor, Tensor],
) -> tuple[Tensor, Tensor | None]:
    """The gradients of x and residual, given those of weight and bias over all the values that ``stats`` counts."""
    work = _Work(x, residual, transform, grad_y)
    grad_x, grad_residual = work.new(), None if residual is None else work.new()
    work.run("backward_elementwise", stats, grad_x, None, sums, grad_residual)
    return grad_x, grad_residual


def can_update(
    running_mean: Tensor, running_var: Tensor, batches: Tensor | None, skipped: Tensor | None, mean: Tensor
) -> bool:
    """Whether ``update`` takes these statistics: float32 or float64, side by side in the CPU's memory, and counters.

    ``mean`` stands for the moments of a batch, which lie alike.
    """
    dtype, shape = mean.dtype, mean.shape
    if len(shape) != 1 or (dtype is not torch.float32 and dtype is not torch.float64):
        return False
    for statistic in (mean, running_mean, running_var):
        if not (_is_at_hand(statistic, dtype) and statistic.shape == shape):
            return False
    if skipped is not None and not (_is_at_hand(skipped, torch.int64) and skipped.shape == shape):
        return False
    return batches is None or _is_at_hand(batches, torch.int64)


def _is_at_hand(tensor: Tensor, dtype: torch.dtype) -> bool:
    plain = type(tensor) is Tensor and tensor.dtype is dtype and tensor.is_cpu
    return plain and tensor.is_contiguous() and not tensor.is_neg()


def update(
    running_mean: Tensor,
    running_var: Tensor,
    batches: Tensor | None,
    skipped: Tensor | None,
    mean: Tensor,
    var: Tensor,
    count: Tensor | None,
    momentum: float | None,
) -> None:
    """Move running statistics by one batch, in place; see ``normwise.nn.statistics.update`` for the equations.

    Without ``count`` the variance is the unbiased one already.
    """
    cumulative = momentum is None and batches is not None
    job = (
        mean.shape[0], cumulative, _bits(momentum or 0.0), running_mean.data_ptr(), running_var.data_ptr(),
        mean.data_ptr(), var.data_ptr(), _address(count), _address(batches), _address(skipped),
    )  # fmt: skip
    threads.run(compile_update(mean.dtype), job, 1)
    changed = [tensor for tensor in (running_mean, running_var, batches, skipped) if tensor is not None]
    torch.autograd.graph.increment_version(changed)


class _Work(inputs.Inputs):
    """The tensors of one call, and the kernels that read them."""

    def __init__(self, x: Tensor, residual: Tensor | None, transform: Transform, grad_y: Tensor | None = None) -> None:
        super().__init__(x, residual, transform, grad_y)
        tensors = 1 if grad_y is None else 2 if residual is None else 3
        self.split = split(self.plan.layout, tensors, x.element_size())
        self.threads = 1 if x.numel() < _GRAIN else torch.get_num_threads()

    def new(self) -> Tensor:
        """An uninitialised tensor of the shape and type of x, in the memory format of the output."""
        return pages.advise(super().new())

    def partial(self) -> Tensor:
        """Room for the three values that each part finds out about each channel."""
        layout = self.plan.layout
        values = self.split.blocks * layout.groups * layout.channels * 3
        return torch.empty(values, dtype=torch.float64, device=self.x.device)

    def _place(self, tensor: Tensor | None) -> tuple[int, ...]:
        if tensor is None:
            return (0, 0, 0, 0)
        return (tensor.data_ptr(), *self.strides(tensor))

    def run(
        self,
        part: str,
        stats: Statistics | Tensor,
        out: Tensor,
        partial: Tensor | None = None,
        sums: tuple[Tensor, Tensor] | None = None,
        grad_residual: Tensor | None = None,
    ) -> None:
        """Compute one part of the transform."""
        form, _, channels, outer, inner = self.plan.layout
        strip, blocks, block, tasks = self.split
        transform = self.transform
        activation = transform.activation or _IDENTITY
        masked = transform.mask is not None
        kernel = compile_kernel(form, part, self.x.dtype, activation.name, self.residual is not None, masked)
        parameter = activation.parameters[0] if activation.parameters else 0.0
        mean, var, low, count = _stacked(stats) if isinstance(stats, Tensor) else map(_address, stats)
        grad_weight, grad_bias = (0, 0) if sums is None else map(_address, sums)
        job = (
            0, 0, tasks, channels, outer, inner, strip, blocks, block,
            count != 0, _bits(transform.eps), _bits(parameter),
            _address(transform.weight), _address(transform.bias),
            mean, var, low, count, grad_weight, grad_bias, _address(partial), _address(transform.mask),
            *self._place(self.x), *self._place(out), *self._place(self.residual),
            *self._place(self.grad_y), *self._place(grad_residual),
        )  # fmt: skip
        threads.run(kernel, job, self.threads if tasks > 1 else 1)


def _stacked(tensor: Tensor) -> tuple[int, int, int, int]:
    """The addresses of the four parts of a tensor along its first axis."""
    first, step = tensor.data_ptr(), tensor.stride(0) * tensor.element_size()
    return first, first + step, first + 2 * step, first + 3 * step


def _address(tensor: Tensor | None) -> int:
    return 0 if tensor is None else tensor.data_ptr()


@functools.lru_cache(maxsize=256)
def _bits(value: float) -> int:
    return int(struct.unpack("q", struct.pack("d", value))[0])


@functools.cache
def compile_kernel(form: str, part: str, dtype: torch.dtype, activation: str, residual: bool, masked: bool) -> int:
    """The address of a kernel (see ``job.Kind``), compiled if this machine has not seen it yet."""
    if part == "moments":
        activation, residual = "identity", False
    kind = Kind(form, part, DTYPES[dtype], activation, residual, masked)
    compiler = importlib.import_module("normwise.ops.cpu.compiler")
    return int(compiler.compiled(repr(kind), lambda: _build(kind)))


@functools.cache
def compile_update(dtype: torch.dtype) -> int:
    """The address of the kernel for running statistics of type ``dtype``, compiled if this machine lacks it yet."""
    compiler = importlib.import_module("normwise.ops.cpu.compiler")
    running = f"{__name__}.running"
    return int(compiler.compiled(f"running {dtype}", lambda: importlib.import_module(running).build(DTYPES[dtype])))


def _build(kind: Kind) -> object:
    """Compile; only here is numba imported."""
    return importlib.import_module(f"{__name__}.{kind.form}").build(kind)
