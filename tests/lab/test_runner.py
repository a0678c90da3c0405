import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from lab.made import small
from normwise.errors import JobError
from normwise.lab import runner
from normwise.records import RunRecord
from normwise.records.run import METRICS

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")


def ignore(index, step):
    pass


def records(planned):
    return [RunRecord.read(run.job.directory, arm=run.arm) for run in planned.runs]


def test_processes_end_with_the_same_bytes_as_this_process_and_tell_their_steps(tmp_path):
    apart, here = small(tmp_path / "apart"), small(tmp_path / "here")
    for planned, workers in ((apart, 2), (here, 0)):
        seen = []
        jobs = [run.job for run in planned.runs]
        runner.run_all(jobs, planned.data, workers=workers, on_progress=lambda *at, seen=seen: seen.append(at))
        for number in (0, 1):
            assert [step for index, step in seen if index == number] == [10, 20, 30, 40, None]
    for ours, theirs in zip(apart.runs, here.runs, strict=True):
        assert (ours.job.directory / METRICS).read_bytes() == (theirs.job.directory / METRICS).read_bytes()


def test_a_worker_that_is_killed_fails_its_run_and_not_the_others(tmp_path):
    planned = small(tmp_path, steps=1500, eval_every=50)
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
    runner.run_all([planned.runs[0].job], planned.data, workers=0, on_progress=ignore)
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
    found = []
    with suppress(OSError):  # the process may end meanwhile
        for name in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):  # and so may the use of a file
                found.append(str(name.readlink()))
    return " ".join(found)


def test_a_user_s_own_missing_file_is_not_a_full_disk(tmp_path, monkeypatch):
    def missing(*arguments):
        Path("no such file").read_text()

    monkeypatch.setattr("normwise.lab.train.evaluate", missing)
    planned = small(tmp_path / "study")
    runner.run_all([planned.runs[0].job], planned.data, workers=0, on_progress=ignore)
    done = planned.runs[0].record().done
    assert done["status"] == "failed"
    assert "FileNotFoundError" in done["reason"]


def test_a_run_that_raises_or_dies_before_it_wrote_anything_fails_and_not_the_others(tmp_path):
    planned = small(tmp_path, "raises: bn", "dies: plain", "lives: norm=layer")
    raises, dies, lives = (run.job for run in planned.runs)
    raises = replace(raises, settings=replace(raises.settings, activation="no such thing"))
    dies = replace(dies, settings=Unpicklable())
    runner.run_all([raises, dies, lives], planned.data, workers=2, on_progress=ignore)
    first, second, third = (run.record() for run in planned.runs)
    assert first.done["status"] == "failed"
    assert "no such thing" in first.done["reason"]
    assert (second.done["status"], second.settings["lr"]) == ("failed", 0.2)
    assert third.done["status"] == "finished"


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


def alive(pid):
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):  # it may end between the two
        return False


def gone(processes, seconds):
    deadline = time.monotonic() + seconds
    while any(map(alive, processes)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not any(map(alive, processes))


COMMAND = [sys.executable, "-m", "normwise", "compare", "--steps", "500000", "--out"]
# The same without its start: of data and networks that are there at once, and no command line.
SCRIPT = """
import sys
from pathlib import Path
from lab.made import of_parts, parts
from normwise.lab import runner
planned = of_parts(Path(sys.argv[1]), "bn", parts([0, 1] * 30, [0, 1], [0, 1]), steps=500000)
runner.run_all([planned.runs[0].job], planned.data, workers=1, on_progress=lambda *at: None)
"""


@pytest.mark.parametrize(
    ("ending", "command"),
    [
        (signal.SIGKILL, [sys.executable, "-c", SCRIPT]),
        (signal.SIGTERM, [sys.executable, "-c", SCRIPT]),
        (signal.SIGINT, COMMAND),
    ],
)
def test_no_worker_outlives_the_study(tmp_path, ending, command, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    with subprocess.Popen(
        [*command, tmp_path / "out"], stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as study:
        try:
            deadline = time.monotonic() + 90
            while not list(tmp_path.glob("out/*/metrics.jsonl")) and time.monotonic() < deadline:
                time.sleep(0.02)
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
        assert "run the same command again to continue" in said
