"""Converting batch normalizations: torch's layers to ours, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from normwise.errors import InvalidArgumentError, SurgeryError, choice
from normwise.nn.kinds import is_batch_norm
from normwise.surgery import compiled, walk
from normwise.surgery import optimizer as optimizers
from normwise.surgery.change import Change, Surgery, in_order
from normwise.surgery.converting import check, fusion, twins
from normwise.surgery.converting.fusion import Fusion
from normwise.surgery.converting.paths import Paths
from normwise.surgery.converting.to_torch import to_torch
from normwise.surgery.sites import census
from normwise.surgery.skip import Skip, skipped

TARGETS = ("normwise", "torch")


def convert(
    model: nn.Module,
    to: str,
    *,
    fuse: bool = False,
    skip: Skip = (),
    example: Any = None,
    optimizer: torch.optim.Optimizer | None = None,
    inplace: bool = False,
) -> Surgery:
    """Make normwise's layers of torch's batch normalizations, or the other way round.

    The network computes what it did, in training and in evaluation, and trains as it did. Each layer stays the object
    that it is, in all its places, and changes its class: parameters, buffers, options, mode, hooks and attributes stay,
    and so do state-dict keys. To normwise and back is the identity.

    ``fuse`` lets a layer also do the activation that follows it (``normwise.ops.ACTIVATIONS``: a module, a function or
    a method), and the addition between the two: activation(BN(x) + residual). That needs a layer whose output nothing
    else takes. Where the activation is a module that the same part of the network calls, the layer gets ``activation=``
    and that module becomes an ``nn.Identity``, so the network keeps its class. Functions, additions, and modules that
    serve other places too or are called by another part, take another forward: the result is then a
    ``torch.fx.GraphModule`` with the network's modules, names and state-dict keys, but without its other methods. Parts
    with such a layer inside refuse to be called by themselves, hooks that are registered later on parts into which the
    trace looks never run, and numbers and flags that forward reads from Python stay what they are now. That needs a
    forward without optional arguments that makes the same calls in training and in evaluation, with gradients and
    without. An addition needs an ``example`` too, with more than one example and position, because a residual is not
    broadcast.

    What forward does is followed in training and in evaluation, with gradients and without, and, as by ``fold``, in all
    the ways that arguments which the example leaves out allow (without an example all that are optional); a layer is
    fused where all of them agree. A forward that asks for the class of an input, or what else a trace cannot know, is
    taken as one that cannot be traced.

    To torch, an activation that a layer does becomes a module of its own: in the ``nn.Identity`` that always follows
    the layer, where there is one, else the layer becomes ``Sequential(norm, activation)``, whose state-dict keys have
    one more part (``Surgery.renamed`` has them).

    Left alone and listed with the reason: subclasses, which may do something else, ``SyncBatchNorm`` among them; lazy
    layers that have seen no batch; and, to torch, a layer with an option that torch's has not (``channel_dim``,
    ``small_batch``) or that is called with a residual or a mask. Of a ``FrozenBatchNorm`` the layer in it is converted,
    and it stays frozen. Where the network cannot be traced, a ``Sequential`` is taken to run whole, and a residual or
    mask is not seen.

    Args:
        model: the network. It is not modified unless ``inplace``.
        to: ``"normwise"`` or ``"torch"``.
        fuse: only to normwise; layers that are normwise's already are fused too.
        skip: dotted names (what is inside is skipped too), or ``skip(name, module)``.
        example: an input on which the outputs are compared, in training and in evaluation; a tuple or list is passed as
            arguments, a dict as keywords. In training it needs two values per channel or more.
        optimizer: follows the network, in place, with the state of every parameter: from then on it trains the network
            that is returned.
        inplace: change ``model`` itself, once a copy has passed the check on an example; parameters stay the same
            objects. Its forward cannot be replaced then.

    Returns:
        The network, in which modules that were shared are shared, and what was changed or left alone.

    Raises:
        InvalidArgumentError: (a ValueError) ``model`` is no network, ``to`` does not exist, or ``fuse`` to torch.
        SurgeryError: (a ValueError) there is nothing to convert or to fuse, ``skip`` names nothing, the network is
            compiled or scripted, it does not run on the example, or its outputs on it would change; or the optimizer
            does not train it.
    """
    if to not in TARGETS:
        raise InvalidArgumentError(choice(str(to), TARGETS, "target of convert"))
    if fuse and to != "normwise":
        raise InvalidArgumentError("fuse=True needs to='normwise': torch's layers have no activation to fuse")
    compiled.refuse(model, "convert")
    if optimizer is not None:
        optimizers.check(optimizer, model)
    network = model if inplace and example is None else walk.duplicate(model)
    surgery = _converted(network, to, fuse, skip, example, inplace)
    if example is not None:
        check.same_outputs(model, surgery.model, example, "convert")
        surgery = _converted(model, to, fuse, skip, example, inplace) if inplace else surgery
    if optimizer is not None:
        replaced = dict(zip(model.parameters(), surgery.model.parameters(), strict=True))
        optimizers.follow(optimizer, surgery.model, replaced=replaced)
    return surgery


def _converted(network: nn.Module, to: str, fuse: bool, skip: Skip, example: Any, inplace: bool) -> Surgery:
    """Convert in place, but for a forward that must be replaced; all that can fail comes first."""
    out = skipped(network, skip)
    names = {layer: name for name, layer in walk.find(network, is_batch_norm) if layer not in out}
    paths = Paths(network, out, example)
    problems = {layer: twins.obstacle(layer, to, paths) for layer in names if twins.belongs(layer) != to}
    fusions: dict[nn.Module, Fusion] = {}
    if fuse:
        can = {layer: problems.get(layer, "") or twins.subclass_obstacle(layer) for layer in names}
        fusions = fusion.plan(paths, can, example, inplace)
    if all(problems.values()) and not any(each.activation for each in fusions.values()):
        raise SurgeryError(_nothing(network, to, fuse, names, problems, fusions))
    if to == "torch":
        return to_torch(network, names, problems, paths)
    before = {layer: twins.described(layer) for layer in names}
    for layer, problem in problems.items():
        if not problem:
            twins.become_normwise(layer)
    changes = _idle(network, names, fusions)
    changed = fusion.apply(network, paths, fusions)
    for layer in names:
        changes += _change(names[layer], before[layer], layer, problems.get(layer), fusions.get(layer))
    return Surgery(changed, in_order(changed, changes) + _replaced(network, changed))


def _change(name: str, before: str, layer: nn.Module, problem: str | None, fused: Fusion | None) -> list[Change]:
    """What became of one layer; nothing to say of one that was to stay as it is."""
    if problem:
        return [Change(name, before, before, f"left alone: {problem}")]
    why = [] if problem is None else [twins.SAME]
    if fused is not None and fused.activation:
        added = " and the addition before it" if any(match.addition for match in fused.matches) else ""
        why.append(f"does {fused.activation}{added} too")
    elif fused is not None:
        why.append(f"not fused: {fused.problem}")
    return [Change(name, before, twins.described(layer), "; ".join(why))] if why else []


def _idle(network: nn.Module, names: Mapping[nn.Module, str], fusions: Mapping[nn.Module, Fusion]) -> list[Change]:
    """The activation modules that become identities."""
    layers: dict[nn.Module, list[str]] = {}
    for layer, fused in fusions.items():
        for module in fused.modules:
            layers.setdefault(module, []).append(names[layer])
    return [
        Change(name, type(module).__name__, "Identity", f"done by {', '.join(layers[module])}")
        for name, module in walk.find(network, layers.__contains__)
    ]


def _replaced(network: nn.Module, changed: nn.Module) -> list[Change]:
    if changed is network:
        return []
    why = "its forward is a traced graph with the same modules and names; its other methods are gone"
    return [Change("", type(network).__name__, "GraphModule", why)]


def _nothing(
    network: nn.Module,
    to: str,
    fuse: bool,
    names: Mapping[nn.Module, str],
    problems: Mapping[nn.Module, str],
    fusions: Mapping[nn.Module, Fusion],
) -> str:
    wanted = "torch's" if to == "normwise" else "normwise's"
    reasons = dict(problems) | {layer: f"not fused: {each.problem}" for layer, each in fusions.items() if each.problem}
    found = [f"{names[layer] or 'the network itself'}: {why}" for layer, why in reasons.items()]
    also = ", or any that an activation follows," if fuse else ""
    return (
        f"nothing to convert to {to} in {type(network).__name__}: looked for batch normalizations of {wanted}{also} "
        f"that are not skipped; found {'; '.join(found) or 'none'} (normalizations in the network: {census(network)})"
    )
