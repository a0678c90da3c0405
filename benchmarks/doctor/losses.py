"""Losses that published cases use in the place of the usual one, and a metric."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

SMALLEST = 1e-7


def one_hot_mse(outputs: Tensor, target: Tensor) -> Tensor:
    """The squared error of classes as vectors of 0 and 1."""
    return F.mse_loss(outputs, F.one_hot(target, outputs.shape[1]).to(outputs.dtype))


def probabilities(outputs: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of outputs taken for probabilities: divided by their sum and clipped, as Keras does."""
    share = outputs / outputs.sum(1, keepdim=True).clamp(min=SMALLEST)
    return F.nll_loss(torch.log(share.clamp(SMALLEST, 1 - SMALLEST)), target)


def binary(outputs: Tensor, target: Tensor) -> Tensor:
    """Binary cross-entropy of outputs taken for probabilities, clipped."""
    return F.binary_cross_entropy(outputs.clamp(SMALLEST, 1 - SMALLEST), target.reshape(outputs.shape))


def explained(outputs: Tensor, target: Tensor) -> float:
    """The share of the variance of all targets that outputs explain, as a metric."""
    wrong = (outputs.reshape(target.shape) - target).square().sum()
    return 1 - float(wrong / (target - target.mean(0)).square().sum())


def absolute(outputs: Tensor, target: Tensor) -> Tensor:
    """The mean absolute error of an output between 0 and 1."""
    return F.l1_loss(outputs, target.reshape(outputs.shape))


def squared(outputs: Tensor, target: Tensor) -> Tensor:
    """The squared error of an output between 0 and 1."""
    return F.mse_loss(outputs, target.reshape(outputs.shape))
