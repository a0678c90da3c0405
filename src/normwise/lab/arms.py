"""Arms: the variants that a comparison trains side by side.

An arm is written ``[name:] key=value, …``, for example ``bn``, ``activation=relu`` or ``he: activation=relu, init=he``.
``plain`` stands for ``norm=none`` and ``bn`` for ``norm=batch``. A key that an arm leaves out takes the value given for
all arms, else the default. Several values given for all arms are a sweep: each arm that does not set the key is trained
with every one of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from normwise.errors import RequestError, choice
from normwise.lab.settings import DEFAULT_RATES, DEFAULTS, KEYS, MOMENTUM, Keys

Asked = str | tuple[str, Mapping[str, Any]]
"""An arm as it is written, or its name and the values of the keys that it sets, each as it would be written or as what
it means; None takes the default of a key that was given for all arms."""

SHORTHANDS = {"plain": "none", "bn": "batch"}

OWN_MODEL = {"dropout": "your own network decides; leave it out or use --model mlp or cnn"}
"""What a user's own network decides for itself."""

BUILT_IN = {"output": "is for networks of your own, and mlp and cnn have a linear one; leave it out"}
"""What the built-in networks decide for themselves."""

STREAMS = {"inputs": "your make_data decides; leave it out and scale the inputs there"}
"""What data that are read batch by batch decide for themselves."""

LOADERS = {**STREAMS, "batch_size": "your loader decides; leave it out and set it there"}
"""What a data loader decides for itself."""


class Point(NamedTuple):
    """Where in a sweep a run is.

    Attributes:
        lr: the learning rate.
        value: the value of the other key that is swept; None where there is no such key.
    """

    lr: float
    value: Any = None


@dataclass(frozen=True)
class Arm:
    """One variant: a name, the resolved value of every key, and the points to try.

    Attributes:
        name: as it was written.
        keys: the values; ``lr`` is None, and that of the key ``swept`` means nothing: both are the points'.
        points: the learning rates, each with every value of the key that is swept.
        swept: the key besides the learning rate that has several values in the comparison, if there is one.
    """

    name: str
    keys: Keys
    points: tuple[Point, ...]
    swept: str | None = None

    def at(self, point: Point) -> Keys:
        """The value of every key at one of the arm's points."""
        return _settled(replace(_with(self.keys, self.swept, point.value), lr=point.lr))


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


def _read(arm: Asked) -> tuple[str, dict[str, Any]]:
    """The name of an arm and the keys that it sets."""
    if isinstance(arm, str):
        return parse(arm)
    name, values = arm
    for key in values:
        if key not in KEYS:
            raise RequestError(f"arm {name!r}: {choice(key, KEYS, 'key')}")
    return name, {key: None if value is None else KEYS[key].parse(str(value)) for key, value in values.items()}


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


def swept(shared: Mapping[str, Sequence[Any]]) -> str | None:
    """The key besides the learning rate for which several values were given, if there is one.

    Args:
        shared: the values that were given for all arms; see ``normwise.lab.options.shared``.

    Raises:
        RequestError: there are several such keys.
    """
    found = [key for key, given in shared.items() if len(given) > 1 and key != "lr"]
    if len(found) > 1:
        raise RequestError(
            f"{' and '.join(found)} have several values; allowed: several for lr and for one other key; give one value "
            f"for {' and '.join(found[1:])}"
        )
    return found[0] if found else None


def resolve(
    asked: Sequence[Asked],
    shared: Mapping[str, Sequence[Any]],
    *,
    own_model: bool = False,
    streams: bool = False,
    own_batches: bool = False,
    defaults: Mapping[str, Any] | None = None,
    rates: Mapping[str, float] = DEFAULT_RATES,
) -> list[Arm]:
    """Read all arms of a comparison.

    Args:
        asked: the arms, as they are written or as values.
        shared: the values that were given for all arms and hold where an arm does not set the key itself, one or
            several by key; see ``normwise.lab.options.shared``.
        own_model: whether the network is the user's own, which has its own dropout, and by default its own activation.
        streams: whether the data are read batch by batch, and scaled, if at all, by the user's own code.
        own_batches: whether they come from a loader, which has its own batch size.
        rates: the learning rate of each optimizer where none was given.
        defaults: what holds where neither an arm nor ``shared`` says anything, instead of ``DEFAULTS``.

    Raises:
        RequestError: as ``parse`` and ``swept``, for values that reach no arm, for keys that do not go together, and
            for two arms with one name or, of those that are written, with the same settings.
    """
    if not asked:
        raise RequestError("no arm was given; allowed: one or more of [name:] key=value, …, for example plain and bn")
    decided = {**(OWN_MODEL if own_model else BUILT_IN), **(LOADERS if own_batches else STREAMS if streams else {})}
    base = {**DEFAULTS, **(defaults or {}), **dict.fromkeys(decided)}
    base |= {"activation": None} if own_model else {}
    texts = [arm for arm in asked if isinstance(arm, str)]
    if len(texts) == len(asked):
        _refuse_unused(texts, shared)
    arms = [_resolve(arm, shared, base, decided, rates) for arm in asked]
    _refuse_equal_names([arm.name for arm in arms])
    _refuse_equal_settings([arm for arm, given in zip(arms, asked, strict=True) if isinstance(given, str)])
    return arms


