from __future__ import annotations

import functools
import hashlib
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from normwise.errors import RequestError
from normwise.lab.factory import call, looks_like, resolve

FILE = """
from __future__ import annotations
import dataclasses
import neighbour

@dataclasses.dataclass
class Thing:
    value: int

def make_thing():
    return Thing(neighbour.VALUE)

def make_late():
    import late_neighbour
    return late_neighbour.VALUE

def fails():
    values = {}
    return values["missing"]

def fails_inside_a_library():
    return int("seven")

def leaves():
    raise SystemExit(3)

answer = 42
"""


@pytest.fixture
def file(tmp_path, monkeypatch) -> Path:
    path = tmp_path / "models.py"
    path.write_text(FILE)
    (tmp_path / "neighbour.py").write_text("VALUE = 7")
    (tmp_path / "late_neighbour.py").write_text("VALUE = 8")
    before = set(sys.modules)
    yield path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def made_here():
    return "here"


def with_width(width=1, *, depth):
    return width, depth


class Maker:
    def __call__(self):
        return "made"


def test_a_file_is_loaded_with_its_neighbours(file):
    before = list(sys.path)
    factory = resolve(f"{file}:make_thing", what="model")
    assert factory.name == f"{file}:make_thing"
    assert call(factory).value == 7
    assert sys.path == before


def test_a_user_s_files_hide_no_installed_module(file, monkeypatch):
    (file.parent / "wave.py").write_text("raise RuntimeError")  # Python has a module of that name
    file.write_text("import wave\ndef make():\n    import colorsys\n    return wave.Error, colorsys.rgb_to_hsv\n")
    (file.parent / "colorsys.py").write_text("def make():\n    return 3\n")
    monkeypatch.chdir(file.parent)
    assert call(resolve("models.py:make", what="model"))[0].__module__ == "wave"
    assert call(resolve("colorsys.py:make", what="model")) == 3
    with pytest.raises(RequestError, match=r"an installed module, which has no 'make'; .* write colorsys\.py:make"):
        resolve("colorsys:make", what="model")


def test_a_loss_is_found_as_a_factory_is(file):
    file.write_text("def loss(outputs, targets):\n    return outputs - targets\n")
    assert resolve(f"{file}:loss", what="loss").callable(3, 2) == 1
    with pytest.raises(RequestError, match="has no 'lose'; did you mean 'loss'"):
        resolve(f"{file}:lose", what="loss")


def test_a_function_may_import_its_neighbours_when_called(file):
    assert call(resolve(f"{file}:make_late", what="model")) == 8


def test_a_path_is_relative_to_the_working_directory(file, monkeypatch):
    monkeypatch.chdir(file.parent)
    assert resolve("models.py:make_thing", what="model").folder == file.parent
    assert call(resolve("./models.py:make_thing", what="model")).value == 7


def test_what_a_file_defines_pickles(file):
    thing = call(resolve(f"{file}:make_thing", what="model"))
    assert pickle.loads(pickle.dumps(thing)) == thing


def test_another_process_unpickles_after_resolving(file):
    content = pickle.dumps(call(resolve(f"{file}:make_thing", what="model")))
    code = (
        "import pickle, sys; from normwise.lab.factory import resolve; resolve(sys.argv[1], what='model');"
        "print(pickle.loads(bytes.fromhex(sys.argv[2])).value)"
    )
    arguments = [sys.executable, "-c", code, f"{file}:make_thing", content.hex()]
    assert subprocess.run(arguments, capture_output=True, text=True, check=True).stdout.strip() == "7"


def test_functions_of_one_file_share_its_module(file):
    file.write_text("calls = []\ncalls.append(1)\ndef make_a():\n    return calls\ndef make_b():\n    return calls\n")
    assert call(resolve(f"{file}:make_a", what="model")) is call(resolve(f"{file}:make_b", what="data function"))


def test_a_changed_file_is_loaded_anew_and_hashed_anew(file):
    first = resolve(f"{file}:make_thing", what="model")
    file.write_text(FILE.replace("neighbour.VALUE)", "neighbour.VALUE + 1)"))
    second = resolve(f"{file}:make_thing", what="model")
    assert (call(first).value, call(second).value) == (7, 8)
    assert first.source_hash != second.source_hash
    assert second.source_hash == hashlib.sha256(file.read_bytes()).hexdigest()[:16]


def test_a_file_leaves_no_bytecode_of_its_own(file):
    resolve(f"{file}:make_thing", what="model")
    assert not list(file.parent.glob("__pycache__/models*"))


def test_a_module_is_found_in_the_working_directory(file, monkeypatch):
    package = file.parent / "pack_of_mine"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "inner.py").write_text("def make():\n    return 5\n")
    monkeypatch.chdir(file.parent)
    factory = resolve("pack_of_mine.inner:make", what="model")
    assert call(factory) == 5
    assert factory.source_hash == hashlib.sha256((package / "inner.py").read_bytes()).hexdigest()[:16]


