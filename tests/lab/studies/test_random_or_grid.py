"""The claims of random-or-grid against numbers that are known, and the searches on a landscape that is known."""

import numpy as np
import pytest

from normwise.lab.studies.networks.pool import Pool, at_random, linearly, narrowed, on_a_grid
from normwise.lab.studies.random_or_grid import (
    RANGES,
    SIDES,
    log_beats_linear_in_the_book,
    log_beats_linear_in_the_note,
    matter_differently,
    narrowing_in_the_book,
    narrowing_in_the_note,
    random_beats_grid,
)
from reproductions import outcome


def made(effects=(0.1, 0.01), narrow=(0.9, 0.9), **ways):
    """An outcome of two pools; a way's accuracy in each, by default 80 %, with a standard error of 0.1 points."""
    pools = []
    for pool in (0, 1):
        found = {f"{name} narrowed": [narrow[pool], 0.001] for name in RANGES}
        for way in ("random", "grid", "linear"):
            value = ways.get(way, (0.8, 0.8))[pool]
            found |= {f"{name} {way} {side}": [value, 0.001] for name in RANGES for side in SIDES}
        pools.append({"found": found, "effects": list(effects), "by_rate": [0.5]})
    return outcome(measured={"pool": pools})


@pytest.mark.parametrize(
    ("judge", "numbers", "verdict"),
    [
        (matter_differently, {}, "holds"),
        (matter_differently, {"effects": (0.02, 0.01)}, "does not hold"),
        (random_beats_grid, {"random": (0.85, 0.85)}, "holds"),
        (random_beats_grid, {"grid": (0.85, 0.85)}, "does not hold"),
        (random_beats_grid, {"random": (0.85, 0.79)}, "undecided"),
        (log_beats_linear_in_the_note, {"linear": (0.1, 0.1)}, "holds"),
        (log_beats_linear_in_the_book, {"linear": (0.9, 0.9)}, "does not hold"),
        (narrowing_in_the_note, {}, "holds"),
        (narrowing_in_the_book, {"narrow": (0.8, 0.8)}, "undecided"),
    ],
)
def test_each_claim_can_hold_and_fail(judge, numbers, verdict):
    assert judge(made(**numbers)).verdict == verdict


def test_where_one_parameter_matters_random_is_nearer_to_its_best():
    """The expected largest of n uniform values is n/(n + 1); that of a side with a random origin 1 − 1/(2·side)."""
    height = np.repeat(np.arange(900.0)[:, None] / 900, 4, axis=1)  # rises with the learning rate over the whole pool
    pool, rng = Pool(height, height, height), np.random.default_rng(0)
    low, high = -6.0, 3.0
    random = pool.chosen(at_random(rng, low, high, (5000, 16)), at_random(rng, -8, -4, (5000, 16)))
    assert abs(random.mean() - 16 / 17) < 0.005
    assert abs(on_a_grid(rng, pool, low, high, 4, 5000).mean() - (1 - 1 / 8)) < 0.005


def test_narrowing_ends_near_a_peak():
    height = np.repeat(1 - np.abs(np.linspace(-1, 1, 900))[:, None], 4, axis=1)
    pool, rng = Pool(height, height, height), np.random.default_rng(0)
    assert narrowed(rng, pool, -6.0, 3.0, 500).mean() > 0.98
    assert 0.9 < pool.chosen(*(at_random(rng, *ends, (5000, 16)) for ends in ((-6, 3), (-8, -4)))).mean() < 0.96


def test_a_linear_scale_draws_values_that_are_uniform():
    values = 10 ** linearly(np.random.default_rng(0), -3, 3, (20_000,))
    assert abs(values.mean() - 500) < 10
    assert 0.0005 < (values < 1).mean() < 0.0017
