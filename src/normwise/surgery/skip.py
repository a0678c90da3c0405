"""Which modules of a network a surgery leaves out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import nn

from normwise.errors import SurgeryError, choice

Skip = Sequence[str] | Callable[[str, nn.Module], bool]
"""Dotted names, each with everything inside, or ``skip(name, module)``."""


def skipper(network: nn.Module, skip: Skip) -> Callable[[str, nn.Module], bool]:
    """The predicate ``wanted(name, module)`` that ``skip`` stands for.

    Raises:
        SurgeryError: ``skip`` names nothing.
    """
    return skip if callable(skip) else _inside(network, [skip] if isinstance(skip, str) else skip)


def skipped(network: nn.Module, skip: Skip) -> set[nn.Module]:
    """The modules to skip; one with several names is, where one of them is.

    Raises:
        SurgeryError: ``skip`` names nothing.
    """
    wanted = skipper(network, skip)
    return {module for name, module in network.named_modules(remove_duplicate=False) if wanted(name, module)}


def _inside(network: nn.Module, outer: Sequence[str]) -> Callable[[str, nn.Module], bool]:
    names = {name for name, _ in network.named_modules(remove_duplicate=False)} - {""}
    for name in outer:
        if name not in names:
            raise SurgeryError(f"skip: {choice(name, names, 'module')}")
    return lambda name, module: any(f"{name}.".startswith(f"{prefix}.") for prefix in outer)
