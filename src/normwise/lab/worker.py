"""The process of one run."""

from __future__ import annotations

import importlib
import os
import signal
import threading
from collections.abc import Callable
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from pathlib import Path

import torch
import torch._dynamo  # the first optimizer would load it, for a second, in every worker instead of once before the fork

from normwise.errors import NormwiseError
from normwise.lab.data import Data
from normwise.lab.data.loader_data import LoaderData
from normwise.lab.job import Message, Work
from normwise.records.run import write_failed
from normwise.records.study import is_disk


def main(channel: Connection, job: Work, data: Data | LoaderData | None) -> None:
    """Do one job, a run for example, in this process, which has one compute thread and ends with it.

    Ctrl-C is left to the parent, which ends its workers; a worker whose parent is gone ends at once, so that nobody
    writes to a directory that another process may take over.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    run(job, data, channel.send)


def run(job: Work, data: Data | LoaderData | None, tell: Callable[[Message], None]) -> None:
    """Do one job with one compute thread; what goes wrong in it is recorded as its result and does not raise."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            _function(job.function)(job, data, lambda step: tell(Message(step)))
    except (Exception, SystemExit) as error:
        if isinstance(error, OSError) and is_disk(error, job.directory):
            tell(Message(disk=f"{error.filename or job.directory}: {error.strerror}"))
        else:
            write_failed(job.directory, reason(error))
    finally:
        torch.set_num_threads(threads)


def _function(name: str) -> Callable[..., None]:
    module, _, function = name.partition(":")
    found: Callable[..., None] = getattr(importlib.import_module(module), function)
    return found


def reason(error: BaseException) -> str:
    """An exception in one line, with the place it came from."""
    text = " ".join(str(error).split())
    if isinstance(error, NormwiseError):
        return text
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f" ({Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno})" if trace is not None else ""
    return f"{type(error).__name__}: {text}{place}"


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
