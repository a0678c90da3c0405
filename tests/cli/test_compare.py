import json

import pytest
from safetensors import safe_open

MODELS = """
import torch
from torch import nn

def make_model():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 20), nn.ReLU(), nn.Linear(20, 10))

def wrong_width():
    return nn.Sequential(nn.Flatten(), nn.Linear(63, 10))

def too_few():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 5))

def images():
    return nn.Conv2d(1, 10, 3)

def raises():
    raise KeyError("width")

def returns_none():
    pass

def functional():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.hidden, self.out = nn.Linear(64, 8), nn.Linear(8, 10)
        def forward(self, x):
            return self.out(torch.relu(self.hidden(x.flatten(1))))
    return Net()

number = 3

def make_data():
    X = torch.randn(120, 8)
    return (X, (X[:, 0] > 0).long()), (X[:60], (X[:60, 0] > 0).long())

def labels_out_of_step():
    return (torch.randn(10, 3), torch.zeros(9)), (torch.randn(4, 3), torch.zeros(4))

def ragged():
    class Images(torch.utils.data.Dataset):
        def __len__(self):
            return 10
        def __getitem__(self, index):
            return torch.zeros(1, 8 + index, 8), index % 2
    return Images(), Images()
"""


@pytest.fixture
def normwise(command, tmp_path, monkeypatch):
    """Runs a command in this process, in a folder of its own: exit code, stdout, stderr."""
    monkeypatch.delenv("NORMWISE_DATA", raising=False)
    monkeypatch.setenv("COLUMNS", "100")
    (tmp_path / "train.py").write_text(MODELS)
    (tmp_path / "file").write_text("")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("")
    (tmp_path / "empty").mkdir()

    return command


@pytest.fixture
def unwritten(monkeypatch):
    """Without the report, which takes most of the time of a small comparison."""
    monkeypatch.setattr("normwise.lab.page.write", lambda result, panels: None)


SMALL = ("--steps", "20", "--seeds", "1", "--eval-every", "10", "--workers", "0")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--data", "mnits"], "unknown data set 'mnits'; did you mean 'mnist'"),
        (["--data", "MNIST"], "did you mean 'mnist'"),
        (["--model", "mpl"], "unknown model 'mpl'; did you mean 'mlp'"),
        (["--model", "mlp:100,"], "whole numbers"),
        (["--model", "mlp:0"], "mlp:WIDTHxDEPTH in whole numbers"),
        (["--model", "mlp:9x1001"], "at most 1,000 layers"),
        (["--model", "cnn:8,8,8,8"], "halves the image 4 times"),
        (["--arm", "bnn"], "did you mean 'bn'"),
        (["--arm", "bn", "--arm", "bn"], "two arms are called 'bn'"),
        (["--arm", "bn", "--arm", "x: norm=batch"], "same settings"),
        (["--activation", "rely"], "did you mean 'relu'"),
        (["--arm", "norm=group:3"], "do not divide into 3 groups"),
        (["--lr", "0"], "above 0"),
        (["--lr", "-0.1"], "above 0"),
        (["--lr", "nan"], "above 0"),
        (["--lr", "0.1,0.1"], "that differ"),
        (["--lr", "0.1,,2"], "lr is ''"),
        (
            ["--init", "he,xavier", "--clip", "1,2"],
            "init and clip have several values; allowed: several for lr",
        ),
        (["--momentum", "0.9"], "optimizer=sgd has no momentum, which is given; use optimizer=momentum or nesterov"),
        (["--warmup", "-1"], "warmup is '-1'; allowed: a whole number, 0 or more"),
        (["--batch-size", "5000"], "batch_size is 5000; digits has 1198 training examples"),
        (["--batch-size", "1"], "at least 2 examples"),
        (["--steps", "0"], "steps is '0'; allowed: a whole number, 1 or more"),
        (["--steps", "ten"], "steps is 'ten'"),
        (["--seeds", "0"], "seeds is '0'"),
        (["--epochs", "0"], "epochs is '0'"),
        (["--steps", "5", "--epochs", "5"], "both steps and epochs"),
        (["--eval-every", "-1"], "eval_every is '-1'"),
        (["--workers", "many"], "workers is 'many'"),
        (["--device", "gpu"], "device 'gpu' cannot be used"),
        (["--device", "cuda:99"], "this machine has cpu"),
        (["--model", "train.py:make_modle"], "did you mean 'make_model'"),
        (["--model", "trian.py:make_model"], "trian.py"),
        (["--model", "no.such.module:make_model"], "no.such.module"),
        (["--model", "train.py:number"], "not callable"),
        (["--model", "train.py"], "a function without arguments that returns a torch.nn.Module"),
        (["--data", "train.py"], "a function without arguments that returns (train, test) or (train,"),
        (["--model", "train.py:raises"], "KeyError"),
        (["--model", "train.py:returns_none"], "must return a torch.nn.Module"),
        (["--model", "train.py:wrong_width"], "does not take digits"),
        (["--model", "train.py:too_few"], "returned shape (8, 5) for 8 examples; for classification it must"),
        (["--model", "train.py:images"], "returned shape (8, 10, 6, 6)"),
        (["--model", "train.py:make_model", "--dropout", "0.1"], "your own network decides"),
        (["--data", "train.py:labels_out_of_step"], "10"),
        (["--data", "train.py:ragged"], "size"),
        (["--data", "train.py:make_data", "--model", "cnn"], "needs images"),
        (["--data", "mnist", "--data-dir", "empty"], "empty"),
        (["--data", "mnist", "--data-dir", "nowhere"], "nowhere"),
        (["--out", "file"], "a file"),
        (["--out", "other"], "holds something else"),
    ],
)
def test_a_wrong_request_is_one_line_and_starts_nothing(normwise, tmp_path, arguments, said):
    code, out, err = normwise("compare", *arguments)
    assert said in err
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert err.startswith("error: ")
    assert not (tmp_path / "runs").exists()


