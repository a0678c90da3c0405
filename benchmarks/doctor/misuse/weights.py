"""Weights that are loaded without buffers, and data of another domain."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from benchmarks.doctor.case import Case, Parts, Ran
from benchmarks.doctor.loop import shuffled
from benchmarks.doctor.misuse.make import case, examined, fit, perceptron, sound
from benchmarks.doctor.misuse.modes import inverted


def parameters_only(seed: int, steps: int | None) -> Ran:
    """The parameters of a trained network in a new one, as ``named_parameters()`` gives them."""
    network, parts = sound(seed, steps, hidden=3)
    new = perceptron(hidden=3)
    new.load_state_dict(dict(network.named_parameters()), strict=False)
    return examined(new, parts[1])


def averaged(seed: int, steps: int | None) -> Ran:
    """The average of the weights of two epochs apart, which no statistics were collected with."""
    network, parts = sound(seed, steps, hidden=3)
    new = perceptron(hidden=3)
    first = {name: value.clone() for name, value in network.named_parameters()}
    fit(network, shuffled(parts[0], 32, steps or 300, seed + 1), lr=0.03)
    second = dict(network.named_parameters())
    new.load_state_dict({name: (first[name] + second[name].detach()) / 2 for name in first}, strict=False)
    return examined(new, parts[1])


def whole(seed: int, steps: int | None) -> Ran:
    """All of the state in a new network."""
    network, parts = sound(seed, steps, hidden=3)
    new = perceptron(hidden=3)
    new.load_state_dict(network.state_dict())
    return examined(new, parts[1])


def without_count(seed: int, steps: int | None) -> Ran:
    """All but ``num_batches_tracked``, which weights of old versions do not have."""
    network, parts = sound(seed, steps, hidden=3)
    new = perceptron(hidden=3)
    state = network.state_dict()
    new.load_state_dict({name: value for name, value in state.items() if "tracked" not in name}, strict=False)
    return examined(new, parts[1])


def used_on(seed: int, steps: int | None, *, change: Callable[[Parts], Parts]) -> Ran:
    """Trained on digits, used on changed ones."""
    network, parts = sound(seed, steps, hidden=3)
    return examined(network, change(parts)[1])


def both(seed: int, steps: int | None) -> Ran:
    """Trained on digits of both kinds, used on one."""
    parts = sound(seed, 1)[1]
    mixed = tuple(
        (np.concatenate([X, other]), np.concatenate([y, y]))
        for (X, y), (other, _) in zip(parts, inverted(parts), strict=True)
    )
    network, _ = sound(seed, steps or 400, mixed, hidden=3)
    return examined(network, mixed[1])


def dimmer(parts: Parts) -> Parts:
    """A fifth of the contrast."""
    return tuple((X * np.float32(0.2), y) for X, y in parts)


def brighter(parts: Parts) -> Parts:
    """Half of the contrast on a bright ground."""
    return tuple((X * 0.5 + 0.5, y) for X, y in parts)


def noisy(parts: Parts) -> Parts:
    """A little noise."""
    random = np.random.default_rng(0)
    return tuple(((X + 0.05 * random.standard_normal(X.shape)).astype(np.float32), y) for X, y in parts)


STALE, FOREIGN = "stale-statistics", "foreign-statistics"

CASES: tuple[Case, ...] = (
    case("parameters-only", "parameters loaded without buffers", parameters_only, STALE),
    case("averaged-weights", "averaged weights without statistics of their own", averaged, STALE),
    case("whole-state", "all of the state loaded", whole),
    case("without-count", "all but num_batches_tracked loaded", without_count),
    case("dim-domain", "used on images of a fifth of the contrast", partial(used_on, change=dimmer), FOREIGN),
    case("bright-domain", "used on brighter images", partial(used_on, change=brighter), FOREIGN),
    case("noisy-domain", "used on images with a little noise", partial(used_on, change=noisy)),
    case("both-domains", "trained and used on both kinds", both),
)
