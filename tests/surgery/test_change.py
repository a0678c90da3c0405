from __future__ import annotations

from torch import nn

from normwise.surgery import Change, Surgery


def surgery():
    return Surgery(
        nn.Identity(),
        [
            Change("1", "", "BatchNorm1d(5)", "normalizes the input of 2 (ReLU)"),
            Change("2", "1", "2", "renumbered"),
            Change("ReLU", "ReLU", "ReLU", "left alone: not a child of a Sequential"),
        ],
    )


def test_prints_as_an_aligned_table():
    assert str(surgery()).splitlines() == [
        "name  before  after           why",
        "────  ──────  ──────────────  ───────────────────────────────────────",
        "1             BatchNorm1d(5)  normalizes the input of 2 (ReLU)",
        "2     1       2               renumbered",
        "ReLU  ReLU    ReLU            left alone: not a child of a Sequential",
    ]
    assert repr(surgery()) == str(surgery())


def test_an_empty_surgery_prints_its_head():
    assert str(Surgery(nn.Identity(), [])).splitlines()[0] == "name  before  after  why"


def test_unpacks():
    model, changes = surgery()
    assert isinstance(model, nn.Identity)
    assert changes[0].after == "BatchNorm1d(5)"


def test_renamed_holds_only_what_moved():
    assert surgery().renamed == {"1": "2"}


def test_left_alone_holds_only_what_stayed_as_it_was():
    followed = Change("", "Net", "Net", "followed with torch.fx")
    made = Surgery(nn.Identity(), [followed, *surgery().changes])
    assert [change.name for change in made.left_alone] == ["ReLU"]
