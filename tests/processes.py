"""Running a part of a test in two processes of ``torch.distributed``."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
from pathlib import Path

import torch
from torch import distributed


def in_two_processes(task, *args):
    """Run ``task(rank, *args)`` in two processes that know each other; what each returned."""
    with tempfile.TemporaryDirectory() as folder:
        context = multiprocessing.get_context("spawn")
        processes = [context.Process(target=_member, args=(rank, folder, task, args)) for rank in (0, 1)]
        for process in processes:
            process.start()
        for process in processes:
            process.join(120)
            if process.is_alive():
                process.kill()
        return [torch.load(path) for path in sorted(Path(folder).glob("result*"))]


def _member(rank, folder, task, args):
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    torch.manual_seed(rank)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    try:
        result = task(rank, *args)
    except Exception as error:  # to be told to the test
        result = {"error": f"{type(error).__name__}: {error}"}
    torch.save(result, Path(folder) / f"result{rank}")
    distributed.destroy_process_group()
