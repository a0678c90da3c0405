"""Running a network on the batches of any loader."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn.parallel import DataParallel, DistributedDataParallel

from normwise.errors import SurgeryError

Forward = Callable[[nn.Module, Any], Any]

_ADVICE = "give forward=, for example forward=lambda model, batch: model(batch['image'])"


def unwrapped(model: nn.Module) -> nn.Module:
    """The network inside torch's parallel wrappers, which would exchange buffers with every forward."""
    while isinstance(model, (DataParallel, DistributedDataParallel)):
        model = model.module
    return model


def feed(network: nn.Module, batches: Iterable[Any], steps: int | None, forward: Forward | None) -> Iterator[int]:
    """Run the network on one batch after the other, at most ``steps`` and no more than that are taken.

    Yields:
        The index of each batch that was run.

    Raises:
        SurgeryError: ``batches`` is one batch instead of several, or a batch does not fit. What the loader or the
            network raises goes through; with the network's goes a note that names the batch.
    """
    _check(batches)
    devices = {tensor.device for tensor in (*network.parameters(), *network.buffers())}
    for index, batch in enumerate(itertools.islice(batches, steps)):
        args, kwargs = ((), {}) if forward else _arguments(network, batch, index)
        tensors = [value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)]
        if tensors and devices and devices.isdisjoint(tensor.device for tensor in tensors):
            raise SurgeryError(
                f"batch {index} is on {tensors[0].device} and the network on {', '.join(sorted(map(str, devices)))}: "
                "nothing is moved for you; move the batches in the loader, or the network"
            )
        try:
            forward(network, batch) if forward else network(*args, **kwargs)
        except Exception as error:
            error.add_note(f"The network was running on batch {index}, {_described(batch)}.")
            raise
        yield index


def _check(batches: Any) -> None:
    if isinstance(batches, (Tensor, Mapping, str)) or not hasattr(batches, "__iter__"):
        raise SurgeryError(
            f"batches is {_described(batches)}; expected something to iterate over that gives batches, for example a "
            "DataLoader, or [batch] for a single one"
        )


def _arguments(network: nn.Module, batch: Any, index: int) -> tuple[tuple[Any, ...], dict[str, Any]]:
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}
    if isinstance(batch, Tensor):
        args = (batch,)
    elif hasattr(batch, "args") and hasattr(batch, "kwargs"):
        args, kwargs = tuple(batch.args), dict(batch.kwargs)
    elif isinstance(batch, Mapping):
        kwargs = dict(batch)
    elif isinstance(batch, (tuple, list)) and batch:
        args = (batch[0],)
    else:
        raise SurgeryError(
            f"batch {index} is {_described(batch)}; expected a tensor, a tuple or list whose first element is the "
            f"input, a dict of keywords, or something with args and kwargs; {_ADVICE}"
        )
    signature = inspect.signature(network.forward)
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        raise SurgeryError(
            f"batch {index}, {_described(batch)}, does not fit {type(network).__name__}.forward{signature}: {error}; "
            f"{_ADVICE}"
        ) from None
    return args, kwargs


def _described(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    if isinstance(value, Mapping):
        return f"a {type(value).__name__} with the keys {', '.join(map(str, value))}"
    if isinstance(value, (tuple, list)):
        return f"a {type(value).__name__} of {len(value)}" + (f", first {_described(value[0])}" if value else "")
    return f"of type {type(value).__name__}"
