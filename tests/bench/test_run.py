import csv
import json

import pytest
import torch

from measurements import kept_tensors, measurement, training_step
from normwise.bench import entries, ledger, networks, request, run
from normwise.bench.entries import Network
from normwise.bench.run import Result, threads, write_ledger
from normwise.errors import RequestError

SMALL = Network("small MLP", lambda norm: networks.mlp(norm, inputs=9, width=8), (12, 9))


def result(*cases):
    return Result(cases or (measurement(),), (training_step(),), (kept_tensors(),), ledger.described(), 2, "auto", None)


def test_a_request_is_measured_in_order_with_news():
    asked = request(shapes=["6x5"], only="bn+relu")
    asked = asked._replace(settings=asked.settings._replace(seconds=0.0), steps=(SMALL,))
    news = []
    found = run(asked, news.append)
    assert [item.case for item in found.cases] == list(asked.cases)
    assert [step.name for step in found.steps] == ["small MLP"]
    assert [status.now for status in news] == [*(case.name for case in asked.cases), "training step small MLP", "done"]
    assert [status.done for status in news] == sorted(status.done for status in news)
    assert news[-1].done == pytest.approx(news[-1].total)  # a sum in the same order
    assert found.threads == torch.get_num_threads()
    assert not found.wrong


def test_networks_are_measured_when_asked_for(monkeypatch):
    small = Network("small chain", lambda norm: networks.chain(norm, features=4), (2, 4, 6, 6), 0)
    monkeypatch.setattr(entries.kept, "__defaults__", (small,))
    asked = request(shapes=["6x5"], only="bn inference")._replace(peaks=(small,), chain=True)
    found = run(asked._replace(settings=asked.settings._replace(seconds=0.0)))
    assert [memory.unit for memory in found.memory] == ["MiB", "tensors"]


def test_threads_are_put_back():
    before = torch.get_num_threads()
    with threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before
    with threads(None):
        assert torch.get_num_threads() == before


def test_json_has_the_promised_keys():
    found = result(measurement(), measurement(error=99.0, epilogue="bn"))
    written = json.loads(json.dumps(found.as_dict()))
    assert list(written) == ["machine", "threads", "impl", "busy", "summary", "cases", "steps", "memory"]
    assert [row["epilogue"] for row in written["summary"]] == ["bn", "bn+relu"]
    assert written["memory"][0]["of_torch"] == {"ours": 0.75}
    assert found.wrong


def test_the_ledger_has_a_row_for_everything(tmp_path, monkeypatch):
    (tmp_path / "benchmarks" / "results").mkdir(parents=True)
    monkeypatch.setattr(ledger, "checkout", lambda: tmp_path)
    for _ in range(2):
        write_ledger(result())
    with (tmp_path / "benchmarks/results/cpu.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["benchmark"] for row in rows] == [measurement().case.name, "training step MLP"] * 2
    assert (rows[0]["ratio"], rows[0]["n"], rows[0]["over_floor"], rows[0]["threads"]) == ("2.000", "5", "0.500", "2")
    with (tmp_path / "benchmarks/results/memory.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["ours_share"] for row in rows] == ["0.750"] * 2


def test_the_ledger_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    results = tmp_path / "benchmarks" / "results"
    results.mkdir(parents=True)
    (results / "memory.csv").write_text("date,speed\n")
    monkeypatch.setattr(ledger, "checkout", lambda: tmp_path)
    with pytest.raises(RequestError, match="move it away"):
        write_ledger(result())
    assert not (results / "cpu.csv").exists()
