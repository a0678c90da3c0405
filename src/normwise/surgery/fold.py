"""Folding batch normalizations into the linear maps next to them, for inference."""

from __future__ import annotations

from typing import Any

from torch import nn

from normwise.errors import SurgeryError
from normwise.nn.kinds import is_batch_norm, is_linear_map
from normwise.surgery import compiled, walk
from normwise.surgery.change import Change, Surgery
from normwise.surgery.example import run
from normwise.surgery.folding import functional, linear
from normwise.surgery.folding.affine import Affine, ChannelAffine, Epilogue, affine_of, options
from normwise.surgery.folding.agreement import check, refuse_unsteady
from normwise.surgery.folding.judge import Judge
from normwise.surgery.folding.neighbours import look
from normwise.surgery.folding.refusals import refuse_lazy, refuse_meta, refuse_parallel
from normwise.surgery.plain import has_hooks
from normwise.surgery.sites import census

FOLDED = "part of"
"""How the reason of a change begins where a normalization is gone."""


def fold(model: nn.Module, *, example: Any, tolerance: float | None = None, inplace: bool = False) -> Surgery:
    """Make batch normalizations part of the linear maps next to them, for inference.

        y = γ/√(Var[x] + ε)·x + (β − γ·E[x]/√(Var[x] + ε))

    is a scale and a shift of each channel, which a linear map before it (Linear, Conv1–3d, ConvTranspose1–3d, with any
    groups, stride and dilation) takes into weight and bias, and one after it too, but for a shift before a convolution
    that pads with zeros. Of a normalization directly before another one the second takes it up. Where a layer of
    ``normwise.nn`` has an activation or is given a residual, these stay. Computed in float64 and rounded once.

    The network is taken as in evaluation, whatever its mode, and the result is in evaluation. It is meant to stay
    there: running statistics are gone. Weights and biases that took something up are new parameters.

    A normalization is folded only where it is certain that nothing else is touched: the linear map is called once, its
    output goes to the normalization only, its parameters belong to nothing else, neither has hooks, and both are
    torch's own classes, those of ``normwise.nn`` or frozen ones, or subclasses without code of their own. ``torch.fx``
    tells where values go, and the example has to show the same. A network that it cannot trace is folded where that is
    a plain ``Sequential``, with what lies directly in such ones. A call of ``F.batch_norm`` with buffers becomes a
    module, in a graph (``torch.fx.GraphModule``) in the place of the network.

    What the example gives, calls are taken to give, and flags, numbers, texts, None and tuples and lists of these to be
    what they are there. What it leaves out may be anything: forward is traced with both values of a flag, with each
    member of an enumeration, and with the default and a symbolic value of all else, and what holds in all of these ways
    is folded. Where an argument cannot be followed, or there are more than 16 ways, nothing is folded until the example
    gives it. One thing a forward can ask unseen: which object or class an argument is, with ``is`` (but for None) or
    ``type``.

    What stays is a ``ChannelAffine``, a scale and a shift of each channel, or is left alone where it is not that;
    ``changes`` says why.

    Args:
        model: the network. It is not modified unless ``inplace``.
        example: an input as the network will be called: a tensor, a tuple or list of arguments, or a mapping of
            keywords. Its number of axes counts: ``BatchNorm1d`` after a ``Linear`` takes the last axis of (N, C), the
            middle one of (N, C, L), so that a network folded for one is not for the other.
        tolerance: the largest difference of outputs between the network and the folded one on the example, relative
            to the largest absolute output. By default 1e-5 in float32, 1e-12 in float64, and 8 times the precision of
            the type in others.
        inplace: change ``model`` itself, once a copy has passed the check. Where that is itself a normalization or
            calls ``F.batch_norm``, what replaces it is in the result.

    Returns:
        The network in evaluation, in which names and sharing of other modules, device and type are kept, and what
        became of each normalization.

    Raises:
        InvalidArgumentError: (a ValueError) ``model`` is no network.
        SurgeryError: (a ValueError) there is no batch normalization, or none that can be folded or made constant; the
            network is compiled, scripted or a ``DataParallel``, or has lazy layers that have seen no batch or tensors
            without values; it does not run on the example, or gives something else each time; outputs differ by more
            than ``tolerance``, with where they part.

    Source: Ioffe & Szegedy 2015, "Batch Normalization: Accelerating Deep Network Training by Reducing Internal
    Covariate Shift", arXiv:1502.03167, Algorithm 2, line 11.
    """
    folded = fold_if_any(model, example, tolerance, least=1)
    return _Folding(model.eval(), example).all() if inplace else folded


def fold_if_any(model: nn.Module, example: Any, tolerance: float | None = None, *, least: int = 0) -> Surgery:
    """As ``fold``, of a copy; with ``least=0`` it is no error where there is nothing to fold."""
    compiled.refuse(model, "fold")
    refuse_parallel(model)
    refuse_lazy(model)
    refuse_meta(model)
    source = walk.duplicate(model).eval()
    run(source, example)
    folding = _Folding(walk.duplicate(source), example)
    if len(folding.affines) < least:
        raise SurgeryError(folding.nothing())
    refuse_unsteady(source, example, tolerance)
    folded = folding.all()
    check(source, folded.model, example, tolerance, folding.moved)
    return folded


