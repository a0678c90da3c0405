import pytest

from normwise.errors import RequestError
from normwise.lab.arms import DEFAULT_RATES, KEYS, parse, resolve


def test_shorthands_are_norms():
    assert parse("plain") == ("plain", {"norm": "none"})
    assert parse("bn") == ("bn", {"norm": "batch"})


def test_an_arm_is_named_by_what_stands_before_the_colon_else_by_its_settings():
    assert parse("he: activation=relu, init=he") == ("he", {"activation": "relu", "init": "he"})
    assert parse("fast: bn, lr=1.0") == ("fast", {"norm": "batch", "lr": (1.0,)})
    assert parse("bn,lr=1.0") == ("bn, lr=1.0", {"norm": "batch", "lr": (1.0,)})


def test_colons_inside_values_are_not_names():
    name, given = parse("norm=group:4, init=normal:0.04, schedule=step:1000")
    assert name == "norm=group:4, init=normal:0.04, schedule=step:1000"
    assert given == {"norm": "group:4", "init": "normal:0.04", "schedule": "step:1000:0.1"}


def test_every_key_has_a_default_that_its_own_reader_accepts():
    for name, key in KEYS.items():
        if key.default is not None:
            assert key.parse(str(key.default)) == key.default, name


def test_an_arm_s_own_setting_beats_the_shared_one_which_beats_the_default():
    own, other = resolve(["plain, activation=tanh", "bn"], {"activation": "relu"})
    assert (own.settings["activation"], other.settings["activation"]) == ("tanh", "relu")
    assert own.settings["init"] == "default"


def test_the_default_rate_is_the_optimizer_s():
    arms = resolve([f"{name}: optimizer={name}" for name in DEFAULT_RATES], {})
    assert [arm.rates for arm in arms] == [(rate,) for rate in DEFAULT_RATES.values()]


def test_shared_rates_go_to_the_arms_that_have_none():
    plain, fast = resolve(["plain", "fast: bn, lr=1"], {"lr": (0.02, 0.2)})
    assert plain.rates == (0.02, 0.2)
    assert fast.rates == (1.0,)


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ([], "no arm was given"),
        ([""], "incomplete"),
        (["bn,"], "incomplete"),
        ([": bn"], "incomplete"),
        (["bnn"], "did you mean 'bn'"),
        (["activaton=relu"], "unknown key 'activaton'; did you mean 'activation'"),
        (["activation=rely"], "did you mean 'relu'"),
        (["norm=bacth"], "did you mean 'batch'"),
        (["norm=group:0"], "1 or more"),
        (["init=normal:-1"], "above 0"),
        (["init=normal:"], "above 0"),
        (["schedule=step:x"], "1 or more"),
        (["schedule=stpe:10"], "did you mean 'step:1000"),
        (["schedule=exponential:2"], "at most 1"),
        (["lr=0"], "above 0"),
        (["lr=-1"], "above 0"),
        (["lr=nan"], "above 0"),
        (["lr=inf"], "above 0"),
        (["lr=fast"], "'fast'"),
        (["dropout=1"], "not including, 1"),
        (["weight_decay=-1"], "zero or more"),
        (["batch_size=0"], "1 or more"),
        (["batch_size=2.5"], "whole number"),
        (["bn, norm=layer"], "sets 'norm' twice"),
        (["bn: lr=1"], "is a shorthand, not a name"),
        (["bn, batch_size=1"], "at least 2 examples"),
        (["a: bn", "a: plain"], "two arms are called 'a'"),
        (["plain", "also: norm=none, lr=0.2"], "'plain' and 'also' have the same settings"),
        (["plain", "after: norm=none, place=after"], "have the same settings"),
    ],
)
def test_a_wrong_arm_is_refused_with_what_to_do(texts, said):
    with pytest.raises(RequestError) as refused:
        resolve(texts, {})
    assert said in str(refused.value)


def test_a_network_of_the_user_s_own_keeps_its_activation():
    (arm,) = resolve(["bn"], {}, own_model=True)
    assert arm.settings["activation"] is None
    with pytest.raises(RequestError, match="your own network decides"):
        resolve(["bn, activation=relu"], {}, own_model=True)


def test_equal_settings_at_a_shared_rate_are_one_arm():
    with pytest.raises(RequestError, match="have the same settings"):
        resolve(["plain", "x: norm=none, lr=0.2"], {"lr": (0.2, 0.5)})
    apart = resolve(["plain", "x: norm=none, lr=0.1"], {"lr": (0.2, 0.5)})
    assert [arm.rates for arm in apart] == [(0.2, 0.5), (0.1,)]
