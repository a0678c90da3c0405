"""What normalizes in a network."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from torch import Tensor, fx, nn
from torch.nn import functional as F

from normwise.errors import SurgeryError
from normwise.nn import FrozenBatchNorm
from normwise.nn.kinds import is_batch_norm
from normwise.surgery import calls, compiled, parameters, walk
from normwise.surgery.example import fixed
from normwise.surgery.fold import FOLDED, fold_if_any
from normwise.surgery.folding.affine import ChannelAffine
from normwise.surgery.graph import trace_modes
from normwise.surgery.sites import chains, is_normalization
from normwise.surgery.table import table

UNKNOWN = "unknown"
FUNCTIONS = {F.batch_norm, F.group_norm, F.instance_norm, F.layer_norm, F.rms_norm}


class Row(NamedTuple):
    """One call of a normalization.

    Attributes:
        name: the dotted name of the module; of a function that of the module that calls it.
        kind: its class, or the function.
        channels: how many channels it has, None where that is no property of it.
        before: what makes its input.
        after: what takes its output.
        momentum: of a batch normalization, running ← (1 − momentum)·running + momentum·batch; None for the average over
            all batches, and for what has none.
        frozen: what of it never changes in training: ``"statistics"``, ``"affine"``, both or neither.
        foldable: whether ``fold`` makes it part of its neighbours; None where that is not known.
        why: what it becomes part of, or why it does not.
    """

    name: str
    kind: str
    channels: int | None
    before: str
    after: str
    momentum: float | None
    frozen: tuple[str, ...]
    foldable: bool | None
    why: str


class Summary(NamedTuple):
    """Every call of a normalization in a network; prints as a table.

    Attributes:
        rows: the calls in their order, then the modules that forward does not call.
        problem: why calls are not known, so that there is one row for each module; empty where they are.
    """

    rows: list[Row]
    problem: str = ""

    def __str__(self) -> str:
        if not self.rows:
            return "no normalization"
        text = table(Row._fields, [_cells(row) for row in self.rows])
        return f"{text}\n{self.problem}" if self.problem else text

    def __repr__(self) -> str:
        return str(self)


def summary(model: nn.Module, *, example: Any = None) -> Summary:
    """List every normalization of a network: what it is, what is around it, and whether it can be folded.

    A row is a call, so a module that is called twice has two; functions such as ``F.batch_norm`` count too, and so does
    the ``ChannelAffine`` that ``fold`` leaves of a normalization which has no linear map for a neighbour. Where
    ``torch.fx`` cannot trace the network, a row is a module, and what is before and after it is known in a
    ``Sequential`` only. Optional arguments are taken to be left out.

    Args:
        model: the network, which is left as it is.
        example: an input, as ``fold`` takes it, by which a copy is folded: foldable is what that does. Without it, it
            is not known.
    """
    compiled.refuse(model, "summarise")
    judged = _Judgement(model, example)
    if _is_listed(model):
        return Summary([_row(model, "", ("the input", "the output"), judged)])
    flows = trace_modes(model, fixed(model, () if example is None else example))
    if problem := next((flow.problem for flow in flows if flow.problem), ""):
        around = _neighbours(model)
        rows = [_row(each, name, around.get(each, _UNKNOWN), judged) for name, each in walk.find(model, _is_listed)]
        return Summary(rows, f"one row for each module, because {problem}")
    nodes = [node for flow in flows if flow.graph is not None for node in flow.graph.nodes]
    each_once = {node.name: node for flow in reversed(flows) if flow.graph is not None for node in flow.graph.nodes}
    called = [_of_call(node, model, judged) for node in each_once.values()]
    return Summary([row for row in called if row is not None] + _not_called(model, nodes, judged))


_UNKNOWN = (UNKNOWN, UNKNOWN)
_NOT_CALLED = ("not called", "not called")


def _is_listed(module: nn.Module) -> bool:
    return is_normalization(module) or isinstance(module, ChannelAffine)


class _Judgement:
    """What ``fold`` does with each normalization.

    Attributes:
        problem: why that is not known, empty where it is.
    """

    def __init__(self, model: nn.Module, example: Any) -> None:
        self.names = {module: name for name, module in model.named_modules()}
        self.reasons: dict[str, str] = {}
        self.functions: list[str] = []
        self.problem = "" if example is not None else "give example= to know"
        if example is not None:
            self._fold(model, example)

    def _fold(self, model: nn.Module, example: Any) -> None:
        try:
            changes = fold_if_any(model, example).changes
        except SurgeryError as error:
            self.problem = str(error)
            return
        self.reasons = {change.name: change.why for change in changes if change.before != "F.batch_norm"}
        self.functions = [change.why for change in changes if change.before == "F.batch_norm"]

    def of_module(self, module: nn.Module) -> tuple[bool | None, str]:
        if isinstance(module, ChannelAffine):
            return _LEFT
        if not is_batch_norm(module):
            return _NOT_OF_BATCH
        return self._told(self.reasons.get(self.names[module], ""))

    def of_function(self, function: Any) -> tuple[bool | None, str]:
        """Of several calls it is known where all have the same fate."""
        if function is not F.batch_norm:
            return _NOT_OF_BATCH
        told = {self._told(why) for why in self.functions} or {self._told("")}
        return told.pop() if len(told) == 1 else (None, "; ".join(self.functions))

    def _told(self, why: str) -> tuple[bool | None, str]:
        return (why.startswith(FOLDED), why) if why else (None, self.problem or "it is not reached")


_NOT_OF_BATCH = (False, "its moments are those of each example")
_LEFT = (False, "it is what fold left of a batch normalization")


def _of_call(node: fx.Node, model: nn.Module, judged: _Judgement) -> Row | None:
    """The row of a call; None where it is none of a normalization."""
    around = _around(node, model)
    if node.op == "call_module":
        module = model.get_submodule(str(node.target))
        return _row(module, judged.names[module], around, judged) if _is_listed(module) else None
    if node.op != "call_function" or node.target not in FUNCTIONS:
        return None
    inside = [name for name, _ in node.meta.get("nn_module_stack", {}).values()]
    name, kind = inside[-1] if inside else "", f"F.{node.target.__name__}"
    return Row(name, kind, _vector(node, model), *around, None, (), *judged.of_function(node.target))


def _vector(node: fx.Node, model: nn.Module) -> int | None:
    """How many values the first tensor of the network's own has that a call of a function takes."""
    for each in node.all_input_nodes:
        if each.op == "get_attr":
            owner, _, name = str(each.target).rpartition(".")
            value = getattr(model.get_submodule(owner), name, None)
            return len(value) if isinstance(value, Tensor) and value.ndim == 1 else None
    return None


