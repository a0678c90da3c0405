from lab.studies import of_parts, parts

DATA = parts([0, 1] * 30, [0, 1] * 5, [0, 1] * 5)


def directories(planned):
    return [run.job.directory for run in planned.runs]


def test_other_data_of_one_name_are_other_runs(tmp_path):
    others = parts([0, 1] * 30, [0, 1] * 5, [1, 0] * 5)  # two labels of the test part
    first, again, other = (of_parts(tmp_path, "bn", data) for data in (DATA, DATA, others))
    assert directories(first) == directories(again)
    assert directories(first) != directories(other)


def test_data_of_the_user_s_own_are_left_raw_unless_asked(tmp_path):
    inputs = [
        of_parts(tmp_path, "bn", DATA, **given).runs[0].job.settings.inputs for given in ({}, {"inputs": "minmax"})
    ]
    assert inputs == ["raw", "minmax"]


def test_every_rate_has_every_seed_and_epochs_count_the_whole_batches_of_the_training_part(tmp_path):
    planned = of_parts(tmp_path, "bn, lr=0.1", DATA, seeds=3, steps=None, epochs=2, batch_size=25)
    settings = [run.job.settings for run in planned.runs]
    assert [(each.lr, each.seed, each.steps) for each in settings] == [(0.1, seed, 4) for seed in range(3)]
    assert len(set(directories(planned))) == 3
