import pytest

from normwise.errors import JobError
from normwise.records import RunRecord
from normwise.records.run import METRICS, TIMING, RunWriter, write_done, write_failed


def test_a_writer_cuts_what_came_after_the_checkpoint(tmp_path):
    writer = RunWriter(tmp_path, {})
    writer.append(METRICS, {"step": 0})
    lengths = writer.sync()
    writer.append(METRICS, {"step": 10})
    writer.append(TIMING, {"step": 10, "seconds": 1.0})
    writer.close()
    again = RunWriter(tmp_path, lengths)
    again.append(METRICS, {"step": 20})
    again.close()
    record = RunRecord.read(tmp_path, arm="bn")
    assert record.metrics == [{"step": 0}, {"step": 20}]
    assert record.timing == []


def test_a_record_can_be_read_while_the_run_goes_on(tmp_path):
    writer = RunWriter(tmp_path, {})
    writer.append(METRICS, {"step": 0})
    record = RunRecord.read(tmp_path, arm="bn")
    writer.close()
    assert (record.metrics, record.done, record.settings) == ([{"step": 0}], None, {"arm": "bn"})


def test_the_end_of_a_run_says_how_and_why(tmp_path):
    (tmp_path / METRICS).write_text('{"step":0}\n')
    best = {"step": 0, "validation": {"loss": 2.0}}
    write_done(tmp_path, "diverged", 30, "loss is not finite", best)
    found = RunRecord.read(tmp_path, arm="bn")
    assert found.done == {"status": "diverged", "step": 30, "reason": "loss is not finite", "best": best}
    assert found.best == best


@pytest.mark.parametrize(
    ("left", "said"),
    [(b"", "holds no measurement, and the run at step 20"), (b'{"step":0}\n{"step":10}\n{"st', "ends at step 10")],
)
def test_metrics_that_end_before_the_run_did_are_named(tmp_path, left, said):
    (tmp_path / METRICS).write_bytes(left)
    write_done(tmp_path, "finished", 20)
    with pytest.raises(JobError, match=said):
        RunRecord.read(tmp_path, arm="bn")


def test_a_run_that_diverged_at_once_or_failed_has_no_measurement(tmp_path):
    write_done(tmp_path, "diverged", 0, "the loss is not finite")
    assert RunRecord.read(tmp_path, arm="bn").metrics == []
    write_failed(tmp_path, "out of memory")
    assert RunRecord.read(tmp_path, arm="bn").metrics == []


def test_metrics_that_are_shorter_than_at_the_checkpoint_are_not_gone_on_with(tmp_path):
    (tmp_path / METRICS).write_bytes(b'{"step":0}\n')
    with pytest.raises(JobError, match=r"metrics\.jsonl is damaged \(it ends before the last checkpoint\)"):
        RunWriter(tmp_path, {METRICS: 40})
