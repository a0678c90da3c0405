"""Large outputs on large pages.

New memory reaches a program one page of 4 KiB at a time, when each is first written, and for an output of tens of
megabytes that costs several times as much as computing it. Linux gives pages of 2 MiB to a program that asks for them.
"""

from __future__ import annotations

import ctypes
import functools
import os
import sys
from collections.abc import Callable

from torch import Tensor

LARGE = 4 << 20  # bytes of the smallest tensor that asks: below, allocators mostly reuse pages that they have
_HUGEPAGE = 14  # MADV_HUGEPAGE of <linux/mman.h>
_PAGE = 4096


def advise(tensor: Tensor) -> Tensor:
    """Ask for large pages for a new contiguous tensor, before anything is written to it; return it.

    Only whole pages inside the tensor are meant, so that it takes no more memory. Nothing happens on other systems,
    where Linux was told never to use large pages, or with NORMWISE_LARGE_PAGES=0.
    """
    length = tensor.numel() * tensor.element_size()
    if length >= LARGE and (ask := _madvise()) is not None:
        start = -(-tensor.data_ptr() // _PAGE) * _PAGE
        end = (tensor.data_ptr() + length) // _PAGE * _PAGE
        ask(start, end - start, _HUGEPAGE)
    return tensor


@functools.cache
def _madvise() -> Callable[[int, int, int], int] | None:
    if sys.platform != "linux" or os.environ.get("NORMWISE_LARGE_PAGES") == "0":
        return None
    function = ctypes.CDLL(None).madvise
    function.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    return function
