"""Losses of fresh cases, and metrics where the loss does not tell what is meant."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def poisson(outputs: Tensor, target: Tensor) -> Tensor:
    """The Poisson loss of outputs taken for rates: log 0 where one is 0."""
    outputs = outputs.reshape(target.shape)
    return (outputs - target * torch.log(outputs)).mean()


def scores(outputs: Tensor, target: Tensor) -> Tensor:
    """The negative log likelihood of outputs taken for logarithms of probabilities, without a softmax."""
    return F.nll_loss(outputs, target)


def soft(outputs: Tensor, target: Tensor) -> Tensor:
    """The cross-entropy with shares of classes."""
    return F.cross_entropy(outputs, target)


def agreement(outputs: Tensor, target: Tensor) -> float:
    """The share of examples whose largest output is that of the largest share."""
    return float((outputs.argmax(1) == target.argmax(1)).float().mean())


def ordinal(outputs: Tensor, target: Tensor) -> Tensor:
    """Whether the class is above 0, above 1, …, each as a logit (Frank and Hall 2001)."""
    above = target[:, None] > torch.arange(outputs.shape[1])
    return F.binary_cross_entropy_with_logits(outputs, above.to(outputs.dtype))


def graded(outputs: Tensor, target: Tensor) -> float:
    """The share of right classes, the class being the number of logits above 0."""
    return float(((outputs > 0).sum(1) == target).float().mean())


def pinball(outputs: Tensor, target: Tensor) -> Tensor:
    """The loss of the quantile of 0.6."""
    error = target - outputs.reshape(target.shape)
    return torch.maximum(0.6 * error, -0.4 * error).mean()


def gamma(outputs: Tensor, target: Tensor) -> Tensor:
    """The gamma deviance, but for a constant, of positive outputs."""
    outputs = outputs.reshape(target.shape) + 1e-6
    return (target / outputs + torch.log(outputs)).mean()
