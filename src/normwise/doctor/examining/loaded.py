"""The batches of any loader, the same ones in each pass over it."""

from __future__ import annotations

import inspect
import itertools
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from normwise.errors import DataError, RequestError
from normwise.lab.batch import Batch
from normwise.lab.data.collated import TARGETS, count, take_apart
from normwise.lab.data.collated import Collated as Parts
from normwise.lab.objective import described


class Loaded:
    """The batches of a loader, on a network's device, with the generators in the same state at each pass.

    Args:
        loader: what can be passed over again. A batch is (inputs…, target); a dict, whose target is under ``target``,
            ``y`` or ``labels``; or has ``args`` and ``kwargs``, and ``target``.
        network: what the batches are for.
        what: the argument's name, for errors.
        steps: how many batches to take at most.
        targets: whether batches need a target.

    Raises:
        RequestError: (a ValueError) ``loader`` is one batch, or an iterator, which can be passed over only once; while
            passing, a batch that has no target or does not fit the network's ``forward``.
    """

    def __init__(
        self, loader: Any, network: nn.Module, what: str, steps: int | None = None, *, targets: bool = True
    ) -> None:
        if isinstance(loader, (Tensor, Mapping, str)) or not hasattr(loader, "__iter__"):
            raise RequestError(
                f"{what} is {described(loader)}; expected something to iterate over that gives batches, for example a "
                "DataLoader"
            )
        if isinstance(loader, Iterator):
            raise RequestError(
                f"{what} is a {type(loader).__name__}, which can be passed over only once; give a list or a DataLoader"
            )
        self._loader, self._network, self._what = loader, network, what
        self._steps, self._targets = steps, targets
        self._state: Any = None
        self._first: Any = None

    @property
    def forward(self) -> str:
        """What ``estimate_population`` needs besides such batches, as code; empty where it takes them as they are."""
        batch = self._first
        if hasattr(batch, "args") and hasattr(batch, "kwargs"):
            return ""
        if isinstance(batch, Mapping):
            key = next((key for key in TARGETS if key in batch), None)
            rest = f"{{k: v for k, v in batch.items() if k != {key!r}}}"
            return "" if key is None else f"forward=lambda net, batch: net(**{rest})"
        if (
            not isinstance(batch, (tuple, list))
            or not self._targets
            or (isinstance(batch[0], Tensor) and len(batch) == 2)
        ):
            return ""
        if len(batch) > 2:
            return "forward=lambda net, batch: net(*batch[:-1])"
        return f"forward=lambda net, batch: net({'**' if isinstance(batch[0], Mapping) else '*'}batch[0])"

    def __iter__(self) -> Iterator[Batch]:
        generators = _generators(self._loader)
        if self._state is None:
            self._state = _state(generators)
        else:
            _restore(self._state, generators)
        device = next((each.device for each in (*self._network.parameters(), *self._network.buffers())), None)
        for batch in itertools.islice(self._loader, self._steps):
            taken = _taken(batch, self._what, self._targets)
            if self._first is None:
                self._first = batch
                self._check(taken)
            args, kwargs, target = (_moved(part, device) for part in taken)
            yield Batch(args, kwargs, target, count(taken))

    def _check(self, taken: Parts) -> None:
        signature = inspect.signature(self._network.forward)
        try:
            signature.bind(*taken.args, **taken.kwargs)
        except TypeError as error:
            raise RequestError(
                f"a batch of {self._what} does not fit {type(self._network).__name__}.forward{signature}: {error}; "
                f"its last part, or the one under {', '.join(TARGETS)}, is taken for the target, the others for inputs"
            ) from None


def _taken(batch: Any, what: str, targets: bool) -> Parts:
    if hasattr(batch, "args") and hasattr(batch, "kwargs"):
        if targets and not hasattr(batch, "target"):
            raise DataError(f"a batch of {what} has args and kwargs and no target; give it one, as batch.target")
        return Parts(tuple(batch.args), dict(batch.kwargs), getattr(batch, "target", None))
    if not targets:
        if isinstance(batch, Tensor):
            return Parts((batch,), {}, None)
        if isinstance(batch, Mapping) and not any(key in batch for key in TARGETS):
            return Parts((), {str(name): value for name, value in batch.items()}, None)
        if isinstance(batch, (tuple, list)) and len(batch) == 1:
            return Parts(tuple(batch), {}, None)
    if isinstance(batch, Tensor):
        raise DataError(
            f"a batch of {what} is {described(batch)} without a target, and the loss needs one: give batches of "
            "(inputs…, target)"
        )
    return take_apart(batch, what)


def _moved(value: Any, device: torch.device | None) -> Any:
    """Tensors in whatever nest of tuples, lists and dicts, on a device."""
    if isinstance(value, Tensor):
        return value if device is None else value.to(device)
    if isinstance(value, dict):
        return {key: _moved(each, device) for key, each in value.items()}
    if isinstance(value, (tuple, list)) and not hasattr(value, "_fields"):
        return type(value)(_moved(each, device) for each in value)
    return value.to(device) if device is not None and hasattr(value, "to") else value


def _generators(loader: Any) -> list[torch.Generator]:
    """The generators that a ``DataLoader`` and its samplers draw from, where they have some of their own."""
    batch_sampler = getattr(loader, "batch_sampler", None)
    holders = (loader, getattr(loader, "sampler", None), batch_sampler, getattr(batch_sampler, "sampler", None))
    found = [getattr(holder, "generator", None) for holder in holders]
    return list({id(each): each for each in found if isinstance(each, torch.Generator)}.values())


def _state(generators: list[torch.Generator]) -> Any:
    own = [each.get_state() for each in generators]
    return own, torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002 - what transforms use


def _restore(state: Any, generators: list[torch.Generator]) -> None:
    own, of_torch, of_numpy, of_python = state
    for generator, each in zip(generators, own, strict=True):
        generator.set_state(each)
    torch.set_rng_state(of_torch)
    np.random.set_state(of_numpy)  # noqa: NPY002 - likewise
    random.setstate(of_python)


@contextmanager
def same_generators(*loaders: Any) -> Iterator[None]:
    """Put back what random generators there are, those of loaders included, also when the body raises."""
    generators = [each for loader in loaders for each in _generators(loader)]
    state = _state(generators)
    try:
        yield
    finally:
        _restore(state, generators)
