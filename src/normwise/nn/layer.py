"""What the layers for one, two and three axes share."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from normwise import ops
from normwise.errors import InvalidArgumentError, ShapeError
from normwise.nn import fx, options, statistics
from normwise.ops.batch_norm.implementations import Updater
from normwise.ops.batch_norm.op import evaluated, transformed
from normwise.ops.tracing import is_jit_traced, is_traced


class Layer(_BatchNorm):
    """A batch normalization whose operator is ``normwise.ops.batch_norm``; see ``BatchNorm2d``."""

    activation: str | None
    skipped: Tensor | None
    _pool: Tensor | None
    _momentum_tensor: Tensor | None
    _updater: Updater | None

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
        activation: str | None = None,
        channel_dim: int = 1,
        small_batch: str = "error",
    ) -> None:
        options.check(channel_dim, small_batch, track_running_stats)
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype)
        options.warn_of_momentum(self.momentum, stacklevel=2)
        if not bias:
            self.register_parameter("bias", None)
        self.activation = None if activation is None else str(ops.activation(activation))
        self.channel_dim, self.small_batch, self._pool, self._updater = channel_dim, small_batch, None, None
        self.register_buffer("skipped", None, persistent=False)
        self._forget_skipped()

    @property
    def momentum(self) -> float | None:
        """The weight of the newest batch in the running statistics, or None for 1/(num_batches_tracked − skipped)."""
        weight: float | None = self.__dict__["momentum"]  # where torch's extra_repr looks for it
        return weight

    @momentum.setter
    def momentum(self, momentum: float | None) -> None:
        weight = options.check_momentum(momentum)
        self.__dict__["momentum"] = weight
        # Compiled forwards read the tensor, whose value they do not depend on.
        self._momentum_tensor = None if weight is None else torch.tensor(weight, dtype=torch.float64, device="cpu")

    def reset_running_stats(self) -> None:
        """Reset the statistics: mean 0, variance 1, no batch seen and none skipped."""
        super().reset_running_stats()
        if self.track_running_stats and "skipped" in self._buffers:
            self._forget_skipped()

    def reset_parameters(self) -> None:
        """Reset the statistics (mean 0, variance 1, no batch seen) and γ to 1 and β to 0, where there are any."""
        self.reset_running_stats()
        for parameter, value in ((self.weight, 1.0), (self.bias, 0.0)):
            if parameter is not None:
                nn.init.constant_(parameter, value)

    def _forget_skipped(self) -> None:
        mean = self.running_mean
        self.skipped = None if mean is None else torch.zeros_like(mean, dtype=torch.int64)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
        if f"{prefix}running_mean" in state_dict:
            self._forget_skipped()

    def __getstate__(self) -> dict[str, Any]:
        """Without the pool, which is that of a context that a copy is not in, and what is known of these buffers."""
        return self.__dict__ | {"_pool": None, "_updater": None}

    def forward(
        self,
        input: Tensor,  # noqa: A002 - as torch calls it
        residual: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Normalize ``input``, add ``residual`` of its shape, and activate, where ``mask`` is True; see the class."""
        x = input
        call = fx.recorded(self, x, residual=residual, mask=mask)
        if call is not None:
            return call
        self._check_input_dim(x)  # type: ignore[no-untyped-call]
        weight, bias, mean, var = _members(self)
        if not is_jit_traced():  # where sizes are tensors
            self._check(x, mean, var)
        eps, activation, channel_dim = self.eps, self.activation, self.channel_dim
        if self._uses_running_statistics(x, mean):
            mean, var = _both(mean, var)
            return evaluated(x, mean, var, weight, bias, residual, mask, eps, activation, channel_dim)
        y, stats, ordinary = transformed(x, weight, bias, residual, mask, eps, activation, channel_dim)
        if statistics.should_update(self):
            statistics.update(self, stats if x.numel() else None, ordinary)
        return y

    def _uses_running_statistics(self, x: Tensor, mean: Tensor | None) -> bool:
        if mean is None or not self.training:
            return mean is not None
        return self.small_batch == "running" and x.numel() == x.shape[self.channel_dim]

    def _check(self, x: Tensor, mean: Tensor | None, var: Tensor | None) -> None:
        """Refuse what cannot be normalized, before anything has changed."""
        channels = x.shape[self.channel_dim]
        expected = self.num_features if mean is None else mean.shape[0]
        if expected != channels:
            raise ShapeError(
                f"expected {expected} channels on axis {self.channel_dim}, got x of shape {tuple(x.shape)}; "
                f"give x that many channels or make the layer with num_features={channels}"
            )
        if mean is not None and var is not None and mean.shape != var.shape:
            raise ShapeError(
                "running_mean and running_var must have one shape, a value per channel, got "
                f"{tuple(mean.shape)} and {tuple(var.shape)}"
            )
        if self.training and not self.eps > 0:
            raise InvalidArgumentError(
                f"eps must be positive when training, got {self.eps}; it is added to the variance, try 1e-5"
            )
        if x.numel() == channels and not self._uses_running_statistics(x, mean):
            raise ShapeError(self._single_value(x))

    def _single_value(self, x: Tensor) -> str:
        """The sentence for a single value per channel."""
        got = f"got x of shape {tuple(x.shape)}: a single value has no variance; use a larger batch"
        if self.running_mean is None:
            return (
                f"expected more than one value per channel where there are no running statistics, {got}, or make the "
                "layer with track_running_stats=True and call eval()"
            )
        return (
            f"expected more than one value per channel when training, {got}, drop the last one (drop_last=True), call "
            "eval() first, or make the layer with small_batch='running', which then takes the running statistics"
        )

    def extra_repr(self) -> str:
        """The options, those of torch's layer first."""
        text = str(super().extra_repr())  # type: ignore[no-untyped-call]
        if self.affine and self.bias is None and "bias=" not in text:
            text += ", bias=False"
        defaults = {"activation": None, "channel_dim": 1, "small_batch": "error"}
        given = {name: getattr(self, name) for name in defaults}
        return text + "".join(f", {name}={value!r}" for name, value in given.items() if value != defaults[name])


def _members(layer: Layer) -> tuple[Tensor | None, Tensor | None, Tensor | None, Tensor | None]:
    """Weight, bias, running mean and running variance; from the dictionaries, as attributes of modules are slow."""
    parameters, buffers = layer._parameters, layer._buffers
    try:
        if not is_traced():  # which has to see attributes
            return parameters["weight"], parameters["bias"], buffers["running_mean"], buffers["running_var"]
    except KeyError:  # one is computed from others (torch.nn.utils.parametrize)
        pass
    return layer.weight, layer.bias, layer.running_mean, layer.running_var


def _both(mean: Tensor | None, var: Tensor | None) -> tuple[Tensor, Tensor]:
    if mean is None or var is None:
        raise InvalidArgumentError(
            "running_mean and running_var must both be tensors or both be None, got running_var=None; set both, or "
            "make the layer with track_running_stats=False"
        )
    return mean, var
