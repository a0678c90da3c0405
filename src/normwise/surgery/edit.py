"""Carrying out the insertions that were planned, and saying what changed."""

from __future__ import annotations

from torch import nn

from normwise.surgery import walk
from normwise.surgery.change import Change
from normwise.surgery.features import Plan
from normwise.surgery.sites import Site

Placed = list[tuple[Plan, nn.Module]]
Names = dict[nn.Module, str]


def apply(network: nn.Module, placed: Placed, left: list[Plan], place: str) -> list[Change]:
    """Insert the layers, in place, and remove the biases that they cancel.

    Returns:
        What changed, and what was left alone and why, in the network's order.
    """
    before = _names(network)
    by_sequential: dict[nn.Sequential, dict[str, tuple[Site, nn.Module]]] = {}
    for plan, layer in placed:
        by_sequential.setdefault(plan.site.link.sequential, {})[plan.site.link.key] = (plan.site, layer)
    renamings: dict[nn.Sequential, tuple[dict[str, str], dict[str, str]]] = {}
    for sequential, added in by_sequential.items():
        renamings[sequential] = walk.insert(sequential, {key: layer for key, (_, layer) in added.items()}, place)
    now = _names(network)
    changes = [_left_alone(plan, now, renamings.get(plan.site.link.sequential, ({}, {}))[0]) for plan in left]
    for sequential, (moved, inserted) in renamings.items():
        changes += _moved(before[sequential], now[sequential], moved)
        for key, name in inserted.items():
            site, layer = by_sequential[sequential][key]
            beside = _join(now[sequential], moved[key])
            changes.append(_inserted(_join(now[sequential], name), layer, site, f"{_PART[place]} of {beside}"))
            if place == "before" and isinstance(layer, nn.modules.batchnorm._BatchNorm):
                changes += _without_bias(site, now)
    order = {name: index for index, (name, _) in enumerate(network.named_modules(remove_duplicate=False))}
    return sorted(changes, key=lambda change: order[change.name])


_PART = {"before": "input", "after": "output"}


def _names(network: nn.Module) -> Names:
    return {module: name for name, module in network.named_modules()}


def _join(prefix: str, key: str) -> str:
    return f"{prefix}.{key}" if prefix else key


def _moved(before: str, now: str, names: dict[str, str]) -> list[Change]:
    pairs = [(_join(before, old), _join(now, new)) for old, new in names.items()]
    return [Change(new, old, new, "renumbered") for old, new in pairs if old != new]


def _left_alone(plan: Plan, now: Names, moved: dict[str, str]) -> Change:
    link = plan.site.link
    kind = type(link.module).__name__
    name = _join(now[link.sequential], moved.get(link.key, link.key))
    return Change(name, kind, kind, f"left alone: {plan.problem}")


def _inserted(name: str, layer: nn.Module, site: Site, part: str) -> Change:
    why = f"normalizes the {part} ({type(site.link.module).__name__})"
    return Change(name, "", _short(layer), why)


def _short(layer: nn.Module) -> str:
    """The first line of a layer's ``repr`` without the options that have names."""
    kind, _, options = str(layer).partition("\n")[0].removesuffix(")").partition("(")
    return f"{kind}({', '.join(option for option in options.split(', ') if '=' not in option)})"


def _without_bias(site: Site, now: Names) -> list[Change]:
    """Remove the bias that batch normalization directly after it cancels, where there is one."""
    if site.linear is None or not site.direct or site.linear.module._parameters.get("bias") is None:
        return []
    linear = site.linear.module
    linear.register_parameter("bias", None)
    kind = type(linear).__name__
    why = "the mean that batch normalization subtracts cancels the bias"
    return [Change(now[linear], kind, f"{kind} without bias", why)]
