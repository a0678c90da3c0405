import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from lab.made import of_parts, parts, small
from normwise.errors import RequestError
from normwise.lab import study, values
from normwise.lab.functions import Functions
from normwise.lab.plan import planned, together
from normwise.lab.question import question

DATA = parts([0, 1] * 30, [0, 1] * 5, [0, 1] * 5)


def loader():
    examples = TensorDataset(torch.zeros(8, 2), torch.tensor([0, 1] * 4))
    return DataLoader(examples, 4), DataLoader(examples, 4)


def directories(planned):
    return [run.job.directory for run in planned.runs]


def test_other_data_of_one_name_are_other_runs(tmp_path):
    others = parts([0, 1] * 30, [0, 1] * 5, [1, 0] * 5)  # two labels of the test part
    first, again, other = (of_parts(tmp_path, "bn", data) for data in (DATA, DATA, others))
    assert directories(first) == directories(again)
    assert directories(first) != directories(other)


def test_data_of_the_user_s_own_are_left_raw_unless_asked(tmp_path):
    inputs = [
        of_parts(tmp_path, "bn", DATA, **given).runs[0].job.settings.inputs for given in ({}, {"inputs": "minmax"})
    ]
    assert inputs == ["raw", "minmax"]


def test_every_rate_has_every_seed_and_epochs_count_the_whole_batches_of_the_training_part(tmp_path):
    planned = of_parts(tmp_path, "bn, lr=0.1", DATA, seeds=3, steps=None, epochs=2, batch_size=25)
    settings = [run.job.settings for run in planned.runs]
    assert [(each.lr, each.seed, each.steps) for each in settings] == [(0.1, seed, 4) for seed in range(3)]
    assert len(set(directories(planned))) == 3


def asked(tmp_path, **given):
    return question("digits", {"steps": 2, "out": tmp_path, "workers": 0, **given}, "doctor")


def settings(plan):
    return [run.job.settings for run in plan.runs]


def test_parts_can_be_measured_whole_and_other_runs_keep_their_directories(tmp_path, monkeypatch):
    monkeypatch.setattr("normwise.lab.question.samples", lambda *_: {"train": 20, "validation": 30, "test": 40})
    given = {"steps": 2, "out": tmp_path}
    sampled, whole = (planned(question("digits", given, whole=parts), [("bn", {})]) for parts in ((), ("test",)))
    assert settings(sampled)[0].samples == {"train": 20, "validation": 30, "test": 40}
    assert settings(whole)[0].samples == {"train": 20, "validation": 30, "test": len(whole.data.test)}
    assert not set(directories(whole)) & set(directories(sampled))


def batches_and_arrays():
    return DataLoader(TensorDataset(*FEW), 4), FEW, FEW


FEW = torch.zeros(8, 2), torch.tensor([0, 1] * 4)


@pytest.mark.parametrize("data", [loader, batches_and_arrays])
def test_a_part_that_streams_is_measured_whole_where_its_length_is_known(tmp_path, data):
    assert question(data, {"out": tmp_path}, whole=["test"]).common.samples["test"] == 8


class Endless(IterableDataset):
    def __iter__(self):
        return iter(TensorDataset(*FEW))


def test_a_part_whose_length_only_reading_tells_is_not_measured_whole(tmp_path):
    with pytest.raises(RequestError, match=r"only reading train .* tells how long it is"):
        question(lambda: (DataLoader(Endless(), 4), FEW, FEW), {"out": tmp_path}, whole=["train"])


def test_a_part_that_is_no_part_is_not_measured_whole(tmp_path):
    with pytest.raises(RequestError, match="unknown part 'tset'; did you mean 'test'"):
        question("digits", {"out": tmp_path}, whole=["tset"])


