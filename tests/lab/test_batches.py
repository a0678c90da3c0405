import torch

from normwise.lab.batches import MemoryBatches, laid_out
from normwise.lab.data import split
from normwise.lab.settings import Settings


def make(seed=0):
    parts = {name: (torch.arange(11.0)[:, None], torch.arange(11)) for name in ("train", "validation", "test")}
    return MemoryBatches(parts, 3, seed, chunk=4)


def target(batches):
    return batches.next().target


def test_an_epoch_shows_each_example_at_most_once_in_whole_batches():
    batches = make()
    seen = [batches.next() for _ in range(3)]
    rows = torch.cat([batch.target for batch in seen])
    assert len(rows) == len(set(rows.tolist())) == 9
    assert all(torch.equal(batch.args[0][:, 0].long(), batch.target) for batch in seen)
    assert {batch.size for batch in seen} == {3}


def test_epochs_differ_and_seeds_differ():
    batches, other = make(), make(1)
    first, second = (torch.cat([target(batches) for _ in range(3)]) for _ in range(2))
    assert not torch.equal(first, second)
    assert not torch.equal(first, torch.cat([target(other) for _ in range(3)]))


def test_any_position_can_be_returned_to():
    for steps in range(8):
        batches, later = make(), make(5)
        for _ in range(steps):
            batches.next()
        later.seek(batches.position())
        for _ in range(7):
            assert torch.equal(target(batches), target(later))


def test_a_sample_is_the_same_examples_every_time_and_the_whole_is_all_in_order():
    batches = make()
    first, again = ([*batches.sample("test", 6)] for _ in range(2))
    assert [batch.size for batch in first] == [4, 2]
    assert [batch.size for batch in batches.sample("test", 5)] == [5]  # no chunk of one, which some losses do not take
    rows = torch.cat([batch.target for batch in first])
    assert torch.equal(rows, torch.cat([batch.target for batch in again]))
    assert rows.tolist() == split.permutation(11)[:6].tolist()  # the order that data which stream are sampled in, too
    assert len(set(rows.tolist())) == 6
    assert rows.tolist() != sorted(rows.tolist())  # not the first ones: data are often sorted by class
    assert torch.cat([batch.target for batch in batches.whole("test")]).tolist() == list(range(11))


def test_images_are_channels_last_for_the_built_in_network_alone():
    images = torch.zeros(2, 3, 4, 4, dtype=torch.uint8)
    built_in = laid_out(images, Settings(model="cnn:8"))
    assert built_in.is_contiguous(memory_format=torch.channels_last)
    assert built_in.dtype == torch.float32
    own = laid_out(images, Settings(model="cnn.py:make_model", own={"model": {}}))
    assert own is images
