"""A layer that whitens: batch normalization that also takes the correlations between features away."""

from __future__ import annotations

import math
from contextlib import nullcontext
from numbers import Integral
from typing import Any

import torch
from torch import Tensor, nn

from normwise import moments
from normwise.errors import InvalidArgumentError, ShapeError, TensorError, choice
from normwise.nn import fx, options, statistics
from normwise.ops import whitening

METHODS = ("newton", "zca")


class Whitening(nn.Module):
    """Whitening of (N, C), (N, C, L) or (N, C, H, W): mean 0 and covariance I in each group of features.

        y = γ·Σ^(−1/2)(x − μ) + β      Σ = cov(x) + ε·I

    The C features are split into ``groups`` of D = C/groups neighbors; μ is (D,) and Σ is (D, D) for each of them, γ
    (``weight``) and β (``bias``) are (C,). x and y have one shape. With ``groups=num_features`` this is batch
    normalization; with 1, the default, all features are whitened together.

    ``method`` says how Σ^(−1/2) is found:

    * ``"newton"``: by T = ``iterations`` steps of Newton's method on Σ_N = Σ/tr Σ, of matrix products alone:
      P₀ = I, P_{k+1} = ½·(3·P_k − P_k³·Σ_N), Σ^(−1/2) ≈ P_T/√(tr Σ). The covariance of y comes near I with more steps;
      directions in which x varies least come last. The authors take T = 5 and groups of 64 features.
    * ``"zca"``: exactly, by eigendecomposition. Of all whitening matrices it changes x the least, and unlike PCA it
      does not swap axes from batch to batch. Its gradient has no gradient, and ``torch.func`` does not take it.

    Time grows with C·D² for the matrix and with M·C·D for the products with M values per feature; batch normalization
    takes M·C.

    **Training.** μ and cov(x) are the mean and the biased covariance over the batch: over N, and L, or H and W. Then,
    with M values per feature, the running statistics that evaluation uses are updated:

        running_mean ← (1 − momentum)·running_mean + momentum·μ
        running_cov  ← (1 − momentum)·running_cov  + momentum·cov(x)·M/(M − 1)

    The covariance is averaged and not Σ^(−1/2), as the authors' code does: the average of inverse roots of noisy
    covariances is larger than the inverse root of their average. A group whose moments are not finite keeps its
    statistics, and its output is what the formula says, nan. Within a backward, where ``torch.utils.checkpoint``
    recomputes a forward, and within ``normwise.suspend_statistics`` nothing is updated.

    With M ≤ D the covariance of a batch has no inverse: ε decides what its missing directions become, and evaluation
    differs much from training. Take several times more values than features in a group.

    **Evaluation.** μ and Σ are made of ``running_mean`` and ``running_cov``, or, with ``track_running_stats=False``, of
    the batch, as in training.

    Args:
        num_features: C, the size of axis 1.
        groups: into how many groups the features are split; a divisor of C.
        method: ``"newton"`` or ``"zca"``.
        iterations: T, of Newton's method.
        eps: ε, added to the variances.
        momentum: the weight of the newest batch in the running statistics, from 0 to 1.
        affine: whether there are γ and β to learn.
        track_running_stats: whether there are running statistics.
        device: where parameters and buffers live.
        dtype: the type of parameters and statistics. Covariances are computed in float32 for float16 and bfloat16
            inputs, and within autocast.

    Attributes:
        running_mean: (C,), 0 at first; None where there are no running statistics.
        running_cov: (groups, D, D), I at first; None likewise.

    Raises:
        ShapeError: (a ValueError and a RuntimeError) when called on a batch with fewer than two values per feature
            where the batch's moments are needed, or on a tensor of another number of features or axes.
        TensorError: (a ValueError and a RuntimeError) when called on an x that is not floating-point.
        InvalidArgumentError: (a ValueError) when constructed: ``groups`` does not divide C, ``method`` is unknown, or a
            number is out of range.

    Source: Huang et al. 2019, "Iterative Normalization: Beyond Standardization towards Efficient Whitening",
    arXiv:1904.03441, algorithm 1; for ``"zca"``: Huang et al. 2018, "Decorrelated Batch Normalization",
    arXiv:1804.08450.
    """

    running_mean: Tensor | None
    running_cov: Tensor | None

    def __init__(
        self,
        num_features: int,
        *,
        groups: int = 1,
        method: str = "newton",
        iterations: int = 5,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        _check(num_features, groups, method, iterations, eps, momentum)
        self.num_features, self.groups, self.method = num_features, groups, method
        self.iterations, self.eps, self.momentum = iterations, eps, float(momentum)
        self.affine, self.track_running_stats = affine, track_running_stats
        where = {"device": device, "dtype": dtype}
        self.weight = nn.Parameter(torch.ones(num_features, **where)) if affine else None
        self.bias = nn.Parameter(torch.zeros(num_features, **where)) if affine else None
        mean = torch.zeros(num_features, **where) if track_running_stats else None
        unit = torch.eye(num_features // groups, **where).repeat(groups, 1, 1) if track_running_stats else None
        self.register_buffer("running_mean", mean)
        self.register_buffer("running_cov", unit)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - as torch calls it
        """Whiten ``input``; see the class."""
        x = input
        call = fx.recorded(self, x)
        if call is not None:
            return call
        values = math.prod(x.shape) // max(1, x.shape[1]) if x.ndim > 1 else 0
        batch = self.training or self.running_mean is None
        self._check_input(x, values, batch)
        with nullcontext() if x.is_meta else torch.autocast(x.device.type, enabled=False):
            wide = x.to(moments.moments_dtype(x.dtype))
            y = self._whitened(wide.transpose(0, 1).reshape(self.groups, x.shape[1] // self.groups, values), batch)
            y = y.reshape(x.shape[1], x.shape[0], *x.shape[2:])
            if self.weight is not None and self.bias is not None:
                per_feature = (-1, *[1] * (x.ndim - 1))
                y = torch.addcmul(self.bias.reshape(per_feature), self.weight.reshape(per_feature), y)
            return y.transpose(0, 1).to(x.dtype)

    def _whitened(self, x_GDM: Tensor, batch: bool) -> Tensor:
        if batch:
            deviation, mean = whitening.centered(x_GDM)
            cov = whitening.covariance(deviation)
            if statistics.should_update(self):
                self._update(mean.detach().flatten(), cov.detach(), x_GDM.shape[2])
        else:
            assert self.running_mean is not None
            assert self.running_cov is not None
            deviation = x_GDM - self.running_mean.to(x_GDM.dtype).reshape(self.groups, -1, 1)
            cov = self.running_cov.to(x_GDM.dtype)
        cov = cov + self.eps * torch.eye(cov.shape[1], dtype=cov.dtype, device=cov.device)
        root = whitening.zca(cov) if self.method == "zca" else whitening.newton(cov, self.iterations)
        return root @ deviation

    @torch.no_grad()
    def _update(self, mean: Tensor, cov: Tensor, values: int) -> None:
        assert self.running_mean is not None
        assert self.running_cov is not None
        finite = cov.isfinite().all(2).all(1) & mean.reshape(self.groups, -1).isfinite().all(1)
        each = finite.repeat_interleave(self.num_features // self.groups)
        pairs = (
            (self.running_mean, mean, each),
            (self.running_cov, cov * values / (values - 1), finite[:, None, None]),
        )
        for running, value, there in pairs:
            new = moments.running(running.to(value.dtype), value, self.momentum)
            running.copy_(torch.where(there, new, running))

    def _check_input(self, x: Tensor, values: int, batch: bool) -> None:
        if x.ndim not in (2, 3, 4) or x.shape[1] != self.num_features:
            raise ShapeError(
                f"expected x of shape (N, {self.num_features}), (N, {self.num_features}, L) or "
                f"(N, {self.num_features}, H, W), got {tuple(x.shape)}"
            )
        if not x.is_floating_point():
            raise TensorError(f"x must be floating-point, got {x.dtype}; convert it: x.float()")
        if batch and values < 2:
            raise ShapeError(
                f"expected more than one value per feature where the batch's covariance is needed, got x of shape "
                f"{tuple(x.shape)}; use a larger batch, drop the last one (drop_last=True) or call eval() first"
            )

    def extra_repr(self) -> str:
        """The options."""
        said = f"{self.num_features}, groups={self.groups}, method={self.method!r}"
        said += f", iterations={self.iterations}" if self.method == "newton" else ""
        said += f", eps={self.eps}, momentum={self.momentum}, affine={self.affine}"
        return f"{said}, track_running_stats={self.track_running_stats}"


def _check(num_features: int, groups: int, method: str, iterations: int, eps: float, momentum: float | None) -> None:
    for name, value in (("num_features", num_features), ("groups", groups), ("iterations", iterations)):
        if not isinstance(value, Integral):
            raise InvalidArgumentError(f"{name} must be a whole number, got {value!r}; give 1 or more")
    if groups < 1 or num_features < 1 or num_features % groups:
        raise InvalidArgumentError(
            f"groups must divide num_features, got groups={groups} and num_features={num_features}; give a divisor, "
            "num_features/64 for groups of 64"
        )
    if method not in METHODS:
        raise InvalidArgumentError(choice(str(method), METHODS, "method"))
    if iterations < 1:
        raise InvalidArgumentError(f"iterations must be 1 or more, got {iterations}; the authors take 5")
    if not 0 < eps < math.inf:
        raise InvalidArgumentError(
            f"eps must be positive and finite, got {eps}; it is added to the variances, try 1e-5"
        )
    if momentum is None or options.check_momentum(momentum) is None:
        raise InvalidArgumentError("momentum must be a number between 0 and 1, got None")
