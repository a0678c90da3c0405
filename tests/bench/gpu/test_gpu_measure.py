import pytest
import torch

from gpu_measurements import CASE, Twin
from normwise.bench import contenders
from normwise.bench.cases import FORWARD, INFERENCE, MODES, TRAIN, Case
from normwise.bench.contenders import COMPILED, INPLACE, OURS, TORCH
from normwise.bench.gpu import device, measure
from normwise.bench.gpu.measure import CALLED, GRAPH, TUNED, Settings
from normwise.errors import RequestError

BRIEF = Settings("auto", 0.0, 3)


def failing(*arguments, **options):
    raise torch.OutOfMemoryError("CUDA out of memory.\nmore")


def spoilt(make):
    def remake(*arguments, **options):
        entry = make(*arguments, **options)

        def run():
            found = entry.run()
            found["y"] = found["y"] + 1
            return found

        return entry._replace(run=run)

    return remake


@pytest.mark.usefixtures("without_kernels")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("epilogue", ["bn", "bn+relu6", "bn+add+relu"])
def test_everyone_is_timed_as_called_and_as_a_graph(epilogue, dtype, mode):
    case = CASE._replace(mode=mode, dtype=dtype, epilogue=epilogue)
    found = measure.measure(case, Twin(), BRIEF)
    assert not found.notes
    assert [timing.launch for timing in found.timings] == [CALLED, GRAPH]
    names = [OURS, TORCH, *([INPLACE] if epilogue != "bn" else [])]
    for timing in found.timings:
        assert list(timing.seconds) == names
        assert list(timing.speed) == names[1:]
        assert timing.speed[TORCH].n == 3
    assert list(found.peaks) == names
    assert found.peaks[OURS] >= case.bytes


def test_inputs_rotate(monkeypatch):
    drawn = []
    original = measure.draw

    def draw(case, seed=0, device="cpu"):
        drawn.append(original(case, seed, device))
        return drawn[-1]

    monkeypatch.setattr(measure, "draw", draw)
    seen = []
    monkeypatch.setitem(contenders.FUNCTIONS, None, lambda z: seen.append(z) or z)
    measure.measure(CASE._replace(epilogue="bn", mode=FORWARD), Twin(), BRIEF)
    assert len(drawn) == 2
    assert not torch.equal(drawn[0].x, drawn[1].x)
    means = [round(z.double().mean().item(), 9) for z in seen]
    called = means[-4 - 2 * 3 - 2 :]
    assert len(set(called)) == 2
    turns = measure.in_turn([lambda: 1, lambda: 2])
    assert [turns() for _ in range(4)] == [1, 2, 1, 2]


@pytest.mark.parametrize(("epilogue", "reads"), [("bn", 1), ("bn+add+relu", 2)])
@pytest.mark.parametrize("mode", MODES)
def test_there_are_so_many_inputs_as_what_is_read_of_them_needs(epilogue, reads, mode):
    class Cached(Twin):
        def sets(self, size):
            self.size = size
            return 1

    case, place = CASE._replace(epilogue=epilogue, mode=mode), Cached()
    measure.measure(case, place, BRIEF)
    assert place.size == case.bytes * (reads + (mode == TRAIN))


@pytest.mark.parametrize("who", ["ours", "torchs"])
def test_one_that_fails_is_noted_and_the_rest_goes_on(who, monkeypatch):
    monkeypatch.setattr(contenders, who, failing)
    found = measure.measure(CASE, Twin(), BRIEF)
    name = {"ours": OURS, "torchs": TORCH}[who]
    assert found.notes == {name: "cannot run: OutOfMemoryError: CUDA out of memory."}
    assert INPLACE in found.timings[0].seconds
    assert name not in found.timings[0].seconds
    assert bool(found.timings[0].speed) == (who != "ours")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("impl", "by_layer"), [("cpu", True), ("torch", False), ("auto", True)])
def test_ours_is_the_layer_where_it_computes_by_that_itself(impl, by_layer, mode, monkeypatch):
    called = []
    original = measure.contenders.BatchNorm2d.__call__
    layers = measure.contenders.BatchNorm2d
    monkeypatch.setattr(layers, "__call__", lambda layer, *given: called.append(layer) or original(layer, *given))
    case = CASE._replace(mode=mode)
    found = measure.makers(case, impl, compiled=False)[OURS](case, measure.draw(case))
    found.answers()
    assert called == [found.layer] * by_layer


def test_one_that_fails_when_it_runs(monkeypatch):
    original = contenders.in_place
    monkeypatch.setattr(contenders, "in_place", lambda case, inputs: original(case, inputs)._replace(run=failing))
    found = measure.measure(CASE, Twin(), BRIEF)
    assert "OutOfMemoryError" in found.notes[INPLACE]
    assert set(found.timings[0].seconds) == {OURS, TORCH}


def failing_after(calls):
    left = iter(range(calls))
    return lambda: failing() if next(left, None) is None else None


def test_one_that_fails_while_it_is_timed_is_noted_and_the_others_timed_again():
    class Freeing(Twin):
        freed = 0

        def free(self):
            self.freed += 1

    notes, place = {}, Freeing()
    works = {"a": failing_after(100), "b": failing_after(3), "c": failing_after(0)}
    found = measure.timed(works, place, BRIEF, notes)
    assert {name: len(samples) for name, samples in found.items()} == {"a": 3}
    assert notes == dict.fromkeys("bc", "cannot run: OutOfMemoryError: CUDA out of memory.")
    assert place.freed == 2
    assert measure.timed({"c": failing_after(0)}, place, BRIEF, notes) == {}


