"""Batch normalization over time: statistics of their own for each step of a sequence."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from normwise import moments, ops
from normwise.errors import InvalidArgumentError, ShapeError
from normwise.nn import options, statistics
from normwise.ops.batch_norm.op import evaluated, transformed


class RecurrentBatchNorm(nn.Module):
    """Batch normalization whose moments belong to one step of a sequence each, and whose γ and β belong to all.

        y = activation(γ·(x − μ_t)/√(σ²_t + ε) + β + residual)

    γ (``weight``) and β (``bias``) have shape (C,). Called as ``layer(x, step=0, residual=None)`` with x of shape
    (N, C), which is step t = ``step``, or (T, N, C), which is the steps t = ``step``, …, ``step`` + T − 1; residual and
    y have the shape of x.

    **Training.** μ_t and σ²_t of shape (C,) are the mean and the biased variance over the N examples at step t. Then
    row k = min(t, max_length − 1) of the running statistics, which are of shape (max_length, C), is updated:

        running_mean[k] ← (1 − momentum)·running_mean[k] + momentum·μ_t
        running_var[k]  ← (1 − momentum)·running_var[k]  + momentum·σ²_t·N/(N − 1)

    so that the last row sees every step from its own on, one after another. ``momentum=None`` means
    1/num_batches_tracked[k], the plain average over batches. Nothing is updated by an empty batch, by a step at which
    some moment is not finite, or by a forward within ``torch.func`` transforms or a backward (of a checkpoint).

    **Evaluation.** μ_t and σ²_t are row min(t, max_length − 1) of the running statistics, constants for the gradient.

    ``normwise.suspend_statistics`` suspends these too; ``pooled_statistics``, ``estimate_population`` and ``freeze``
    leave them alone. For population statistics, as in the paper, set ``momentum`` to None, call
    ``reset_running_stats()`` and pass training batches through the network in training mode.

    Args:
        num_features: C.
        max_length: how many steps have statistics of their own: the length of the longest sequence in training.
        eps: ε, added to the variance.
        momentum: the weight of the newest batch in the running statistics, from 0 to 1, or None.
        gamma: what γ starts at. With 1, the paper says, gradients vanish in the saturated part of tanh.
        bias: whether there is a β, which starts at 0.
        activation: what follows, for example ``"tanh"``, or None.
        device: where parameters and buffers live.
        dtype: the type of parameters and statistics.

    Raises:
        InvalidArgumentError: when made with a ``num_features`` or ``max_length`` below 1 or a momentum that is no
            weight; when called with a negative ``step``.
        ShapeError: when called on another shape, or in training with N = 1, which has no variance.

    Source: Cooijmans, Ballas, Laurent, Gülçehre & Courville 2016, "Recurrent Batch Normalization", arXiv:1603.09025,
    sections 3 and 4; the update of the last row by later steps is ours.
    """

    weight: nn.Parameter
    bias: nn.Parameter | None
    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(
        self,
        num_features: int,
        max_length: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        *,
        gamma: float = 0.1,
        bias: bool = True,
        activation: str | None = None,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        for name, value in (("num_features", num_features), ("max_length", max_length)):
            if value < 1:
                raise InvalidArgumentError(f"{name} must be 1 or more, got {value}")
        super().__init__()
        self.num_features, self.max_length, self.eps, self.gamma = num_features, max_length, eps, gamma
        self.momentum, self.track_running_stats = options.check_momentum(momentum), True
        options.warn_of_momentum(self.momentum, stacklevel=2)
        self.activation = None if activation is None else str(ops.activation(activation))
        where = {"device": device, "dtype": dtype}
        self.weight = nn.Parameter(torch.empty(num_features, **where))
        self.register_parameter("bias", nn.Parameter(torch.empty(num_features, **where)) if bias else None)
        self.register_buffer("running_mean", torch.empty(max_length, num_features, **where))
        self.register_buffer("running_var", torch.empty(max_length, num_features, **where))
        self.register_buffer("num_batches_tracked", torch.empty(max_length, dtype=torch.int64, device=device))
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Reset the statistics of every step: mean 0, variance 1, no batch seen."""
        self.running_mean.zero_()
        self.running_var.fill_(1)
        self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        """Reset the statistics, γ to ``gamma`` and β to 0."""
        self.reset_running_stats()
        nn.init.constant_(self.weight, self.gamma)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x: Tensor, step: int = 0, residual: Tensor | None = None) -> Tensor:
        """Normalize x, which is step ``step`` or begins there; see the class."""
        y, stats = self.normalized(x, step, residual)
        self.update(stats, step)
        return y

    def normalized(self, x: Tensor, step: int = 0, residual: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """What ``forward`` returns, and what ``update`` is to be given; the running statistics stay as they are.

        Returns:
            y, and in training the batch's statistics of each step, (4, T, C), T = 1 for x of (N, C).
        """
        self._check(x, step)
        if not self.training:
            return self._evaluated(x, step, residual), None
        steps = len(x) if x.ndim == 3 else 1
        rows = x.flatten(0, -2)
        added = None if residual is None else residual.flatten(0, -2)
        y, stats, _ = transformed(
            rows, self.weight, self.bias, added, None, self.eps, self.activation, channel_dim=1, groups=steps
        )
        return y.reshape(x.shape), stats.detach().reshape(4, steps, -1)

    @torch.no_grad()
    def update(self, stats: Tensor | None, step: int = 0) -> None:
        """Update the running statistics with what ``normalized`` returned; None, as in evaluation, changes nothing."""
        if stats is None or not statistics.should_update(self):
            return
        own = max(0, min(stats.shape[1], self.max_length - step))  # steps with a row of their own
        if own:
            self._update_rows(slice(step, step + own), stats[:, :own])
        for later in range(own, stats.shape[1]):
            self._update_rows(slice(self.max_length - 1, self.max_length), stats[:, later : later + 1])

    def _update_rows(self, rows: slice, stats: Tensor) -> None:
        mean, var, _, count = stats.unbind()
        batches = self.num_batches_tracked[rows]
        counts = (moments.are_finite(mean, var) & (count > 1)).all(-1)
        batches.add_(counts)
        momentum: float | Tensor | None = self.momentum
        if momentum is None:
            momentum = moments.cumulative_momentum(batches, mean.dtype).unsqueeze(-1)
        pairs = ((self.running_mean[rows], mean), (self.running_var[rows], moments.unbiased(var, count)))
        for running, value in pairs:
            new = moments.running(running.to(value.dtype), value, momentum)
            running.copy_(torch.where(counts.unsqueeze(-1), new, running))

    def _evaluated(self, x: Tensor, step: int, residual: Tensor | None) -> Tensor:
        last = self.max_length - 1
        if x.ndim == 2:
            row = min(step, last)
            mean, var = self.running_mean[row], self.running_var[row]
            return evaluated(x, mean, var, self.weight, self.bias, residual, None, self.eps, self.activation, 1)
        steps, examples, features = x.shape  # every feature of every step becomes a channel
        rows = torch.arange(step, step + steps, device=x.device).clamp_(max=last)
        mean, var = self.running_mean[rows].flatten(), self.running_var[rows].flatten()
        weight, bias = (None if one is None else one.repeat(steps) for one in (self.weight, self.bias))
        wide, added = (
            None if one is None else one.transpose(0, 1).reshape(examples, steps * features) for one in (x, residual)
        )
        assert wide is not None
        y = evaluated(wide, mean, var, weight, bias, added, None, self.eps, self.activation, 1)
        return y.reshape(examples, steps, features).transpose(0, 1)

    def _check(self, x: Tensor, step: int) -> None:
        if x.ndim not in (2, 3) or x.shape[-1] != self.num_features:
            raise ShapeError(
                f"expected x of shape (N, {self.num_features}) or (T, N, {self.num_features}), got {tuple(x.shape)}; "
                "put time first and features last"
            )
        if step < 0:
            raise InvalidArgumentError(f"step must be 0 or more, got {step}; the first step of a sequence is 0")
        if self.training and x.ndim == 3 and not len(x):
            raise ShapeError(f"expected at least one step when training, got x of shape {tuple(x.shape)} as (T, N, C)")
        if self.training and x.shape[-2] == 1:
            raise ShapeError(
                f"expected two examples or more when training, got x of shape {tuple(x.shape)}: a single value has no "
                "variance; use a larger batch, drop the last one (drop_last=True), or call eval() first"
            )

    def extra_repr(self) -> str:
        """The options."""
        text = f"{self.num_features}, max_length={self.max_length}, eps={self.eps}, momentum={self.momentum}"
        text += f", gamma={self.gamma}" + (", bias=False" if self.bias is None else "")
        return text + (f", activation={self.activation!r}" if self.activation else "")
