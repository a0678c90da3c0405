"""The user's own functions in a request: model, loss and metric."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from normwise.errors import RequestError
from normwise.lab import values
from normwise.lab.factory import Factory, resolve
from normwise.lab.options import Options, Source


class Functions(NamedTuple):
    """The functions of the user's own: model, loss and metric, each where it is none of the built-in ones.

    Attributes:
        model: the network's name, also of a built-in one.
        sources: the functions as they were given, by ``model``, ``loss`` and ``metric``.
        factories: the same, found.
        identities: what tells each from another of its name, for a run's settings.
    """

    model: str
    sources: dict[str, Source]
    factories: dict[str, Factory]
    identities: dict[str, dict[str, str]]

    @classmethod
    def of(cls, asked: Options) -> Functions:
        """Those of a request.

        Raises:
            RequestError: there is no such built-in network, file or function, or it cannot be called.
        """
        model, name = _model(asked.get("model", "mlp"))
        sources = {} if model is None else {"model": model}
        sources |= {what: asked[what] for what in ("loss", "metric") if _is_own(asked.get(what))}
        factories = {what: resolve(source, what=what) for what, source in sources.items()}
        if not sources:
            return cls(name, {}, {}, {})
        from normwise.lab import identity  # loads torch, which built-in things do not need yet

        identities = {
            what: {
                "source": each.source_hash,
                "content": (identity.network_digest if what == "model" else identity.function_digest)(each),
            }
            for what, each in factories.items()
        }
        return cls(factories["model"].name if "model" in factories else name, sources, factories, identities)

    @property
    def names(self) -> dict[str, str]:
        """The functions' names."""
        return {what: each.name for what, each in self.factories.items()}


def _is_own(source: Source | None) -> bool:
    return source is not None and (not isinstance(source, str) or ":" in source or source.endswith(".py"))


def _model(source: Source) -> tuple[Source | None, str]:
    """The user's factory (None for a built-in network), and the name of a built-in one."""
    if isinstance(source, str) and source.partition(":")[0] in values.WIDTHS:
        return None, values.model_name(*values.model(source))
    if isinstance(source, str) and ":" not in source:
        values.model(source)
    if hasattr(source, "named_parameters") and not isinstance(source, type):
        raise RequestError("model is a network; give a function that makes it, so that every run starts with its own")
    return source, ""


def short(name: str) -> str:
    """A name without the widths that a network has by default, or without the folders of a file."""
    builtin = (kind for kind, widths in values.WIDTHS.items() if name == values.model_name(kind, widths))
    return next(builtin, Path(name).name)