def test_an_installed_module_is_found():
    assert call(resolve("collections:OrderedDict", what="model")) == {}


def test_a_function_may_be_handed_over():
    factory = resolve(made_here, what="model")
    assert factory.name == f"{__name__}:made_here"
    assert factory.source_hash == hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:16]
    assert call(factory) == "here"


def test_a_partial_is_named_with_its_arguments():
    """Otherwise two widths would be taken for one and the same network."""
    factory = resolve(functools.partial(with_width, 3, depth=2), what="model")
    assert factory.name == f"{__name__}:with_width(3, depth=2)"
    assert call(factory) == (3, 2)


def test_an_object_that_can_be_called_may_be_handed_over():
    factory = resolve(Maker(), what="model")
    assert factory.name == f"{__name__}:Maker"
    assert call(factory) == "made"


def test_a_builtin_is_hashed_by_its_name():
    assert resolve(dict, what="model").source_hash == hashlib.sha256(b"builtins:dict").hexdigest()[:16]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "models.py",
            "model 'models.py' names no function; write package.module:callable or path/to/file.py:callable, "
            "a function without arguments that returns a torch.nn.Module",
        ),
        ("models.py:", "names no function"),
        (":make", "names no function"),
        ("C:\\models.py", "names no function"),
        ("nowhere/models.py:make", r"cannot read .*nowhere/models\.py: No such file or directory; write package"),
        ("no_such_package.inner:make", "there is no module 'no_such_package' in .*among the installed packages"),
        ("collections.inner:make", "there is no module 'collections.inner'"),
        ("collections:OrderedDist", "collections has no 'OrderedDist'; did you mean 'OrderedDict'"),
        ("collections:xyz", "collections has no 'xyz'; it has .*ChainMap, Counter"),
        (5, "model must be a function, or the name of one: .*; got a int"),
    ],
)
def test_a_wrong_name_is_described(source, message):
    with pytest.raises(RequestError, match=message):
        resolve(source, what="model")


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(RequestError, match="Is a directory"):
        resolve(f"{tmp_path}/:make", what="model")


def test_what_is_not_callable_is_described(file):
    with pytest.raises(RequestError, match=r"models\.py:answer' is not callable: it is of type int; give a function"):
        resolve(f"{file}:answer", what="model")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("x = 1\n1 / 0\n", r"importing it failed with ZeroDivisionError: division by zero \(.*models\.py:2\)"),
        ("x = 1\nimport json\njson.loads('{')\n", r"JSONDecodeError: .*\(.*models\.py:3\)"),
        ("x = 1\ndef f(:\n", r"SyntaxError: .*\(.*models\.py:2\)"),
        ("import sys\nsys.exit(2)\n", r"SystemExit: 2 \(.*models\.py:2\)"),
        (
            "\nimport no_such_neighbour\n",
            r"ModuleNotFoundError: No module named 'no_such_neighbour' \(.*models\.py:2\)",
        ),
    ],
)
@pytest.mark.parametrize("as_module", [False, True])
def test_a_failing_import_names_exception_and_line(file, monkeypatch, content, message, as_module):
    file.write_text(content)
    monkeypatch.chdir(file.parent)
    before = set(sys.modules)
    with pytest.raises(RequestError, match=message) as raised:
        resolve("models:make" if as_module else "models.py:make", what="model")
    assert "\n" not in str(raised.value)
    assert raised.value.__cause__ is not None
    assert not {name for name in set(sys.modules) - before if name.startswith(("normwise_user", "models"))}


def test_a_wish_to_stop_passes_through(file):
    file.write_text("raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        resolve(f"{file}:make", what="model")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("fails", r"models\.py:fails raised KeyError: 'missing' \(.*models\.py:19\)"),
        ("fails_inside_a_library", r"raised ValueError: invalid literal .*'seven' \(.*models\.py:22\)"),
        ("leaves", r"raised SystemExit: 3 \(.*models\.py:25\)"),
    ],
)
def test_a_function_that_raises_is_described(file, name, message):
    with pytest.raises(RequestError, match=message) as raised:
        call(resolve(f"{file}:{name}", what="model"))
    assert raised.value.__cause__ is not None


def test_a_function_that_needs_arguments_is_described():
    with pytest.raises(
        RequestError, match=r"with_width raised TypeError: .*missing 1 required keyword-only argument: 'depth'$"
    ):
        call(resolve(with_width, what="model"))


@pytest.mark.parametrize(
    ("source", "expected"), [("mnits", False), ("a:b", True), ("a.py", True), ("a/b", True), ("", False)]
)
def test_looks_like(source, expected):
    assert looks_like(source) is expected
