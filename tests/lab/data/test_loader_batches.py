from __future__ import annotations

import random
from itertools import islice

import numpy as np
import pytest
import torch
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, SubsetRandomSampler, WeightedRandomSampler

from lab.data.streams import Noisy, Stream, padded
from normwise.errors import DataError
from normwise.lab.data import collated
from normwise.lab.data.loader_batches import LoaderBatches
from normwise.lab.data.loader_sources import stream_parts


def batches(train, *, seed=0, batch_size=8):
    test = (Noisy(20).__getitem__(0)[0][None].repeat(20, 1), torch.arange(20) % 3)
    parts = stream_parts({"train": train, "validation": train, "test": test}, "make_data")
    return LoaderBatches(parts, lambda target: target, seed=seed, batch_size=batch_size)


def digests(over, count):
    return [collated.digest([*batch.args, batch.kwargs, batch.target]) for batch in (over.next() for _ in range(count))]


SOURCES = {
    "data set": lambda: Noisy(),
    "loader": lambda: DataLoader(Noisy(), batch_size=8, shuffle=True),
    "in order": lambda: DataLoader(Noisy(), batch_size=8, drop_last=True),
    "collate": lambda: DataLoader(Noisy(), batch_size=8, shuffle=True, collate_fn=padded),
    "subset sampler": lambda: DataLoader(Noisy(), batch_size=8, sampler=SubsetRandomSampler(range(5, 40))),
    "weights": lambda: DataLoader(Noisy(), batch_size=8, sampler=WeightedRandomSampler([1.0] * 50, 40)),
    "batch sampler": lambda: DataLoader(
        Noisy(),
        batch_sampler=BatchSampler(
            RandomSampler(Noisy(), replacement=True, generator=torch.Generator()), batch_size=8, drop_last=False
        ),
    ),
    "iterable": lambda: DataLoader(Stream(), batch_size=8),
    "workers": lambda: DataLoader(Noisy(), batch_size=8, shuffle=True, num_workers=2),
    "iterable with workers": lambda: DataLoader(Stream(), batch_size=8, num_workers=2),
}


@pytest.mark.parametrize("source", SOURCES)
def test_a_run_that_was_killed_goes_on_with_the_same_batches(source):
    """Noise from torch, NumPy and random included, in any batch of any epoch."""
    whole = digests(batches(SOURCES[source]()), 17)
    assert len(set(whole)) == 17
    for used in (7,) if "workers" in source else (3, 6, 13):
        first = batches(SOURCES[source]())
        assert digests(first, used) == whole[:used]
        rest = batches(SOURCES[source]())
        rest.seek(first.position())
        assert digests(rest, 17 - used) == whole[used:]


def test_the_number_of_workers_does_not_change_the_batches():
    assert digests(batches(SOURCES["workers"]()), 8) == digests(batches(SOURCES["loader"]()), 8)


@pytest.mark.parametrize("source", ["loader", "iterable", "batch sampler"])
def test_another_seed_draws_other_batches(source):
    one, two = (digests(batches(SOURCES[source](), seed=seed), 4) for seed in (0, 1))
    assert not set(one) & set(two)


@pytest.mark.parametrize("source", ["loader", "weights", "iterable"])
def test_the_generators_of_the_process_stay_as_they_were(source):
    def state():
        return torch.rand(3).tolist(), np.random.rand(3).tolist(), random.random()  # noqa: NPY002

    def seed():
        torch.manual_seed(1), np.random.seed(1), random.seed(1)  # noqa: NPY002

    over = batches(SOURCES[source]())
    seed()
    expected = state()
    seed()
    digests(over, 9)
    over.sample("train", 10)
    list(over.whole("validation"))
    assert state() == expected


def test_every_epoch_has_every_example_in_a_new_order():
    over = batches(DataLoader(Noisy(48), batch_size=8, shuffle=True))
    epochs = [torch.cat([over.next().args[0][:, 0] for _ in range(6)]).floor() for _ in range(2)]
    assert epochs[0].tolist() != epochs[1].tolist()
    labels = [torch.cat([over.next().target for _ in range(6)]) for _ in range(2)]
    assert torch.bincount(labels[0]).tolist() == [16, 16, 16]


@pytest.mark.parametrize(
    ("loader", "sizes"),
    [
        (Noisy(19), [8, 8, 8]),
        (DataLoader(Noisy(19), batch_size=8), [8, 8, 3, 8]),
        (DataLoader(Noisy(19), batch_size=8, drop_last=True), [8, 8, 8]),
        (DataLoader(Noisy(17), batch_size=8), [8, 8, 8]),
        (DataLoader(Stream(17), batch_size=8), [8, 8, 8]),
        (DataLoader(Noisy(3), batch_size=1), [1, 1, 1, 1]),
        (DataLoader([(torch.zeros(4, 2), torch.zeros(4))] * 3, batch_size=None), [4, 4, 4, 4]),
    ],
)
def test_last_batches(loader, sizes):
    """One example alone is left out: nothing can be normalized over it."""
    over = batches(loader)
    assert [over.next().size for _ in sizes] == sizes


