from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from normwise import surgery
from normwise.cli.fold import show
from normwise.lab import deploy, saved
from normwise.lab.data import Scaling, load
from normwise.lab.plan import plan
from normwise.lab.settings import Settings
from normwise.lab.train import train
from normwise.surgery import Change
from normwise.surgery.fold import FOLDED

OWN = """
from torch import nn

def make_model():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 20), nn.ReLU(), nn.Linear(20, 10))

def make_data():
    import numpy as np

    draw = np.random.default_rng(0)
    parts = [(draw.normal(middle, spread, (n, 3)), np.arange(n) % 2) for middle, spread, n in
             [(2.0, 1.0, 170), (-3.0, 4.0, 40), (9.0, 0.2, 50)]]
    return tuple(parts)
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A folder with the runs of four small studies."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "own.py").write_text(OWN)

    def run(name, arms, data="digits", **options):
        planned = plan(arms, data, {"steps": 20, "seeds": 1, "eval_every": 10, "out": folder / name, **options})
        for each in planned.runs:
            train(each.job, planned.data)

    run("mlp", ["plain", "bn"])
    run("cnn", ["bn, activation=relu"], model="cnn:4,4")
    run("own", ["bn"], model=f"{folder}/own.py:make_model")
    run("table", ["bn, inputs=standard, batch_size=20"], f"{folder}/own.py:make_data", model="mlp:16,8")
    return folder


@pytest.fixture
def normwise(command, monkeypatch):
    """Runs a command in this process, in a folder of its own: exit code, stdout, stderr."""
    monkeypatch.setenv("COLUMNS", "200")

    return command


def run_of(study, model, arm="bn"):
    (found,) = (study / model).glob(f"{arm}*-0-*/settings.json")
    return found.parent


def accuracy(run_file):
    data = load("digits").finish("classification")
    X = Scaling.fit("minmax", data.train.X).apply(data.test.X)
    return float(np.mean(np.argmax(run_file(X), axis=1) == data.test.y))


def expected(run):
    """The accuracy of the run's network with the population statistics of its training data."""
    network, data = saved.load(run).train(), load("digits").finish("classification")
    X = torch.from_numpy(Scaling.fit("minmax", data.train.X).apply(data.train.X))
    surgery.estimate_population(network, X.split(60), progress=False)
    return accuracy(lambda X: network.eval()(torch.from_numpy(X)).detach().numpy())