def _refuse_equal_names(names: Sequence[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise RequestError(f"two arms are called {name!r}; give one of them another name: 'NAME: …'")


def _refuse_equal_settings(arms: Sequence[Arm]) -> None:
    for index, arm in enumerate(arms):
        for earlier in arms[:index]:
            if set(map(arm.at, arm.points)) & set(map(earlier.at, earlier.points)):
                raise RequestError(
                    f"arms {earlier.name!r} and {arm.name!r} have the same settings; leave one of them out"
                )


def _refuse_unused(texts: Sequence[str], shared: Mapping[str, Sequence[Any]]) -> None:
    """Refuse a value for all arms that every arm sets itself."""
    own = [parse(text)[1] for text in texts]
    for key in shared:
        if all(key in each for each in own):
            which = "the arm sets" if len(own) == 1 else "every arm sets"
            raise RequestError(f"{key} was given for all arms, and {which} it; leave it out, or give arms without it")


def _resolve(
    arm: Asked,
    shared: Mapping[str, Sequence[Any]],
    base: Mapping[str, Any],
    decided: Mapping[str, str],
    rates: Mapping[str, float],
) -> Arm:
    name, own = _read(arm)
    for fixed, why in decided.items():
        if own.get(fixed) is not None or fixed in shared:
            raise RequestError(f"arm {name!r} sets {fixed!r}, which {why}")
    given = _given(own, shared)
    key = swept(shared)
    first = Keys(**{**base, **{name: several[0] for name, several in given.items()}, "lr": None})
    found = [
        _checked(name, candidate)
        for value in (given.get(key, (base[key],)) if key else (None,))
        for candidate in _rated(_with(first, key, value), given.get("lr"), rates)
    ]
    points = tuple(dict.fromkeys(_point(keys, key) for keys in found))
    common = {each: getattr(found[0], each) for each in KEYS if len({getattr(keys, each) for keys in found}) == 1}
    return Arm(name, replace(first, **{**common, "lr": None}), points, key)


def _given(own: Mapping[str, Any], shared: Mapping[str, Sequence[Any]]) -> dict[str, tuple[Any, ...]]:
    """The values of each key that has any: the arm's own, else those for all arms."""
    every = {**shared, **{key: (value,) for key, value in own.items()}}
    return {key: tuple(several) for key, several in every.items() if tuple(several) != (None,)}


def _with(keys: Keys, key: str | None, value: Any) -> Keys:
    changed: dict[str, Any] = {key: value} if key else {}
    return replace(keys, **changed)


def _point(keys: Keys, key: str | None) -> Point:
    assert keys.lr is not None
    return Point(keys.lr, getattr(keys, key) if key else None)


def _rated(keys: Keys, given: Sequence[float] | None, defaults: Mapping[str, float]) -> Iterator[Keys]:
    """The keys with each learning rate; the optimizer's own where none was given."""
    for lr in given or (defaults[keys.optimizer],):
        yield replace(keys, lr=lr)


def _checked(name: str, keys: Keys) -> Keys:
    """Refuse keys that do not go together; settle those that follow from others."""
    if keys.norm == "batch" and keys.batch_size == 1:
        raise RequestError(f"arm {name!r}: batch normalization needs at least 2 examples in a batch, batch_size is 1")
    if keys.momentum is not None and keys.optimizer not in MOMENTUM:
        use = "use optimizer=momentum or nesterov" if keys.optimizer == "sgd" else "leave momentum out"
        raise RequestError(f"arm {name!r}: optimizer={keys.optimizer} has no momentum, which is given; {use}")
    return _settled(keys)


def _settled(keys: Keys) -> Keys:
    """The keys with what follows from others: no place or layers without normalization, the optimizer's momentum."""
    place, layers = (None, None) if keys.norm == "none" else (keys.place, keys.layers)
    momentum = MOMENTUM.get(keys.optimizer) if keys.momentum is None else keys.momentum
    return replace(keys, place=place, layers=layers, momentum=momentum)
