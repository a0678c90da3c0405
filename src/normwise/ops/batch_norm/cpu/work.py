"""From the tensors of a call to a running kernel; what can be finished for all calls that look alike is kept."""

from __future__ import annotations

import ctypes
import functools
import importlib
import struct
from typing import Any

import torch
from torch import Tensor

from normwise.errors import ShapeError
from normwise.moments import moments_dtype
from normwise.ops.activations import IDENTITY
from normwise.ops.batch_norm.cpu import job
from normwise.ops.batch_norm.cpu.job import Kind
from normwise.ops.batch_norm.cpu.split import split
from normwise.ops.batch_norm.inputs import Inputs, readable, vector
from normwise.ops.batch_norm.layout import NOWHERE
from normwise.ops.batch_norm.transform import Statistics, Transform
from normwise.ops.cpu import pages, threads

DTYPES = {torch.float32: "float32", torch.float64: "float64", torch.bfloat16: "bfloat16"}
_GRAIN = 32768  # elements below which a second thread is not worth waking, as in torch
_CPU = torch.device("cpu")  # whatever torch's default device is
_Job = ctypes.c_int64 * job.WORDS
_MOST_JOBS = 64  # of a plan: ways in which its tensors lie


def work_of(
    x: Tensor, residual: Tensor | None, grad_y: Tensor | None, transform: Transform
) -> tuple[Work, Tensor, Tensor | None, Any]:
    """The work of a call and its tensors, which are copies where kernels cannot read them as they lie."""
    jobs = transform.jobs
    # In a backward, x and the residual are what hooks on saved tensors make of them: perhaps laid out anew.
    key = (
        (x.shape, x.stride(), x.dtype),
        None if residual is None else (residual.shape, residual.stride(), residual.dtype),
        None if grad_y is None else (grad_y.stride(), grad_y.dtype),
    )
    if jobs is not None and key in jobs:
        return jobs[key], x, residual, grad_y
    laid = Inputs(x, residual, transform, grad_y)
    work = Work(laid)
    if jobs is not None and laid.x is x and laid.residual is residual and laid.grad_y is grad_y:
        if len(jobs) >= _MOST_JOBS:
            jobs.clear()
        jobs[key] = work
    return work, laid.x, laid.residual, laid.grad_y


