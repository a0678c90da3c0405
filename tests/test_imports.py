"""Imports run one way."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import normwise

SOURCE = Path(normwise.__file__).parent

BELOW = {
    "cli": {"bench", "doctor"},
    "integrations": {"doctor"},
    "doctor": {"lab"},
    "bench": {"lab", "nn"},
    "lab": {"report", "figures", "records", "probes", "surgery"},
    "report": {"figures"},
    "figures": {"records"},
    "records": set(),
    "probes": {"nn"},
    "surgery": {"nn"},
    "nn": {"ops"},
    "ops": {"moments"},
    "moments": {"errors"},
    "errors": set(),
}


def reachable(part):
    """Everything that a part may import: itself, errors, and whatever lies below it."""
    found = {part, "errors"}
    for below in BELOW[part]:
        found |= reachable(below)
    return found


def imports(path):
    """The dotted names that a file imports, type-checking and local imports included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def imported(path):
    """The parts of normwise that a file imports."""
    for name in imports(path):
        package, _, rest = name.partition(".")
        if package == "normwise" and rest.partition(".")[0] in BELOW:
            yield rest.partition(".")[0]


def part(path):
    first = path.relative_to(SOURCE).parts[0]
    return first.removesuffix(".py")


def test_every_part_of_the_package_has_its_place():
    parts = {part(path) for path in SOURCE.rglob("*.py")} - {"__init__", "__main__"}
    assert parts == set(BELOW)


def test_no_import_runs_back():
    backwards = [
        f"{path.relative_to(SOURCE)} imports {name}"
        for path in SOURCE.rglob("*.py")
        if part(path) in BELOW
        for name in imported(path)
        if name not in reachable(part(path))
    ]
    assert backwards == []


def test_no_modules_import_each_other():
    modules = {}
    for path in SOURCE.rglob("*.py"):
        parts = path.relative_to(SOURCE.parent).with_suffix("").parts
        modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    graph = {
        module: {
            found
            for name in imports(path)
            if (found := name if name in modules else name.rpartition(".")[0]) in modules and found != module
        }
        for module, path in modules.items()
    }
    assert sum(map(len, graph.values())) > len(graph)
    TopologicalSorter(graph).prepare()  # raises CycleError, with the circle