def test_a_question_serves_rounds_of_arms_that_are_values(tmp_path):
    one = asked(tmp_path, optimizer="momentum", momentum=0.5, lr=0.1, activation="relu")
    first = planned(one, [("nothing", {}), ("adam", {"optimizer": "adam", "momentum": None, "lr": None})], seeds=[1])
    second = planned(one, [("faster", {"lr": 0.1 * 10, "init": "he"})])
    nothing, adam = settings(first)
    assert (nothing.lr, nothing.momentum, nothing.activation, nothing.seed) == (0.1, 0.5, "relu", 1)
    assert (adam.optimizer, adam.lr, adam.momentum) == ("adam", 0.001, None)
    assert [(each.lr, each.init, each.seed) for each in settings(second)] == [(1.0, "he", seed) for seed in range(3)]
    every = together([first, second])
    assert [arm.name for arm in every.arms] == every.study["arms"] == ["nothing", "adam", "faster"]
    assert every.study["runs"] == [run.job.directory.name for run in (*first.runs, *second.runs)]
    assert every.study["command"].startswith("normwise doctor --data digits --steps 2 ")


def test_arms_of_other_names_and_equal_settings_are_one_run(tmp_path):
    one = asked(tmp_path)
    he, again = (planned(one, [(name, {"init": "he"})], seeds=[0]) for name in ("he", "random"))
    both = together([he, again])
    assert [run.arm for run in both.runs] == ["he", "random"]
    told = []
    study.train(both.runs, both.data, both.workers, told.append)
    assert both.study["runs"] == [path.name for path in tmp_path.iterdir()]
    assert {run.record().done["status"] for run in both.runs} == {"finished"}
    assert (told[-1].runs, told[-1].steps_done) == (1, 2)
    later = planned(one, [("he again", {"init": "he"})], seeds=[0])
    assert directories(later) == directories(he)


@pytest.mark.parametrize(
    ("arm", "said"),
    [
        (("fast", {"rate": 1}), "arm 'fast': "),
        (("fast", {"lr": -1}), "lr is '-1'; allowed: a finite number above 0"),
        (("scaled", {"targets": "standard"}), "the task is classification"),
    ],
)
def test_a_wrong_arm_given_as_a_value_is_refused(tmp_path, arm, said):
    with pytest.raises(RequestError, match=said):
        planned(asked(tmp_path), [arm])


def test_a_deep_network_has_one_name_however_it_is_written():
    names = {
        "mlp:100x20": "mlp:100x20", f"mlp:{','.join(['5'] * 6)}": "mlp:5x6", "mlp:100x3": "mlp:100,100,100",
        "cnn:8x2": "cnn:8,8", "mlp:9,9,9,9,8": "mlp:9,9,9,9,8",
    }  # fmt: skip
    assert {given: Functions.of({"model": given}).model for given in names} == names
    assert values.model("mlp:100x20") == ("mlp", (100,) * 20)


def test_a_study_is_named_after_its_question():
    assert str(question("digits", {"model": "mlp:5"}, "doctor").out) == "runs/doctor-digits-mlp-5"
    assert small("x", "plain").study["study"] == "compare"


def test_what_is_left_alone_in_a_user_s_network_is_noted_with_what_it_is():
    def make_model():
        maps = torch.nn.Linear(64, 9), torch.nn.Linear(9, 10)
        return torch.nn.Sequential(torch.nn.Flatten(), maps[0], torch.nn.ReLU(), maps[1], torch.nn.Softmax(1))

    plan = small("x", "relu: activation=tanh", "o: output=linear", model=make_model)
    assert [note.partition("make_model ")[2] or note for note in study.check(plan)] == [
        "arm relu: 4 left alone: it makes the network's output",
        "returns probabilities, and cross_entropy takes logits: leave its last softmax out or give output=linear",
    ]
    with pytest.raises(RequestError, match=r"arm 'bad': no activation to replace in Sequential"):
        study.check(
            small(
                "x",
                "bad: activation=relu",
                model=lambda: torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10)),
            )
        )
