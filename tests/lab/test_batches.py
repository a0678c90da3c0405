import torch

from normwise.lab.batches import Batches


def make(seed=0):
    return Batches(torch.arange(11.0)[:, None], torch.arange(11), 3, seed)


def test_an_epoch_shows_each_example_at_most_once_in_whole_batches():
    batches = make()
    seen = [batches.next() for _ in range(3)]
    rows = torch.cat([y for _, y in seen])
    assert len(rows) == len(set(rows.tolist())) == 9
    assert all(torch.equal(X[:, 0].long(), y) for X, y in seen)


def test_epochs_differ_and_seeds_differ():
    batches, other = make(), make(1)
    first, second = (torch.cat([batches.next()[1] for _ in range(3)]) for _ in range(2))
    assert not torch.equal(first, second)
    assert not torch.equal(first, torch.cat([other.next()[1] for _ in range(3)]))


def test_any_position_can_be_returned_to():
    for steps in range(8):
        batches, later = make(), make(5)
        for _ in range(steps):
            batches.next()
        later.seek(batches.position())
        for _ in range(7):
            assert torch.equal(batches.next()[1], later.next()[1])
