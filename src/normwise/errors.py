"""Every error that normwise raises on purpose, and every warning.

    NormwiseError
    ├── InvalidArgumentError (ValueError)       a layer, an operator or a surgery was asked for what does not exist
    │   └── TensorError (RuntimeError)          a tensor is of a type, or on a device, that does not fit
    ├── ShapeError (ValueError, RuntimeError)   a tensor does not have the shape that a layer or an operator needs
    ├── SurgeryError (ValueError)               a network cannot be changed in the way that was asked
    ├── RequestError (ValueError)               a command or a study was asked for wrongly; the command exits with 2
    │   └── DataError                           a data set, or a file of one, is missing, truncated or does not fit
    └── JobError (RuntimeError)                 a job was asked for rightly and failed; the command exits with 1

    NormwiseWarning (UserWarning)
    ├── CacheWarning                            a file that saves time is damaged, and ignored
    └── MomentumWarning                         a momentum looks like the other convention

Each error also subclasses what torch, or Python, raises in that place, so code that caught the built-in one still does.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class NormwiseError(Exception):
    """The root of the tree."""


class InvalidArgumentError(NormwiseError, ValueError):
    """A layer, an operator or a surgery was asked for something that does not exist."""


class TensorError(InvalidArgumentError, RuntimeError):
    """A tensor is of a type, or on a device, that the layer or operator cannot take."""


class ShapeError(NormwiseError, ValueError, RuntimeError):
    """A tensor does not have the shape that the layer or operator needs."""


class SurgeryError(NormwiseError, ValueError):
    """A network cannot be changed in the way that was asked."""


class RequestError(NormwiseError, ValueError):
    """A command or a study was asked for wrongly: nothing was started."""


class DataError(RequestError):
    """A data set, or a file of one, is missing, truncated or does not fit the rest of the request."""


class JobError(NormwiseError, RuntimeError):
    """A job was asked for rightly and failed; what it had recorded stays readable."""


class NormwiseWarning(UserWarning):
    """The root of the warnings."""


class CacheWarning(NormwiseWarning):
    """A file that was kept to save time is damaged, and ignored."""


class MomentumWarning(NormwiseWarning):
    """A momentum is so large that it looks like the weight of the past, as Keras and JAX have it."""


def first_line(error: BaseException) -> str:
    """The first line of what another library's error says, or its class where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def choice(given: str, allowed: Iterable[str], what: str) -> str:
    """The sentence for a name that does not exist: what was given, what is allowed and the nearest valid spelling.

    Args:
        given: what the user wrote.
        allowed: the valid spellings.
        what: the thing that is being named, for example ``"data set"``.

    Returns:
        For example ``unknown data set 'mnits'; did you mean 'mnist'? Allowed: cifar10, digits, fashion-mnist, mnist``.
    """
    names = sorted(allowed)
    near = difflib.get_close_matches(given.lower(), names, n=1)
    hint = f"; did you mean {near[0]!r}? Allowed: " if near else ". Allowed: "
    return f"unknown {what} {given!r}{hint}{', '.join(names)}"
