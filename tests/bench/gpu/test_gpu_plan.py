import pytest

import normwise
from gpu_measurements import Twin
from normwise.bench.gpu import cases, ledger, plan, steps
from normwise.bench.gpu.measure import Settings
from normwise.bench.gpu.plan import Item, Request, items, measured
from normwise.errors import RequestError

BRIEF = Settings("auto", 0.0, 2)


class Clock:
    """Items take as long as they say, or ``slowness`` times that."""

    def __init__(self, slowness=1.0):
        self.now, self.slowness = 100.0, slowness

    def __call__(self):
        return self.now

    def item(self, name, weight, rows=({"note": ""},)):
        def work(bandwidth):
            self.now += weight * self.slowness
            return [list(rows)]

        return Item(name, weight, work)


def told(found):
    return [name if rows is not None else f"no {name}" for name, rows in found]


def test_the_most_important_come_first():
    step, *names = [item.name for item in items(Request(BRIEF), Twin())]
    assert step == f"training step {steps.RESNET50.name}"
    first = [case.name for case in cases.compiled()]
    assert names[: len(first)] == first
    compiled = names.index(f"training step {steps.RESNET50.name}, compiled")
    assert all(name.endswith("bfloat16") for name in names[len(first) : compiled])
    assert not any(name.endswith("bfloat16") for name in names[compiled + 1 :])
    assert len(names) == len(set(names)) == len(cases.table()) + 1


def test_compiling_is_weighed_where_it_is_asked_for():
    weights = {mode: {item.weight for item in items(Request(BRIEF, compile=mode), Twin())} for mode in ("none", "all")}
    assert weights["none"] == {plan.CASE, plan.STEP}
    assert weights["all"] == {plan.CASE + plan.COMPILE, plan.STEP, plan.COMPILE_STEP}


def test_only():
    found = items(Request(BRIEF, only="128x256x56x56 channels_last bn+add+relu"), Twin())
    assert len(found) == 6  # two types in three modes
    assert all(item.name.startswith("128x256x56x56 channels_last bn+add+relu ") for item in found)
    (found,) = items(Request(BRIEF, only="ResNet-50", compile="none"), Twin())
    assert found.name.startswith("training step")
    with pytest.raises(RequestError, match="nothing has 'bn\\+swish'"):
        items(Request(BRIEF, only="bn+swish"), Twin())


def test_what_no_time_is_left_for_is_named_and_shorter_ones_are_still_measured():
    clock = Clock()
    asked = [clock.item("a", 5), clock.item("long", 50), clock.item("b", 4), clock.item("c", 2)]
    assert told(measured(asked, Twin(), 1.0, 110.0, clock=clock)) == ["a", "no long", "b", "no c"]


def test_what_takes_longer_than_expected_will_go_on_to():
    clock = Clock(slowness=3)
    asked = [clock.item(name, 2) for name in "abc"]
    assert told(measured(asked, Twin(), 1.0, 114.0, clock=clock)) == ["a", "b", "no c"]


def test_what_is_done_is_passed_over():
    clock = Clock()
    asked = [clock.item(name, 2) for name in "abc"]
    assert told(measured(asked, Twin(), 1.0, 200.0, {"a", "c"}, clock)) == ["b"]


def test_an_item_that_fails_is_a_row():
    def work(bandwidth):
        raise RuntimeError("CUDA error: an illegal memory access was encountered\nmore")

    clock = Clock()
    found = list(measured([Item("a", 1, work), clock.item("b", 1)], Twin(), 1.0, 200.0, clock=clock))
    assert [name for name, _ in found] == ["a", "b"]
    ((_, (row,)), _) = found
    assert row["note"] == "RuntimeError: CUDA error: an illegal memory access was encountered"


def test_a_device_that_is_beyond_repair_ends_it():
    class Broken(Twin):
        def free(self):
            raise RuntimeError("CUDA error")

    clock = Clock()
    found = []
    with pytest.raises(RuntimeError, match="CUDA error"):
        found += [found.append(each) for each in measured([clock.item("a", 1)] * 2, Broken(), 1.0, 200.0, clock=clock)]
    assert len(found) == 1


