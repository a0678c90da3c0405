import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from normwise.errors import RequestError
from normwise.lab import compare
from normwise.nn import FrozenBatchNorm
from normwise.records import RunRecord

SMALL = {"steps": 40, "seeds": 2, "eval_every": 10, "workers": 0}


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    return compare(out=tmp_path_factory.mktemp("study"), lr=(0.2, 0.5), activation="relu", **SMALL | {"workers": 2})


@pytest.fixture
def unwritten(monkeypatch):
    """Without the report, which takes most of the time of a small comparison."""
    monkeypatch.setattr("normwise.lab.page.write", lambda result, panels: None)


def test_every_arm_rate_and_seed_is_a_run(result):
    found = [(record.settings["arm"], record.settings["lr"], record.settings["seed"]) for record in result.records]
    assert found == [(arm, lr, seed) for arm in ("plain", "bn") for lr in (0.2, 0.5) for seed in (0, 1)]
    assert all(record.done["status"] == "finished" for record in result.records)


def test_numbers_come_from_the_records(result):
    bn = result.arms[1]
    records = [record for record in result.records if record.settings["arm"] == "bn" and record.settings["lr"] == bn.lr]
    best = [record.done["best"] for record in records]
    assert bn.test_mean == pytest.approx(np.mean([line["test"]["accuracy"] for line in best]))
    assert bn.test_std == pytest.approx(np.std([line["test"]["accuracy"] for line in best], ddof=1))
    assert [run.best_step for run in bn.runs] == [line["step"] for line in best]


def test_the_rate_is_chosen_on_validation_and_both_comparisons_are_told(result):
    for arm in result.arms:
        scores = {
            lr: np.mean([
                record.done["best"]["validation"]["accuracy"]
                for record in result.records
                if record.settings["arm"] == arm.name and record.settings["lr"] == lr
            ])
            for lr in (0.2, 0.5)
        }  # fmt: skip
        assert scores[arm.lr] == max(scores.values())
    plain, bn = result.arms
    assert result.verdict.startswith(f"Each arm at its best learning rate (plain {plain.lr:g}, bn {bn.lr:g}): ")
    assert (f"Each at plain's best rate, {plain.lr:g}: " in result.verdict) == (plain.lr != bn.lr)


def test_figures_are_matplotlib_figures_and_files(result):
    from matplotlib.figure import Figure

    kinds = ("preactivations", "gradients", "activations", "confusion")
    names = {"accuracy", "loss", "learning-rate", "preactivations", "gradients", "saturated"}
    names |= {f"{kind}-{arm}" for kind in kinds for arm in ("plain", "bn")}
    assert set(result.figures) == names
    assert all(isinstance(figure, Figure) for figure in result.figures.values())
    files = {path.name for path in (result.directory / "figures").iterdir()}
    assert files == {f"{name}.{kind}" for name in names for kind in ("svg", "png")}


def test_the_report_shows_verdict_table_figures_and_command(result):
    page = result.report.read_text(encoding="utf-8")
    assert result.verdict.replace("'", "&#39;").replace(" %", "\N{NO-BREAK SPACE}%") in page
    assert page.count("<figure") == len(result.figures)
    assert "normwise compare --data digits --arm plain --arm bn" in re.sub("<[^>]*>", "", page)
    for name in ("normwise", "torch", "numpy"):
        assert f">{name}<" in page


def test_the_study_says_what_was_asked(result):
    study = json.loads((result.directory / "study.json").read_text())
    assert (study["study"], study["data"], study["model"]) == ("compare", "digits", "mlp:100,100,100")
    assert study["arms"] == ["plain", "bn"]
    assert study["options"] == {
        "lr": "0.2,0.5",
        "activation": "relu",
        "steps": "40",
        "seeds": "2",
        "eval_every": "10",
    }
    assert set(study["machine"]) == {"system", "processor", "cores", "python"}


def times(directory):
    return {path.parent.name: path.stat().st_mtime_ns for path in Path(directory).glob("*/done.json")}


