import pytest

from gpu_measurements import CASE, Twin, measurement
from measurements import spread
from normwise.bench.contenders import COMPILED, FLOOR, OURS, TORCH
from normwise.bench.floor import traffic
from normwise.bench.gpu import ledger, summary
from normwise.bench.gpu.measure import CALLED, GRAPH, TUNED
from normwise.bench.gpu.steps import Step
from normwise.errors import RequestError

BANDWIDTH = 1e6
LARGE = CASE._replace(shape=(128, 64, 112, 112))


def by_contender(rows):
    return {row["contender"]: row for row in rows}


def test_the_traffic_of_the_cases():
    found = {
        (mode, epilogue): tuple(traffic(CASE._replace(mode=mode, epilogue=epilogue)))
        for mode in ("forward+backward", "forward", "inference")
        for epilogue in ("bn+relu", "bn+add+relu")
    }
    assert found == {
        ("forward+backward", "bn+relu"): (5, 8), ("forward+backward", "bn+add+relu"): (8, 11),
        ("forward", "bn+relu"): (2, 3), ("forward", "bn+add+relu"): (3, 4),
        ("inference", "bn+relu"): (2, 2), ("inference", "bn+add+relu"): (3, 3),
    }  # fmt: skip


def test_a_case_has_a_row_for_each_contender():
    rows = by_contender(ledger.case_rows(measurement(2.0), BANDWIDTH))
    assert list(rows) == [OURS, TORCH, FLOOR]
    ours, torchs, floor = rows.values()
    assert {row["benchmark"] for row in rows.values()} == {CASE.name}
    assert (ours["microseconds"], ours["n"], ours["ours_speed"], ours["peak_mib"]) == ("1e+06", "5", "", "1.00")
    assert (torchs["ours_speed"], torchs["ours_min"], torchs["ours_max"]) == ("2.000", "1.000", "4.000")
    moved = 8 * CASE.bytes  # in a second
    assert float(ours["gb_per_second"]) == pytest.approx(moved / 1e9, rel=1e-3)
    assert float(ours["of_copy"]) == pytest.approx(moved / BANDWIDTH, abs=1e-3)
    assert float(ours["least_of_copy"]) == pytest.approx(5 / 8 * moved / BANDWIDTH, abs=1e-3)
    assert float(torchs["of_copy"]) == pytest.approx(moved / BANDWIDTH / 2, abs=1e-3)
    assert float(floor["microseconds"]) == pytest.approx(1e6 * moved / BANDWIDTH, rel=1e-3)


def test_one_without_a_time_has_a_row_with_the_reason():
    found = measurement()._replace(notes={COMPILED: "cannot run: RuntimeError: no ptxas"})
    row = by_contender(ledger.case_rows(found, BANDWIDTH))[COMPILED]
    assert (row["microseconds"], row["note"]) == ("", "cannot run: RuntimeError: no ptxas")


def test_a_step_has_times_and_peaks():
    notes = {"torch.compile": "cannot run"}
    step = Step(
        "net", {OURS: spread(1.0), TORCH: spread(1.5)}, {TORCH: spread(1.5)}, {OURS: 2**20, TORCH: 2**21}, notes
    )
    rows = by_contender(ledger.step_rows("training step net", step))
    assert (rows[TORCH]["ours_speed"], rows[TORCH]["peak_mib"], rows[OURS]["peak_mib"]) == ("1.500", "2.0", "1.0")
    assert rows["torch.compile"]["note"] == "cannot run"
    table = summary.memory(list(rows.values()))
    assert [row[1:] for row in table.rows] == [(OURS, "1.0", "0.50"), (TORCH, "2.0", "1.00")]


def test_rows_are_written_with_the_device_and_read_again(tmp_path):
    path, device = tmp_path / "gpu.csv", Twin()
    assert ledger.read(path) == []
    ledger.check(path)
    for speed in (2.0, 3.0):
        ledger.append(path, ledger.case_rows(measurement(speed), BANDWIDTH), "triton", device.described())
    ledger.check(path)
    rows = ledger.read(path)
    assert list(rows[0]) == [
        "date", *ledger.COLUMNS, "impl", "device", "driver", "cuda", "cudnn", "triton", "processor", "cores", "python",
        "normwise", "torch", "code",
    ]  # fmt: skip
    assert len(rows) == 6
    assert (rows[0]["device"], rows[0]["impl"]) == ("abacus", "triton")
    assert by_contender(ledger.latest(rows))[TORCH]["ours_speed"] == "3.000"
    assert len(ledger.latest(rows)) == 3
    assert ledger.done(rows, device) == {CASE.name}
    other = [row | {"code": "0" * 12} for row in rows]
    assert ledger.done(other, device) == set()
    path.write_text("date,speed\n")
    with pytest.raises(RequestError, match="move it away"):
        ledger.check(path)


