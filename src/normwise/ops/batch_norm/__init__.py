"""The transform y = activation(γ·(x − μ)/√(σ² + ε) + β + residual) with the batch's own moments; see README.md."""

from normwise.ops.batch_norm.op import batch_norm, normalize
from normwise.ops.batch_norm.output import BatchNormOutput

__all__ = ["BatchNormOutput", "batch_norm", "normalize"]
