"""Reading values: each function takes what was written and returns what it means, or says what is allowed."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

from normwise.errors import RequestError, choice
from normwise.lab.factory import RETURNS


def one_of(key: str, *names: str) -> Callable[[str], str]:
    """A reader for one of a few names."""

    def read(text: str) -> str:
        if text not in names:
            raise RequestError(choice(text, names, key))
        return text

    return read


def number(key: str, text: str, allowed: str, fits: Callable[[float], bool]) -> float:
    """A finite number for which ``fits`` holds; ``allowed`` says that in words."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or not fits(value):
        raise RequestError(f"{key} is {text!r}; allowed: {allowed}")
    return value


def fraction(key: str) -> Callable[[str], float]:
    """A reader for a number from 0 up to, not including, 1."""
    return lambda text: number(key, text, "a number from 0 up to, not including, 1", lambda value: 0 <= value < 1)


def non_negative(key: str) -> Callable[[str], float]:
    """A reader for a number that is zero or more."""
    return lambda text: number(key, text, "a finite number, zero or more", lambda value: value >= 0)


def positive(key: str) -> Callable[[str], float]:
    """A reader for a number above zero."""
    return lambda text: number(key, text, "a finite number above 0", lambda value: value > 0)


def count(key: str, least: int = 1) -> Callable[[str], int]:
    """A reader for a whole number of ``least`` or more."""
    allowed = f"a whole number, {least} or more"
    return lambda text: int(number(key, text, allowed, lambda value: value >= least and value == int(value)))


def several(text: str, parse: Callable[[str], Any], key: str) -> tuple[Any, ...]:
    """One or more values, with commas between them; numbers in rising order, names as they were written."""
    found = [parse(part.strip()) for part in text.split(",")]
    if len(set(found)) < len(found):
        raise RequestError(f"{key} is {text!r}; allowed: one value, or several that differ")
    return tuple(sorted(found) if all(isinstance(value, (int, float)) for value in found) else found)


def norm(text: str) -> str:
    """``none``, ``batch``, ``layer`` or ``group:GROUPS``."""
    name, _, groups = text.partition(":")
    if name == "group":
        return f"group:{count('the number of groups in norm=group:GROUPS')(groups)}"
    return one_of("norm", "none", "batch", "layer", "group:4")(text)


def layers(text: str) -> str:
    """``all``, ``first``, ``last``, ``every:N`` or numbers from 1 with plus signs between them, ``1+3``."""
    name, _, every = text.partition(":")
    if name == "every":
        return f"every:{count('N in layers=every:N')(every)}"
    if not re.fullmatch(r"\d{1,6}(\+\d{1,6})*", text):
        return one_of("layers", "all", "first", "last", "every:2", "1+3")(text)
    numbers = sorted(map(int, text.split("+")))
    if numbers[0] < 1 or len(set(numbers)) < len(numbers):
        raise RequestError(f"layers is {text!r}; allowed: numbers from 1, each once, for example 1+3")
    return "+".join(map(str, numbers))


def chosen_layers(layers: str, count: int) -> list[int]:
    """The numbers, from 1, of the layers that ``layers`` means of a network that has ``count``.

    Raises:
        RequestError: the network has no such layer.
    """
    name, _, every = layers.partition(":")
    match name:
        case "all":
            return list(range(1, count + 1))
        case "first":
            return [1]
        case "last":
            return [count]
        case "every":
            found = list(range(int(every), count + 1, int(every)))
        case _:
            found = [int(number) for number in layers.split("+")]
    if not found or found[-1] > count:
        of = f"{count} hidden layers" if count > 1 else "1 hidden layer"
        raise RequestError(f"layers={layers}: the network has {of} that can be normalized; give numbers up to {count}")
    return found


def init(text: str) -> str:
    """``default``, ``xavier``, ``he``, ``lecun``, ``orthogonal`` or ``normal:STD``."""
    name, _, std = text.partition(":")
    if name == "normal":
        return f"normal:{number('STD in init=normal:STD', std, 'a finite number above 0', lambda value: value > 0)!r}"
    return one_of("init", "default", "xavier", "he", "lecun", "orthogonal", "normal:0.04")(text)


def schedule(text: str) -> str:
    """``constant``, ``step:EVERY[:FACTOR]`` (FACTOR is 0.1 when left out) or ``exponential:FACTOR``."""
    name, *parameters = text.split(":")
    if name == "step" and len(parameters) in (1, 2):
        every = count("EVERY in schedule=step:EVERY")(parameters[0])
        factor = _factor(parameters[1]) if parameters[1:] else 0.1
        return f"step:{every}:{factor!r}"
    if name == "exponential" and len(parameters) == 1:
        return f"exponential:{_factor(parameters[0])!r}"
    return one_of("schedule", "constant", "step:1000", "step:1000:0.1", "exponential:0.999")(text)


def _factor(text: str) -> float:
    return number("FACTOR of the schedule", text, "a number above 0, at most 1", lambda value: 0 < value <= 1)


def activation(text: str) -> str:
    """The name of an activation with its optional parameter, ``leaky_relu:0.1``."""
    from normwise.nn.nonlinearity import canonical

    try:
        return canonical(text)
    except ValueError as error:
        raise RequestError(str(error)) from None


WIDTHS = {"mlp": (100, 100, 100), "cnn": (16, 32)}
"""The built-in networks and the widths that they have by default."""

DEEPEST = 1000
"""Layers that a built-in network has at most."""


def model(text: str) -> tuple[str, tuple[int, ...]]:
    """``mlp``, ``mlp:256,128``, ``mlp:100x20`` (20 layers of 100), ``cnn`` or ``cnn:16,32``: kind and widths."""
    kind, colon, widths = text.partition(":")
    if kind not in WIDTHS:
        raise RequestError(
            f"{choice(kind, WIDTHS, 'model')}, or your own as package.module:callable or file.py:callable, "
            f"{RETURNS['model']}"
        )
    if not colon:
        return kind, WIDTHS[kind]
    if re.fullmatch(r"[1-9]\d{0,5}x[1-9]\d{0,5}", widths):
        width, _, depth = widths.partition("x")
        found = (int(width),) * min(int(depth), DEEPEST + 1)
    elif re.fullmatch(r"[1-9]\d{0,5}(,[1-9]\d{0,5})*", widths):
        found = tuple(int(width) for width in widths.split(","))
    else:
        raise RequestError(
            f"model is {text!r}; allowed: {kind}:WIDTH,WIDTH,… or {kind}:WIDTHxDEPTH in whole numbers, for example "
            f"{kind}:100,50 or {kind}:100x20"
        )
    if len(found) > DEEPEST:
        raise RequestError(f"model is {text!r}; allowed: at most {DEEPEST:,} layers")
    return kind, found


def model_name(kind: str, widths: Sequence[int]) -> str:
    """The name of a built-in network, one for each: ``mlp:100,100,100``, ``mlp:100x20``."""
    repeated = len(widths) > MOST_WRITTEN and len(set(widths)) == 1
    return f"{kind}:{widths[0]}x{len(widths)}" if repeated else f"{kind}:{','.join(map(str, widths))}"


MOST_WRITTEN = 4
"""Equal widths that are written out in a name."""