def _normalizations(network: nn.Module) -> list[tuple[str, nn.Module]]:
    return walk.find(network, lambda module: is_batch_norm(module) or isinstance(module, ChannelAffine))


class _Folding:
    """A network that is being folded, and what is known of each normalization that is still there.

    Attributes:
        network: the network.
        affines: what each normalization that is still there does, in float64.
        moved: names of modules that took something up, or gave it to what follows: their own outputs differ.
    """

    def __init__(self, network: nn.Module, example: Any) -> None:
        self.network, self.functions, self.changes = functional.as_modules(network, example)
        self.example = example
        self.names = {module: name for name, module in self.network.named_modules()}
        self.layers = [layer for _, layer in _normalizations(self.network)]
        self.affines: dict[nn.Module, Affine] = {}
        self.moved: set[str] = set()
        self.fates: dict[nn.Module, tuple[str, str]] = {}
        for layer in self.layers:
            found = "it has hooks" if has_hooks(layer) else affine_of(layer)
            if isinstance(found, Affine):
                self.affines[layer] = found
            else:
                self.fates[layer] = type(layer).__name__, f"left alone: {found}"

    def all(self) -> Surgery:
        """Fold until nothing changes, and make constants of what is left."""
        while self._step():
            pass
        self._settle()
        before = {layer: self.functions.get(self.names[layer], type(layer).__name__) for layer in self.layers}
        rows = [Change(self.names[layer], before[layer], *self.fates[layer]) for layer in self.layers]
        return Surgery(self.network, [*self.changes, *rows])

    def nothing(self) -> str:
        """What was looked for and what was found."""
        found = [f"{self.names[layer] or 'the network itself'} is {why}" for layer, (_, why) in self.fates.items()]
        found += [f"{change.name or 'a call'} is {change.why}" for change in self.changes]
        return (
            f"nothing to fold in {type(self.network).__name__}: looked for batch normalizations with running "
            f"statistics and calls of F.batch_norm; found {'; '.join(found) or 'none'} "
            f"(normalizations in the network: {census(self.network)})"
        )

    def _step(self) -> bool:
        """Fold all that can go into linear maps before them, else those that can go into what follows."""
        if not self.affines:
            return False
        self.near = look(self.network, self.example, lambda module: module in self.affines or is_linear_map(module))
        for layer in self.affines.keys() & self.near.used:
            del self.affines[layer]
            self.fates[layer] = type(layer).__name__, "left alone: its parameters or statistics are used elsewhere too"
        self.judge = Judge(self.network, self.names, self.near, self.affines)
        done = [layer for layer in self.affines if self._into_previous(layer)]
        if not done:
            changed: set[nn.Module] = set()
            done = [layer for layer in self.affines if self._into_next(layer, changed)]
        for layer in done:
            del self.affines[layer]
        return bool(done)

    def _into_previous(self, layer: nn.Module) -> bool:
        """Fold a normalization into the linear maps whose outputs it takes, where that is right."""
        before = self.judge.may_go_before(layer)
        for module in before:
            linear.fold_after(module, self.affines[layer])  # type: ignore[arg-type]
            self.moved.add(self.names[module])
        return self._remove(layer, before)

    def _into_next(self, layer: nn.Module, changed: set[nn.Module]) -> bool:
        """Fold a normalization into the linear maps, or the normalization, that take its outputs, where right.

        What is known of a module holds until it is folded or takes something up, so one that is ``changed`` waits.
        """
        after = self.judge.may_go_after(layer)
        if not changed.isdisjoint([layer, *after]):
            return False
        changed.update([layer, *after])
        for module in after:
            if module in self.affines:
                self.affines[module] = self.affines[layer].then(self.affines[module])
            else:
                linear.fold_before(module, self.affines[layer])  # type: ignore[arg-type]
                self.moved.add(self.names[module])
        self.moved.update([self.names[layer]] * bool(after))
        return self._remove(layer, after)

    def _remove(self, layer: nn.Module, into: list[nn.Module]) -> bool:
        """Put what a normalization does besides normalizing in its place, where it went into something."""
        if not into:
            return False
        activation, axis = options(layer)
        calls = self.near.seen[layer]
        more = activation is not None or any(seen.arguments > 1 for seen in calls)
        left = Epilogue(activation, axis).eval() if more else nn.Identity().eval()
        self._replace({layer: left})
        names = ", ".join(self.names[module] for module in into)
        self.fates[layer] = type(left).__name__, f"{FOLDED} {names}"
        return True

    def _settle(self) -> None:
        """Make constants of the normalizations that are left."""
        made: dict[nn.Module, nn.Module] = {}
        for layer, affine in self.affines.items():
            why = "; ".join(dict.fromkeys(self.judge.problems[layer]))
            self.fates[layer] = ChannelAffine.__name__, f"a constant scale and shift: {why}"
            like: Any = layer.center if isinstance(layer, ChannelAffine) else layer.running_mean
            made[layer] = ChannelAffine(affine, like, *options(layer)).eval()
        self._replace(made)

    def _replace(self, made: dict[nn.Module, nn.Module]) -> None:
        self.network = walk.replace(self.network, made.get)
