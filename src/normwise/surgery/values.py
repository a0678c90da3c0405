"""The symbolic values with which a network's forward is followed."""

from __future__ import annotations

import operator
import sys
from typing import Any, NoReturn

from torch import fx


class Value(fx.Proxy):
    """A symbolic value; that ``x += y`` changes ``x`` is recorded, where torch's own records ``x + y``."""

    def __iadd__(self, other: Any) -> Any:
        return self.tracer.create_proxy("call_function", operator.iadd, (self, other), {})

    def __isub__(self, other: Any) -> Any:
        return self.tracer.create_proxy("call_function", operator.isub, (self, other), {})

    def __imul__(self, other: Any) -> Any:
        return self.tracer.create_proxy("call_function", operator.imul, (self, other), {})

    def __itruediv__(self, other: Any) -> Any:
        return self.tracer.create_proxy("call_function", operator.itruediv, (self, other), {})


class Unasked(Value):
    """A symbolic value of which nothing is known: it has no class, no length, no number and no text.

    Code that asks for one of these would get one answer, as if there were no others. That the answer is an error is
    noted in the tracer's ``asked``, for code that catches it.
    """

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return Unasked if _by_torch() else self.asked("class")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Attribute(self, name)

    def __hash__(self) -> int:
        return id(self) if _by_torch() else self.asked("place in a table")

    def __str__(self) -> str:
        return repr(self) if _by_torch() else self.asked("text")

    def __format__(self, how: str) -> str:
        self.asked("text")

    def __bool__(self) -> bool:
        self.asked("truth")

    def __iter__(self) -> Any:
        self.asked("parts")

    def __contains__(self, part: Any) -> bool:
        self.asked("parts")

    def __len__(self) -> int:
        self.asked("length")

    def __int__(self) -> int:
        self.asked("number")

    def __index__(self) -> int:
        self.asked("number")

    def __float__(self) -> float:
        self.asked("number")

    def asked(self, what: str) -> NoReturn:
        """Refuse to tell something."""
        problem = f"its forward asks for the {what} of {self.node}"
        self.tracer.asked = problem  # type: ignore[attr-defined]
        raise fx.proxy.TraceError(problem)


class Computed(Unasked):
    """What is computed from such a value; it may be unpacked, as in ``n, c = x.shape``, which takes just so many."""

    __iter__ = fx.Proxy.__iter__


class _Attribute(fx.proxy.Attribute, Computed):
    """What an unknown value has under a name: a method, where it is called."""


def _by_torch() -> bool:
    """Whether it is the tracing itself that asks."""
    frame: Any = sys._getframe(2)
    while frame.f_code.co_name == "__instancecheck__":  # of a class that answers in its own way
        frame = frame.f_back
    return str(frame.f_globals["__name__"]).startswith(("torch.fx", "torch.utils"))