def test_a_case_in_which_one_fails_while_it_is_timed(monkeypatch):
    original, before = contenders.in_place, failing_after(3)  # the check, the peak and the warming up

    def in_place(case, inputs):
        entry = original(case, inputs)
        return entry._replace(run=lambda: before() or entry.run())

    monkeypatch.setattr(contenders, "in_place", in_place)
    found = measure.measure(CASE, Twin(), BRIEF)
    assert [set(timing.seconds) for timing in found.timings] == [{OURS, TORCH}] * 2
    assert found.notes == {INPLACE: "cannot run: OutOfMemoryError: CUDA out of memory."}


def test_one_that_fails_as_a_graph_keeps_its_time_as_called():
    class Full(Twin):
        captured = 0

        def capture(self, works):
            self.captured += 1
            return failing if self.captured == 1 else super().capture(works)

    found = measure.measure(CASE, Full(), BRIEF)
    assert [list(timing.seconds) for timing in found.timings] == [[OURS, TORCH, INPLACE], [TORCH, INPLACE]]
    assert found.notes == {OURS: "as a graph, cannot run: OutOfMemoryError: CUDA out of memory."}


def test_what_is_wrong_gets_no_time_unless_it_is_torchs(monkeypatch):
    monkeypatch.setattr(contenders, "ours", spoilt(contenders.ours))
    monkeypatch.setattr(contenders, "torchs", spoilt(contenders.torchs))
    found = measure.measure(CASE, Twin(), BRIEF)
    assert set(found.timings[0].seconds) == {TORCH, INPLACE}
    assert found.notes[OURS].startswith("wrong: error")
    assert found.notes[TORCH].startswith("wrong: error")


def test_one_that_cannot_be_captured_is_timed_as_called(monkeypatch):
    class Uncaptured(Twin):
        def capture(self, works):
            raise RuntimeError("operation not permitted when stream is capturing")

    found = measure.measure(CASE, Uncaptured(), BRIEF)
    assert [timing.launch for timing in found.timings] == [CALLED]
    assert found.notes[OURS].startswith("as a graph, cannot run: RuntimeError: operation not permitted")


def test_torch_compile_competes_in_two_modes(monkeypatch):
    modes = []

    def compile_(function, *, dynamic, mode):
        modes.append(mode)
        return function

    monkeypatch.setattr(torch, "compile", compile_)
    found = measure.measure(CASE, Twin(), BRIEF, compiled=True)
    assert modes == [None, "max-autotune-no-cudagraphs"]
    assert {COMPILED, TUNED} <= found.timings[0].speed.keys()


def test_half_precision_is_judged_by_its_digits():
    """What is off by a fiftieth of the largest is wrong in bfloat16, and in float32 by a ten-thousandth."""
    for dtype, off in (("bfloat16", 2e-2), ("float32", 1e-4)):
        case = Case((64, 4, 9, 9), "contiguous", "bn+relu", TRAIN, dtype)
        inputs = measure.draw(case)
        measure.oracle.clear_kinks(case, inputs)
        answers = contenders.torchs(case, inputs).answers()
        bad = answers | {"grad_x": answers["grad_x"] + off * answers["grad_x"].abs().max()}
        found = measure.oracle.errors(case, inputs, {"good": answers, "bad": bad})
        assert not found["good"].wrong
        assert found["bad"].wrong
        assert found["bad"].where == "grad_x"
        moved = answers | {"running_mean": answers["running_mean"] * (1 + 1e-4)}
        assert measure.oracle.errors(case, inputs, {"moved": moved})["moved"].where == "running_mean"


def test_devices():
    with pytest.raises(RequestError, match="device is 'tpu'"):
        device.device("tpu")
    if not torch.cuda.is_available():
        with pytest.raises(RequestError, match="torch sees no GPU"):
            device.device("cuda")
    found = device.device("cpu")
    assert found.described()["device"]
    assert found.peak(lambda: torch.empty(1000)) >= 4000
    assert found.capture([]) is None


def test_the_bandwidth_counts_reads_and_writes():
    class Clock(Twin):
        def sample(self, work, calls):
            work()
            return 0.5

    assert device.copy_bandwidth(Clock(), 1000, seconds=0.0) == 4000


def test_a_graph_s_time_is_that_of_one_call():
    class Second(Twin):
        def sample(self, work, calls):
            return 1.0

    called, graph = measure.measure(CASE, Second(), BRIEF).timings
    assert called.seconds[OURS].median == 1.0
    assert graph.seconds[OURS].median == 0.5


def test_large_tensors_are_not_timed_as_a_graph(monkeypatch):
    monkeypatch.setattr(measure, "SMALL", CASE.bytes - 1)
    assert [timing.launch for timing in measure.measure(CASE, Twin(), BRIEF).timings] == [CALLED]


def test_a_cpu_has_no_graph():
    found = measure.measure(Case((6, 5), "contiguous", "bn+relu", INFERENCE), device.Cpu(), BRIEF)
    assert [timing.launch for timing in found.timings] == [CALLED]
