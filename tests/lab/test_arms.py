import pytest

from normwise.errors import RequestError
from normwise.lab.arms import Point, parse, resolve, swept
from normwise.lab.settings import DEFAULT_RATES, DEFAULTS, KEYS


def test_shorthands_are_norms():
    assert parse("plain") == ("plain", {"norm": "none"})
    assert parse("bn") == ("bn", {"norm": "batch"})


def test_an_arm_is_named_by_what_stands_before_the_colon_else_by_its_settings():
    assert parse("he: activation=relu, init=he") == ("he", {"activation": "relu", "init": "he"})
    assert parse("fast: bn, lr=1.0") == ("fast", {"norm": "batch", "lr": 1.0})
    assert parse("bn,lr=1.0") == ("bn, lr=1.0", {"norm": "batch", "lr": 1.0})


def test_colons_inside_values_are_not_names():
    name, given = parse("norm=group:4, init=normal:0.04, schedule=step:1000")
    assert name == "norm=group:4, init=normal:0.04, schedule=step:1000"
    assert given == {"norm": "group:4", "init": "normal:0.04", "schedule": "step:1000:0.1"}


def test_every_key_has_a_default_that_its_own_reader_accepts():
    for name, key in KEYS.items():
        if DEFAULTS[name] is not None:
            assert key.parse(str(DEFAULTS[name])) == DEFAULTS[name], name


def test_an_arm_s_own_setting_beats_the_shared_one_which_beats_the_default():
    own, other = resolve(["plain, activation=tanh", "bn"], {"activation": ("relu",)}, defaults={"inputs": "raw"})
    assert (own.keys.activation, other.keys.activation) == ("tanh", "relu")
    assert (own.keys.init, own.keys.inputs, own.keys.lr) == ("default", "raw", None)


def test_the_default_rate_and_momentum_are_the_optimizer_s():
    arms = resolve([f"{name}: optimizer={name}" for name in DEFAULT_RATES], {})
    assert [arm.points for arm in arms] == [(Point(rate),) for rate in DEFAULT_RATES.values()]
    momentum = {"momentum": 0.9, "nesterov": 0.9, "rmsprop": 0.0}
    assert [arm.keys.momentum for arm in arms] == [momentum.get(name) for name in DEFAULT_RATES]


def test_shared_rates_go_to_the_arms_that_have_none():
    plain, fast = resolve(["plain", "fast: bn, lr=1"], {"lr": (0.02, 0.2)})
    assert plain.points == (Point(0.02), Point(0.2))
    assert fast.points == (Point(1.0),)


def test_another_key_is_swept_with_every_rate_over_the_arms_that_do_not_set_it():
    shared = {"lr": (0.02, 0.2), "init": ("normal:0.01", "he")}
    assert swept(shared) == "init"
    plain, lecun = resolve(["plain", "bn, init=lecun"], shared)
    assert plain.points == ((0.02, "normal:0.01"), (0.2, "normal:0.01"), (0.02, "he"), (0.2, "he"))
    assert lecun.points == ((0.02, "lecun"), (0.2, "lecun"))
    assert (plain.at(plain.points[3]).init, plain.at(plain.points[3]).lr) == ("he", 0.2)


def test_what_follows_from_the_swept_key_follows_at_each_point():
    (arm,) = resolve(["x: place=after"], {"optimizer": ("adam", "momentum")})
    assert arm.points == (Point(0.001, "adam"), Point(0.02, "momentum"))
    assert [arm.at(point).momentum for point in arm.points] == [None, 0.9]
    (arm,) = resolve(["x: place=after"], {"norm": ("none", "batch")})
    assert [arm.at(point).place for point in arm.points] == [None, "after"]
    plain, bn = resolve(["plain", "bn"], {"place": ("before", "after")})
    assert plain.points == (Point(0.2, None),)  # without normalization both are one run
    assert bn.points == (Point(0.2, "before"), Point(0.2, "after"))


def test_two_keys_are_not_swept_at_once():
    with pytest.raises(RequestError, match="init and weight_decay have several values; allowed: several for lr and"):
        resolve(["plain"], {"lr": (0.1, 0.2), "init": ("he", "xavier"), "weight_decay": (0.0, 0.1)})


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
        (["momentum=1"], "not including, 1"),
        (["warmup=-1"], "0 or more"),
        (["clip=0"], "above 0"),
        (["activation=selu:2"], "unknown activation 'selu:2'; did you mean 'selu'"),
        (["inputs=bianry"], "did you mean 'binary'"),
        (["targets=minmax"], "unknown targets 'minmax'. Allowed: raw, standard"),
        (["optimizer=adam, momentum=0.9"], "optimizer=adam has no momentum, which is given; leave momentum out"),
        (["momentum=0.9"], "optimizer=sgd has no momentum, which is given; use optimizer=momentum or nesterov"),
        (["bn, layers=frist"], "did you mean 'first'"),
        (["bn, layers=0+1"], "numbers from 1, each once"),
        (["bn, layers=2+2"], "numbers from 1, each once"),
        (["bn, layers=every:0"], "1 or more"),
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


def test_a_network_of_the_user_s_own_keeps_its_activation_and_output_unless_others_are_given():
    own, other = resolve(["bn", "activation=relu, output=linear"], {}, own_model=True)
    assert (own.keys.activation, own.keys.output, own.keys.dropout) == (None, "given", None)
    assert (other.keys.activation, other.keys.output) == ("relu", "linear")
    with pytest.raises(RequestError, match="your own network decides"):
        resolve(["bn, dropout=0.1"], {}, own_model=True)


def test_the_output_of_built_in_networks_is_linear():
    assert resolve(["bn"], {})[0].keys.output is None
    with pytest.raises(RequestError, match=r"arm 'x' sets 'output', which is for networks of your own"):
        resolve(["x: output=linear"], {})


def test_data_read_batch_by_batch_keep_their_batches_and_inputs():
    (arm,) = resolve(["bn"], {}, own_batches=True)
    assert (arm.keys.batch_size, arm.keys.inputs) == (None, None)
    with pytest.raises(RequestError, match="sets 'batch_size', which your loader decides"):
        resolve(["bn"], {"batch_size": (30,)}, own_batches=True)


def test_equal_settings_at_a_shared_point_are_one_arm():
    with pytest.raises(RequestError, match="have the same settings"):
        resolve(["plain", "x: norm=none, lr=0.2"], {"lr": (0.2, 0.5)})
    apart = resolve(["plain", "x: norm=none, lr=0.1"], {"lr": (0.2, 0.5)})
    assert [arm.points for arm in apart] == [(Point(0.2), Point(0.5)), (Point(0.1),)]
    with pytest.raises(RequestError, match="have the same settings"):
        resolve(["plain", "x: norm=none, init=he"], {"init": ("default", "he")})


@pytest.mark.parametrize("texts", [["plain", "bn"], ["norm=layer"]])
def test_a_value_that_reaches_no_arm_is_refused(texts):
    with pytest.raises(RequestError, match=r"norm was given for all arms, and (every|the) arm sets it; leave it out"):
        resolve(texts, {"norm": ("batch",)})
