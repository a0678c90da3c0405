"""Whitening: the inverse square root of a covariance, and the covariance itself.

Shapes: G groups, D features of a group, M values of a feature.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def centered(x_GDM: Tensor) -> tuple[Tensor, Tensor]:
    """Values minus their mean, and the mean (G, D, 1).

    The mean is subtracted twice, the second time from values near 0, so that a large mean costs no digits. The gradient
    flows through the second, which is enough: what is left does not depend on the first.
    """
    first = x_GDM.detach().mean(2, keepdim=True)
    shifted = x_GDM - first
    second = shifted.mean(2, keepdim=True)
    return shifted - second, first + second


def covariance(centered_GDM: Tensor) -> Tensor:
    """The biased covariance Σ_m x_m·x_mᵀ/M of centered values, (G, D, D)."""
    return centered_GDM @ centered_GDM.mT / centered_GDM.shape[2]


def newton(cov_GDD: Tensor, iterations: int) -> Tensor:
    """About Σ^(−1/2), by Newton's iteration on Σ_N = Σ/tr Σ, whose eigenvalues lie between 0 and 1.

        P₀ = I      P_{k+1} = ½·(3·P_k − P_k³·Σ_N)      Σ^(−1/2) ≈ P_T/√(tr Σ)

    An eigenvalue of Σ_N below about (4/9)^T is not reached in T iterations, and its direction stays too small. In this
    form rounding errors grow with further iterations, to 10³³ in twenty of them; with R_k = P_k·Σ_N carried along,

        M = ½·(3·I − P_k·R_k)      P_{k+1} = M·P_k      R_{k+1} = R_k·M

    is the same sequence with as many products, and stable. Differentiable.

    Source: Huang et al. 2019, "Iterative Normalization", arXiv:1904.03441, equations 4 to 6; Higham 2008, "Functions of
    Matrices", chapter 6, for the coupled form.
    """
    trace = cov_GDD.diagonal(dim1=1, dim2=2).sum(1)[:, None, None]
    unit = torch.eye(cov_GDD.shape[1], dtype=cov_GDD.dtype, device=cov_GDD.device)
    root, product = unit.expand_as(cov_GDD), cov_GDD / trace
    for _ in range(iterations):
        step = 1.5 * unit - 0.5 * (root @ product)
        root, product = step @ root, product @ step
    return root / trace.sqrt()


def zca(cov_GDD: Tensor) -> Tensor:
    """Σ^(−1/2) = D·Λ^(−1/2)·Dᵀ from the eigenvalues Λ and eigenvectors D of Σ; nan where Σ is not finite.

    Differentiable once, for equal eigenvalues too.

    Source: Huang et al. 2018, "Decorrelated Batch Normalization", arXiv:1804.08450, section 3.
    """
    finite = cov_GDD.isfinite().all(2, keepdim=True).all(1, keepdim=True)
    unit = torch.eye(cov_GDD.shape[1], dtype=cov_GDD.dtype, device=cov_GDD.device)
    root: Tensor = _InverseRoot.apply(torch.where(finite, cov_GDD, unit))  # type: ignore[no-untyped-call]
    return torch.where(finite, root, torch.nan)


class _InverseRoot(torch.autograd.Function):
    """Σ^(−1/2) with a gradient that divides by no difference of eigenvalues, as that of ``torch.linalg.eigh`` does.

    With s_i = √λ_i, in the basis of the eigenvectors an entry of the differential is

        (dΣ^(−1/2))_ij = (1/s_i − 1/s_j)/(λ_i − λ_j)·dΣ_ij = −dΣ_ij/(s_i·s_j·(s_i + s_j))
    """

    @staticmethod
    def forward(ctx: Any, cov_GDD: Tensor) -> Tensor:
        values, vectors = torch.linalg.eigh(cov_GDD)
        roots = values.clamp(min=torch.finfo(values.dtype).tiny).sqrt()  # rounding makes a 0 negative
        ctx.save_for_backward(roots, vectors)
        root: Tensor = vectors / roots[:, None, :] @ vectors.mT
        return root

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> Tensor:
        if torch.is_grad_enabled() and not torch.compiler.is_compiling():  # autograd.grad would leave a part out
            raise RuntimeError(
                'the gradient of Whitening(method="zca") has no gradient, and create_graph=True asks for one; '
                'take method="newton"'
            )
        roots, vectors = ctx.saved_tensors
        a, b = roots[:, :, None], roots[:, None, :]
        inner = vectors.mT @ ((upstream + upstream.mT) / 2) @ vectors
        gradient: Tensor = vectors @ (-inner / (a * b * (a + b))) @ vectors.mT
        return gradient
