"""What ``torch.fx`` records of a layer."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.fx import Proxy


def recorded(module: nn.Module, *args: Any, **kwargs: Any) -> Tensor | None:
    """The call of ``module`` as one node of the graph that ``torch.fx`` traces; None where it does not.

    ``torch.fx`` looks into every module that is not torch's own; a normalization is to stay one. Keywords that are None
    are left out, so that the node is that of torch's layer where it can be.
    """
    for value in (*args, *kwargs.values()):
        if isinstance(value, Proxy):
            return _node(value.tracer, module, args, kwargs)
    return None


def _node(tracer: Any, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
    if tracer.root is module:  # which no graph can call
        return None
    given = {name: value for name, value in kwargs.items() if value is not None}
    call: Tensor = tracer.create_proxy("call_module", tracer.path_of_module(module), args, given)
    return call
