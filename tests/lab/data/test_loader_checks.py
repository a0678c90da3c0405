"""What is refused and what is said of data that stream, in memory and not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, Subset, TensorDataset

from lab.data.streams import Noisy, Stream
from normwise.errors import DataError
from normwise.lab.data import load, loader_arrays, loader_sources


class Items(Dataset):
    """Items of a tensor and its targets, each read on its own."""

    def __init__(self, X, y):
        self.X, self.y = X, y

    def __len__(self):
        return len(self.y)

    def __getitem__(self, index):
        return self.X[index], self.y[index]


def inputs(count, seed):
    return torch.randn(count, 4, generator=torch.Generator().manual_seed(seed))


def several(X, y):
    return (X[:, :2], X[:, 2:]), y


def loader(X, y):
    return DataLoader(TensorDataset(X, y), batch_size=32, shuffle=True)


def subset(X, y):
    return Subset(TensorDataset(torch.cat([X * torch.nan, X]), torch.cat([y, y])), range(len(y), 2 * len(y)))


MEMORY = [TensorDataset, several, loader, subset]
ANY = [*MEMORY, Items]


def finished(make, *targets):
    read = load(lambda: tuple(make(inputs(len(y), seed), torch.as_tensor(y)) for seed, y in enumerate(targets)))
    return read.finish(read.kind()[0])


def labels(count, classes):
    return torch.arange(count) % classes


@pytest.mark.parametrize("make", ANY)
def test_a_constant_target_is_refused(make):
    with pytest.raises(DataError, match=r"the target is constant in train of .*: 3.5, in 500 examples; give"):
        finished(make, torch.full((600,), 3.5), torch.arange(100.0))
    with pytest.raises(DataError, match=r"test of .* has one class only, 0, in 100 examples; give"):
        finished(make, labels(600, 3), torch.zeros(100, dtype=torch.int64))


@pytest.mark.parametrize("make", MEMORY)
def test_a_class_that_a_part_in_memory_lacks_is_refused(make):
    with pytest.raises(DataError, match=r"test of .* has no example of class 2 \(167 in train\); give"):
        finished(make, labels(600, 3), labels(100, 2))


def test_a_class_that_a_sample_lacks_is_noted():
    data = finished(Items, labels(600, 3), labels(100, 2))
    assert data.notes == ("class 2 is in train and not among the 64 examples of test that were looked at",)


def test_a_rare_class_that_a_sample_lacks_by_chance_is_not():
    y = labels(600, 2)
    y[:10] = 2
    assert finished(Items, y, labels(100, 2)).notes == ()


@pytest.mark.parametrize("make", ANY)
def test_a_class_only_in_test_is_noted(make):
    (note,) = finished(make, labels(600, 3), labels(100, 4)).notes
    assert note.startswith("class 3 is in test and not")
    assert ("it cannot be learned" in note) == (make in MEMORY)


@pytest.mark.parametrize("make", ANY)
def test_a_test_part_that_repeats_train_in_another_object_is_noted(make):
    read = load(lambda: [make(inputs(600, 0), labels(600, 3)) for _ in range(2)])
    (note,) = read.finish("classification").notes
    expected = "500 of 600 test examples are in" if make in MEMORY else "the test items that were compared are equal"
    assert note.startswith(expected)


@pytest.mark.parametrize("make", [TensorDataset, several, loader])
def test_a_number_that_is_not_finite_is_named_wherever_it_is_in_memory(make):
    X = inputs(600, 0)
    X[580, 1] = torch.nan
    with pytest.raises(DataError, match=r"row 580"):
        load(lambda: (make(X, labels(600, 3)), make(inputs(100, 1), labels(100, 3))))


def test_rows_outside_of_a_subset_do_not_count():
    assert finished(subset, labels(600, 3), labels(100, 3)).notes == ()
    nested = loader_arrays.arrays_of(
        loader_sources.of_dataset("train", Subset(subset(inputs(9, 0), labels(9, 5)), [4, 1]))
    )
    assert nested.rows.tolist() == [13, 10]
    assert nested.y.tolist() == [4, 1]


def test_a_mask_of_minus_infinity_is_let_be():
    mask = torch.zeros(60, 3).masked_fill(torch.rand(60, 3) > 0.5, -torch.inf)
    parts = [TensorDataset(inputs(60, seed), mask, labels(60, 3)) for seed in range(2)]
    assert load(lambda: parts).finish("classification").notes == ()


def test_validation_that_is_taken_off_memory_has_its_share_of_each_class():
    y = labels(600, 2)
    y[:12] = 2
    data = finished(TensorDataset, y, y)
    assert np.bincount(data.targets("validation", 600)).tolist() == [49, 49, 2]


@pytest.mark.parametrize(("make", "sampled"), [(TensorDataset, False), (several, False), (Items, True)])
def test_integers_that_are_no_classes_are_a_regression(make, sampled):
    read = load(lambda: [make(inputs(600, seed), 18 + labels(600, 73)) for seed in range(2)])
    assert (read.kind()[0], read.sampled) == ("regression", sampled)
    assert read.finish("regression").n_outputs == 1


def test_targets_that_a_loader_gives_first_may_be_sorted():
    class Sorted(Stream):
        def __iter__(self):
            yield from ((torch.rand(2), index // 500) for index in range(1000))

    data = load(lambda: [DataLoader(Sorted(), batch_size=10) for _ in range(3)]).finish("classification")
    assert "the 260 targets of train that were looked at are all the same" in data.notes


def test_validation_with_the_random_transforms_of_train_is_noted():
    note = "validation is a part of train and read with its random transforms; return (train, validation, test) where"
    assert load(lambda: (Noisy(), Noisy(20, 50))).finish("classification").notes[0].startswith(note)
    assert load(lambda: (Noisy(), Noisy(20, 50), Noisy(20, 70))).finish("classification").notes == ()
