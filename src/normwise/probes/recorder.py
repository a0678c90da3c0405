"""Watching a training loop: what its layers, gradients and updates do at some steps, and the loss at every step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from math import isfinite
from types import TracebackType
from typing import Any, Self
from weakref import WeakSet

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from normwise.errors import InvalidArgumentError
from normwise.nn.kinds import linear_maps
from normwise.ops.tracing import is_traced, is_transformed
from normwise.probes import facts
from normwise.probes.calls import Calls
from normwise.probes.forward import Activations, Forward, parts
from normwise.probes.inputs import InputMoments
from normwise.probes.layers import MOST, Mask, Measures, Seen, seen
from normwise.probes.leftover import Leftover
from normwise.probes.scale import STEPS, Scale
from normwise.probes.step import Maps, Step, begun, measured
from normwise.probes.tail import Tail, tail
from normwise.probes.targets import TargetCounts
from normwise.probes.tensors import Taken, joined, own_parameter, promoted
from normwise.probes.watched import Call, Loss, NotFinite, Observation, Optimizer, Units, Watched

FIRST = frozenset({1, 2, 4, 8})
"""Steps that are recorded besides the multiples of ``every``."""

TARGETS = 20
"""First steps whose targets are looked at, besides those of recorded steps."""

UNREAD = 32
"""Recorded steps whose numbers stay on the device."""

IN_A_ROW = 3
"""Recorded steps in which a unit is dead that is called so."""

_WATCHED: WeakSet[nn.Module] = WeakSet()


class _Hook:
    """A hook of the network. In a copy or a pickle of the network there stands one that does nothing."""

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def __call__(self, *args: Any) -> Any:
        return self._call(*args)

    def __reduce__(self) -> Any:
        return getattr, (nullcontext(), "__exit__")


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
    between, losses are noted. A forward is one of training where gradients are enabled; where a step has several, the
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
        self._activations = Activations()
        self._watching = ExitStack()
        self._entered = False
        self._forward_hook: RemovableHandle | None = None
        self._update_hooks: list[RemovableHandle] = []
        self._open: Step | None = None
        self._running: Forward | None = None
        self._leftover: Leftover | None = None
        self._paused = 0
        self._steps = 0
        self._forced = 0
        self._idle_until = 0
        self._losses: list[float] = []
        self._waiting: list[Tensor] = []
        self._tail = Tail(Loss())
        self._scale = Scale()
        self._targets = TargetCounts(self._tail)
        self._inputs = InputMoments()
        self._calls: tuple[Call, ...] | None = None
        self._order: tuple[str, ...] = ()
        self._described: Optimizer | None = None
        self._measures = Measures()
        self._ended: list[Step] = []
        self._unread: list[tuple[list[Step], Tensor]] = []
        self._waits = 0
        self._observations: list[Observation] = []
        self._dead: list[dict[tuple[str, ...], Mask]] = []
        self._not_finite: NotFinite | None = None
        self._broken_inputs = False
        self._finite = 0
        self._evaluating: dict[str, None] = {}
        self._first: tuple[nn.Parameter, Tensor] | None = None

    def __enter__(self) -> Self:
        network, optimizer = self._network, self._optimizer
        if network in _WATCHED:
            raise InvalidArgumentError(f"this {type(network).__name__} is being watched already; one watch is enough")
        _WATCHED.add(network)
        self._entered = True
        self._watching.callback(_WATCHED.discard, network)
        if optimizer is not None:
            self._described = facts.described(optimizer, network)
        parameter = _small(network, optimizer)
        if parameter is not None:
            self._first = (parameter, parameter.detach().clone())
            self._leftover = Leftover(parameter, updates=optimizer is not None)
            self._watching.callback(self._leftover.close)
        self._attend()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._running is not None:  # interrupted within the forward
            self._running.end(None)
            self._running = None
        self._attend(over=True)
        self._watching.close()
        self._entered = False

    # What the loop says.

    def step(self, loss: Tensor, target: Any = None, *, scale: float | None = None) -> None:
        """Say that a step was made.

        Args:
            loss: of the step's batch, with its graph: before or after its backward.
            target: what the loss compared the outputs with, in the loss's own unit; None where there is none.
            scale: what the loss was multiplied by before its backward, which is recorded without it.

        Raises:
            InvalidArgumentError: ``loss`` is no scalar tensor, or has no graph; or this is outside of the with block.
        """
        if not self._entered:
            raise InvalidArgumentError(
                "watch.step was called outside of the with block, where nothing is watched: write "
                "with normwise.watch(network, optimizer) as watch: around the loop"
            )
        if not isinstance(loss, Tensor) or loss.numel() != 1 or loss.grad_fn is None:
            raise _refusal(loss)
        self._steps += 1
        if self._steps == 1:
            self._tail = tail(loss, scaled=scale is not None)
            self._targets = TargetCounts(self._tail)
        if self._steps <= STEPS:
            if self._tail.loss.scale is None and not scale:
                self._scale.compare(self._tail, loss, target)
            self._scale.output = None
        if loss.is_cpu:  # elsewhere that would wait for the device
            value = loss.item() / scale if scale else loss.item()
            self._losses.append(value)
            if not isfinite(value):
                self._forced, self._idle_until = self._steps + 1, 0
        else:
            self._waiting.append(loss.detach() / scale if scale else loss.detach())
        if self._steps >= self._idle_until:
            self._attend_to(target)

    def _attend_to(self, target: Any) -> None:
        """See the targets of a step, and what else it may need."""
        step = self._open
        recorded = step is not None and not step.ended
        if target is not None and (recorded or self._steps <= TARGETS):
            self._targets.add(target)
        if recorded and step is not None:
            step.ended = True
            if self._optimizer is None:
                step.gradients()
        if self._open is not None or self._forward_hook is not None or self._is_recorded(self._steps + 1):
            self._attend()
        elif self._steps >= TARGETS:
            self._idle_until = (self._steps // self._every + 1) * self._every - 1

    def _is_recorded(self, number: int) -> bool:
        return number % self._every == 0 or number in FIRST or number == self._forced

    def _attend(self, *, over: bool = False) -> None:
        """Have those hooks, and no others, that the next calls need."""
        if self._leftover is not None and self._leftover.is_over:
            self._leftover.close()
        forward = not over and (self._open is not None or self._is_recorded(self._steps + 1))
        if forward and self._forward_hook is None:
            self._forward_hook = self._network.register_forward_pre_hook(
                _Hook(self._before_forward), prepend=True, with_kwargs=True
            )
        elif not forward and self._forward_hook is not None:
            self._forward_hook.remove()
            self._forward_hook = None
        looking = self._leftover is not None and not self._leftover.is_over
        update = not over and (self._open is not None or looking)
        if update and not self._update_hooks and self._optimizer is not None:
            self._update_hooks = [
                self._optimizer.register_step_pre_hook(self._before_update),
                self._optimizer.register_step_post_hook(self._after_update),
            ]
        elif not update:
            for hook in self._update_hooks:
                hook.remove()
            self._update_hooks = []

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
        if self._open is not None and self._open.ended:
            self._close()
        self._read()
        how = self._targets.tail = self._scale.known(self._tail)
        learned = [each for each in self._network.parameters() if each.requires_grad]
        total = sum(each.numel() for each in self._network.parameters())
        count = sum(each.numel() for each in learned)
        return Watched(
            steps=self._steps,
            every=self._every,
            calls=self._calls or (),
            inputs=self._inputs.value(),
            targets=self._targets.value(),
            loss=how.loss,
            optimizer=self._described,
            losses=tuple(self._losses),
            constant=self._targets.constant(),
            observations=tuple(self._observations),
            not_finite=self._first_not_finite(),
            kept_gradients=self._leftover is not None and self._leftover.value(),
            parameters=count,
            frozen=total - count,
            evaluating=tuple(self._evaluating),
            checked=self._moved(),
        )

    def _first_not_finite(self) -> NotFinite | None:
        """What is first not finite: of a recorded step all is known, of others the loss.

        Where inputs of any recorded step are not finite, so were those of the first step with a loss like that.
        """
        step = self._first_broken_loss(before=self._steps + 1)
        found = self._not_finite
        if step is not None and (found is None or found.step > step):
            found = NotFinite(step, "loss", "")
        if found is not None and self._broken_inputs and found.what != "gradient":  # of data that come again
            return found._replace(what="input", layer="")
        return found

    def _moved(self) -> bool:
        if any(each.update for observation in self._observations for each in observation.weights):
            return True
        return self._first is not None and not torch.equal(self._first[0].detach(), self._first[1])

    # Hooks.

    def _before_forward(self, network: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if self.begin(args, kwargs) and self._running is not None:
            hook = network.register_forward_hook(_Hook(self._after_forward), always_call=True)
            self._running.when_over(hook.remove)
        elif self._open is not None and self._running is None and self._steps < STEPS and not self._paused:
            self._keep_output(network)

    def _keep_output(self, network: nn.Module) -> None:
        """Keep what this forward, one of several of a step, puts out."""

        def keep(network: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            handle.remove()
            if torch.is_grad_enabled():
                self._scale.keep(output)

        handle = network.register_forward_hook(_Hook(keep), always_call=True)

    def _after_forward(self, network: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        self.end(output)

    def begin(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
        """See what follows, up to ``end``, as a forward of the network; whether that is recorded.

        Where the loop calls the network, its hooks do that.
        """
        if self._paused or self._running is not None or not torch.is_grad_enabled():
            return False
        if is_transformed() or is_traced():
            return False
        if self._open is not None and self._open.ended:
            self._close()
        step, trains = self._open, _trains(self._network)
        if step is None:
            if not self._is_recorded(self._steps + 1):
                self._attend()
                return False
            step = self._open = begun(self._steps + 1, self._maps)
            self._attend()
        elif step.forward is not None and (step.trains or not trains):
            return False
        step.trains = trains
        step.forward = self._running = Forward(
            self._parts, self._activations, self._measures, Calls() if self._calls is None else None
        )
        step.found = self._measures.begin()
        step.evaluating = tuple(part.name for module, part in self._parts.items() if not module.training)
        step.given = (args, kwargs) if step.number in FIRST else None
        self._running.begin(self._network, args, kwargs)
        return True

    def end(self, output: Any = None) -> None:
        """End what ``begin`` began; without an output it is that of the last call of the loop's."""
        if self._running is not None:
            running, self._running = self._running, None
            running.end(output)
        if self._steps < STEPS:
            self._scale.keep(output)

    def _before_update(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Mapping[str, Any]) -> None:
        step = self._open
        closure = bool(args) or kwargs.get("closure") is not None  # which computes the gradients
        if step is not None and not closure and not self._paused and not step.is_updated:
            step.gradients()

    def _after_update(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Mapping[str, Any]) -> None:
        if self._paused:
            return
        step = self._open
        if step is not None and not step.is_updated:
            step.rate = facts.rate(optimizer)
            if not step.has_gradients:
                step.gradients()
            step.after_update()
        if self._leftover is not None:
            self._leftover.updated()

    # Recorded steps.

    def _close(self) -> None:
        """Read the recorded step, which has ended."""
        step, self._open = self._open, None
        if step is None or step.forward is None:
            return
        if self._optimizer is None:
            step.after_update()
        if step.given is not None:
            self._inputs.add(step.given)
        self._evaluating |= dict.fromkeys(name for name in step.evaluating if name)
        if self._calls is None:
            self._calls, self._order = step.forward.calls, tuple(step.forward.order)
        self._ended.append(step)
        step.forward = None
        if len(self._ended) + self._waits >= UNREAD:
            self._read()
        elif self._measures.elements + 3 * len(self._ended) * self._maps.elements > MOST:
            self._measure()

    def _measure(self) -> None:
        """Measure the steps that are recorded."""
        self._measures.flush()
        self._unread += measured(self._ended)
        self._waits += len(self._ended)
        self._ended.clear()

    def _read(self) -> None:
        """Read the steps that are recorded and not read yet, together: what runs often runs faster."""
        self._take_losses()
        self._measure()
        self._waits = 0
        numbers = self._measures.numbers()
        if numbers:
            self._measures.read(Taken(joined(numbers)))
        for steps, rows in self._unread:
            for step, row in zip(steps, rows.cpu(), strict=True):
                self._observe(step, Taken(row))
        self._unread.clear()

    def _observe(self, step: Step, taken: Taken) -> None:
        assert step.found is not None
        found, weights = seen(step.found), step.read(taken, self._order)
        loss, units = self._losses[step.number - 1], self._with_dead(found)
        observation = Observation(step.number, loss, step.rate, weights, units, found.norms, found.outputs)
        self._observations.append(observation)
        self._find_not_finite(observation, found)

    def _with_dead(self, seen: Seen) -> tuple[Units, ...]:
        """The units of a step with the share of those that were dead in each of the last recorded steps."""
        self._dead = [*self._dead, seen.dead][-IN_A_ROW:]
        shares: dict[str, float] = {}
        for layers in seen.dead:
            masks = [each[layers] for each in self._dead if layers in each]
            if len(masks) == IN_A_ROW and len({mask.shape for mask in masks}) == 1:
                dead = np.logical_and.reduce(masks).mean(1)
                shares.update(zip(layers, dead.tolist(), strict=True))
        return tuple(unit._replace(dead=shares.get(unit.layer)) for unit in seen.units) if shares else seen.units

    def _take_losses(self) -> None:
        first = len(self._losses)
        if self._waiting:
            self._losses += torch.stack([promoted(loss).reshape(()) for loss in self._waiting]).tolist()
            self._waiting.clear()
            if not all(map(isfinite, self._losses[first:])):
                self._forced = self._steps + 1

    def _find_not_finite(self, observation: Observation, seen: Seen) -> None:
        """Note what is first not finite in a recorded step, where no step had anything before."""
        self._broken_inputs = self._broken_inputs or seen.broken == ""
        if self._not_finite is None and self._first_broken_loss(before=observation.step) is None:
            self._not_finite = next(_broken(observation, seen), None)

    def _first_broken_loss(self, *, before: int) -> int | None:
        """The first step, before a step, whose loss is not finite."""
        while self._finite < min(len(self._losses), before - 1) and isfinite(self._losses[self._finite]):
            self._finite += 1
        return self._finite + 1 if self._finite < min(len(self._losses), before - 1) else None


