import torch

from normwise.bench.cases import Case
from normwise.bench.inputs import draw


def test_inputs_have_the_layout_and_are_the_same_every_time():
    case = Case((5, 3, 4, 6), "channels_last", "bn+add+relu", "forward+backward")
    state = torch.get_rng_state()
    first, second = draw(case), draw(case)
    assert torch.equal(torch.get_rng_state(), state)
    for name in ("x", "residual", "grad"):
        assert getattr(first, name).is_contiguous(memory_format=torch.channels_last)
        assert torch.equal(getattr(first, name), getattr(second, name))
    contiguous = draw(case._replace(layout="contiguous"))
    assert contiguous.x.is_contiguous()
    assert torch.equal(contiguous.x, first.x)


def test_gradients_are_asked_for_where_there_is_a_backward():
    case = Case((5, 3), "contiguous", "bn+add+relu", "forward+backward")
    assert set(draw(case).leaves) == {"x", "weight", "bias", "residual"}
    assert all(leaf.requires_grad for leaf in draw(case).leaves.values())
    assert not any(leaf.requires_grad for leaf in draw(case._replace(mode="forward")).leaves.values())
    assert draw(case._replace(epilogue="bn")).residual is None


def test_a_part_has_some_of_the_channels():
    case = Case((5, 3, 4), "contiguous", "bn+relu", "forward")
    part = draw(case).part(slice(1, 3))
    assert part.x.shape == part.grad.shape == (5, 2, 4)
    assert part.weight.shape == part.var.shape == (2,)
    assert part.residual is None
