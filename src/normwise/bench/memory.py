"""Memory, counted and not sampled: what autograd keeps for the backward, and what is alive during a training step.

**Saved** bytes are those of the storages that pass through ``torch.autograd.graph.saved_tensors_hooks``, each once,
parameters left out. **Live** bytes are the running sum of what torch's allocator handed out and got back, from the
memory events of its profiler: the same to the byte in every run, which resident memory is not, for the C library
decides when to return what was freed. Scratch that oneDNN takes from the C library directly is in neither.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

LOUDNESS = "KINETO_LOG_LEVEL"
QUIET = "6"  # the profiler announces its start on stderr below this level


class Live(NamedTuple):
    """Bytes that a piece of work had alive at most, and that were left when it ended, above those at its start."""

    peak: int
    kept: int


def saved(forward: Callable[[], Tensor], left_out: Iterable[Tensor] = ()) -> int:
    """The bytes that autograd keeps after ``forward`` until the backward, without those of ``left_out``."""
    ignored = {_key(tensor) for tensor in left_out}
    found: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        if _key(tensor) not in ignored:
            found[_key(tensor)] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        output = forward()
    del output
    return sum(found.values())


def _key(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def live(work: Callable[[], object]) -> Live:
    """What ``work`` allocates; what it returns counts as kept. Call it once before, so that caches are filled."""
    from torch.autograd.profiler import profile

    with _quiet(), profile(profile_memory=True) as profiler:
        result = work()
    recorded: Any = profiler.kineto_results
    sizes = [event.nbytes() for event in recorded.events() if event.name() == "[memory]"]
    del result
    sums = list(itertools.accumulate(sizes, initial=0))
    return Live(max(sums), sums[-1])


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Let the profiler start without a word, unless the environment says how loud it is to be."""
    if LOUDNESS in os.environ:
        yield
        return
    os.environ[LOUDNESS] = QUIET
    try:
        yield
    finally:
        os.environ.pop(LOUDNESS, None)


def resident(network: nn.Module, *more: Tensor) -> int:
    """The bytes of a network's parameters and buffers, and of further tensors."""
    tensors = itertools.chain(network.parameters(), network.buffers(), more)
    return sum({_key(tensor): tensor.untyped_storage().nbytes() for tensor in tensors}.values())