def test_a_sample_is_the_same_every_time_and_from_everywhere():
    over = batches(SOURCES["loader"]())
    one, two = over.sample("train", 20), batches(SOURCES["loader"](), seed=9).sample("train", 20)
    assert [batch.size for batch in one] == [8, 8, 4]
    for a, b in zip(one, two, strict=True):
        torch.testing.assert_close(a.args[0], b.args[0], rtol=0, atol=0)
    assert torch.cat([batch.args[0] for batch in one]).max() > 35


def test_the_whole_of_a_part_is_in_order():
    over = batches(SOURCES["loader"]())
    found = torch.cat([batch.target for batch in over.whole("validation")])
    assert found.tolist() == [index % 3 for index in range(50)]


def test_dicts_are_keywords_and_floats_are_float32():
    def collate(items):
        return {"x": torch.zeros(len(items), 2, dtype=torch.float64), "size": 3, "y": torch.zeros(len(items))}

    batch = batches(DataLoader(Noisy(), batch_size=8, collate_fn=collate)).next()
    assert batch.args == ()
    assert batch.kwargs["x"].dtype == torch.float32
    assert batch.kwargs["size"] == 3
    assert batch.target.shape == (8,)


def test_no_example_is_alone_at_the_end_of_a_part_but_in_a_loaders_own_batches():
    """A loss that compares examples has nothing to compare there."""
    own, loaders = batches(Noisy(17)), batches(DataLoader(Noisy(17), batch_size=8))
    assert [batch.size for batch in own.whole("validation")] == [8, 9]
    assert [batch.size for batch in loaders.whole("validation")] == [8, 8, 1]
    assert [batch.size for batch in batches(Noisy(1)).whole("validation")] == [1]


class Broken(Noisy):
    def __getitem__(self, index):
        if index == 7:
            raise KeyError("no\nfile")
        return super().__getitem__(index)


class Cut(Stream):
    def __iter__(self):
        yield from zip(torch.zeros(10, 2), [0] * 10, strict=True)
        raise OSError("gone")


def once():
    """A data set that only ever gives its items once."""
    items = iter([(torch.zeros(2), 0)] * 20)
    stream = Stream()
    stream.__class__ = type("Once", (Stream,), {"__iter__": lambda self: items})
    return stream


@pytest.mark.parametrize(
    ("train", "message"),
    [
        (Broken(), "item 7 of train of make_data cannot be read: KeyError: 'no.*file'"),
        (DataLoader(Broken(), batch_size=8, num_workers=1), "item 7 of train of make_data cannot be read"),
        (DataLoader(Cut(), batch_size=8), "train of make_data cannot be read: OSError: gone"),
        (DataLoader(Cut(), batch_size=8, num_workers=1), "train of make_data cannot be read: OSError: gone"),
        (DataLoader(once(), batch_size=8), "train of make_data yields no batch; an iterable data set must start"),
        (DataLoader(Noisy(5), batch_size=8, drop_last=True), "yields no batch: 5 examples in batches of 8; give more"),
        (
            DataLoader(Noisy(), batch_size=8, collate_fn=lambda items: torch.zeros(3)),
            r"a batch of train of make_data must be \(inputs…, target\) or a dict; got a Tensor",
        ),
        (DataLoader(Noisy(), batch_size=8, collate_fn=lambda items: (1,)), "or a dict; got a tuple of 1"),
        (
            DataLoader(Noisy(), batch_size=8, collate_fn=lambda items: {"x": 1, "mask": 2}),
            "has no target: its keys are x, mask; name it target or y or labels",
        ),
        (DataLoader(Noisy(), batch_size=8, collate_fn=lambda items: {"y": 1}), "has no input: its only key is 'y'"),
        (
            DataLoader(Noisy(), batch_size=8, collate_fn=lambda items: (torch.zeros(2, *[1] * len(items)), 1)),
            "are not built alike: first .float32 with 9 axes; target int., later .float32 with 3 axes",
        ),
        (
            [(torch.zeros(2 + index), 0) for index in range(20)],
            "cannot be made a batch: RuntimeError: .*whose collate_fn can",
        ),
    ],
)
def test_what_cannot_be_trained_on_is_described(train, message):
    over = batches(train)
    with pytest.raises(DataError, match=message) as raised:
        digests(over, 20)
    assert "\n" not in str(raised.value)


def test_batches_follow_the_protocol_of_runs_that_end_early():
    """Iterators of workers are let go without a word."""
    over = batches(SOURCES["workers"]())
    assert len(list(islice(over.whole("train"), 2))) == 2
    over.next()
