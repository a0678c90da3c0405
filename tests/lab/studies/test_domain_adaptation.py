"""The claims of domain-adaptation against numbers that are known, and its domains."""

import pytest
import torch

from normwise.lab.studies.domain_adaptation import NAME, OTHER, blurred, other_digits, source_falls, target_rises
from reproductions import outcome


def made(before, after, source, back):
    seeds = zip(before, after, source, back, strict=True)
    found = [
        {"before": {OTHER: a}, "after": {OTHER: b}, "source": c, "source_after": {OTHER: d}} for a, b, c, d in seeds
    ]
    return outcome(measured={NAME: found})


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        ((0.5, 0.6), (0.7, 0.8), "holds"),
        ((0.7, 0.8), (0.5, 0.6), "does not hold"),
        ((0.5, 0.6), (0.51, 0.8), "undecided"),
    ],
)
def test_a_change_counts_beyond_the_noise_of_seeds(before, after, verdict):
    assert target_rises(made(before, after, (0.9, 0.9), (0.8, 0.8))).verdict == verdict
    assert source_falls(made((0.5, 0.5), (0.6, 0.6), after, before)).verdict == verdict


def test_domains_keep_the_layout_of_mnist():
    unlabeled, images, classes = other_digits(torch.device("cpu"))
    assert len(unlabeled) + len(images) == 1797
    assert images.shape[1:] == (1, 28, 28)
    assert images.min() == 0
    assert 0.9 < images.max() <= 1
    assert images[:, :, :4].max() == 0 == images[..., -4:].max()
    assert len(classes) == len(images)
    flat = torch.full((1, 1, 28, 28), 0.7)
    torch.testing.assert_close(blurred(flat)[..., 4:-4, 4:-4], flat[..., 4:-4, 4:-4])
