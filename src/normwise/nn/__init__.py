"""Layers with PyTorch's names, signatures and state, and more to ask of them."""

from normwise.nn.batch_norm import BatchNorm1d, BatchNorm2d, BatchNorm3d

__all__ = ["BatchNorm1d", "BatchNorm2d", "BatchNorm3d"]
