"""A user's own function, named on the command line or handed over: finding it, and calling it."""

from __future__ import annotations

import contextlib
import difflib
import functools
import hashlib
import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from normwise.errors import RequestError

FORMS = "package.module:callable or path/to/file.py:callable"

RETURNS = {
    "model": "a function without arguments that returns a torch.nn.Module, without normalization",
    "data function": "a function without arguments that returns (train, test) or (train, validation, test), each an "
    "(X, y) pair, a Dataset or a DataLoader",
    "loss": "a function of outputs and targets that returns a scalar",
    "metric": "a function of outputs and targets that returns a number",
}
"""What each kind of function takes and returns, for help and errors."""


@dataclass(frozen=True)
class Factory:
    """A user's function and what identifies it: one without arguments that makes a network or data, a loss or a metric.

    Attributes:
        callable: the function.
        name: as the user wrote it; of a callable that was handed over, ``module:qualified name``.
        source_hash: the first 16 hexadecimal digits of the SHA-256 of its source file, of its name where there is none.
        folder: what its own imports are looked up in, besides ``sys.path``.
    """

    callable: Callable[..., Any]
    name: str
    source_hash: str
    folder: Path


def looks_like(source: str) -> bool:
    """Whether a string is meant to name a function, rightly written or not: a colon, a separator or ``.py`` in it."""
    return ":" in source or "/" in source or "\\" in source or source.endswith(".py")


def resolve(source: str | Callable[..., Any], *, what: str) -> Factory:
    """Finds a function.

    A file is loaded as a module of its own, whose name follows from the file's path and content: several functions of
    one file share the module, a changed file becomes a new one, and another process that resolves the same name can
    unpickle what the module defines. While a file loads, its folder is last on ``sys.path``; while a module does,
    the working directory: the user's own modules are found, and hide none that is installed.

    Args:
        source: ``package.module:callable``, ``path/to/file.py:callable``, or the function itself.
        what: what it is for: ``model``, ``data function``, ``loss`` or ``metric``.

    Raises:
        RequestError: there is no such file, module or function; importing it fails; or it is not callable.
    """
    if not isinstance(source, str):
        return _from_object(source, what)
    place, _, attribute = source.rpartition(":")
    if not (place and attribute.isidentifier()):
        raise RequestError(f"{what} {source!r} names no function; write {_forms(what)}")
    is_file = place.endswith(".py") or "/" in place or "\\" in place
    path = Path(place).expanduser()
    folder = path.resolve().parent if is_file else Path.cwd()
    with _on_path(folder):
        module = _load_file(path, source, what) if is_file else _load_module(place, source, what)
    function = _attribute(module, attribute, source, what)
    return Factory(function, source, _hash_file(module.__dict__.get("__file__"), source), folder)


def call(factory: Factory, *, seed: int = 0) -> Any:
    """Calls a function without arguments, its folder on ``sys.path``, and returns what it returns.

    The generators of ``random``, NumPy and torch are seeded for the call and put back, so that a function which draws
    gives the same every time.

    Raises:
        RequestError: it raised; the error names the function, the exception and the line of the user's that led to it,
            and has the exception as its cause.
    """
    import torch

    from normwise.lab.data import seeding

    try:
        with _on_path(factory.folder), seeding.seeded(seed):
            torch.cuda.manual_seed_all(seed)  # weights may be drawn there
            return factory.callable()
    except (Exception, SystemExit) as error:
        raise raised(factory, error) from error


def raised(factory: Factory, error: BaseException) -> RequestError:
    """What to raise where the function raised: its name, the exception and the line of the user's that led to it."""
    return RequestError(f"{factory.name} raised {_described(error, factory.folder)}")


def _forms(what: str) -> str:
    return f"{FORMS}, {RETURNS[what]}" if what in RETURNS else FORMS


def _from_object(function: Any, what: str) -> Factory:
    if not callable(function):
        raise RequestError(
            f"{what} must be a function, or the name of one: {_forms(what)}; got a {type(function).__name__}"
        )
    target = _function(function)
    name = f"{target.__module__}:{target.__qualname__}"
    if isinstance(function, functools.partial):
        given = [*map(repr, function.args), *(f"{key}={value!r}" for key, value in function.keywords.items())]
        name += f"({', '.join(given)})"
    file = inspect.getfile(target) if _has_file(function) else None
    return Factory(function, name, _hash_file(file, name), Path(file).resolve().parent if file else Path.cwd())


