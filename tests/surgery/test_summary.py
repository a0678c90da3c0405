from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import normwise as nw
from normwise.errors import SurgeryError
from normwise.surgery import fold, summary
from normwise.surgery.summary import UNKNOWN
from tensors import same_bits
from zoo import ZOO, randomize

BATCH = ("BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "NormAct", "F.batch_norm")


@pytest.fixture(params=ZOO.values(), ids=str)
def entry(request):
    return request.param


def test_every_normalization_has_its_rows_and_the_network_stays(entry):
    net, x = randomize(entry.make()), entry.example()
    before, state, random = repr(net), copy.deepcopy(net.state_dict()), torch.get_rng_state()
    rows = summary(net, example=x).rows
    assert repr(net) == before
    assert torch.equal(torch.get_rng_state(), random)
    same_bits(net.state_dict(), state)
    modules = {row.name: row for row in rows if not row.kind.startswith("F.")}
    batch = {name for name, row in modules.items() if row.kind in BATCH}
    assert len(batch) == entry.norms
    assert sum(row.kind == "F.batch_norm" for row in rows) == entry.functional
    for name, row in modules.items():
        module = net.get_submodule(name)
        assert row.kind == type(module).__name__
        assert (row.channels, row.momentum) == (
            getattr(module, "num_features", None),
            getattr(module, "momentum", None),
        )
        assert row.frozen == ()
    assert (UNKNOWN in {row.before for row in rows}) == (not entry.traceable)
    foldable_is_what_fold_does(entry, net, x, rows)


def foldable_is_what_fold_does(entry, net, x, rows):
    foldable = {(row.name, row.kind) for row in rows if row.foldable}
    assert len(foldable) == entry.foldable
    if entry.norms + entry.functional:
        why = {change.name: change.why for change in fold(net, example=x).changes if change.before != "F.batch_norm"}
        assert all(row.why == why[row.name] for row in rows if row.name in why and row.name)
    assert all(row.foldable is not None and row.why for row in rows)


def test_what_is_before_and_after_each_call():
    rows = summary(ZOO["shared"].make()).rows
    assert [(row.name, row.before, row.after) for row in rows] == [
        ("norm", "left (Conv2d)", "act (ReLU)"),
        ("norm", "right (Conv2d)", "act (ReLU)"),
        ("first", "twice (Conv2d)", "act (ReLU)"),
        ("second", "twice (Conv2d)", "act (ReLU)"),
    ]
    assert all((row.foldable, row.why) == (None, "give example= to know") for row in rows)


class Mixed(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.never, self.late = nn.BatchNorm1d(4, momentum=None), nn.BatchNorm1d(4), nn.BatchNorm1d(4)
        self.group, self.layer = nn.GroupNorm(2, 4), nn.LayerNorm(4)
        self.encoder = nn.TransformerEncoderLayer(4, 2, 4)

    def forward(self, x, scale=None):
        x = F.layer_norm(self.group(self.norm(x)), (4,))
        x = self.encoder(self.layer(x if scale is None else x * scale))
        return self.late(x) if self.training else x


def test_each_kind_is_a_row_and_so_is_what_one_mode_calls_only():
    rows = {row.name or row.kind: row for row in summary(Mixed(), example=torch.randn(3, 4)).rows}
    assert [row.kind for row in rows.values()][:4] == ["BatchNorm1d", "GroupNorm", "F.layer_norm", "LayerNorm"]
    assert (rows["norm"].before, rows["norm"].after) == ("the input", "group (GroupNorm)")
    assert (rows["late"].before, rows["late"].after) == ("encoder (TransformerEncoderLayer)", "the output")
    assert (rows["never"].before, rows["never"].after) == ("not called", "not called")
    assert rows["encoder.norm1"].before == UNKNOWN
    assert rows["group"].channels == 4
    assert (rows["norm"].momentum, rows["late"].momentum) == (None, 0.1)
    assert not rows["group"].foldable
    assert "each example" in rows["group"].why


@pytest.mark.parametrize(
    ("options", "frozen"),
    [({}, ("statistics", "affine")), ({"affine": False}, ("statistics",)), ({"statistics": False}, ("affine",))],
)
def test_what_is_frozen(options, frozen):
    net = nw.freeze(nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)), **options).model
    (row,) = summary(net, example=torch.randn(2, 2)).rows
    assert row.frozen == frozen
    assert (row.channels, row.momentum, row.foldable) == (3, 0.1, True)


