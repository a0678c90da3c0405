import json
import subprocess
import sys

import pytest

from normwise import __version__


@pytest.fixture
def normwise(command, monkeypatch):
    """Runs a command in this process: exit code, stdout, stderr."""
    monkeypatch.setenv("COLUMNS", "80")

    return command


def loaded(code, *arguments):
    """The names of the modules that code loads in a fresh interpreter."""
    command = [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stdout.split()}


HELPS = """
import sys, io, contextlib
from normwise.cli import main
for command in ("--help", "compare --help", "bench --help", "doctor --help", "fold --help", "runs --help", "--version"):
    sys.argv = ["normwise", *command.split()]
    with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.suppress(SystemExit):
        main()
    assert said.getvalue(), command
"""


def test_help_and_version_load_neither_torch_nor_numpy():
    assert not loaded(HELPS) & {"torch", "numpy", "matplotlib", "sklearn", "scipy", "jinja2"}


def test_importing_the_package_loads_nothing_heavy():
    assert not loaded("import normwise") & {"torch", "numpy", "matplotlib", "optuna", "numba", "triton", "sklearn"}
    assert not loaded("from normwise import BatchNorm2d") & {"matplotlib", "optuna", "numba", "sklearn"}


def test_the_command_is_a_module_too():
    done = subprocess.run([sys.executable, "-m", "normwise", "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"normwise {__version__}\n")


def test_every_help_has_a_runnable_example(normwise):
    for command in ((), ("compare",), ("bench",), ("fold",), ("runs",)):
        code, out, _ = normwise(*command, "--help")
        assert code == 0
        assert f"Example: normwise {command[0] if command else 'compare'}" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["compre"], "Did you mean 'compare'"),
        (["compare", "--lrr", "1"], "--lr"),
        (["compare", "--steps", "ten"], "'ten'"),
    ],
)
def test_a_wrong_command_line_is_one_line(normwise, arguments, said):
    code, out, err = normwise(*arguments)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert said in err


def test_json_is_alone_on_stdout_whatever_the_user_s_code_prints(tmp_path):
    (tmp_path / "loud.py").write_text(
        "from torch import nn\n"
        "def make_model():\n"
        "    print('building')\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(64, 9), nn.ReLU(), nn.Linear(9, 10))\n"
    )
    command = ["compare", "--model", "loud.py:make_model", "--arm", "bn", "--steps", "10", "--seeds", "1", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "normwise", *command], capture_output=True, text=True, timeout=120, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["metric"] == "accuracy"
    assert "building" in done.stderr