def _function(function: Any) -> Any:
    """The function or class behind a partial, a decorated function or an instance that can be called."""
    while isinstance(function, functools.partial):
        function = function.func
    function = inspect.unwrap(function)
    return function if hasattr(function, "__qualname__") else type(function)


def _has_file(function: Any) -> bool:
    try:
        return Path(inspect.getfile(_function(function))).is_file()
    except (TypeError, OSError):
        return False


def _hash_file(file: str | None, name: str) -> str:
    content = Path(file).read_bytes() if file and Path(file).is_file() else name.encode()
    return hashlib.sha256(content).hexdigest()[:16]


def _load_file(path: Path, source: str, what: str) -> ModuleType:
    """Runs a file as a module, from the very bytes that are hashed: no cached bytecode comes between them."""
    try:
        content = path.read_bytes()
    except OSError as error:
        reason = f"cannot read {path.resolve()}: {error.strerror}"
        raise RequestError(f"{what} {source!r}: {reason}; write {_forms(what)}") from error
    file = str(path.resolve())
    name = f"normwise_user_{hashlib.sha256(file.encode() + content).hexdigest()[:16]}"
    if name not in sys.modules:
        module = ModuleType(name)
        module.__file__ = file
        sys.modules[name] = module
        try:
            exec(compile(content, file, "exec", dont_inherit=True), module.__dict__)
        except BaseException as error:
            del sys.modules[name]
            _reraise(error, path.resolve().parent, source, what)
    return sys.modules[name]


def _load_module(name: str, source: str, what: str) -> ModuleType:
    importlib.invalidate_caches()
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            _reraise(error, Path.cwd(), source, what)
        raise RequestError(
            f"{what} {source!r}: there is no module {error.name!r} in {Path.cwd()} or among the installed packages; "
            f"write {_forms(what)}"
        ) from error
    except BaseException as error:
        _reraise(error, Path.cwd(), source, what)


def _attribute(module: ModuleType, attribute: str, source: str, what: str) -> Callable[..., Any]:
    if not hasattr(module, attribute):
        _refuse_hidden(source, what)
        public = sorted(key for key, value in vars(module).items() if callable(value) and not key.startswith("_"))
        near = difflib.get_close_matches(attribute, public, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(public) or 'no function'}"
        raise RequestError(f"{what} {source!r}: {source.rpartition(':')[0]} has no {attribute!r}; {hint}")
    value: Callable[..., Any] = getattr(module, attribute)
    if not callable(value):
        raise RequestError(f"{what} {source!r} is not callable: it is of type {type(value).__name__}; give a function")
    return value


def _refuse_hidden(source: str, what: str) -> None:
    """Where a module of the working directory was meant and an installed one found: name the file instead."""
    place, _, attribute = source.rpartition(":")
    file = Path(*place.split(".")).with_suffix(".py")
    if file.is_file() and Path(getattr(sys.modules.get(place), "__file__", None) or "").resolve() != file.resolve():
        raise RequestError(
            f"{what} {source!r}: {place} is an installed module, which has no {attribute!r}; for the file in the "
            f"working directory, write {file}:{attribute}"
        )


def _reraise(error: BaseException, folder: Path, source: str, what: str) -> NoReturn:
    """What failed while a user's file or module was imported; a wish to stop passes through."""
    if not isinstance(error, (Exception, SystemExit)):
        raise error
    raise RequestError(f"{what} {source!r}: importing it failed with {_described(error, folder)}") from error


def _described(error: BaseException, folder: Path) -> str:
    """An exception in one line: type, message and the last line of the user's that led to it.

    The user's is what lies in ``folder``; where nothing does, it is the last line of all. Our own frame is the first.
    """
    message = ": ".join(filter(None, (type(error).__name__, " ".join(str(error).split()))))
    frames = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)[1:]]
    if isinstance(error, SyntaxError) and error.filename is not None:
        frames.append((error.filename, error.lineno))
    users = [frame for frame in frames if _is_in(frame[0], folder)]
    if not frames:
        return message
    file, line = (users or frames)[-1]
    return f"{message} ({file}:{line})"


def _is_in(file: str, folder: Path) -> bool:
    return Path(file).is_relative_to(folder) and "site-packages" not in Path(file).parts


@contextlib.contextmanager
def _on_path(folder: Path) -> Iterator[None]:
    """Puts a folder last on ``sys.path``, for as long as this lasts: never before what is installed."""
    entry = str(folder)
    added = entry not in sys.path
    if added:
        sys.path.append(entry)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):
            if added:
                sys.path.remove(entry)
