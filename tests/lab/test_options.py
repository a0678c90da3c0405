import inspect
import shlex
from pathlib import Path

import pytest

from normwise.cli.compare import compare as command_line
from normwise.cli.options import with_options
from normwise.errors import RequestError
from normwise.lab import options
from normwise.lab.arms import parse
from normwise.lab.options import GENERAL, command, count, given, shared, written
from normwise.lab.settings import DEFAULTS, KEYS, Keys, Settings


def own_model():
    pass


def test_every_key_is_a_setting_an_option_and_settable_in_an_arm():
    example = {"lr": "0.1", "momentum": "0.5", "clip": "1", "targets": "raw"}
    for name, key in KEYS.items():
        value = example.get(name, str(DEFAULTS[name]))
        assert parse(f"{name}={value}")[1] == {name: key.parse(value)}
        assert shared({name: value}) == {name: (key.parse(value),)}
        assert given({name: value}) == {name: value}
        assert name in inspect.signature(command_line).parameters
        assert key.help[-1] in ".…"
        assert name in Settings().keys


def test_a_new_key_needs_nothing_but_its_row(monkeypatch):
    """The tables of the command, of the options and of the arms are this one table."""
    monkeypatch.setitem(KEYS, "sharpness", KEYS["weight_decay"])
    assert parse("sharpness=0.5")[1] == {"sharpness": 0.5}
    assert shared({"sharpness": [1, 0.5]}) == {"sharpness": (0.5, 1.0)}

    @with_options("Settings")
    def command(**options):
        """A command."""

    assert "sharpness" in inspect.signature(command).parameters


def test_options_and_keys_are_frozen():
    assert list(GENERAL) == [
        "target", "model", "task", "loss", "metric", "baseline", "data_dir", "steps", "epochs", "patience", "seeds",
        "out", "eval_every", "workers", "device", "tensorboard",
    ]  # fmt: skip
    assert list(KEYS) == [
        "norm", "place", "layers", "activation", "init", "output", "lr", "schedule", "warmup", "optimizer", "momentum",
        "clip", "batch_size", "dropout", "weight_decay", "inputs", "targets",
    ]  # fmt: skip
    own = ["arm", "data", *GENERAL, *KEYS, "json", "open_report"]
    assert list(inspect.signature(command_line).parameters) == own


def test_the_readme_has_every_key():
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    assert [name for name in KEYS if f"\n| `{name}` |" not in readme] == []


def test_settings_survive_their_file():
    settings = Settings(norm="batch", lr=0.1, seed=3, own={"loss": {"source": "0a"}})
    assert Settings.from_dict(settings.as_dict()) == settings
    assert {**Keys(norm="batch", lr=0.1).__dict__} == settings.keys


def test_several_values_are_read_as_the_key_s():
    assert shared({"lr": "0.2, 0.02", "init": "normal:0.1,he", "clip": None}) == {
        "lr": (0.02, 0.2),
        "init": ("normal:0.1", "he"),
    }
    assert shared({"lr": 0.1, "weight_decay": (1e-3, 0)}) == {"lr": (0.1,), "weight_decay": (0.0, 0.001)}


@pytest.mark.parametrize(
    ("read", "said"),
    [
        (lambda: given({"clipp": 1}), "unknown option 'clipp'; did you mean 'clip'"),
        (lambda: given({"batchsize": 1}), "did you mean 'batch_size'"),
        (lambda: shared({"lr": "0.1,0.1"}), "lr is '0.1,0.1'; allowed: one value, or several that differ"),
        (lambda: shared({"init": "he,,xavier"}), "unknown init ''"),
        (lambda: shared({"momentum": "fast"}), "momentum is 'fast'; allowed: a number from 0"),
        (lambda: count("patience", {"patience": 0}), "patience is '0'; allowed: a whole number, 1 or more"),
    ],
)
def test_a_wrong_option_is_refused_with_what_is_allowed(read, said):
    with pytest.raises(RequestError) as refused:
        read()
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", [*KEYS])
@pytest.mark.parametrize("text", ["", "nan", "-7", "1e999", "no such thing", ":"])
def test_nonsense_is_refused_in_one_line_by_every_key(name, text):
    with pytest.raises(RequestError) as refused:
        shared({name: text})
    assert "llowed" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_command_line_asks_the_same():
    asked = {"lr": [0.1, 0.2], "batch_size": 30, "tensorboard": True, "clip": None, "model": "my net.py:make"}
    line = command(["plain", "he: init=he"], "digits", asked)
    assert shlex.split(line) == [
        "normwise", "compare", "--data", "digits", "--arm", "plain", "--arm", "he: init=he", "--lr", "0.1,0.2",
        "--batch-size", "30", "--tensorboard", "--model", "my net.py:make",
    ]  # fmt: skip
    assert written(asked, {}) == {
        "lr": "0.1,0.2", "batch_size": "30", "tensorboard": True, "model": "my net.py:make"
    }  # fmt: skip


def test_functions_have_no_command_line_but_a_name():
    assert command(["plain"], "digits", {"loss": own_model}) == ""
    assert written({"loss": own_model, "steps": 5}, {"loss": "tests:own"}) == {"loss": "tests:own", "steps": "5"}
    assert options.flag("batch_size") == "--batch-size"
