"""Layers with PyTorch's names, signatures and state, and more to ask of them."""

from normwise.nn.batch_norm import BatchNorm1d, BatchNorm2d, BatchNorm3d
from normwise.nn.contexts import pooled_statistics, suspend_statistics
from normwise.nn.frozen import FrozenBatchNorm
from normwise.nn.lstm import BatchNormLSTM
from normwise.nn.recurrent import RecurrentBatchNorm
from normwise.nn.whitening import Whitening

__all__ = [
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "BatchNormLSTM",
    "FrozenBatchNorm",
    "RecurrentBatchNorm",
    "Whitening",
    "pooled_statistics",
    "suspend_statistics",
]