def test_a_network_with_functional_nonlinearities_is_normalized(normwise, unwritten, tmp_path):
    code, _, err = normwise("compare", *SMALL, "--model", "train.py:functional")
    assert code == 0, err
    keys = {}
    for path in tmp_path.glob("runs/*/*/checkpoint.safetensors"):
        with safe_open(path, "pt") as checkpoint:
            keys[path.parent.name.split("-")[0]] = {key for key in checkpoint.keys() if "hidden." in key}  # noqa: SIM118
    assert keys.keys() == {"plain", "bn"}
    assert any("hidden.norm.running_var" in key for key in keys["bn"])
    assert not any("norm" in key for key in keys["plain"])


def test_the_result_is_a_table_a_sentence_and_a_report(normwise, tmp_path):
    code, out, err = normwise("compare", *SMALL, "--workers", "2")
    assert code == 0, err
    assert "plain" in out
    assert "bn" in out
    assert "Report: runs/compare-digits-mlp/report.html" in out
    assert (tmp_path / "runs/compare-digits-mlp/report.html").stat().st_size > 10_000
    assert {path.suffix for path in (tmp_path / "runs/compare-digits-mlp/figures").iterdir()} == {".png", ".svg"}


def test_json_is_one_object_with_the_promised_keys(normwise, unwritten):
    code, out, _ = normwise("compare", *SMALL, "--json")
    found = json.loads(out)
    assert code == 0
    assert list(found) == [
        "study", "task", "metric", "higher_is_better", "baseline", "target", "arms", "ranking", "verdict", "report"
    ]  # fmt: skip
    asked = found["task"], found["metric"], found["higher_is_better"], found["baseline"]
    assert asked == ("classification", "accuracy", True, "plain")
    assert [arm["name"] for arm in found["arms"]] == ["plain", "bn"]
    arm = found["arms"][1]
    assert list(arm) == [
        "name", "settings", "lr", "test_mean", "test_std", "learned", "steps_to_target", "never", "runs", "ensemble"
    ]  # fmt: skip
    assert list(arm["runs"][0]) == [
        "seed",
        "status",
        "steps",
        "best_step",
        "train",
        "validation",
        "test",
        "steps_to_target",
    ]
    assert (arm["settings"]["norm"], arm["lr"], arm["test_std"], arm["runs"][0]["status"]) == (
        "batch",
        0.2,
        None,
        "finished",
    )


def test_the_user_s_own_model_and_data(normwise, unwritten):
    code, out, err = normwise("compare", *SMALL, "--model", "train.py:make_model", "--json")
    assert code == 0, err
    assert json.loads(out)["study"] == "runs/compare-digits-train-py-make-model"
    code, _, err = normwise("compare", *SMALL, "--data", "train.py:make_data", "--activation", "relu")
    assert code == 0, err


def test_a_failed_study_exits_with_one(normwise, unwritten, tmp_path):
    code, _, err = normwise("compare", *SMALL)
    assert code == 0, err
    for path in tmp_path.glob("runs/*/*/done.json"):
        path.unlink()
        (path.parent / "timing.jsonl").unlink()
        (path.parent / "timing.jsonl").mkdir()
    code, _, err = normwise("compare", *SMALL)
    assert code == 1
    assert "cannot read or write runs/compare-digits-mlp/" in err
    assert list(tmp_path.glob("runs/*/*/metrics.jsonl"))


def test_a_study_without_one_result_exits_with_one(normwise, unwritten, monkeypatch):
    def broken(*arguments):
        raise MemoryError("out of memory")

    monkeypatch.setattr("normwise.lab.train.evaluate", broken)
    code, out, _ = normwise("compare", *SMALL)
    assert code == 1
    assert "No verdict on bn" in out


def test_one_run_that_failed_exits_with_one_and_the_others_are_shown(normwise, unwritten, monkeypatch):
    from normwise.lab import optimizers

    make = optimizers.optimizer

    def broken(settings, parameters):
        if settings.norm == "batch":
            raise MemoryError("out of memory")
        return make(settings, parameters)

    monkeypatch.setattr(optimizers, "optimizer", broken)
    code, out, _ = normwise("compare", *SMALL, "--json")
    plain, bn = json.loads(out)["arms"]
    assert (code, plain["runs"][0]["status"], bn["runs"][0]["status"]) == (1, "finished", "failed")


def test_a_sweep_is_trained_at_every_value_and_chosen_from(normwise, unwritten, tmp_path):
    code, out, err = normwise(
        "compare", *SMALL, "--init", "normal:0.01,he", "--arm", "plain", "--arm", "bn, init=lecun"
    )
    assert code == 0, err
    assert len(list(tmp_path.glob("runs/*/*/done.json"))) == 3
    assert "Each arm at its best init" in out