class Work:
    """How calls that look alike are computed: a job that lacks its addresses, and the kernels that take it.

    Attributes:
        blocks: how many parts the examples of a channel are split in; 1 where a kernel does all of a channel at once.
        accumulator: the type of statistics and sums.
    """

    def __init__(self, laid: Inputs) -> None:
        x, residual, transform, (layout, strides, self._format) = laid.x, laid.residual, laid.transform, laid.reading
        form, groups, channels, outer, inner = layout
        activation = transform.activation or IDENTITY
        tensors = 1 if laid.grad_y is None else 2 if residual is None else 3
        strip, self.blocks, block, tasks = split(layout, tensors, x.element_size())
        self.accumulator = moments_dtype(x.dtype)
        self._values = (channels,) if groups == 1 else (groups, channels)
        self._step = groups * channels * self.accumulator.itemsize
        self._channels = channels
        self._partial = self.blocks * groups * channels * 3
        self._alone = tasks == 1 or x.numel() < _GRAIN
        self._large = x.numel() * x.element_size() >= pages.LARGE
        self._kind = (form, x.dtype, activation.name, residual is not None, transform.mask is not None)
        self._kernels: dict[str, int] = {}
        words = [0] * job.WORDS
        words[job.TASKS], words[job.CHANNELS], words[job.OUTER], words[job.INNER] = tasks, channels, outer, inner
        words[job.STRIP], words[job.BLOCKS], words[job.BLOCK] = strip, self.blocks, block
        words[job.EPS] = bits(transform.eps)
        words[job.PARAMETER] = bits(activation.parameters[0] if activation.parameters else 0.0)
        new = laid.new_strides()
        lie = (
            (job.X, strides),
            (job.Y, new),
            (job.R, NOWHERE if residual is None else laid.strides(residual)),
            (job.G, NOWHERE if laid.grad_y is None else laid.strides(laid.grad_y)),
            (job.D, new),
        )
        for place, steps in lie:
            words[place + 1 : place + 4] = steps
        self._job = _Job(*words)

    def new(self, x: Tensor) -> Tensor:
        """An uninitialized tensor of the shape and type of x, in the memory format of the output."""
        made = torch.empty_like(x, memory_format=self._format)
        return pages.advise(made) if self._large else made

    def values(self, *kinds: int) -> Tensor:
        """Uninitialized values of each channel, (*kinds, C), or (*kinds, G, C) where there are groups."""
        return torch.empty((*kinds, *self._values), dtype=self.accumulator, device=_CPU)

    def partial(self) -> Tensor:
        """Room for the three values that each part finds out about each channel."""
        return torch.empty(self._partial, dtype=torch.float64, device=_CPU)

    def run(
        self,
        part: str,
        transform: Transform,
        stats: Statistics | Tensor,
        x: Tensor,
        out: Tensor | None = None,
        residual: Tensor | None = None,
        grad_y: Tensor | None = None,
        grad_residual: Tensor | None = None,
        sums: tuple[Tensor, Tensor] | None = None,
        partial: Tensor | None = None,
    ) -> None:
        """Compute one part of the transform; ``sums`` are the gradients of weight and bias."""
        words = _Job.from_buffer_copy(self._job)
        weight, bias, mask, *_ = transform
        words[job.X] = x.data_ptr()
        if isinstance(stats, Tensor):
            stats = vector(stats, self.accumulator)
            first = stats.data_ptr()
            words[job.MEAN], words[job.VAR], words[job.LOW] = first, first + self._step, first + 2 * self._step
            words[job.COUNT], words[job.TRAINING] = first + 3 * self._step, 1
        else:
            stats = readable(stats, self.accumulator)
            words[job.MEAN], words[job.VAR], words[job.LOW], words[job.COUNT] = map(address, stats)
            words[job.TRAINING] = words[job.COUNT] != 0
        if weight is not None:
            weight = self._one_per_channel(weight)
            words[job.WEIGHT] = weight.data_ptr()
        if bias is not None:
            bias = self._one_per_channel(bias)
            words[job.BIAS] = bias.data_ptr()
        if out is not None:
            words[job.Y] = out.data_ptr()
        if residual is not None:
            words[job.R] = residual.data_ptr()
        if grad_y is not None:
            words[job.G] = grad_y.data_ptr()
        if grad_residual is not None:
            words[job.D] = grad_residual.data_ptr()
        if sums is not None:
            words[job.GRAD_WEIGHT], words[job.GRAD_BIAS] = sums[0].data_ptr(), sums[1].data_ptr()
        if partial is not None:
            words[job.PARTIAL] = partial.data_ptr()
        if mask is not None:
            mask = mask.contiguous()
            words[job.MASK] = mask.data_ptr()
        threads.run(self._kernels.get(part) or self._kernel(part), words, 1 if self._alone else torch.get_num_threads())

    def _one_per_channel(self, values: Tensor) -> Tensor:
        if values.numel() != self._channels:
            raise ShapeError(
                f"weight and bias must have {self._channels} values, one per channel of x, as in the forward, got "
                f"{tuple(values.shape)}; leave them as they are until the backward has run"
            )
        return vector(values, self.accumulator)

    def _kernel(self, part: str) -> int:
        form, dtype, activation, residual, masked = self._kind
        kernel = self._kernels[part] = compile_kernel(form, part, dtype, activation, residual, masked)
        return kernel


def address(tensor: Tensor | None) -> int:
    """Where the first element of a tensor lies; 0 for none."""
    return 0 if tensor is None else tensor.data_ptr()


@functools.lru_cache(maxsize=256)
def bits(value: float) -> int:
    """The 64 bits of a float64."""
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
    running = "normwise.ops.batch_norm.cpu.running"
    return int(compiler.compiled(f"running {dtype}", lambda: importlib.import_module(running).build(DTYPES[dtype])))


def _build(kind: Kind) -> object:
    """Compile; only here is numba imported."""
    return importlib.import_module(f"normwise.ops.batch_norm.cpu.{kind.form}").build(kind)
