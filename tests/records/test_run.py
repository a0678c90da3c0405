from normwise.records import RunRecord
from normwise.records.run import METRICS, TIMING, RunWriter, write_done


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
    write_done(tmp_path, "diverged", 30, "loss is not finite")
    assert RunRecord.read(tmp_path, arm="bn").done == {"status": "diverged", "step": 30, "reason": "loss is not finite"}