def test_parts_are_told_as_they_are_had_and_no_more_than_time_allows():
    clock, begun = Clock(), []

    def parts(bandwidth):
        for name in "abc":
            begun.append(name)
            clock.now += 4
            yield [{"note": ledger.WAITING if name != "c" else ""}]

    found = measured([Item("x", 1, parts), clock.item("y", 0)], Twin(), 1.0, 106.0, clock=clock)
    assert told([next(found)]) == ["x"]
    assert begun == ["a"]
    assert told(found) == ["x", "no x", "no y"]
    assert begun == ["a", "b"]
    clock.now = 100.0
    assert told(measured([Item("x", 1, parts)], Twin(), 1.0, 111.0, clock=clock)) == ["x"] * 3


def test_what_failed_in_part_keeps_what_it_had():
    def parts(bandwidth):
        yield [{"note": ledger.WAITING}]
        raise RuntimeError("no memory")

    (_, first), (_, (row,)) = measured([Item("x", 1, parts)], Twin(), 1.0, 1e9, clock=Clock())
    assert first == [{"note": ledger.WAITING}]
    assert row["note"] == "RuntimeError: no memory"


def test_a_training_step_of_every_arm():
    *parts, found = steps.step(steps.TINY, Twin(), BRIEF)
    assert [(list(part.seconds), part.waiting) for part in parts] == [
        (["torch"], ("ours", "ours recomputing")), (["torch", "ours"], ("ours recomputing",))
    ]  # fmt: skip
    assert not found.notes
    assert not found.waiting
    assert list(found.seconds) == ["torch", "ours", "ours recomputing"]
    assert list(found.speed) == ["torch", "ours recomputing"]
    assert all(found.peaks[arm] > 2 * 3 * 32 * 32 * 4 for arm in found.seconds)


def test_an_arm_that_fails_or_is_wrong_is_noted(monkeypatch):
    original = steps.entries.arm

    def arm(network, name):
        if name == "torch":
            raise RuntimeError("no memory")
        return original(network, name)

    monkeypatch.setattr(steps.entries, "arm", arm)
    *_, found = steps.step(steps.TINY, Twin(), BRIEF)
    assert found.notes == {"torch": "cannot run: RuntimeError: no memory"}
    assert list(found.seconds) == ["ours", "ours recomputing"]

    def wrong(network, name):
        made = original(network, name)
        return made if name == "torch" else made._replace(network=doubled(made.network))

    monkeypatch.setattr(steps.entries, "arm", wrong)
    *_, found = steps.step(steps.TINY, Twin(), BRIEF)
    assert found.notes["ours"].startswith("wrong: the loss of the first step is")
    assert list(found.seconds) == ["torch"]


def test_an_arm_that_fails_while_it_is_timed_leaves_the_others(monkeypatch):
    original = steps.entries.training

    def training(arm, x, target):
        once, left = original(arm, x, target), iter(range(steps.WARM + 1))

        def run():
            if arm.context is normwise.recompute_activations and next(left, None) is None:
                raise RuntimeError("no memory")
            once()

        return run

    monkeypatch.setattr(steps.entries, "training", training)
    monkeypatch.setattr(steps, "_arm", lambda network, name, device: steps.entries.arm(network, name))
    *_, found = steps.step(steps.TINY, Twin(), BRIEF)
    assert list(found.seconds) == ["torch", "ours"]
    assert found.notes == {"ours recomputing": "cannot run: RuntimeError: no memory"}


def doubled(network):
    network.output.weight.data.mul_(20)
    return network


def test_compiled_arms(monkeypatch):
    asked = []
    monkeypatch.setattr("torch.nn.Module.compile", lambda module, **options: asked.append(options))
    *_, found = steps.step(steps.TINY, Twin(), BRIEF, compiled=True)
    assert list(found.seconds) == ["torch", "ours", "torch.compile", "ours compiled"]
    assert asked == [{"dynamic": False}] * 2