def test_what_failed_or_was_broken_off_is_not_done():
    device = Twin()
    step = Step("net", {TORCH: spread(1.5)}, {}, {}, {}, (OURS,))
    here = {"device": "abacus", "code": ledger.ledger.code_hash()}

    def done(*rows):
        return ledger.done([row | here for row in rows], device)

    part, whole = (ledger.step_rows("net", each) for each in (step, step._replace(notes={OURS: "lost"}, waiting=())))
    assert [(row["contender"], row["note"]) for row in part] == [(TORCH, ""), (OURS, ledger.WAITING)]
    assert done(*part) == done(*part, ledger.failed_row("net", "no memory")) == set()
    assert done(*part, *whole) == {"net"}
    assert done(ledger.failed_row("net", "no memory")) == set()
    assert done(ledger.failed_row("net", "no memory"), *whole) == {"net"}


@pytest.mark.parametrize("other", ["device", "code"])
def test_the_latest_rows_are_those_of_one_device_and_one_code(other):
    row = {"benchmark": "a", "launch": CALLED, "contender": OURS, "device": "first", "code": "1"}
    rows = [row, row | {"benchmark": "b", other: "2"}, row | {"benchmark": "c", other: "2"}]
    assert ledger.latest(rows) == rows[1:]
    assert ledger.latest([]) == []


def test_a_row_knows_its_case():
    for case in (CASE, CASE._replace(dtype="float32"), CASE._replace(shape=(60, 100), layout="contiguous")):
        assert ledger.case_of({"benchmark": case.name}) == case
    assert ledger.case_of({"benchmark": "training step ResNet-50, 128x3x224x224"}) is None
    assert ledger.case_of({"benchmark": "device copy of 16 MiB"}) is None


def rows_of(*found):
    return [row for each in found for row in ledger.case_rows(each, BANDWIDTH)]


def test_means_are_geometric_and_told_by_type_layout_and_launch():
    rows = rows_of(
        measurement(2.0, peers=(TORCH, COMPILED)),
        measurement(8.0, case=LARGE),
        measurement(5.0, launch=GRAPH),
        measurement(3.0, case=CASE._replace(dtype="float32")),
    )
    table = summary.means(rows)
    assert table.columns[5:9] == ("×torch", "×torch in place", "×torch.compile", "×torch.compile tuned")
    assert [row[1:9] for row in table.rows] == [
        ("bfloat16", "channels_last", "called", "2", "4.00 (2)", "–", "2.00 (1)", "–"),
        ("bfloat16", "channels_last", "graph", "1", "5.00 (1)", "–", "–", "–"),
        ("float32", "channels_last", "called", "1", "3.00 (1)", "–", "–", "–"),
    ]
    share = 8 * LARGE.bytes / BANDWIDTH  # of the one above 64 MiB
    assert float(table.rows[0][-1]) == pytest.approx(share, rel=1e-3)
    assert table.rows[1][-1] == "–"
    assert summary.write(table).splitlines()[0] == "geometric means"


def test_cases_that_are_slower_than_the_best_peer():
    slow, slower = measurement(0.9, peers=(TORCH, TUNED)), measurement(0.5, case=LARGE)
    rows = rows_of(measurement(0.96, launch=GRAPH), slow, slower)
    assert summary.slower(rows) == [
        f"{LARGE.name} called: 0.50 × torch",
        f"{CASE.name} called: 0.90 × torch",
    ]


def test_a_line_says_times_ratios_and_who_is_missing():
    found = measurement(2.0)._replace(notes={COMPILED: "cannot run: no ptxas"})
    (line, note) = summary.lines(ledger.case_rows(found, BANDWIDTH))
    assert line.startswith(f"{CASE.name} called:  ours 1e+06 µs (")
    assert "×torch 2.000 (1.000–4.000)" in line
    assert note == f"{CASE.name}: torch.compile cannot run: no ptxas"


def test_pictures_show_graphs_where_there_are_any():
    from normwise.figures import speed

    rows = rows_of(measurement(2.0, launch=GRAPH), measurement(3.0), measurement(4.0, case=LARGE, error=99.0))
    cases = summary.picture_cases(rows, "bfloat16")
    info = speed.info(cases)
    assert [(point.name, point.speed, point.torch_wrong) for point in info.groups[0].points] == [
        (CASE.name, 2.0, False), (LARGE.name, 4.0, True)
    ]  # fmt: skip
    assert info.groups[0].points[0].floor == pytest.approx(2.0 / (8 * CASE.bytes / BANDWIDTH), rel=1e-3)
    assert summary.picture_cases(rows, "float32") == []
