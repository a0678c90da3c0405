"""Whether a normalization can go into what runs next to it, and why not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from torch import Tensor, nn

from normwise.surgery.folding import linear
from normwise.surgery.folding.affine import Affine, options
from normwise.surgery.folding.neighbours import Call, Join, Neighbours


class Judge:
    """What can be folded in a network as it is.

    Args:
        network: the network.
        names: of its modules.
        near: what runs next to what.
        affines: what each normalization does that may be folded.

    Attributes:
        problems: for each normalization why it cannot go into what runs before it or after it, as far as was asked.
    """

    def __init__(
        self,
        network: nn.Module,
        names: Mapping[nn.Module, str],
        near: Neighbours,
        affines: Mapping[nn.Module, Affine],
    ) -> None:
        self._names, self._near, self._affines = names, near, affines
        owners = [id(value) for module in network.modules() for value in module._parameters.values()]
        self._owners = Counter(owners)
        self.problems: dict[nn.Module, list[str]] = {layer: [] for layer in affines}

    def may_go_before(self, layer: nn.Module) -> list[nn.Module]:
        """The linear maps before a normalization that can take it up together; none where that is not right."""
        joins = self._joins(layer, self._near.previous)
        before = Counter(join.before[0] for join in joins if join is not None)
        return self._all(layer, before, self._before(layer, joins, before))

    def may_go_after(self, layer: nn.Module) -> list[nn.Module]:
        """The linear maps, or the normalization, after it that can take it up; none where that is not right."""
        joins = self._joins(layer, self._near.next)
        after = Counter(join.after[0] for join in joins if join is not None)
        return self._all(layer, after, self._after(layer, joins, after))

    def _joins(self, layer: nn.Module, known: Mapping[Call, Join]) -> list[Join | None]:
        return [known.get((layer, call)) for call in range(len(self._near.seen[layer]))]

    def _all(self, layer: nn.Module, modules: Iterable[nn.Module], problems: Iterable[str]) -> list[nn.Module]:
        """The modules where there is no problem; the first problem is noted."""
        problem = next(filter(None, problems), "")
        self.problems[layer] += [problem] * bool(problem)
        return [] if problem else list(modules)

    def _before(self, layer: nn.Module, joins: list[Join | None], before: Counter[nn.Module]) -> Iterator[str]:
        yield self._common_problem(layer) or self._missing(layer, joins, "before")
        for module, calls in before.items():
            yield self._linear_problem(module, calls, [seen.y for seen in self._near.seen[module]], layer)

    def _after(self, layer: nn.Module, joins: list[Join | None], after: Counter[nn.Module]) -> Iterator[str]:
        yield self._missing(layer, joins, "after")
        if options(layer)[0] or any(seen.arguments > 1 for seen in self._near.seen[layer]):
            yield "its own activation or residual follows it"
        if not all(join is not None and join.at_once for join in joins):
            yield "something runs between it and what follows, and may change its input"
        for module, calls in after.items():
            yield self._next_problem(module, calls, [seen.x for seen in self._near.seen[module]], layer)

    def _common_problem(self, layer: nn.Module) -> str:
        calls = self._near.seen[layer]
        if not calls:
            return "the example does not reach it"
        return "it is called with a mask" if any(seen.masked for seen in calls) else ""

    def _missing(self, layer: nn.Module, joins: list[Join | None], where: str) -> str:
        """Why a call of a normalization has no neighbour to go into; empty where each has one."""
        if not joins:
            return self._common_problem(layer)
        if self._near.problem and None in joins:
            return f"no linear map is certain to run next to it, because {self._near.problem}"
        order = "it follows" if where == "before" else "it is followed by"
        for call, join in enumerate(joins):
            if join is None:
                return f"{order} {self._near.reasons.get((where, (layer, call)), 'something else on the example')}"
            if where == "before" and join.before[0] in self._affines:
                return f"{order} {self._names[join.before[0]]} ({type(join.before[0]).__name__})"
        return ""

    def _linear_problem(self, module: nn.Module, calls: int, tensors: list[Tensor], layer: nn.Module) -> str:
        """Why a linear map next to a normalization cannot take it up; empty where it can."""
        name, parameters = self._names[module], module._parameters.values()
        if problem := linear.obstacle(module):
            return f"{name} cannot take it up: {problem}"
        if calls != len(self._near.seen[module]):
            return f"{name} cannot take it up: it is also called where this does not follow"
        if any(self._owners[id(parameter)] > 1 for parameter in parameters if parameter is not None):
            return f"{name} cannot take it up: its weight or bias is shared with another module"
        if module in self._near.used:
            return f"{name} cannot take it up: its weight is used elsewhere too"
        _, axis = options(layer)
        if not all(linear.has_channels(module, tensor, axis) for tensor in tensors):  # type: ignore[arg-type]
            return f"{name} cannot take it up: it works on another axis"
        return ""

    def _next_problem(self, module: nn.Module, calls: int, inputs: list[Tensor], layer: nn.Module) -> str:
        if module not in self._affines:
            problem = self._linear_problem(module, calls, inputs, layer)
            shift = "" if problem else linear.shift_obstacle(module, self._affines[layer])  # type: ignore[arg-type]
            return problem or (f"{self._names[module]} cannot take it up: {shift}" if shift else "")
        if calls != len(self._near.seen[module]):
            return f"{self._names[module]} cannot take it up: it is also called where this does not come before"
        axes = {options(each)[1] % x.ndim for each in (layer, module) for x in inputs}
        return "" if len(axes) == 1 else f"{self._names[module]} cannot take it up: it works on another axis"