def test_an_arm_and_a_seed_are_added_without_training_the_rest_again(tmp_path, unwritten):
    compare(["plain"], out=tmp_path, **SMALL | {"seeds": 1})
    first = times(tmp_path)
    more = compare(["same: norm=none", "bn"], out=tmp_path, **SMALL)
    assert len(more.records) == 4
    assert times(tmp_path).items() >= first.items()
    assert [arm.name for arm in more.arms] == ["same", "bn"]
    assert more.as_dict()["baseline"] == "same"


def test_the_same_command_gives_the_same_bytes(tmp_path, unwritten):
    found = [compare(["bn, dropout=0.2"], out=tmp_path / name, **SMALL) for name in ("a", "b")]
    a, b = ([(record.directory / "metrics.jsonl").read_bytes() for record in one.records] for one in found)
    assert a == b


def make_data():
    generator = np.random.default_rng(0)
    X = generator.normal(size=(200, 6)).astype(np.float32)
    y = (X[:, 0] > 0).astype(int)
    return (X[:150], y[:150]), (X[150:], y[150:])


def make_model():
    return nn.Sequential(nn.Linear(6, 12), nn.Tanh(), nn.Linear(12, 2))


def test_functions_may_be_given_instead_of_names(tmp_path, unwritten):
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    found = compare(data=make_data, model=make_model, out=tmp_path, batch_size=20, **SMALL)
    assert [run.status for arm in found.arms for run in arm.runs] == ["finished"] * 4
    assert [entry["layer"] for entry in found.records[0].metrics[0]["gradients"]] == ["0", "2"]
    assert [entry["layer"] for entry in found.records[-1].metrics[0]["gradients"]] == ["0", "2"]  # as in the network
    assert found.records[0].settings["inputs"] == "raw"
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)


def test_two_functions_of_one_name_are_two_networks(tmp_path, unwritten):
    def of_width(width):
        return lambda: nn.Sequential(nn.Linear(6, width), nn.Tanh(), nn.Linear(width, 2))

    options = {"data": make_data, "out": tmp_path, "batch_size": 20, **SMALL}
    narrow, wide = (compare("plain", model=of_width(width), **options) for width in (4, 40))
    again = compare("plain", model=of_width(4), **options)
    assert narrow.records[0].directory == again.records[0].directory != wide.records[0].directory
    assert narrow.records[0].metrics != wide.records[0].metrics


def unseeded():
    X = torch.randn(100, 6)
    return (X[:60], X[:60, 0] > 0), (X[60:], X[60:, 0] > 0)


def test_a_function_that_draws_gives_the_same_data_every_time(tmp_path, unwritten):
    options = {"data": unseeded, "model": make_model, "out": tmp_path, "batch_size": 20, **SMALL}
    first, second = (compare("plain", **options) for _ in range(2))
    assert [run.directory for run in first.records] == [run.directory for run in second.records]


def test_functions_do_not_leave_this_process():
    with pytest.raises(RequestError, match="functions run in this process"):
        compare(data=make_data, model=make_model, workers=2)


def test_one_arm_may_be_given_as_it_is(tmp_path, unwritten):
    assert [arm.name for arm in compare("bn", out=tmp_path, **SMALL).arms] == ["bn"]