@pytest.mark.parametrize("layer", [nn.BatchNorm1d(3), nw.BatchNorm1d(3), nw.freeze(nn.BatchNorm1d(3)).model])
def test_a_network_that_is_a_layer_is_one_row(layer):
    (row,) = summary(layer, example=torch.randn(4, 3)).rows
    assert (row.name, row.kind, row.before, row.after) == ("", type(layer).__name__, "the input", "the output")
    assert row.foldable is False


class Untraced(nn.Sequential):
    """Which ``torch.fx`` cannot trace."""

    def forward(self, x):
        return super().forward(x) if x.sum() < torch.inf else x


@pytest.mark.parametrize("first", [nn.Identity(), nn.ReLU()])
def test_what_fold_left_of_a_normalization_is_a_row(first):
    net, x = nn.Sequential(first, nn.BatchNorm1d(3), nn.ReLU(), nn.Linear(3, 2), nn.BatchNorm1d(2)), torch.randn(4, 3)
    folded = fold(randomize(net), example=x).model
    for given in (folded, Untraced(folded)):
        (row,) = summary(given, example=x).rows
        assert (row.kind, row.channels, row.momentum, row.frozen) == (
            "ChannelAffine", 3, None, ("statistics", "affine"),
        )  # fmt: skip
        assert (row.foldable, row.why) == (False, "it is what fold left of a batch normalization")
    assert "ReLU" in summary(folded).rows[0].after


def test_an_example_that_does_not_fit_leaves_foldable_unknown():
    (row,) = summary(nn.Sequential(nn.BatchNorm1d(3)), example=torch.randn(2, 4)).rows
    assert row.foldable is None
    assert "does not run on the example" in row.why


def test_where_nothing_can_be_folded_each_row_says_why():
    net = nn.Sequential(nn.BatchNorm1d(4, track_running_stats=False), nn.LayerNorm(4), type("Own", (nn.BatchNorm1d,), {
        "forward": lambda self, x: x.neg()
    })(4))  # fmt: skip
    rows = summary(net, example=torch.randn(2, 4)).rows
    assert [row.foldable for row in rows] == [False] * 3
    assert rows[0].why == "left alone: it has no running statistics: it uses those of each batch"
    assert rows[2].why == "left alone: Own has a forward, parameters or methods of its own"


def test_it_prints_as_a_table():
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.ReLU())
    text = str(summary(nw.freeze(net).model, example=torch.randn(4, 2)))
    header, _, row = text.splitlines()
    assert header.split() == ["name", "kind", "channels", "before", "after", "momentum", "frozen", "foldable", "why"]
    assert [cell.strip() for cell in row.split("  ") if cell.strip()] == [
        "1", "FrozenBatchNorm", "3", "0 (Linear)", "2 (ReLU)", "0.1", "statistics and affine", "yes", "part of 0",
    ]  # fmt: skip
    assert str(summary(nn.Linear(1, 1))) == repr(summary(nn.Linear(1, 1))) == "no normalization"
    assert "one row for each module, because torch.fx cannot trace it" in str(summary(ZOO["branching"].make()))


def test_a_compiled_network_is_refused():
    with pytest.raises(SurgeryError, match="cannot summarise the network: it is compiled"):
        nw.summary(torch.compile(nn.Sequential(nn.BatchNorm1d(3)), backend="eager"))
