"""Outputs of the transform are not kept for the backward, but computed again from what it keeps of its inputs."""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from normwise.ops.batch_norm.function import HOOK, Compute, Plan

_ATTRIBUTE = "_normwise_recipe"  # of the node in autograd's graph that made an output


@contextlib.contextmanager
def recompute_activations() -> Iterator[None]:
    """Keep no output of ``ops.batch_norm`` for the backward; compute it again when it is asked for.

        with normwise.recompute_activations():
            loss = criterion(network(x), target)
        loss.backward()

    A convolution after a normalization saves what it reads, which is activation(BN(x) + residual): a cheap function of
    x, which the normalization saves as well. Within this context such an output, or a view of one, is saved as its
    recipe (x, μ, σ², γ, β, residual, activation) and made by one elementwise pass each time that a backward reads it.
    Values and gradients are those without the context, bit for bit. Only the forward has to run within it.

    What is kept all the same:
        An output that is itself the ``x`` or the ``residual`` of another call, so that no recipe needs another; all
        who save it share it. An output without activation to which a residual was added, for that residual is not
        saved. A copy of an output, such as autocast makes of a float32 output for a bfloat16 convolution, and what
        ``detach`` returns. Outputs of implementations that are no kernels of ours. What is saved in a region of
        ``torch.utils.checkpoint``, which does this itself, and under other saved-tensor hooks entered within this
        context, for the innermost hooks alone are called; hooks entered outside it see nothing of what is saved in it.

    Raises:
        RuntimeError: in the backward, as without the context, where a saved tensor, an output that was saved as a
            recipe, or something that its recipe reads was modified in place since. (A modification through ``.data``
            is seen by neither.)

    Source: in-place activated BN saves the output and inverts the activation, Rota Bulò et al. 2018, arXiv:1712.02616;
    this saves the input, which needs no inverse.
    """
    before = HOOK.after_forward
    with torch.autograd.graph.saved_tensors_hooks(_pack, _unpack):
        HOOK.after_forward = _note
        try:
            yield
        finally:
            HOOK.after_forward, _THREAD.noted = before, None


class _Versioned:
    """A tensor outside the graph, so that no cycle arises, and its version."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor, self.version = tensor.detach(), tensor._version

    def unpack(self) -> Tensor:
        """The tensor, if nobody wrote to it."""
        _check(self.tensor, self.version, self.tensor.shape)
        return self.tensor


class _Recipe:
    """How an output is made again, shared by all who save it; its tensors are there once autograd asked to save x."""

    def __init__(self, tensors: tuple[Tensor | None, ...], plan: Plan, compute: Compute) -> None:
        self.plan, self.compute = plan, compute
        self.noted = [None if tensor is None else weakref.ref(tensor) for tensor in tensors]
        self.tensors: list[_Versioned | None] = []
        self.output: Tensor | None = None
        self.watch: Tensor | None = None

    def is_of(self, x: Tensor) -> bool:
        """Whether x is what the call normalized."""
        return self.noted[0] is not None and self.noted[0]() is x

    def adopt(self) -> None:
        """Hold the tensors."""
        found = [None if reference is None else reference() for reference in self.noted]
        self.tensors = [None if tensor is None else _Versioned(tensor) for tensor in found]

    def observe(self, output: Tensor) -> None:
        """Share the version of the output, without its memory."""
        if self.watch is None:
            self.watch = output.detach()
            self.watch.data = output.new_empty(0)

    def make(self, shape: torch.Size) -> Tensor:
        """The output."""
        assert self.watch is not None
        _check(self.watch, 0, shape)
        if self.output is not None:
            return self.output
        return self.compute([tensor and tensor.unpack() for tensor in self.tensors], self.plan)


class _Input(_Versioned):
    """The x of a call, which owns the recipe of the output for as long as autograd keeps x."""

    def __init__(self, tensor: Tensor, recipe: _Recipe) -> None:
        super().__init__(tensor)
        self.recipe = recipe
        recipe.adopt()


class _Output:
    """An output."""

    def __init__(self, output: Tensor, recipe: _Recipe) -> None:
        self.recipe, self.shape = recipe, output.shape
        recipe.observe(output)

    def unpack(self) -> Tensor:
        """Its values."""
        return self.recipe.make(self.shape)


class _View(_Output):
    """A view of an output."""

    def __init__(self, view: Tensor, output: Tensor, recipe: _Recipe) -> None:
        super().__init__(output, recipe)
        self.place = view.shape, view.stride(), view.storage_offset()

    def unpack(self) -> Tensor:
        """Its values."""
        return super().unpack().as_strided(*self.place)


class _Thread(threading.local):
    """The latest call in the context."""

    noted: _Recipe | None = None


_THREAD = _Thread()


def _pack(tensor: Tensor) -> _Versioned | _Output:
    output = tensor._base if tensor._is_view() else tensor
    recipe = None if output is None else _recipe(output)
    noted = _THREAD.noted
    if noted is not None and noted.is_of(tensor):
        _THREAD.noted = None
        return _Input(tensor, noted)
    if output is None or recipe is None:
        return _Versioned(tensor)
    if tensor is output:
        return _Output(output, recipe)
    return _View(tensor, output, recipe) if _is_plain(tensor, output) else _Versioned(tensor)


def _unpack(packed: _Versioned | _Output) -> Tensor:
    return packed.unpack()


def _recipe(output: Tensor) -> _Recipe | None:
    """That of a tensor which is an output that nobody wrote to."""
    reference = getattr(output.grad_fn, _ATTRIBUTE, None)
    if not isinstance(reference, weakref.ref) or output.output_nr or output._version:
        return None
    recipe = reference()
    return recipe if isinstance(recipe, _Recipe) and recipe.tensors else None


def _is_plain(view: Tensor, output: Tensor) -> bool:
    return view.dtype is output.dtype and not view.is_neg()


def _check(tensor: Tensor, version: int, shape: torch.Size) -> None:
    if tensor._version != version:
        raise RuntimeError(
            "one of the variables needed for gradient computation has been modified by an inplace operation: "
            f"[{tensor.type()} {list(shape)}] is at version {tensor._version}; expected version {version} instead"
        )


def _note(ctx: Any, x: Tensor, residual: Tensor | None, compute: Compute) -> None:
    saved = ctx.to_save
    for tensor in (x, saved[3]):
        _keep(tensor)
    if residual is None or saved[3] is not None:
        _THREAD.noted = _Recipe(saved, ctx.plan, compute)
        setattr(ctx, _ATTRIBUTE, weakref.ref(_THREAD.noted))


def _keep(tensor: Tensor | None) -> None:
    """Let an output that another call reads stay."""
    recipe = None if tensor is None else _recipe(tensor)
    if tensor is not None and recipe is not None:
        recipe.output = tensor.detach()