def _row(module: nn.Module, name: str, around: tuple[str, str], judged: _Judgement) -> Row:
    channels = getattr(module, "num_features", getattr(module, "num_channels", None))
    channels = len(module.scale) if isinstance(module, ChannelAffine) else channels
    momentum = getattr(module, "momentum", None)
    return Row(name, type(module).__name__, channels, *around, momentum, _frozen(module), *judged.of_module(module))


def _frozen(module: nn.Module) -> tuple[str, ...]:
    own = parameters.own(module).values()
    affine = bool(own) and not any(parameter.requires_grad for parameter in own)
    constant = isinstance(module, ChannelAffine)
    statistics = constant or isinstance(module, FrozenBatchNorm)
    return ("statistics",) * statistics + ("affine",) * (affine or constant)


def _around(node: fx.Node, model: nn.Module) -> tuple[str, str]:
    inputs = [each for each in node.all_input_nodes[:1] if each.op != "get_attr"]
    before = ", ".join(calls.described(each, model) for each in inputs) or "a constant"
    users = [each for each in node.users if each.target is not getattr]  # a shape, for example
    return before, ", ".join(calls.described(each, model) for each in users) or "nothing"


def _neighbours(model: nn.Module) -> dict[nn.Module, tuple[str, str]]:
    """What runs next to a module in a ``Sequential``; unknown where that differs between its places."""
    found: dict[nn.Module, tuple[str, str]] = {}
    for chain in chains(model):
        texts = [UNKNOWN, *(f"{link.name} ({type(link.module).__name__})" for link in chain), UNKNOWN]
        for link, before, after in zip(chain, texts, texts[2:], strict=False):
            old = found.setdefault(link.module, (before, after))
            found[link.module] = (before, after) if old == (before, after) else _UNKNOWN
    return found


def _not_called(model: nn.Module, nodes: Iterable[fx.Node], judged: _Judgement) -> list[Row]:
    """The normalizations that no call is seen of; inside a module that is called whole, they may be."""
    called = {model.get_submodule(str(node.target)) for node in nodes if node.op == "call_module"}
    hidden = {inner for module in called for inner in module.modules()}
    rest = [(name, each) for name, each in walk.find(model, _is_listed) if each not in called]
    return [_row(each, name, _UNKNOWN if each in hidden else _NOT_CALLED, judged) for name, each in rest]


def _cells(row: Row) -> list[str]:
    foldable = {True: "yes", False: "no", None: "unknown"}[row.foldable]
    frozen = " and ".join(row.frozen) or "no"
    numbers = ["" if value is None else str(value) for value in (row.channels, row.momentum)]
    return [row.name, row.kind, numbers[0], row.before, row.after, numbers[1], frozen, foldable, row.why]
