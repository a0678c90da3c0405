"""Inserting normalization: lines 1 to 5 of Algorithm 2 in Ioffe & Szegedy 2015."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import torch
from torch import nn

from normwise.errors import InvalidArgumentError, SurgeryError, choice
from normwise.nn import BatchNorm1d, BatchNorm2d, BatchNorm3d
from normwise.nn.kinds import is_linear_map
from normwise.surgery import compiled, walk
from normwise.surgery import optimizer as optimizers
from normwise.surgery.change import OBSERVED, TRACED, Change, Surgery
from normwise.surgery.inserting import places, tree
from normwise.surgery.inserting.edit import apply
from normwise.surgery.inserting.features import Plan, plan
from normwise.surgery.inserting.normalized import EachPosition
from normwise.surgery.inserting.places import Place, Survey
from normwise.surgery.inserting.traced import Traced
from normwise.surgery.skip import Skip, skipper

MakeLayer = Callable[[int, int], nn.Module]


def batch_normalize(
    model: nn.Module,
    *,
    place: str = "before",
    example: Any = None,
    skip: Skip = (),
    which: Callable[[int], Collection[int]] | None = None,
    layer: MakeLayer | None = None,
    linear: Callable[[nn.Module], bool] | None = None,
    optimizer: torch.optim.Optimizer | None = None,
    no_decay: bool = False,
    inplace: bool = False,
) -> Surgery:
    """Put a batch normalization after each linear map of a network whose output reaches a nonlinearity.

    Linear maps are ``nn.Linear``, convolutions, transposed convolutions and what ``linear`` says. A normalization goes
    directly after one, so before a residual addition, where the output reaches an elementwise nonlinearity, module or
    function, through what keeps the features: additions, concatenation, dropout, pooling, changes of shape. The bias is
    removed where batch normalization directly follows, because subtracting the mean cancels it (section 3.2 of the
    paper). A nonlinearity of a ``Sequential`` that no linear map reaches is given one too.

    Left alone are places that are already normalized, also inside of a linear map of a user's own; the last layer, also
    where a sigmoid or tanh makes the output of it; attention and recurrent modules; and a linear map that is called in
    several places or shares its parameters.

    The calls are followed with ``torch.fx``, as the example makes them; without one, the network is taken to be called
    with all arguments after the first at their defaults, where they have any. A network that cannot be traced, because
    it branches on values or packs a padded sequence, or of which a trace makes other calls than the example, is run on
    the example, and its calls are followed as they happen.
    Of what the example does not reach, and of such a network without an example, only the children of ``Sequential``
    modules are seen: each is taken to be called once, and a sigmoid or tanh that ends its ``Sequential`` is left alone.
    The first change says how the network was followed. Unless the network that cannot be traced is a ``Sequential``
    itself, its forward may run any part of one: the nonlinearities in it then become pairs of a normalization and
    themselves, so that numbers and biases stay.

    Statistics are over all positions of a sequence, those that pad it too: a layer is not given the mask.

    **Names.** In a ``Sequential`` they change as in the published ``_bn`` networks: where children are numbered, the
    new layer shifts the numbers after it; where they are named, the layer before ``relu`` is called ``relu_norm``. Any
    other linear map, say ``conv1``, is replaced by an ``nn.Sequential`` of ``conv1.conv`` and ``conv1.norm``
    (``fc.linear``, ``relu.act`` for others) that still answers for ``conv1.weight`` or ``conv1.in_channels``.
    ``Surgery.renamed`` has the old and new names.

    Args:
        model: the network. It is not modified unless ``inplace``. It keeps its class and its forward.
        place: ``"before"`` the nonlinearity, directly after the linear map, or ``"after"`` the nonlinearity, which must
            then be a module that is called in one place.
        example: an input, from which the numbers of features and axes are measured by running a copy of the network
            once in evaluation mode; a tuple or list is passed as arguments, a dict as keywords, and what has ``args``
            and ``kwargs``, such as an ``inspect.BoundArguments``, as both. Without it they are those of the linear map,
            and the output of a Linear is taken to be (N, features) unless the calls show that it is (N, length,
            features).
        skip: dotted names (a network inside is skipped whole), or ``skip(name, module)``; for nonlinearities or linear
            maps.
        which: ``which(count)`` gives the numbers of the places that are used: they count from 1, in the order in which
            forward reaches them, those that are skipped left out. By default all are.
        layer: ``layer(features, dims)`` makes a normalization for inputs (N, features) with ``dims`` more axes after
            them. By default ``BatchNorm1d``, ``BatchNorm2d`` or ``BatchNorm3d``. Where the features are on the last of
            several axes, the default has ``channel_dim=-1``, and yours, ``layer(features, 0)``, is applied to
            (N·length, features): every position counts as an example.
        linear: ``linear(module)`` says which other modules are linear maps. They have ``out_features`` for (N, …,
            features) or ``out_channels`` for (N, channels, …), or else need an example. They keep their bias.
        optimizer: follows the network, in place: from then on it trains the network that is returned. Biases that were
            removed leave it; the new γ and β join the group of the linear map's weight; the rest keeps its state.
        no_decay: γ and β go into a group without weight decay instead, with the other options of that group.
        inplace: change ``model`` itself.

    Returns:
        The network, in which modules that were shared are shared, and what was changed, with ``Surgery.renamed``. Where
        nothing could be placed is listed with the reason.

    Raises:
        InvalidArgumentError: ``model`` is no network, ``place`` does not exist, ``which`` names no place or one that
            does not exist, or the optimizer is none, or has no weight decay to leave out.
        SurgeryError: there is no place for a normalization, the network does not run on the example, ``skip`` names
            nothing, the optimizer does not train the network, or something is compiled or scripted.
    """
    if place not in ("before", "after"):
        raise InvalidArgumentError(choice(place, ("before", "after"), "place"))
    compiled.refuse(model, "normalize", lambda _: True)
    if no_decay and optimizer is None:
        raise InvalidArgumentError("no_decay says which group of an optimizer γ and β join; give optimizer= too")
    if optimizer is not None:
        optimizers.check(optimizer, model, no_decay=no_decay)
    network = model if inplace else walk.duplicate(model)
    replaced = dict(zip(model.parameters(), network.parameters(), strict=True))
    survey, followed, wanted, rest = _survey(network, place, linear, example)
    skipped = _skipper(network, skip)
    chosen = [each for each in survey.places if not skipped(each)]
    plans = plan(network, [each for each in chosen if not each.problem], example)
    left = [each for each in chosen if each.problem] + [_problem(each) for each in plans if each.problem]
    found = [each for each in plans if not each.problem]
    if not found:
        raise SurgeryError(_nothing(network, survey, left, len(survey.places) - len(chosen), wanted, rest))
    placed = [(each, _make(each, layer, network)) for each in _numbered(found, which)]
    added = [(beside, list(made.parameters())) for each, made in placed for beside in _anchor(each, network)]
    changes = apply(network, placed, left)
    if optimizer is not None:
        optimizers.follow(optimizer, network, replaced=replaced, added=added, no_decay=no_decay)
    return Surgery(network, [followed, *changes])


class _Found(NamedTuple):
    """The places, by what they were found, what was looked for, and what to say where there are none."""

    survey: Survey
    followed: Change
    wanted: str
    rest: str = ""


def _survey(network: nn.Module, place: str, linear: Callable[[nn.Module], bool] | None, example: Any) -> _Found:
    """The places, and by what they were found."""

    def is_linear(module: nn.Module) -> bool:
        return is_linear_map(module) or (linear is not None and linear(module))

    kind, traced = type(network).__name__, Traced(network, is_linear, example)
    if not traced.problem:
        return _Found(places.survey(traced, place, is_linear), Change("", kind, kind, TRACED), _REACHING)
    if traced.observed:
        why = f"{OBSERVED}, because {traced.problem}"
        unseen = tree.survey(network, place, is_linear, traced.called)
        found = _joined(places.survey(traced, place, is_linear), unseen)
        return _Found(found, Change("", kind, kind, why), _REACHING, f" It was {why}.")
    why = f"only the children of Sequentials are seen: {traced.problem}; give an example, on which the rest is followed"
    rest = f" It was not looked further because {why}. {_ADVICE}"
    return _Found(tree.survey(network, place, is_linear), Change("", kind, kind, why), _IN_SEQUENTIALS, rest)


def _joined(seen: Survey, unseen: Survey) -> Survey:
    """The places that an example shows, and those of what it does not reach."""
    placed = {place.linear for place in unseen.places if not place.problem}
    kept = [place for place in seen.places if not (place.problem and place.linear in placed)]
    return Survey(list(dict.fromkeys([*kept, *unseen.places])), seen.normalized + unseen.normalized)


def _batch_norm(features: int, dims: int, last: bool) -> nn.Module:
    if dims > 3 and last:
        return EachPosition(BatchNorm1d(features))
    if dims > 3:
        raise SurgeryError(f"batch normalization takes up to 3 spatial axes, the network has {dims}; give layer=")
    return (BatchNorm1d, BatchNorm1d, BatchNorm2d, BatchNorm3d)[dims](features, channel_dim=-1 if last else 1)


def _make(each: Plan, layer: MakeLayer | None, network: nn.Module) -> nn.Module:
    """The layer of one place, on the device and in the dtype and mode of what surrounds it."""
    if layer is None:
        made = _batch_norm(each.features, each.dims, each.last)
    else:
        made = EachPosition(layer(each.features, 0)) if each.last else layer(each.features, each.dims)
    beside = each.place.name if each.place.slot is None else each.place.slot[0]
    return made.to(each.like.device, each.like.dtype).train(network.get_submodule(beside).training)


def _numbered(found: list[Plan], which: Callable[[int], Collection[int]] | None) -> list[Plan]:
    """The places that ``which`` chooses."""
    if which is None:
        return found
    numbers = which(len(found))
    chosen = [each for number, each in enumerate(found, start=1) if number in numbers]
    if not chosen or len(chosen) < len(set(numbers)):
        raise InvalidArgumentError(f"which({len(found)}) returned {numbers!r}; it gives numbers from 1 to {len(found)}")
    return chosen


def _anchor(each: Plan, network: nn.Module) -> list[nn.Parameter]:
    """The parameter whose group in an optimizer the new ones join: the linear map's, else the network's first."""
    owner = network if each.place.linear is None else network.get_submodule(each.place.linear)
    return list(owner.parameters())[:1]


def _skipper(network: nn.Module, skip: Skip) -> Callable[[Place], bool]:
    """A place is skipped where its module or linear map is, or all nonlinearities that it is for."""
    wanted = skipper(network, skip)

    def skipped(name: str) -> bool:
        return wanted(name, network.get_submodule(name))

    def skips(place: Place) -> bool:
        own = [name for name in (place.name, place.linear) if name is not None]
        return any(map(skipped, own)) or (bool(place.nonlinear) and all(map(skipped, place.nonlinear)))

    return skips


def _problem(each: Plan) -> Place:
    return each.place._replace(problem=each.problem)


def _nothing(network: nn.Module, survey: Survey, left: list[Place], skipped: int, wanted: str, rest: str) -> str:
    """The sentence for a network without a place: what was looked for, what was found and what to do."""
    counts = {
        "linear maps": sum(map(is_linear_map, network.modules())),
        "places already normalized": survey.normalized,
        "places skipped": skipped,
    }
    found = [f"{what}: {count}" for what, count in counts.items() if count]
    found += [f"{place.name or 'the network itself'}: {place.problem}" for place in left]
    return (
        f"nothing to insert into {type(network).__name__}: looked for {wanted} and not normalized yet; "
        f"found {'; '.join(found) or 'no layers'}.{rest}"
    )


_REACHING = "linear maps whose output reaches a nonlinearity"
_IN_SEQUENTIALS = "nonlinearities that are children of an nn.Sequential"
_ADVICE = (
    "Otherwise write the hidden layers as an nn.Sequential with nn.ReLU or the like in it, take what cannot be traced "
    "out of forward, or add the normalization by hand"
)
