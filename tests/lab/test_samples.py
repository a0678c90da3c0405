from normwise.lab.samples import MOST, samples


def test_small_examples_are_all_measured_whatever_the_length_of_a_run():
    assert samples(60, None, 64) == samples(20_000, None, 190) == MOST


def test_images_in_a_short_run_are_measured_on_fewer_and_most_of_them_are_validation():
    found = samples(2000, None, 3072)
    assert found["train"] == found["test"] == found["validation"] // 3
    assert 190 <= sum(found.values()) < 200


def test_a_long_run_affords_more():
    assert samples(30_000, None, 3072) == MOST
    assert samples(2000, 1000, 3072) == MOST
