"""Arms: the variants that a comparison trains side by side.

An arm is written ``[name:] key=value, …``, for example ``bn``, ``activation=relu`` or ``he: activation=relu, init=he``.
``plain`` stands for ``norm=none`` and ``bn`` for ``norm=batch``. A key that an arm leaves out takes the value given for
all arms, else the default.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from normwise.errors import RequestError, choice
from normwise.lab import values

SHORTHANDS = {"plain": "none", "bn": "batch"}

# torch's own defaults for Adagrad and Adam; with a momentum of 0.9, 0.02 moves the weights as far as 0.2 does without.
DEFAULT_RATES = {"sgd": 0.2, "momentum": 0.02, "adagrad": 0.01, "adam": 0.001}


class Key(NamedTuple):
    """One thing that an arm can set: how its value is read, and what it is where it is left out."""

    parse: Callable[[str], Any]
    default: Any


KEYS: dict[str, Key] = {
    "norm": Key(values.norm, "none"),
    "place": Key(values.one_of("place", "before", "after"), "before"),
    "activation": Key(values.activation, "sigmoid"),
    "init": Key(values.init, "default"),
    "lr": Key(values.rates, None),
    "schedule": Key(values.schedule, "constant"),
    "optimizer": Key(values.one_of("optimizer", *DEFAULT_RATES), "sgd"),
    "batch_size": Key(values.count("batch_size"), 60),
    "dropout": Key(values.fraction("dropout"), 0.0),
    "weight_decay": Key(values.non_negative("weight_decay"), 0.0),
    "inputs": Key(values.one_of("inputs", "raw", "minmax", "standard"), "minmax"),
}

OWN_MODEL = {"activation": None, "dropout": None}
"""What a user's own network decides for itself."""


@dataclass(frozen=True)
class Arm:
    """One variant: a name, the resolved value of every key but ``lr``, and the learning rates to try.

    Two arms are the same when their settings and rates are, whatever their names.
    """

    name: str
    settings: Mapping[str, Any]
    rates: tuple[float, ...]


def parse(text: str) -> tuple[str, dict[str, Any]]:
    """Read an arm as it is written.

    Args:
        text: ``[name:] key=value, …``.

    Returns:
        The name (the written settings themselves where none is given) and the keys that the text sets.

    Raises:
        RequestError: for an empty arm, an unknown key, a value that the key does not allow, or a key that is set twice.
    """
    head, colon, tail = text.partition(":")
    named = bool(colon) and "=" not in head and "," not in head
    name, body = (head.strip(), tail) if named else ("", text)
    if named and name in SHORTHANDS:
        raise RequestError(f"arm {text!r}: {name!r} is a shorthand, not a name; write '{name}, …' or 'NAME: {name}, …'")
    parts = [part.strip() for part in body.split(",")]
    if not text.isprintable():
        raise RequestError(f"arm {text!r} holds control characters; leave them out")
    if not all(parts) or (named and not name):
        raise RequestError(
            f"arm {text!r} is incomplete; write [name:] key=value, …, for example 'he: activation=relu, init=he'"
        )
    given: dict[str, Any] = {}
    for part in parts:
        key, value = _setting(part, text)
        if key in given:
            raise RequestError(f"arm {text!r} sets {key!r} twice")
        given[key] = value
    return name or ", ".join(parts), given


def _setting(part: str, text: str) -> tuple[str, Any]:
    """One ``key=value`` or shorthand of the arm ``text``."""
    key, equals, value = (piece.strip() for piece in part.partition("="))
    if not equals:
        if key not in SHORTHANDS:
            raise RequestError(
                f"arm {text!r}: {choice(key, [*SHORTHANDS, *(f'{name}=…' for name in KEYS)], 'setting')}"
            )
        return "norm", SHORTHANDS[key]
    if key not in KEYS:
        raise RequestError(f"arm {text!r}: {choice(key, KEYS, 'key')}")
    return key, KEYS[key].parse(value)


def resolve(texts: Sequence[str], shared: Mapping[str, Any], *, own_model: bool = False) -> list[Arm]:
    """Read all arms of a comparison.

    Args:
        texts: the arms as they are written.
        shared: parsed values that hold for every arm which does not set the key itself.
        own_model: whether the network is the user's own, which has its own activation and dropout.

    Raises:
        RequestError: as ``parse``, and for two arms with one name or with the same settings.
    """
    if not texts:
        raise RequestError("no arm was given; allowed: one or more of [name:] key=value, …, for example plain and bn")
    arms = [_resolve(text, shared, own_model=own_model) for text in texts]
    for index, arm in enumerate(arms):
        for earlier in arms[:index]:
            if arm.name == earlier.name:
                raise RequestError(f"two arms are called {arm.name!r}; give one of them another name: 'NAME: …'")
            if arm.settings == earlier.settings and set(arm.rates) & set(earlier.rates):
                raise RequestError(
                    f"arms {earlier.name!r} and {arm.name!r} have the same settings; leave one of them out"
                )
    return arms


def _resolve(text: str, shared: Mapping[str, Any], *, own_model: bool) -> Arm:
    name, given = parse(text)
    given = {**shared, **given}
    fixed = OWN_MODEL if own_model else {}
    for key in fixed:
        if given.get(key) is not None:
            raise RequestError(
                f"arm {name!r} sets {key!r}, which your own network decides; leave it out or use --model mlp or cnn"
            )
    settings = {key: given.get(key, fixed.get(key, known.default)) for key, known in KEYS.items() if key != "lr"}
    if settings["norm"] == "none":
        settings["place"] = None
    if settings["norm"] == "batch" and settings["batch_size"] == 1:
        raise RequestError(f"arm {name!r}: batch normalization needs at least 2 examples in a batch, batch_size is 1")
    rates = given.get("lr") or (DEFAULT_RATES[settings["optimizer"]],)
    return Arm(name, settings, rates)
