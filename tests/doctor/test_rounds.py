from normwise.doctor.remedies.choose import MOST
from normwise.doctor.rounds import Extent, affordable


def test_a_whole_treatment_is_within_twelve_trainings_on_two_cores():
    watched = 2  # turns of three runs of nothing
    extent = Extent(MOST, seeds=3, workers=2)
    assert extent.rounds == [6, 6, 3]
    assert extent.runs == 18
    assert watched + extent.turns == 11


def test_random_fills_what_would_be_idle():
    assert Extent(5, seeds=3, workers=2).turns == 3 + 3 + 2 + 1  # 5 + 1, 6, 3 + 1, and one is left
    assert Extent(1, seeds=1, workers=4).turns == 1
    assert Extent(6, seeds=3, workers=0).turns == 18


def test_a_budget_drops_remedies_and_keeps_the_controls():
    wanted = Extent(6, seeds=3, workers=2)
    assert affordable(wanted, 10.0, float("inf")) == wanted
    assert affordable(wanted, 10.0, 90.0) == wanted
    few = affordable(wanted, 10.0, 60.0)
    assert few.remedies < 6
    assert few.seconds(10.0) <= 60.0 < few._replace(remedies=few.remedies + 1).seconds(10.0)
    assert affordable(wanted, 10.0, 20.0) is None
