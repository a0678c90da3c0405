import pytest
import torch

from normwise.bench import contenders, oracle
from normwise.bench.cases import EPILOGUES, MODES, Case
from normwise.bench.inputs import draw


@pytest.mark.parametrize("impl", ["torch", "reference"])
def test_ours_uses_the_implementation_that_is_asked_for(impl, monkeypatch):
    asked = []
    original = contenders.transformed

    def spy(*arguments, **options):
        asked.append(options["impl"])
        return original(*arguments, **options)

    monkeypatch.setattr(contenders, "transformed", spy)
    case = Case((9, 4, 5), "contiguous", "bn+relu", "forward+backward")
    inputs = draw(case)
    oracle.clear_kinks(case, inputs)
    answers = contenders.ours(case, inputs, impl).answers()
    assert asked == [impl]
    assert not oracle.errors(case, inputs, {"ours": answers})["ours"].wrong


@pytest.mark.parametrize("shape", [(9, 4), (9, 4, 5), (9, 4, 5, 2), (3, 4, 5, 2, 2)])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("epilogue", EPILOGUES)
def test_contenders_compute_the_same(shape, mode, epilogue):
    case = Case(shape, "contiguous", epilogue, mode)
    inputs = draw(case)
    ours, torchs = (make(case, inputs).answers() for make in (contenders.ours, contenders.torchs))
    assert ours.keys() == torchs.keys()
    for name, answer in ours.items():
        torch.testing.assert_close(answer, torchs[name], rtol=1e-4, atol=1e-5)  # float32 in two orders


def test_in_place_computes_the_same():
    case = Case((9, 4, 5, 5), "channels_last", "bn+add+relu", "forward+backward")
    inputs = draw(case)
    residual = inputs.residual.detach().clone()
    torchs, in_place = (make(case, inputs).answers() for make in (contenders.torchs, contenders.in_place))
    assert all(torch.equal(torchs[name], in_place[name]) for name in torchs)
    assert torch.equal(inputs.residual, residual)


def test_nothing_accumulates_and_statistics_move_with_every_call():
    case = Case((9, 4), "contiguous", "bn+silu", "forward+backward")
    inputs = draw(case)
    for make in (contenders.ours, contenders.torchs):
        entry = make(case, inputs)
        first, second = entry.answers(), entry.answers()
        assert torch.equal(first["grad_x"], second["grad_x"])
        assert not torch.equal(first["running_mean"], second["running_mean"])
        assert inputs.x.grad is None


def test_only_a_backward_has_a_graph():
    case = Case((9, 4), "contiguous", "bn", "forward")
    assert not contenders.ours(case, draw(case)).run()["y"].requires_grad
    case = case._replace(mode="inference")
    entry = contenders.ours(case, draw(case))
    assert set(entry.answers()) == {"y"}
    assert int(entry.layer.num_batches_tracked) == 0
