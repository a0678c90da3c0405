"""Watching a training loop: what its layers, gradients and updates do at some steps, and the loss at every step."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self
from weakref import WeakSet

import numpy as np
import torch
from torch import Tensor, nn

from normwise.errors import InvalidArgumentError
from normwise.nn.kinds import linear_maps
from normwise.probes import facts
from normwise.probes.calls import Calls
from normwise.probes.forward import Forward, parts
from normwise.probes.functions import FLAT
from normwise.probes.inputs import InputMoments
from normwise.probes.layers import Mask, Seen
from normwise.probes.leftover import Leftover
from normwise.probes.step import Maps, Step
from normwise.probes.tail import Tail, tail
from normwise.probes.targets import TargetCounts
from normwise.probes.tensors import promoted
from normwise.probes.watched import Call, Loss, NotFinite, Observation, Optimizer, Units, Watched

FIRST = frozenset({1, 2, 4, 8})
"""Steps that are recorded besides the multiples of ``every``."""

TARGETS = 20
"""First steps whose targets are looked at, besides those of recorded steps."""

IN_A_ROW = 3
"""Recorded steps in which a unit is dead that is called so."""

_WATCHED: WeakSet[nn.Module] = WeakSet()


class Recorder:
    """Watches a network while a loop trains it, and leaves no trace.

        with Recorder(network, optimizer) as recorder:
            for X, y in batches:
                loss = F.cross_entropy(network(X), y)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                recorder.step(loss, y)
        recorder.watched()

    Recorded are steps 1, 2, 4, 8 and the multiples of ``every``, and the step behind one whose loss is not finite. In
    between, hooks only count. A forward is one of training where gradients are enabled; where a step has several, the
    first one in training mode is recorded. The network, its hooks, buffers and gradients, the optimizer and the random
    generators are what they would be without it, also when the loop raises.

    Args:
        model: the network; of one in ``DistributedDataParallel`` the network within.
        optimizer: what updates it; without one, gradients are read when ``step`` is called, and updates when the next
            forward begins.
        every: the distance between recorded steps, 1 or more.

    Raises:
        InvalidArgumentError: the network has no parameters, or is compiled, scripted or in ``DataParallel``;
            ``optimizer`` is none of torch's; ``every`` is less than 1; the network is being watched already (on
            entering).
    """

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer | None = None, every: int = 16) -> None:
        if isinstance(every, bool) or not isinstance(every, int) or every < 1:
            raise InvalidArgumentError(f"every must be a whole number, 1 or more, got {every!r}")
        self._network, self._optimizer, self._every = facts.network_of(model), facts.optimizer_of(optimizer), every
        self._maps = Maps(self._network)
        self._parts = parts(self._network)
        self._handles: list[Any] = []
        self._open: Step | None = None
        self._running: Forward | None = None
        self._leftover: Leftover | None = None
        self._paused = 0
        self._steps = 0
        self._forced: set[int] = set()
        self._losses: list[float] = []
        self._waiting: list[Tensor] = []
        self._tail: Tail | None = None
        self._targets: TargetCounts | None = None
        self._inputs = InputMoments()
        self._given: Any = None
        self._calls: tuple[Call, ...] | None = None
        self._order: tuple[str, ...] = ()
        self._described: Optimizer | None = None
        self._observations: list[Observation] = []
        self._dead: list[Mask] = []
        self._not_finite: NotFinite | None = None
        self._evaluating: dict[str, None] = {}
        self._first: tuple[nn.Parameter, Tensor] | None = None

    def __enter__(self) -> Self:
        network, optimizer = self._network, self._optimizer
        if network in _WATCHED:
            raise InvalidArgumentError(f"this {type(network).__name__} is being watched already; one watch is enough")
        _WATCHED.add(network)
        self._handles = [
            network.register_forward_pre_hook(self._before_forward, prepend=True, with_kwargs=True),
            network.register_forward_hook(self._after_forward, always_call=True),
        ]
        if optimizer is not None:
            self._described = facts.described(optimizer, network)
            self._handles += [
                optimizer.register_step_pre_hook(self._before_update),
                optimizer.register_step_post_hook(self._after_update),
            ]
        parameter = _small(network, optimizer)
        if parameter is not None:
            self._first = (parameter, parameter.detach().clone())
            self._leftover = Leftover(parameter, updates=optimizer is not None)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._running is not None:  # interrupted within the forward
            self._running.end(None)
            self._running = None
        for handle in self._handles:
            handle.remove()
        self._handles = []
        if self._leftover is not None:
            self._leftover.close()
        _WATCHED.discard(self._network)

    # What the loop says.

    def step(self, loss: Tensor, target: Any = None) -> None:
        """Say that a step was made.

        Args:
            loss: of the step's batch, with its graph: before or after its backward.
            target: what the loss compared the outputs with, in the loss's own unit; None where there is none.

        Raises:
            InvalidArgumentError: ``loss`` is no scalar tensor, or has no graph.
        """
        _check(loss)
        self._steps += 1
        if self._tail is None:
            self._tail = tail(loss)
            self._targets = TargetCounts(self._tail)
        self._waiting.append(loss.detach())
        step = self._open
        recorded = step is not None and not step.ended
        if self._targets is not None and target is not None and (recorded or self._steps <= TARGETS):
            self._targets.add(target)
        if loss.device.type == "cpu" and not math.isfinite(loss.item()):  # elsewhere that would wait for the device
            self._forced.add(self._steps + 1)
        if recorded and step is not None:
            step.ended = True
            if self._optimizer is None:
                step.gradients()
        if self._leftover is not None and self._leftover.is_over:
            self._leftover.close()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """See nothing of what the body does."""
        self._paused += 1
        try:
            yield
        finally:
            self._paused -= 1

    def watched(self) -> Watched:
        """What was seen so far.

        Raises:
            InvalidArgumentError: ``step`` was never called.
        """
        if not self._steps:
            raise InvalidArgumentError(
                "watch.step was never called: call watch.step(loss, target) after each update, within the with block"
            )
        self._close()
        self._take_losses()
        learned = [each for each in self._network.parameters() if each.requires_grad]
        total = sum(each.numel() for each in self._network.parameters())
        count = sum(each.numel() for each in learned)
        return Watched(
            steps=self._steps,
            every=self._every,
            calls=self._calls or (),
            inputs=self._inputs.value(),
            targets=None if self._targets is None else self._targets.value(),
            loss=Loss() if self._tail is None else self._tail.loss,
            optimizer=self._described,
            losses=tuple(self._losses),
            constant=None if self._targets is None else self._targets.constant(),
            observations=tuple(self._observations),
            not_finite=self._not_finite,
            kept_gradients=self._leftover is not None and self._leftover.value(),
            parameters=count,
            frozen=total - count,
            evaluating=tuple(self._evaluating),
            checked=self._moved(),
        )

    def _moved(self) -> bool:
        if any(each.update for observation in self._observations for each in observation.weights):
            return True
        return self._first is not None and not torch.equal(self._first[0].detach(), self._first[1])

    # Hooks of the network.

    def _before_forward(self, network: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if self._paused or self._running is not None or not torch.is_grad_enabled():
            return
        step = self._at_hand()
        if step is None or (step.forward is not None and (step.trains or not _trains(network))):
            return
        step.trains = _trains(network)
        calls = Calls() if self._calls is None else None
        step.forward = self._running = Forward(self._parts, calls)
        step.evaluating = tuple(part.name for module, part in self._parts.items() if not module.training)
        step.given = (args, kwargs) if step.number <= max(FIRST) else None
        if self._optimizer is None:
            step.before_update()
        self._running.begin(network, args, kwargs)

    def _after_forward(self, network: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        if self._running is not None:
            running, self._running = self._running, None
            running.end(output)

    # Hooks of the optimizer.

    def _before_update(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Mapping[str, Any]) -> None:
        if self._paused:
            return
        closure = bool(args) or kwargs.get("closure") is not None
        step = self._open
        if step is None or (step.ended and (step.is_updated or closure)):
            step = self._at_hand()
        if step is None or step.has_weights:
            return
        step.rate = facts.rate(optimizer)
        step.before_update()
        step.awaits_gradients = closure  # which the closure computes
        if not closure:
            step.gradients()

    def _after_update(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Mapping[str, Any]) -> None:
        if self._paused:
            return
        step = self._open
        if step is not None and step.has_weights and not step.is_updated:
            if step.awaits_gradients:
                step.gradients()
            step.after_update()
        if self._leftover is not None:
            self._leftover.updated()

    # Recorded steps.

    def _at_hand(self) -> Step | None:
        """The step that is being recorded; None where this one is not."""
        if self._open is not None:
            if not self._open.ended:
                return self._open
            self._close()
        number = self._steps + 1
        if number in FIRST or number % self._every == 0 or number in self._forced:
            self._open = Step(number, self._maps)
        return self._open

    def _close(self) -> None:
        """Read the recorded step, where it has ended."""
        step = self._open
        if step is None or not step.ended:
            return
        self._open = None
        if self._optimizer is None:
            step.after_update()
        self._take_losses()
        if step.forward is None:
            return
        if step.given is not None:
            self._inputs.add(step.given)
        self._evaluating |= dict.fromkeys(name for name in step.evaluating if name)
        if self._calls is None:
            self._calls, self._order = step.forward.calls, tuple(step.forward.order)
        seen, weights = step.forward.measures.seen(), step.read(self._order)
        loss = self._losses[step.number - 1]
        units = self._with_dead(seen)
        observation = Observation(step.number, loss, step.rate, weights, units, seen.norms, seen.outputs)
        self._observations.append(observation)
        self._find_not_finite(observation, seen)

    def _with_dead(self, seen: Seen) -> tuple[Units, ...]:
        if self._dead and len(self._dead[-1]) != len(seen.dead):
            self._dead.clear()
        self._dead = [*self._dead, seen.dead][-IN_A_ROW:]
        if len(self._dead) < IN_A_ROW:
            return seen.units
        dead, place, found = np.logical_and.reduce(self._dead), 0, []
        for unit in seen.units:
            own = dead[place : place + unit.units]
            place += unit.units
            found.append(unit._replace(dead=float(own.mean())) if unit.what in FLAT else unit)
        return tuple(found)

    def _take_losses(self) -> None:
        if not self._waiting:
            return
        first = len(self._losses)
        new = torch.stack([promoted(loss).reshape(()) for loss in self._waiting])
        self._waiting.clear()
        self._losses += new.tolist()
        for place, loss in enumerate(self._losses[first:], start=first + 1):
            if self._not_finite is None and not math.isfinite(loss):
                self._not_finite = NotFinite(place, "loss", "")

    def _find_not_finite(self, observation: Observation, seen: Seen) -> None:
        """Note what of a step is first not finite, where no earlier step had anything."""
        if self._not_finite is None or self._not_finite.step >= observation.step:
            self._not_finite = next(_broken(observation, seen), None)


def _broken(observation: Observation, seen: Seen) -> Iterator[NotFinite]:
    """What is not finite in a step, in the order in which it is computed; the weights are those before its forward."""
    step, weights = observation.step, observation.weights
    yield from (NotFinite(step, "weight", each.layer) for each in weights if not math.isfinite(each.weight))
    if seen.broken is not None:
        yield NotFinite(step, "activation" if seen.broken else "input", seen.broken)
    if not math.isfinite(observation.loss):
        yield NotFinite(step, "loss", "")
    for each in reversed(weights):
        if each.gradient is not None and not math.isfinite(each.gradient):
            yield NotFinite(step, "gradient", each.layer)


def _trains(network: nn.Module) -> bool:
    return network.training or any(module.training for module in network.modules())


def _small(network: nn.Module, optimizer: torch.optim.Optimizer | None) -> nn.Parameter | None:
    """A parameter that is learned and small: the last linear map's bias, or the smallest of all."""
    held = None if optimizer is None else {each for group in optimizer.param_groups for each in group["params"]}
    learned = [each for each in network.parameters() if each.requires_grad and (held is None or each in held)]
    biases = {module.bias for _, module in linear_maps(network) if module.bias is not None}
    last = next((each for each in reversed(learned) if each in biases), None)
    return last if last is not None else min(learned, key=lambda each: each.numel(), default=None)


def _check(loss: Any) -> None:
    if not isinstance(loss, Tensor) or loss.numel() != 1:
        given = f"a tensor of shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
        raise InvalidArgumentError(f"loss must be the scalar tensor that backward was called on, got {given}")
    if loss.grad_fn is None:
        raise InvalidArgumentError(
            "loss has no graph, so that there is nothing that trains the network; give the loss that backward was "
            "called on, without detach() or no_grad()"
        )
