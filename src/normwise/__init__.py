"""normwise makes deep networks train.

It puts batch normalization into a PyTorch network, shows what it did to training, and freezes the result for inference.
The names below are imported when they are first used, so that ``import normwise`` and ``normwise --help`` stay quick.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_HOME = {
    "BatchNorm1d": "normwise.nn",
    "BatchNorm2d": "normwise.nn",
    "BatchNorm3d": "normwise.nn",
    "FrozenBatchNorm": "normwise.nn",
    "activate": "normwise.surgery",
    "batch_normalize": "normwise.surgery",
    "convert": "normwise.surgery",
    "doctor": "normwise",
    "errors": "normwise",
    "estimate_population": "normwise.surgery",
    "examine": "normwise.doctor",
    "explain": "normwise.ops",
    "export": "normwise.surgery",
    "fold": "normwise.surgery",
    "freeze": "normwise.surgery",
    "lab": "normwise",
    "linear_output": "normwise.surgery",
    "nn": "normwise",
    "ops": "normwise",
    "pooled_statistics": "normwise.nn",
    "recompute_activations": "normwise.ops",
    "summary": "normwise.surgery",
    "surgery": "normwise",
    "suspend_statistics": "normwise.nn",
    "unfreeze": "normwise.surgery",
    "watch": "normwise.doctor",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'normwise' has no attribute {name!r}; it has {', '.join(__all__)}")
    home = _HOME[name]
    value = (
        importlib.import_module(f"{home}.{name}")
        if home == "normwise"
        else getattr(importlib.import_module(home), name)
    )
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
