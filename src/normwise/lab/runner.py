"""Running many runs: each in a process of its own, as many at once as there are cores."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import types
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple

from normwise.lab.data import Data
from normwise.lab.data.loader_data import LoaderData
from normwise.lab.job import Message, Work
from normwise.records.run import DONE, write_failed
from normwise.records.study import disk_error

OnProgress = Callable[[int, int | None], None]
"""Called with the index of a job and the number of steps that it has made, None when it has ended."""


SAFE_PATH, OURS = "PYTHONSAFEPATH", "normwise"


LONGEST_WAIT = 0.5
"""Seconds: a Ctrl-C that comes just before a wait begins does not end it, and is seen when it is over."""


def prepare() -> None:
    """Begin to load torch in the process that workers are forked from, while the caller goes on with something else."""
    if _method() == "forkserver":
        with _without_main(), _installed_first(), _without_interrupts():
            _context()
            forkserver.ensure_running()


class Task(NamedTuple):
    """A job and the data that it needs, unscaled."""

    job: Work
    data: Data | LoaderData | None


def run_all(jobs: Sequence[Work], data: Data | LoaderData | None, *, workers: int, on_progress: OnProgress) -> None:
    """Run every job of the same data to its end; see ``run_tasks``."""
    run_tasks([Task(job, data) for job in jobs], workers=workers, on_progress=on_progress)


def run_tasks(tasks: Sequence[Task], *, workers: int, on_progress: OnProgress) -> None:
    """Run every job to its end; what each left is on disk.

    A worker that dies fails its run and not the others.

    Args:
        tasks: the runs.
        workers: how many processes at once; 0 runs the jobs in this process, one after another.
        on_progress: told of every measurement.

    Raises:
        JobError: when records cannot be written; the other runs are stopped and can be continued.
    """
    if workers == 0:
        _run_here(tasks, on_progress)
        return
    waiting = deque(enumerate(tasks))
    running: list[_Running] = []
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                _start(*waiting.popleft(), running, on_progress)
            ready = wait([worker.channel for worker in running], timeout=LONGEST_WAIT)
            running = [worker for worker in running if worker.channel not in ready or _listen(worker, on_progress)]
    finally:
        _stop([worker.process for worker in running])


class _Running(NamedTuple):
    number: int
    job: Work
    process: BaseProcess
    channel: Connection


def _work(channel: Connection, job: Work, data: Data | LoaderData | None) -> None:
    """The first function of a run's process, which loads torch; the study's own process need not."""
    if os.environ.get(SAFE_PATH) == OURS:
        del os.environ[SAFE_PATH]
    from normwise.lab import worker

    worker.main(channel, job, data)


def _start(number: int, task: Task, running: list[_Running], on_progress: OnProgress) -> None:
    """Start the process of one run and add it to those that run, unless it dies before it has taken its data.

    It is no daemon: those may not have children, which the loaders of a run's data are. So it has to be among those
    that run, which are ended in any case, before Ctrl-C can come between.
    """
    channel, theirs = multiprocessing.Pipe(duplex=False)
    with _without_main(), _installed_first(), theirs:
        process = _context().Process(target=_work, args=(theirs, *task), daemon=False)
        running.append(_Running(number, task.job, process, channel))
        try:
            with _interrupts_later():
                process.start()
        except BrokenPipeError:
            running.pop()
            channel.close()
            _fail(task.job, "while it was starting (out of memory?)")
            on_progress(number, None)


def _listen(worker: _Running, on_progress: OnProgress) -> bool:
    """Take one message from a worker; False when it has ended."""
    try:
        message = worker.channel.recv()
    except EOFError:
        worker.process.join()
        worker.channel.close()
        _check_done(worker.job, worker.process.exitcode)
        on_progress(worker.number, None)
        return False
    _handle(message, worker.job)
    on_progress(worker.number, message.step)
    return True


def _handle(message: Message, job: Work) -> None:
    if message.disk is not None:
        raise disk_error(message.disk)


def _check_done(job: Work, exitcode: int | None) -> None:
    """Record a worker that ended without a result as a failed run."""
    if (job.directory / DONE).exists():
        return
    how = f"with exit code {exitcode}"
    if exitcode is not None and exitcode < 0:
        how = f"by {signal.Signals(-exitcode).name}" + (" (out of memory?)" if -exitcode == signal.SIGKILL else "")
    _fail(job, how)


def _fail(job: Work, how: str) -> None:
    try:
        write_failed(job.directory, f"its process was ended {how}; run the same command again to continue it")
    except OSError as error:
        raise disk_error(f"{job.directory}: {error.strerror}") from None


def _stop(processes: Sequence[BaseProcess]) -> None:
    """End the processes at once: what they write is whole at any moment."""
    started = [process for process in processes if process.pid is not None]
    for process in started:
        process.kill()
    for process in started:
        process.join()


def _run_here(tasks: Sequence[Task], on_progress: OnProgress) -> None:
    from normwise.lab import worker

    for index, (job, data) in enumerate(tasks):

        def tell(message: Message, index: int = index, job: Work = job) -> None:
            _handle(message, job)
            on_progress(index, message.step)

        worker.run(job, data, tell)
        on_progress(index, None)


def _method() -> str:
    """``forkserver`` where there is one: a fork of a process that has loaded torch and nothing else is quick."""
    return "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"


def _context() -> Any:
    context = multiprocessing.get_context(_method())
    context.set_forkserver_preload(["normwise.lab.worker", "normwise.lab.train"])
    return context


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Let a process that is started meanwhile ignore Ctrl-C from its first moment: this process ends it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


@contextmanager
def _interrupts_later() -> Iterator[None]:
    """Let Ctrl-C wait until a process has all that it is given: one that gets half of it ends with a traceback."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _without_main() -> Iterator[None]:
    """Let child processes start from this package alone.

    Otherwise multiprocessing imports the caller's script again in every child, and a script without an
    ``if __name__ == "__main__"`` would start the study again.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


@contextmanager
def _installed_first() -> Iterator[None]:
    """Let child processes look for modules among the installed ones first.

    Otherwise a file of the user's in the working directory, or beside the script, that is called ``random.py`` is taken
    for Python's own module by whatever a child process loads. What lies there can still be imported, last of all.
    """
    path, safe = sys.path, os.environ.get(SAFE_PATH)
    sys.path = sorted(path, key=_is_user_s)
    if not safe:
        os.environ[SAFE_PATH] = OURS
    try:
        yield
    finally:
        sys.path = path
        if not safe:
            del os.environ[SAFE_PATH]


def _is_user_s(entry: str) -> bool:
    """Whether an entry of ``sys.path`` is the working directory or the folder of the script that runs."""
    script = getattr(sys.modules["__main__"], "__file__", None)
    folders = [Path.cwd()] + ([Path(script).resolve().parent] if script else [])
    return Path(entry).resolve() in folders
