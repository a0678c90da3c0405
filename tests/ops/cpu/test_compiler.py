"""Object files: where they are kept, and what happens to those that cannot be read, written or shared."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import textwrap
import time
import types
from pathlib import Path

import pytest
import torch

from normwise import ops
from normwise.ops import disk
from normwise.ops.batch_norm import cpu
from normwise.ops.cpu import compiler, threads

NAME = "a kernel of this test"
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
needs_owners = pytest.mark.skipif(not hasattr(os, "getuid"), reason="this system has no owners")
not_root = pytest.mark.skipif(getattr(os, "getuid", lambda: 1)() == 0, reason="root may write everywhere")


def build():
    """A kernel that writes 7 into its job."""
    from numba import cfunc
    from numba.types import CPointer, int64, void

    @cfunc(void(CPointer(int64)), error_model="numpy")
    def kernel(job):
        job[0] = 7

    return kernel


def unwanted():
    raise AssertionError("it was compiled again")


def result(address: int) -> int:
    word = torch.zeros(1, dtype=torch.int64)
    threads._function(address)(word.data_ptr())
    return int(word)


def kept(folder) -> list[Path]:
    """What is in a cache directory besides the file that processes lock."""
    return [path for path in folder.iterdir() if path.name != disk.LOCK]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache directory."""
    monkeypatch.setenv("NORMWISE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_file_is_read_instead_of_compiling(cache):
    assert result(compiler.compiled(NAME, build)) == 7
    assert len(kept(cache)) == 1
    assert result(compiler.compiled(NAME, unwanted)) == 7


DAMAGE = {
    "half": lambda b: b[: len(b) // 2],
    "another end": lambda b: b[:-1] + b"x",
    "too short": lambda b: b[:10],
    "empty": lambda _: b"",
    "zeros": lambda _: b"\0" * 4000,
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_truncated_or_corrupt_file_is_replaced(cache, damage):
    compiler.compiled(NAME, build)
    (file,) = kept(cache)
    file.write_bytes(DAMAGE[damage](file.read_bytes()))
    assert compiler._whole(file.read_bytes()) is None
    assert result(compiler.compiled(NAME, build)) == 7
    assert result(compiler.compiled(NAME, unwanted)) == 7


@pytest.mark.parametrize("where", ["file", "file/below"])
def test_a_directory_that_cannot_be(tmp_path, monkeypatch, where):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("NORMWISE_CACHE", str(tmp_path / where))
    assert disk.directory() is None
    assert result(compiler.compiled(NAME, build)) == 7
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@not_root
def test_a_directory_that_may_not_be_written(cache):
    cache.mkdir(mode=0o500)
    assert disk.directory() is None
    assert result(compiler.compiled(NAME, build)) == 7
    assert not kept(cache)


def test_a_directory_that_turns_out_unwritable(cache, monkeypatch):
    def refuse(**_):
        raise PermissionError("read-only file system")

    monkeypatch.setattr(disk.tempfile, "mkstemp", refuse)
    assert result(compiler.compiled(NAME, build)) == 7
    assert not kept(cache)


def test_a_full_disk_leaves_nothing_behind(cache, monkeypatch):
    def fail(path, content):
        with path.open("wb") as file:
            file.write(content[:100])
        raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr(disk.Path, "write_bytes", fail)
    assert result(compiler.compiled(NAME, build)) == 7
    assert not kept(cache)


def test_what_lies_in_a_directory_that_may_only_be_read_is_found(cache, monkeypatch):
    compiler.compiled(NAME, build)
    files = kept(cache)
    monkeypatch.setattr(disk.os, "access", lambda folder, mode: mode != os.W_OK)
    assert disk.directory() is None
    assert result(compiler.compiled(NAME, unwanted)) == 7
    assert result(compiler.compiled("another kernel", build)) == 7
    assert kept(cache) == files


@needs_owners
def test_a_file_can_be_read_by_all(cache):
    compiler.compiled(NAME, build)
    (file,) = kept(cache)
    assert file.stat().st_mode & 0o444 == 0o444
    assert file.stat().st_mode & 0o022 == 0


def about(mode: int, owner: int) -> os.stat_result:
    return os.stat_result((stat.S_IFDIR | mode, 0, 0, 1, owner, 0, 0, 0, 0, 0))


@needs_owners
@pytest.mark.parametrize(
    ("mode", "owner", "trusted"),
    [
        (0o700, 1000, True), (0o775, 1000, True), (0o755, 0, True), (0o555, 0, True),
        (0o777, 1000, False), (0o777, 0, False), (0o1777, 0, False), (0o755, 1001, False),
    ],
)  # fmt: skip
def test_who_is_trusted(monkeypatch, mode, owner, trusted):
    monkeypatch.setattr(disk.os, "getuid", lambda: 1000)
    assert disk._is_trusted(about(mode, owner)) is trusted


@needs_owners
def test_a_directory_that_all_may_write_is_neither_read_nor_written(cache):
    compiler.compiled(NAME, build)
    (file,) = kept(cache)
    cache.chmod(0o777)
    assert disk.directory() is None
    assert compiler._find(file.name) is None
    cache.chmod(0o755)
    assert compiler._find(file.name)


def test_an_empty_variable_is_none(monkeypatch, tmp_path):
    monkeypatch.setenv("NORMWISE_CACHE", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert disk.directory() == tmp_path / "normwise"


def test_a_damaged_file_is_compiled_again(tmp_path, monkeypatch):
    monkeypatch.setenv("NORMWISE_CACHE", str(tmp_path))
    x = torch.randn(50, 3)
    good = ops.batch_norm(x, None, None, eps=1e-5, impl="cpu").y
    for file in kept(tmp_path):
        file.write_bytes(b"junk")
    cpu.compile_kernel.cache_clear()
    torch.testing.assert_close(ops.batch_norm(x, None, None, eps=1e-5, impl="cpu").y, good, rtol=0, atol=0)
    cpu.compile_kernel.cache_clear()


SCRIPT = """
import os, sys, threading, time
import torch
from normwise.ops import batch_norm
from normwise.ops.cpu import compiler

def run():
    return batch_norm(torch.ones(20, 3), None, None, eps=1e-5, impl="cpu").y
"""


def start(script, **environment) -> subprocess.Popen:
    code = SCRIPT + textwrap.dedent(script)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen([sys.executable, "-c", code], env={**os.environ, **environment}, **pipes)


def succeed(process: subprocess.Popen) -> None:
    try:
        output, _ = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 0, output


WAIT = """
    for _ in range(600):
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            sys.exit(os.waitstatus_to_exitcode(status))
        time.sleep(0.1)
    os.kill(child, 9)
    sys.exit("the child hangs")
"""


@needs_fork
def test_a_fork_while_another_thread_holds_the_lock():
    script = """
    held = threading.Event()

    def hold():
        with compiler._lock:
            held.set()
            time.sleep(0.5)

    threading.Thread(target=hold).start()
    held.wait()
    child = os.fork()
    if child == 0:
        run()
        os._exit(0)
    """
    succeed(start(script + WAIT))


@needs_fork
def test_a_fork_while_another_thread_compiles(cache):
    script = """
    from normwise.ops.cpu.compiler import _object_code as slow
    begun = threading.Event()

    def object_code(kernel):
        begun.set()
        return slow(kernel)

    compiler._object_code = object_code
    threading.Thread(target=run).start()
    begun.wait()
    child = os.fork()
    if child == 0:
        batch_norm(torch.ones(20, 3), None, None, eps=1e-5, activation="silu", impl="cpu")
        os._exit(0)
    """
    succeed(start(script + WAIT, NORMWISE_CACHE=str(cache)))


needs_locks = pytest.mark.skipif(disk.fcntl is None, reason="this system has no fcntl")


@needs_locks
def test_two_processes_at_once_compile_once(cache):
    """Both find nothing before either compiles, which here takes long enough to be seen."""
    script = """
    from numba import cfunc, types

    @cfunc(types.void(types.CPointer(types.int64)), error_model="numpy")
    def kernel(job):
        job[0] = 7

    slow = compiler._object_code
    compiler._object_code = lambda kernel: print("compiles") or time.sleep(0.5) or slow(kernel)
    print("ready", flush=True)
    sys.stdin.readline()
    compiler.compiled("a kernel", lambda: kernel)
    print("done")
    """
    processes = [start(script, NORMWISE_CACHE=str(cache)) for _ in range(2)]
    try:
        assert [process.stdout.readline() for process in processes] == ["ready\n"] * 2
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        outputs = [process.communicate(timeout=120)[0].split() for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert sorted(outputs, key=len) == [["done"], ["compiles", "done"]]
    assert [file.suffix for file in kept(cache)] == [".o"]
    assert compiler._whole(kept(cache)[0].read_bytes())


HOLDER = f"""
import importlib.util, sys, time
spec = importlib.util.spec_from_file_location("disk", {disk.__file__!r})
disk = importlib.util.module_from_spec(spec)
spec.loader.exec_module(disk)
with disk.locked(sys.argv[1]):
    print("in", flush=True)
    sys.stdin.readline()
    if sys.argv[2:]:
        disk.write(sys.argv[1], open(sys.argv[2], "rb").read())
"""


@pytest.fixture
def other(cache):
    """Starts a process that is alone with a file until it is killed, or told to write it."""
    processes = []

    def hold(*arguments) -> subprocess.Popen:
        code, pipe = [sys.executable, "-c", HOLDER, *arguments], subprocess.PIPE
        process = subprocess.Popen(code, stdin=pipe, stdout=pipe, text=True)
        processes.append(process)
        assert process.stdout.readline() == "in\n"
        return process

    yield hold
    for process in processes:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


@pytest.fixture
def while_waiting(monkeypatch):
    """Sets what happens whenever this process waits for another; a list of how often it did."""
    waits = []

    def wait(do) -> list[float]:
        def sleep(seconds):
            waits.append(seconds)
            do()
            time.sleep(seconds)

        monkeypatch.setattr(disk, "time", types.SimpleNamespace(monotonic=time.monotonic, sleep=sleep))
        return waits

    return wait


@needs_locks
def test_a_process_that_is_killed_while_compiling_lets_the_next_one_compile(other, while_waiting):
    waits = while_waiting(other(compiler._file(NAME)).kill)
    assert result(compiler.compiled(NAME, build)) == 7
    assert waits


@needs_locks
def test_what_another_process_compiles_is_not_compiled_again(cache, other, while_waiting, tmp_path):
    compiler.compiled(NAME, build)
    (file,) = kept(cache)
    file.rename(tmp_path / "made")
    process = other(file.name, str(tmp_path / "made"))
    waits = while_waiting(lambda: waits[1:] or print("write", file=process.stdin, flush=True))
    assert result(compiler.compiled(NAME, unwanted)) == 7
    assert waits


@needs_locks
def test_processes_that_compile_different_kernels_do_not_wait(other, while_waiting):
    waits = while_waiting(lambda: pytest.fail("it waits"))
    other(compiler._file("another kernel"))
    assert result(compiler.compiled(NAME, build)) == 7
    assert not waits


@needs_locks
@pytest.mark.parametrize("missing", ["patience", "fcntl", "locks"])
def test_nobody_waits_for_ever(other, monkeypatch, missing):
    """Not for a process that was suspended, nor where nothing can be locked."""

    def refuse(*_):
        raise OSError(errno.ENOLCK, "no locks available")

    other(compiler._file(NAME))
    if missing == "patience":
        monkeypatch.setattr(disk, "TIMEOUT", 0.1)
    elif missing == "fcntl":
        monkeypatch.setattr(disk, "fcntl", None)
    else:
        monkeypatch.setattr(disk.fcntl, "lockf", refuse)
    assert result(compiler.compiled(NAME, build)) == 7


@needs_locks
def test_one_file_is_locked_for_all_kernels(cache):
    for name in ("first", "second"):
        compiler.compiled(name, build)
    assert sorted(path.suffix for path in cache.iterdir()) == ["", ".o", ".o"]