@pytest.mark.parametrize(("model", "folded"), [("mlp", 3), ("cnn", 2), ("own", 1)])
@pytest.mark.parametrize("suffix", ["onnx", "pt2"])
def test_the_file_is_as_good_as_the_network_that_was_trained(normwise, study, model, folded, suffix):
    run = run_of(study, model)
    code, out, err = normwise("fold", run / "checkpoint.safetensors", "-o", f"model.{suffix}", "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["folded"] == folded == len(found["changes"])
    assert 0 <= found["difference"] <= 1e-5
    if suffix == "onnx":
        session = onnxruntime.InferenceSession("model.onnx")
        score = accuracy(lambda X: session.run(None, {session.get_inputs()[0].name: X})[0])
    else:
        program = torch.export.load("model.pt2").module()
        score = accuracy(lambda X: program(torch.from_numpy(X)).detach().numpy())
    if model != "own":
        assert score == pytest.approx(expected(run), abs=1e-9)


def test_scaling_and_statistics_are_those_of_the_training_part(study, tmp_path):
    """Of a table whose parts lie far apart, in batches as in training."""
    run, data = run_of(study, "table"), load(f"{study}/own.py:make_data").finish("classification")
    found = deploy.deploy(run, tmp_path / "model.pt2")
    shift, scale = data.train.X.mean(0), data.train.X.std(0)
    assert found.as_dict()["inputs"] == {
        "how": "standard", "shift": pytest.approx(shift), "factor": pytest.approx(1 / scale)
    }  # fmt: skip
    network = saved.load(run)
    surgery.estimate_population(network, torch.from_numpy((data.train.X - shift) / scale).float().split(20))
    X = torch.from_numpy((data.test.X - shift) / scale).float()
    # Folding rounds each weight once more; the inputs are tens of standard deviations away from those of training.
    torch.testing.assert_close(
        torch.export.load(found.path).module()(X), network.eval()(X).detach(), rtol=1e-4, atol=1e-4
    )


def test_the_file_of_a_regression_gives_predictions_in_the_targets_own_unit(tmp_path):
    planned = plan(["bn"], "diabetes", {"steps": 200, "seeds": 1, "eval_every": 100, "out": tmp_path})
    run = planned.runs[0].job
    train(run, planned.data)
    assert run.settings.targets == "standard"
    found = deploy.deploy(run.directory, tmp_path / "model.pt2")
    X = torch.from_numpy(found.scaling.apply(planned.data.test.X))
    outputs = torch.export.load(found.path).module()(X)
    assert 50 < outputs.mean() < 250  # the targets are 25 to 346


def test_what_is_left_is_not_counted_as_folded(capsys):
    changes = [Change("norm1", "BatchNorm1d", "", f"{FOLDED} linear1"), Change("norm2", "a", "a", "its own reason")]
    found = deploy.Deployed(Path("model.pt2"), Settings(inputs="raw"), changes, 0.0, None)
    assert found.folded == 1
    show(found)
    assert "1 of 2 normalizations folded" in capsys.readouterr().out


def test_it_says_what_it_did_and_how_inputs_are_scaled(normwise, study):
    code, out, err = normwise("fold", run_of(study, "mlp"), "-o", "model.pt2")
    assert (code, err) == (0, "")
    assert "part of linear1" in out
    assert "3 of 3 normalizations folded" in out
    assert "inputs scaled as in training (minmax)" in out
    assert "Network: model.pt2" in out


def test_a_network_without_normalization_is_written_as_it_is(normwise, study):
    code, out, _ = normwise("fold", run_of(study, "mlp", "plain"), "-o", "model.pt2", "--json")
    assert (code, json.loads(out)["changes"]) == (0, [])
    assert Path("model.pt2").exists()


@pytest.mark.parametrize(
    ("out", "said"),
    [("model.pt", "must end in .onnx"), ("nowhere/model.pt2", "there is no folder nowhere")],
)
def test_where_it_cannot_be_written(normwise, study, out, said):
    code, _, err = normwise("fold", run_of(study, "mlp"), "-o", out)
    assert code == 2
    assert said in err


def test_what_is_no_run(normwise, study, tmp_path):
    code, _, err = normwise("fold", tmp_path, "-o", "model.pt2")
    assert code == 2
    assert "is no run" in err
    assert "normwise compare makes them" in err
    (tmp_path / "ck.pt").touch()
    assert "ck.pt is no run" in normwise("fold", tmp_path / "ck.pt", "-o", "model.pt2")[2].replace("\n", "")
    code, _, err = normwise("fold", study / "mlp", "-o", "model.pt2")
    assert code == 2
    assert f"it holds the runs {run_of(study, 'mlp').name}" in err


def copy_of(run, folder):
    (folder / "run").mkdir()
    for file in run.iterdir():
        (folder / "run" / file.name).write_bytes(file.read_bytes())
    return folder / "run"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda run: [file.unlink() for file in run.glob("*.safetensors")], "has no best.safetensors that can be read"),
        (lambda run: (run / "best.safetensors").write_bytes(b"x"), "has no best.safetensors that can be"),
        (lambda run: (run / "settings.json").write_text("{"), "cannot read"),
        (lambda run: edit(run, fingerprint="0"), "is not what"),
        (lambda run: edit(run, model="mlp:7"), "do not fit mlp:7"),
    ],
)
def test_a_run_that_is_not_whole(normwise, study, tmp_path, change, said):
    run = copy_of(run_of(study, "mlp"), tmp_path)
    change(run)
    code, _, err = normwise("fold", run, "-o", "model.pt2")
    assert code == 2
    assert said in err
    assert not Path("model.pt2").exists()


def edit(run, **settings):
    found = json.loads((run / "settings.json").read_text())
    (run / "settings.json").write_text(json.dumps(found | settings))


def test_a_network_whose_source_has_changed_is_refused(normwise, study):
    (study / "own.py").write_text(OWN + "# changed\n")
    try:
        code, _, err = normwise("fold", run_of(study, "own"), "-o", "model.pt2")
    finally:
        (study / "own.py").write_text(OWN)
    assert code == 2
    assert "has changed since the run" in err
