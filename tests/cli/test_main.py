import json
import subprocess
import sys

import pytest

import normwise


def run(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "normwise", *arguments], capture_output=True, text=True, timeout=120, **options
    )


def loaded(statement):
    """The names of the modules that a statement loads in a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", f"{statement}; import sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return {name.partition(".")[0] for name in done.stdout.split()}


def test_help_and_version_load_neither_torch_nor_numpy():
    for arguments in (["--help"], ["compare", "--help"], ["bench", "--help"], ["fold", "--help"], ["--version"]):
        found = loaded_by_command(["normwise", *arguments])
        assert not found & {"torch", "numpy", "matplotlib", "sklearn", "scipy", "jinja2"}


def loaded_by_command(arguments):
    code = f"""
import sys, io, contextlib
sys.argv = {arguments}
from normwise.cli import main
with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
    main()
print(*sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stdout.split()}


def test_importing_the_package_loads_nothing_heavy():
    assert not loaded("import normwise") & {"torch", "numpy", "matplotlib", "optuna", "numba", "triton", "sklearn"}
    assert not loaded("from normwise import BatchNorm2d") & {"matplotlib", "optuna", "numba", "sklearn"}


def test_version():
    done = run("--version")
    assert (done.returncode, done.stdout) == (0, f"normwise {normwise.__version__}\n")


def test_every_help_has_a_runnable_example():
    for command in ((), ("compare",), ("bench",), ("fold",)):
        done = run(*command, "--help")
        assert done.returncode == 0
        assert f"Example: normwise {command[0] if command else 'compare'}" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["compre"], "Did you mean 'compare'"),
        (["compare", "--lrr", "1"], "--lr"),
        (["compare", "--steps", "ten"], "'ten'"),
    ],
)
def test_a_wrong_command_line_is_one_line(arguments, said):
    done = run(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert said in done.stderr


def test_json_is_alone_on_stdout_whatever_the_user_s_code_prints(tmp_path):
    (tmp_path / "loud.py").write_text(
        "from torch import nn\n"
        "def make_model():\n"
        "    print('building')\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(64, 9), nn.ReLU(), nn.Linear(9, 10))\n"
    )
    done = run("compare", "--model", "loud.py:make_model", "--steps", "10", "--seeds", "1", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["metric"] == "accuracy"
    assert "building" in done.stderr
