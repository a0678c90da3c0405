import json
from dataclasses import replace
from pathlib import Path

import pytest

from normwise.doctor.diagnose import STEPS
from normwise.doctor.diagnosis import Diagnosis
from normwise.doctor.evidence import Evidence
from normwise.doctor.finding import Finding, Severity
from normwise.doctor.treatment import Recommendation, TreatedRun, Treatment
from normwise.errors import JobError
from normwise.records.metric import ACCURACY

MODELS = """
import torch
from torch import nn

def raises():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 20), nn.Sequential(nn.ReLU(), nn.Linear(21, 10)))

def frozen():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).requires_grad_(False)

def nothing_to_learn():
    return nn.Flatten()

class Picky(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(64, 10)

    def forward(self, x):
        if self.training and len(x) == 60:
            raise KeyError("sixty")
        return self.linear(x.flatten(1))

def one_batch():
    data = torch.utils.data.TensorDataset(torch.randn(40, 8), torch.arange(40) % 2)
    return (torch.utils.data.DataLoader(data, batch_size=40),) * 2
"""

HELPED = Treatment(
    "batch-normalization", {"norm": "batch"}, (TreatedRun(0, "finished", 0.9, learned=True),), 0.9, 0.01, 0.6, 0.05,
    helped=True,
)  # fmt: skip
FOUND = Diagnosis(
    (Finding("NW101", "vanishing-gradient", Severity.CRITICAL, ("linear1",), words="The gradient vanishes."),),
    Evidence(),
    (
        Treatment("nothing", {}, (), 0.3, 0.02, 0.0, None, helped=False),
        HELPED,
        replace(HELPED, name="clip", mean=0.31, std=None, gain=0.01, margin=None, helped=False, dropped="others"),
        replace(HELPED, name="random", mean=0.5, gain=0.2, margin=1.0, helped=False),
    ),
    Recommendation("batch-normalization", "batch normalization: net = nw.batch_normalize(net)", 0.6, 0.05),
    "The gradient vanishes. It helped.",
    Path("report.html"),
    learned=False,
    notes=("A note.",),
    metric=ACCURACY,
)
HEALTHY = replace(FOUND, findings=(), treatments=(), recommendation=None, verdict="Nothing is wrong.", learned=True)


@pytest.fixture
def asked(monkeypatch, command):
    """Answers every diagnosis with one that was made up; the options it was asked with are kept."""
    kept = {}

    def run(answer, *arguments):
        def diagnose(data, **options):
            kept.update(options, data=data)
            if isinstance(answer, Exception):
                raise answer
            return answer

        monkeypatch.setattr("normwise.doctor.diagnose", diagnose)
        return (*command("doctor", *arguments), kept)

    return run


def test_exit_codes(asked):
    assert asked(HEALTHY)[0] == 0
    assert asked(FOUND)[0] == 3
    assert asked(JobError("every run failed"))[0] == 1


def test_what_is_printed(asked, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    _, out, _, _ = asked(FOUND)
    lines = [line.rstrip() for line in out.splitlines() if line.strip()]
    assert lines == [
        "The gradient vanishes. It helped.",
        "To do: batch normalization: net = nw.batch_normalize(net)",
        "treatment            validation accuracy                  gain    helped",
        "────────────────────────────────────────────────────────────────────────",
        "nothing                     30.0 % ± 2.0",
        "batch-normalization         90.0 % ± 1.0    +60.0 ± 5.0 points       yes",
        "random                      50.0 % ± 1.0  +20.0 ± 100.0 points        no",
        "clip                              31.0 %           +1.0 points  one seed",
        "NW101 vanishing-gradient, critical (linear1)",
        "  The gradient vanishes.",
        "A note.",
        "Report: report.html",
    ]


def test_a_narrow_terminal_keeps_code_whole_and_parts_the_sections(asked, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    code = "net = nw.batch_normalize(net, example=x).model"
    where = tuple(f"linear{index}" for index in range(1, 21))
    found = replace(FOUND, findings=(replace(FOUND.findings[0], where=where, words="It vanishes. " * 6),))
    _, out, _, _ = asked(replace(found, recommendation=Recommendation("bn", f"normalize:\n{code}", 0.6, 0.05)))
    lines = out.splitlines()
    assert lines[:4] == ["The gradient vanishes. It helped.", "", "To do: normalize:", code]
    assert "(linear1 to linear20 (20 layers))" in " ".join(lines)
    assert max(len(line) for line in lines if line != code) <= 40
    assert lines[-4:] == ["", "A note.", "", "Report: report.html"]


def test_nothing_is_to_do_where_nothing_is_wrong(asked):
    assert "To do" not in asked(replace(FOUND, findings=()))[1]


def test_options_reach_the_doctor(asked):
    *_, kept = asked(
        HEALTHY, "--data", "wine", "--no-treat", "--budget", "10m", "--ignore", "NW101", "--ignore", "dead-units",
        "--lr", "0.1", "--weights", "a.pt", "--model", "cnn",
    )  # fmt: skip
    del kept["on_progress"], kept["on_note"]
    assert {name: value for name, value in kept.items() if value not in (None, False)} == {
        "data": "wine", "budget": "10m", "ignore": ("NW101", "dead-units"), "lr": "0.1", "weights": "a.pt",
        "model": "cnn",
    }  # fmt: skip
    assert kept["treat"] is False


def test_json_is_one_object(asked):
    code, out, _, _ = asked(FOUND, "--json")
    assert (code, json.loads(out)) == (3, FOUND.as_dict())


def test_the_help_has_an_example_that_runs_and_the_doctor_s_own_defaults(command):
    code, out, _ = command("doctor", "--help")
    assert code == 0
    assert "normwise doctor --data digits --model mlp:100x20 --activation" in out
    assert "--budget" in out
    assert "--baseline" not in out
    assert f"By default {STEPS}." in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--model", "net.py:raises"], "cannot be multiplied (8x20 and 21x10); it is raised in layer 2.1 (Linear)"),
        (["--model", "net.py:frozen"], "all parameters of net.py:frozen are frozen (requires_grad is False)"),
        (["--model", "net.py:nothing_to_learn"], "has no parameter that its outputs depend on"),
        (["--model", "net.py:Picky", "--workers", "0"], "its first step fails with KeyError: 'sixty' (net.py:"),
        (["--data", "net.py:one_batch"], "the training loader of net.py:one_batch has one batch"),
        (["--lr", "0.1,0.2"], "lr has several values"),
        (["--norm", "batch", "--batch-size", "1"], "error: batch normalization needs at least 2 examples in a batch"),
        (["--model", "net.py:Picky", "--dropout", "0.5"], "error: the training sets 'dropout', which your own network"),
        (["--baseline", "bn"], "No such option: --baseline"),
    ],
)  # fmt: skip
def test_a_wrong_request_is_one_line(command, tmp_path, arguments, said):
    (tmp_path / "net.py").write_text(MODELS)
    code, out, err = command("doctor", *arguments)
    assert (code, out) == (2, "")
    assert said in " ".join(err.split())
    assert err.count("\n") == 1
