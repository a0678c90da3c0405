"""A batch normalization whose statistics no longer change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn, Self

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.lazy import LazyModuleMixin

from normwise.errors import InvalidArgumentError, SurgeryError
from normwise.nn import fx

# What torch keeps for every module: parameters, buffers, children and hooks.
_SHARED = [name for name, value in vars(nn.Module()).items() if isinstance(value, (dict, set))]


def obstacle(layer: nn.Module, *, statistics: bool = True) -> str:
    """Why a layer cannot be frozen, or its ``statistics`` cannot; empty where they can."""
    if not isinstance(layer, _BatchNorm):
        return f"{type(layer).__name__} is not a batch normalization"
    if isinstance(layer, LazyModuleMixin) and layer.has_uninitialized_params():
        return "its number of features is unknown until it has seen a batch"
    if statistics and (layer.running_mean is None or layer.running_var is None):
        return "it has no running statistics"
    return ""


class FrozenBatchNorm(nn.Module):
    """Stands in the place of a batch normalization and normalizes with its running statistics, whatever the mode.

        y = what the layer gives in evaluation, for example γ·(x − running_mean)/√(running_var + ε) + β

    Any batch normalization will do, of any number of axes: torch's layers, ``SyncBatchNorm``, those of ``normwise.nn``
    and subclasses of them, whose own ``forward``, options and children go on working. ``normwise.freeze`` puts this
    module into a network, ``normwise.unfreeze`` the layer back.

    **Training.** As in evaluation. γ and β receive gradients where they require them; the running statistics and
    ``num_batches_tracked`` never change. ``train()`` and ``eval()`` set ``training`` of this module and of the layer's
    children, as for any module; the layer itself stays in evaluation.

    **State.** Parameters, buffers, children and hooks are the layer's own, not copies, and a state dict has the
    layer's keys and version: it loads into the layer, and the layer's into this. What this class lacks is the layer's:
    ``num_features``, ``eps`` and every other attribute are read from it and set on it.

    It is no ``torch.nn.modules.batchnorm._BatchNorm``: those are reset by ``torch.optim.swa_utils.update_bn`` and
    replaced by ``SyncBatchNorm.convert_sync_batchnorm``. ``torch.fx.symbolic_trace`` keeps it as a module.

    Args:
        layer: the layer, which from now on belongs to this module.

    Raises:
        InvalidArgumentError: (a ValueError) ``layer`` is no batch normalization, has no running statistics or is a lazy
            one that has seen no batch.
        SurgeryError: (a ValueError) when ``reset_running_stats`` or ``reset_parameters`` is called.
    """

    _layer: _BatchNorm

    def __init__(self, layer: _BatchNorm) -> None:
        if problem := obstacle(layer):
            raise InvalidArgumentError(f"the statistics of {layer} cannot be frozen: {problem}")
        super().__init__()
        own = {"_layer": layer, "training": layer.training, "_is_full_backward_hook": layer._is_full_backward_hook}
        self.__setstate__(own)
        layer.training = False

    def unfreeze(self) -> _BatchNorm:
        """Give the layer back, with what was trained or loaded since, in the mode of this module, which is spent."""
        self._layer._is_full_backward_hook = self._is_full_backward_hook
        self._layer.training = self.training
        return self._layer

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """What the layer's ``forward`` gives in evaluation, for the same arguments."""
        call = fx.recorded(self, *args, **kwargs)
        return self._layer.forward(*args, **kwargs) if call is None else call

    def reset_running_stats(self) -> NoReturn:
        """Refused: the statistics are frozen."""
        raise SurgeryError(
            "the running statistics of a FrozenBatchNorm are frozen and are not reset: unfreeze the network first "
            "(normwise.unfreeze), or do not reset this layer"
        )

    def reset_parameters(self) -> NoReturn:
        """Refused, because it would reset the statistics too."""
        self.reset_running_stats()

    def extra_repr(self) -> str:
        """The layer's own options."""
        return str(self._layer.extra_repr())  # type: ignore[no-untyped-call]

    @property
    def _version(self) -> int:  # type: ignore[override]
        return self._layer._version

    def _save_to_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self._layer._save_to_state_dict(*args, **kwargs)

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self._layer._load_from_state_dict(*args, **kwargs)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        self._layer._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def __getattr__(self, name: str) -> Any:
        # A copy protocol that the layer defines is for the layer.
        if name.startswith("__") or "_layer" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(self._layer, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.__dict__ or hasattr(type(self), name):
            super().__setattr__(name, value)
        else:
            setattr(self._layer, name, value)

    def __delattr__(self, name: str) -> None:
        if name in self.__dict__:
            super().__delattr__(name)
        else:
            delattr(self._layer, name)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take the attributes, and the layer's own dictionaries, so that what is done to one is done to both."""
        self.__dict__.update(state)
        theirs = vars(self._layer)
        self.__dict__.update({name: theirs[name] for name in _SHARED if name in theirs})

    def _replicate_for_data_parallel(self) -> Self:
        replica = type(self).__new__(type(self))
        layer = self._layer._replicate_for_data_parallel()  # type: ignore[no-untyped-call]
        replica.__setstate__(vars(self) | {"_layer": layer})
        return replica
