"""``normwise warmup``."""

import sys

import pytest
import torch

from normwise import cli


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs the command in this process: exit code, stderr."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["normwise", "warmup", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code or 0, capsys.readouterr().err

    return run


def test_an_unknown_type_or_activation_is_one_line(run):
    code, err = run("relu", "--dtype", "float16")
    assert code == 2
    assert "the kernels take float32, float64, bfloat16" in err
    assert run("rele")[0] == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--tune"], "--tune needs shapes to time"),
        (["--shape", "8x"], "shape is '8x'; allowed"),
        (["--shape", "8x3x4x4", "--dtype", "float64"], "the kernels take float32, bfloat16, float16"),
    ],
)
def test_a_wrong_request_for_a_gpu_is_one_line(run, arguments, said):
    code, err = run(*arguments)
    assert code == 2
    assert said in err
    assert len(err.splitlines()) == 1


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_shapes_without_a_gpu(run):
    code, err = run("--shape", "8x3x4x4", "--tune")
    assert code == 2
    assert "torch sees none; leave it out" in err
