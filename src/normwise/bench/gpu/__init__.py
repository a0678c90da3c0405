"""The benchmark on a GPU: the cases, contenders and checks of ``normwise.bench``, with a clock and tables of its own.

It runs on a CPU too, where it is tested. Nothing here needs more than torch, NumPy and, on a GPU, Triton.
"""
