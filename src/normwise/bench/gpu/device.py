"""What is particular to where things run: the clock, graphs, memory, caches and names."""

from __future__ import annotations

import subprocess
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import torch

from normwise.bench import memory, timing
from normwise.bench.timing import Work
from normwise.errors import RequestError
from normwise.lab import machine

MOST_SETS = 16
WARM = 3  # calls before a graph is captured


class Device(ABC):
    """Where a benchmark runs.

    Attributes:
        name: as torch calls it.
        length: how long a sample of the quickest contender takes at least, in seconds.
    """

    name: str
    length: float

    @abstractmethod
    def sample(self, work: Work, calls: int) -> float:
        """Seconds per call of some work, of so many in a row."""

    @abstractmethod
    def capture(self, works: Sequence[Work]) -> Work | None:
        """Everything that the works launch as one launch; None where there is no such thing."""

    @abstractmethod
    def peak(self, work: Work) -> int:
        """The bytes that some work has alive at most, above those that were there before it."""

    @abstractmethod
    def sets(self, size: int) -> int:
        """How many sets of inputs of this many bytes it takes so that none is found in a cache."""

    @abstractmethod
    def free(self) -> None:
        """Give memory back that nothing uses."""

    @abstractmethod
    def described(self) -> dict[str, str]:
        """Its name and those versions that the ledger does not have in any case."""


class Cpu(Device):
    """The processor: for trying the benchmark out."""

    name, length = "cpu", timing.SAMPLE

    def sample(self, work: Work, calls: int) -> float:
        """By the clock of the system."""
        return timing.sample(work, calls)

    def capture(self, works: Sequence[Work]) -> Work | None:
        """None."""
        return None

    def peak(self, work: Work) -> int:
        """As torch's profiler counts it."""
        return memory.live(work).peak

    def sets(self, size: int) -> int:
        """1."""
        return 1

    def free(self) -> None:
        """Nothing."""

    def described(self) -> dict[str, str]:
        """The processor, and nothing for the rest."""
        return {"device": machine.describe()["processor"]} | dict.fromkeys(("driver", "cuda", "cudnn", "triton"), "")


class Cuda(Device):
    """The current GPU of torch.

    A sample takes five milliseconds, so that waiting for its first launch is no part of it.
    """

    name, length = "cuda", 5e-3

    def sample(self, work: Work, calls: int) -> float:
        """By events of the stream."""
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        torch.cuda.synchronize()
        start.record()
        for _ in range(calls):
            work()
        end.record()
        end.synchronize()
        return float(start.elapsed_time(end)) / 1e3 / calls

    def capture(self, works: Sequence[Work]) -> Work | None:
        """A CUDA graph."""
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM):
                for work in works:
                    work()
        torch.cuda.current_stream().wait_stream(side)
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            for work in works:
                work()
        replay: Work = graph.replay
        return replay

    def peak(self, work: Work) -> int:
        """As torch's allocator counts it."""
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        work()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before

    def sets(self, size: int) -> int:
        """Twice what the L2 cache holds, but at most ``MOST_SETS``: then launches are what takes time."""
        cache: int = torch.cuda.get_device_properties().L2_cache_size
        return max(1, min(MOST_SETS, -(-2 * cache // size)))

    def free(self) -> None:
        """The allocator's cache."""
        torch.cuda.synchronize()  # where an earlier kernel has failed, it raises here
        torch.cuda.empty_cache()

    def described(self) -> dict[str, str]:
        """The GPU, its driver, and the versions of CUDA, cuDNN and Triton."""
        return {
            "device": torch.cuda.get_device_name(),
            "driver": _driver(),
            "cuda": str(torch.version.cuda or torch.version.hip),
            "cudnn": str(torch.backends.cudnn.version() or ""),  # type: ignore[no-untyped-call]
            "triton": machine.versions("triton")["triton"],
        }


def _driver() -> str:
    """The version of the driver, as far as the system tells it."""
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ""
    return said.splitlines()[0].strip() if said.strip() else ""


def device(name: str) -> Device:
    """The device of this name, ``cuda`` or ``cpu``.

    Raises:
        RequestError: there is none.
    """
    found: dict[str, Callable[[], Device]] = {"cuda": Cuda, "cpu": Cpu}
    if name not in found:
        raise RequestError(f"device is {name!r}; allowed: cuda, or cpu to try the benchmark out")
    if name == "cuda" and not torch.cuda.is_available():
        raise RequestError(
            "device is 'cuda', and torch sees no GPU; run it where torch.cuda.is_available(), or give --device cpu to "
            "try the benchmark out"
        )
    return found[name]()


def copy_bandwidth(device: Device, size: int, seconds: float = 0.5) -> float:
    """Bytes per second, read and written, of copying ``size`` bytes to another place: the median of some samples."""
    source = torch.randint(0, 100, (size,), dtype=torch.int8, device=device.name)
    target = torch.empty_like(source)
    samples = timing.interleave({"copy": lambda: target.copy_(source)}, seconds, sample=device.sample)["copy"]
    return 2 * size / timing.Spread.of(samples).median