def test_epochs_are_counted_in_whole_batches(tmp_path, unwritten):
    found = compare(["bn", "big: bn, batch_size=100"], out=tmp_path, epochs=2, seeds=1, eval_every=1000, workers=0)
    assert [run.steps for arm in found.arms for run in arm.runs] == [2 * (1198 // 60), 2 * (1198 // 100)]


def test_a_run_that_diverges_is_told_and_does_not_end_the_others(tmp_path):
    found = compare(["plain", "wild: bn, activation=relu, lr=1e30, inputs=raw"], out=tmp_path, **SMALL)
    assert {run.status for run in found.arms[1].runs} == {"diverged"}
    assert "2 of 2 runs of wild diverged" in found.verdict
    assert "diverged" in found.table[0]
    assert "seed 0: diverged at step" in found.report.read_text(encoding="utf-8")


def test_a_run_that_fails_is_tried_again_and_told(tmp_path, monkeypatch):
    def broken(*arguments):
        raise MemoryError("out of memory")

    with monkeypatch.context() as patched:
        patched.setattr("normwise.lab.train.evaluate", broken)
        found = compare(data=make_data, model=make_model, out=tmp_path, batch_size=20, **SMALL)
    assert {run.status for arm in found.arms for run in arm.runs} == {"failed"}
    assert found.verdict.startswith("No verdict on bn")
    assert "MemoryError: out of memory" in found.report.read_text(encoding="utf-8")
    again = compare(data=make_data, model=make_model, out=tmp_path, batch_size=20, **SMALL)
    assert {run.status for arm in again.arms for run in arm.runs} == {"finished"}


def test_names_from_a_user_are_escaped(tmp_path):
    found = compare(['<script>alert("x")</script>: bn'], out=tmp_path, steps=20, seeds=1, eval_every=10, workers=0)
    page = found.report.read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert "&lt;script&gt;" in page


@pytest.mark.parametrize("norm", [nn.BatchNorm1d, nn.RMSNorm, lambda size: FrozenBatchNorm(nn.BatchNorm1d(size))])
def test_a_network_that_is_not_plain_is_remarked_on(tmp_path, unwritten, norm):
    def normalized():
        return nn.Sequential(nn.Linear(6, 8), norm(8), nn.Tanh(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 2))

    found = compare(data=make_data, model=normalized, out=tmp_path, batch_size=20, **SMALL)
    assert any("has normalization of its own: 1" in note for note in found.notes)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"arms": [{"norm": "batch"}]}, "an arm is a dict"),
        ({"arms": ["a\tb: bn"]}, "control characters"),
        ({"model": nn.Linear(64, 10)}, "model is a network; give a function that makes it"),
        ({"data": ((1, 2), (3, 4))}, "got a tuple"),
        ({"out": "x" * 300}, "cannot be written"),
    ],
)
def test_wrong_arguments_are_told_from_each_other(given, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RequestError) as refused:
        compare(**{"steps": 5, **given})
    assert said in str(refused.value)
    assert len(str(refused.value)) < 600


def test_an_unknown_option_names_the_nearest():
    with pytest.raises(RequestError, match="unknown option 'batchsize'; did you mean 'batch_size'"):
        compare(batchsize=20)


@pytest.mark.parametrize("arm", ["plain", "bn", "norm=layer", "norm=group:4", "bn, place=after", "bn, dropout=0.2"])
@pytest.mark.parametrize("model", ["mlp:16,8", "cnn:8,8"])
def test_every_kind_of_network_trains(tmp_path, unwritten, arm, model):
    found = compare([arm], model=model, out=tmp_path, workers=0, steps=60, seeds=1, eval_every=60, lr=0.5)
    before, after = (line["train"]["loss"] for line in found.records[0].metrics)
    assert after < before


def test_networks_in_the_user_s_script_are_not_half_normalised_in_silence(tmp_path):
    class Half(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Sequential(nn.Linear(6, 12), nn.Tanh())
            self.twice, self.tail = nn.Linear(12, 12), nn.Linear(12, 2)

        def forward(self, x):
            return self.tail(torch.relu(self.twice(torch.relu(self.twice(self.head(x))))))

    found = compare(data=make_data, model=Half, out=tmp_path, batch_size=20, **SMALL)
    assert "arm bn: twice left alone: it is called 2 times" in found.report.read_text(encoding="utf-8")


def test_mnist_shows_batch_normalization_ahead(tmp_path, unwritten, data_dir):
    found = compare(data="mnist", data_dir=data_dir, out=tmp_path, steps=600, seeds=2, eval_every=600)
    plain, bn = found.arms
    assert bn.test_mean > plain.test_mean + 0.2  # plain is still on its plateau
    assert found.verdict.startswith("plain did not learn")
    assert "its test accuracy was higher" in found.verdict
    assert RunRecord.read(found.records[0].directory, arm="plain").settings["data"] == "mnist"
