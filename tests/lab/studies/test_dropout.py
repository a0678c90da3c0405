"""The dropout of note 004's code, and the claims of dropout against numbers that are known."""

import pytest
import torch

from normwise.lab.studies import dropout
from normwise.lab.studies.shared.few_images import DropoutOfTheNote
from reproductions import outcome


def test_the_notes_dropout_keeps_a_share_in_training_and_the_mean_in_both_modes():
    layer, x = DropoutOfTheNote(0.2), torch.full((100_000,), 3.0)
    y = layer(x)
    assert set(y.tolist()) == {0.0, 3.0}
    torch.testing.assert_close(y.mean(), torch.tensor(0.8 * 3), atol=0.02, rtol=0)  # five standard errors
    torch.testing.assert_close(layer.eval()(x), 0.8 * x)


@pytest.mark.parametrize(
    ("train", "soon", "later"),
    [
        ([0.1, 0.9, 0.95], "holds", "holds"),
        ([0.1, 0.9, 1.0], "holds", "does not hold"),
        ([0.1, 1.0, 0.95], "does not hold", "does not hold"),
    ],
)
def test_training_accuracy_counts_up_to_the_epoch_of_the_claim(train, soon, later):
    seed = {"epoch": [0, 301, 1505], "train": train, "test": train, "norm": train}
    found = outcome(measured={arm: [seed] for arm in dropout.ARMS})
    assert dropout.stays_below_all(found).verdict == soon
    assert dropout.stays_below_all_later(found).verdict == later
