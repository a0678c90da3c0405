import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lab.studies import small
from normwise.errors import JobError
from normwise.lab import runner
from normwise.records import RunRecord
from normwise.records.run import METRICS

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")


def ignore(index, step):
    pass


def records(planned):
    return [RunRecord.read(run.job.directory, arm=run.arm) for run in planned.runs]


def test_processes_end_with_the_same_bytes_as_this_process(tmp_path):
    apart, here = small(tmp_path / "apart", seeds=2), small(tmp_path / "here", seeds=2)
    runner.run_all([run.job for run in apart.runs], apart.data, workers=2, on_progress=ignore)
    runner.run_all([run.job for run in here.runs], here.data, workers=0, on_progress=ignore)
    for ours, theirs in zip(apart.runs, here.runs, strict=True):
        assert (ours.job.directory / METRICS).read_bytes() == (theirs.job.directory / METRICS).read_bytes()


def test_progress_names_the_run_and_its_steps(tmp_path):
    planned = small(tmp_path)
    seen = []
    runner.run_all([run.job for run in planned.runs], planned.data, workers=2, on_progress=lambda *at: seen.append(at))
    assert [step for index, step in seen if index == 0] == [10, 20, 30, 40, None]
    assert [step for index, step in seen if index == 1] == [10, 20, 30, 40, None]


def test_a_worker_that_is_killed_fails_its_run_and_not_the_others(tmp_path):
    planned = small(tmp_path, steps=4000, eval_every=100)
    killed = []

    def kill_first(index, step):
        if index == 0 and not killed:
            worker = next(pid for pid in workers() if str(planned.runs[0].job.directory) in open_files(pid))
            os.kill(worker, signal.SIGKILL)
            killed.append(worker)

    runner.run_all([run.job for run in planned.runs], planned.data, workers=2, on_progress=kill_first)
    first, second = records(planned)
    assert first.done["status"] == "failed"
    assert "SIGKILL (out of memory?)" in first.done["reason"]
    assert second.done["status"] == "finished"
    runner.run_all([planned.runs[0].job], planned.data, workers=1, on_progress=ignore)
    assert records(planned)[0].done["status"] == "finished"


def workers(parent=None):
    """Every process below this one."""
    children = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            above = int((process / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue  # it ended meanwhile
        children.setdefault(above, []).append(int(process.name))
    below, waiting = [], [parent or os.getpid()]
    while waiting:
        waiting += (new := children.get(waiting.pop(), []))
        below += new
    return below


def open_files(pid):
    try:
        return " ".join(str(name.readlink()) for name in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return ""


def test_a_user_s_own_missing_file_is_not_a_full_disk(tmp_path, monkeypatch):
    def missing(*arguments):
        Path("no such file").read_text()

    monkeypatch.setattr("normwise.lab.train.evaluate", missing)
    planned = small(tmp_path / "study")
    runner.run_all([planned.runs[0].job], planned.data, workers=0, on_progress=ignore)
    done = planned.runs[0].record().done
    assert done["status"] == "failed"
    assert "FileNotFoundError" in done["reason"]


def test_an_exception_in_a_run_is_its_result(tmp_path):
    planned = small(tmp_path)
    bad = planned.runs[0].job._replace(settings={**planned.runs[0].job.settings, "activation": "no such thing"})
    runner.run_all([bad, planned.runs[1].job], planned.data, workers=2, on_progress=ignore)
    first, second = records(planned)
    assert first.done["status"] == "failed"
    assert "no such thing" in first.done["reason"]
    assert second.done["status"] == "finished"


def test_a_worker_that_dies_before_it_wrote_anything_fails_its_run(tmp_path):
    planned = small(tmp_path)
    bad = planned.runs[0].job._replace(settings=Unpicklable())
    runner.run_all([bad, planned.runs[1].job], planned.data, workers=2, on_progress=ignore)
    first, second = (run.record() for run in planned.runs)
    assert (first.done["status"], first.settings["lr"]) == ("failed", 0.2)
    assert second.done["status"] == "finished"


class Unpicklable:
    """Ends the process that unpickles it, as running out of memory there would."""

    def __reduce__(self):
        return os._exit, (7,)


def test_a_disk_that_takes_no_more_ends_the_study_and_keeps_the_records(tmp_path):
    planned = small(tmp_path)
    run = planned.runs[0].job
    run.directory.mkdir(parents=True)
    (run.directory / METRICS).mkdir()  # what cannot be opened for writing, also for root
    with pytest.raises(JobError, match=r"cannot read or write .*: Is a directory; what was recorded before is kept"):
        runner.run_all([run], planned.data, workers=1, on_progress=ignore)


SCRIPT = """
import sys
from normwise.lab import compare
result = compare(steps=40, seeds=1, eval_every=10, out=sys.argv[1])
print(len(result.records), "runs")
"""


def test_a_script_without_a_main_guard_runs_once(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = subprocess.run([sys.executable, script, tmp_path / "out"], capture_output=True, text=True, timeout=120)
    assert done.stdout == "2 runs\n", done.stderr


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def gone(processes, seconds):
    deadline = time.monotonic() + seconds
    while any(map(alive, processes)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not any(map(alive, processes))


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_no_worker_outlives_the_study(tmp_path, ending):
    command = [sys.executable, "-m", "normwise", "compare", "--steps", "500000", "--out", tmp_path / "out"]
    study = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        deadline = time.monotonic() + 90
        while not list(tmp_path.glob("out/*/metrics.jsonl")) and time.monotonic() < deadline:
            time.sleep(0.1)
        below = workers(study.pid)
        training = [pid for pid in below if METRICS in open_files(pid)]
        assert training, "no worker started"
        if ending == signal.SIGINT:
            os.killpg(study.pid, ending)  # what a terminal does on Ctrl-C
        else:
            study.send_signal(ending)
        assert gone(training, seconds=2)
        assert gone(below, seconds=20)  # the process that they were forked from takes its time to end
        said = study.communicate(timeout=20)[1]
    finally:
        study.kill()
    if ending == signal.SIGINT:
        assert study.returncode == 130
        assert "give the same command again to continue" in said
