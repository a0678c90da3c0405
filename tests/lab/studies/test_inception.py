"""The claims of inception against numbers that are known, and figure 5."""

import pytest
import torch

from normwise.lab.studies.inception import (
    has_as_many_parameters,
    is_faster,
    plain_does_not_stand_x5,
    sigmoid_needs_bn,
    x30_is_best,
)
from normwise.lab.studies.networks.inception import ADDED_UP, FIGURE_5, SMALL, Block, inception
from normwise.surgery import batch_normalize
from reproductions import outcome, run

PRINTED = [256, 320, 576, 576, 576, 576, 576, 1024, 1024, 1024]
"""The numbers of feature maps in the second column of figure 5."""


def outputs(rows):
    """The feature maps that each row puts out."""
    found = [192]
    for row in rows.values():
        found.append(row.outputs(found[-1]))
    return found[1:]


def test_rows_4c_and_4d_of_figure_5_do_not_add_up_as_printed():
    assert outputs(ADDED_UP) == PRINTED
    assert outputs(FIGURE_5) == [*PRINTED[:5], 608, 608, 1056, 1024, 1024]


@pytest.mark.parametrize("name", SMALL)
def test_a_block_puts_out_what_its_row_says(name):
    row = SMALL[name]
    assert Block(8, row)(torch.randn(2, 8, 4, 4)).shape == (2, row.outputs(8), 4 // row.stride, 4 // row.stride)


def test_every_convolution_is_normalized():
    net = batch_normalize(inception(), example=torch.randn(2, 3, 32, 32)).model
    kinds = [type(module).__name__ for module in net.modules()]
    assert kinds.count("BatchNorm2d") == kinds.count("Conv2d")


def curves(**arms):
    """An outcome of validation accuracies at steps 0, 100, 200, …, by arm; underscores stand for hyphens."""
    made = {arm.replace("_", "-"): values for arm, values in arms.items()}
    return outcome({arm: [run(arm, loss=[1.0] * len(v), accuracy=v, steps=range(0, 100 * len(v), 100), best=max(v))]
                    for arm, v in made.items()})  # fmt: skip


PLAIN = [0.1, 0.2, 0.3, 0.4, 0.45, 0.5, 0.55, 0.6, 0.7]


@pytest.mark.parametrize(
    ("values", "twice", "seven_times"),
    [
        ([0.1, 0.7], "holds", "holds"),
        ([0.1, 0.2, 0.3, 0.4, 0.7], "holds", "does not hold"),
        ([0.1, 0.3, 0.5, 0.6, 0.65, 0.7], "does not hold", "does not hold"),
        ([0.1, 0.6], "does not hold", "does not hold"),
    ],
)
def test_speed_counts_the_steps_to_the_best_of_the_plain_network(values, twice, seven_times):
    assert is_faster(curves(Inception=PLAIN, BN_Baseline=values), "BN-Baseline", 2).verdict == twice
    assert is_faster(curves(Inception=PLAIN, BN_x5=values), "BN-x5", 7).verdict == seven_times


@pytest.mark.parametrize(("last", "verdict"), [(0.8, "holds"), (0.6, "does not hold"), (0.705, "undecided")])
def test_the_largest_rate_must_be_ahead_by_more_than_a_point(last, verdict):
    found = curves(Inception=PLAIN, BN_Baseline=PLAIN, BN_x5=PLAIN, BN_x30=[0.1, last])
    assert x30_is_best(found).verdict == verdict


@pytest.mark.parametrize(("status", "verdict"), [("diverged", "holds"), ("finished", "does not hold")])
def test_inception_must_diverge(status, verdict):
    assert plain_does_not_stand_x5(outcome({"Inception-x5": [run("x", status=status)]})).verdict == verdict


@pytest.mark.parametrize(("without", "verdict"), [(0.11, "holds"), (0.3, "does not hold")])
def test_sigmoid_must_need_normalization(without, verdict):
    arms = {"Inception, sigmoid": [run("a", best=without)], "BN-x5-Sigmoid": [run("b", best=0.5)]}
    assert sigmoid_needs_bn(outcome(arms)).verdict == verdict


@pytest.mark.parametrize(("count", "verdict"), [(13_500_000, "holds"), (11_268_512, "does not hold")])
def test_parameters_are_those_of_the_text_within_two_percent(count, verdict):
    found = outcome(measured={"size": [{"printed": count, "added_up": 11_178_336}]})
    assert has_as_many_parameters(found).verdict == verdict
