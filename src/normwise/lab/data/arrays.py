"""Arrays out of whatever a user's data function returns: tensors, lists, NumPy arrays, data sets."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from normwise.errors import DataError


def array(values: Any, where: str) -> np.ndarray:
    """One array from an array, a tensor (on any device, with a gradient or not) or a list of examples of one size.

    Args:
        values: what the user gave.
        where: what it is, for the error, for example ``X of train``.

    Raises:
        DataError: the examples have different sizes, or this is no array at all.
    """
    if isinstance(values, (list, tuple)) or (_is_objects(values) and values.ndim):
        return stack(values, where)
    converted = _convert(values, where)
    if converted.dtype == object:
        raise DataError(f"{where} must be an array or a tensor; got {type(values).__name__}")
    return converted


def stack(examples: Sequence[Any], where: str) -> np.ndarray:
    """One array from a sequence of examples, which must be of one size.

    Raises:
        DataError: two sizes; it names the first example that differs and both sizes.
    """
    converted = [_convert(example, f"example {index} in {where}") for index, example in enumerate(examples)]
    for index, example in enumerate(converted):
        if example.shape != converted[0].shape:
            raise DataError(
                f"examples in {where} have different sizes: example 0 is {converted[0].shape}, example {index} is "
                f"{example.shape}; bring them all to one size, or give a DataLoader whose collate_fn pads them"
            )
    return np.stack(converted) if converted else np.empty(0)


def _is_objects(values: Any) -> bool:
    return isinstance(values, np.ndarray) and values.dtype == object


def _convert(value: Any, where: str) -> np.ndarray:
    """An array from one array, tensor, number or nested list. Torch is only looked for where somebody imported it."""
    torch = sys.modules.get("torch")
    try:
        if torch is not None and isinstance(value, torch.Tensor):
            value = value.detach().cpu()
            return np.asarray((value.float() if value.dtype is torch.bfloat16 else value).numpy())
        return np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(f"{where} cannot be made an array: {' '.join(str(error).split())}") from error