def _broken(observation: Observation, seen: Seen) -> Iterator[NotFinite]:
    """What is not finite in a step, in the order in which it is computed; the weights are those before its forward."""
    step, weights = observation.step, observation.weights
    yield from (NotFinite(step, "weight", each.layer) for each in weights if not isfinite(each.weight))
    if seen.broken is not None:
        yield NotFinite(step, "activation" if seen.broken else "input", seen.broken)
    if not isfinite(observation.loss):
        yield NotFinite(step, "loss", "")
    for each in reversed(weights):
        if each.gradient is not None and not isfinite(each.gradient):
            yield NotFinite(step, "gradient", each.layer)


def _trains(network: nn.Module) -> bool:
    return network.training or any(module.training for module in network.modules())


def _small(network: nn.Module, optimizer: torch.optim.Optimizer | None) -> nn.Parameter | None:
    """A parameter that is learned and small: the last linear map's bias, or the smallest of all."""
    held = None if optimizer is None else {each for group in optimizer.param_groups for each in group["params"]}
    learned = [each for each in network.parameters() if each.requires_grad and (held is None or each in held)]
    biases = {own_parameter(module, "bias") for _, module in linear_maps(network)}
    last = next((each for each in reversed(learned) if each in biases), None)
    return last if last is not None else min(learned, key=lambda each: each.numel(), default=None)


def _refusal(loss: Any) -> InvalidArgumentError:
    if not isinstance(loss, Tensor) or loss.numel() != 1:
        given = f"a tensor of shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
        return InvalidArgumentError(f"loss must be the scalar tensor that backward was called on, got {given}")
    return InvalidArgumentError(
        "loss has no graph, so that there is nothing that trains the network; give the loss that backward was "
        "called on, without detach() or no_grad()"
    )
