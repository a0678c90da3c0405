import re
from threading import Timer

import pytest
from filelock import FileLock

from normwise.errors import RequestError
from normwise.records import study
from normwise.records.files import read_json
from normwise.records.metric import ACCURACY, Metric
from normwise.records.study import LOCK, opened, run_directory, slug

QUESTION = {
    "study": "compare",
    "data": "digits",
    "target": None,
    "model": "mlp",
    "task": "classification",
    "loss": "cross_entropy",
    "metric": ACCURACY._asdict(),
}


def test_a_new_directory_is_made_and_says_what_was_asked(tmp_path):
    with opened(tmp_path / "a" / "b", {**QUESTION, "arms": ["plain"]}, QUESTION):
        pass
    assert read_json(tmp_path / "a" / "b" / "study.json") == {**QUESTION, "arms": ["plain"]}


def test_a_study_can_be_opened_again_with_more_arms(tmp_path):
    for arms in (["plain"], ["plain", "bn"]):
        with opened(tmp_path, {**QUESTION, "arms": arms}, QUESTION):
            pass
    assert read_json(tmp_path / "study.json")["arms"] == ["plain", "bn"]


def test_a_directory_in_use_is_refused(tmp_path):
    with (
        opened(tmp_path, QUESTION, QUESTION),
        pytest.raises(RequestError, match="in use by another normwise process"),
        opened(tmp_path, QUESTION, QUESTION),
    ):
        pass


def test_a_lock_that_is_held_for_a_moment_is_waited_for(tmp_path):
    with opened(tmp_path, QUESTION, QUESTION):
        pass
    lock = FileLock(tmp_path / LOCK, thread_local=False)
    lock.acquire()
    released = Timer(0.2, lock.release)
    released.start()
    with opened(tmp_path, QUESTION, QUESTION):
        released.join()


def test_a_directory_that_holds_something_else_is_refused_and_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("text")
    with pytest.raises(RequestError, match="holds something else"), opened(tmp_path, QUESTION, QUESTION):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"data": "mnist"}, "data 'digits', not 'mnist'"),
        ({"loss": "mse"}, "loss 'cross_entropy', not 'mse'"),
        ({"metric": Metric("f1", "F1")}, "metric 'accuracy', not 'f1'"),
        ({"target": "price"}, "target None, not 'price'"),
    ],
)
def test_another_question_is_refused_and_leaves_the_study_as_it_is(tmp_path, other, said):
    with opened(tmp_path, QUESTION, {**QUESTION, "metric": ACCURACY}):
        pass
    with pytest.raises(RequestError, match=said), opened(tmp_path, {**QUESTION, **other}, {**QUESTION, **other}):
        pass
    assert read_json(tmp_path / "study.json") == QUESTION
    assert tuple(QUESTION) == study.QUESTION


def test_a_damaged_study_is_named(tmp_path):
    (tmp_path / "study.json").write_text("{")
    with pytest.raises(RequestError, match=r"study\.json is damaged; delete"), opened(tmp_path, QUESTION, QUESTION):
        pass


@pytest.mark.parametrize("below", ["", "sub/folder"])
def test_a_file_is_not_a_directory(tmp_path, below):
    (tmp_path / "file").write_text("")
    with pytest.raises(RequestError, match="a file"), opened(tmp_path / "file" / below, QUESTION, QUESTION):
        pass


def test_a_run_is_found_by_its_settings_whatever_its_arm_is_called(tmp_path):
    settings = {"norm": "batch", "seed": 1}
    first = run_directory(tmp_path, "bn", settings)
    first.mkdir()
    assert run_directory(tmp_path, "renamed", settings) == first
    assert run_directory(tmp_path, "bn", {"seed": 1, "norm": "batch"}) == first
    assert run_directory(tmp_path, "bn", {**settings, "seed": 2}) != first
    assert first.name.startswith("bn-1-")


def test_a_slug_is_fit_for_a_file_name():
    assert slug("bn, lr=1.0 / <b>") == "bn-lr-1-0-b"
    assert slug("--") == "arm"
    assert re.fullmatch(r"[0-9a-f]{6}", slug("日本"))
    assert re.fullmatch(r"csv-[0-9a-f]{6}", slug("한국.csv"))
    assert slug("한국.csv") != slug("일본.csv")
