"""Where files are kept that save a later process work: object code of kernels, and what was found to be quickest."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: processes do not wait for each other there
    fcntl = None  # type: ignore[assignment]

LOCK = "lock"  # the name of the file of which each name locks a byte
TIMEOUT = 60.0  # seconds to wait for another process, which may have been suspended
_POLL = 0.02  # seconds

DIRECTORY = "NORMWISE_CACHE"  # the environment variable that says where


def directory() -> Path | None:
    """The folder that is written to, or None where nothing can be written.

    ``$NORMWISE_CACHE``, else ``$XDG_CACHE_HOME/normwise`` or ``~/.cache/normwise``, else the system's temporary
    directory, in a folder that belongs to the user. A folder that others may write to is not taken; one that may only
    be read is not written to, but what lies in it is found.
    """
    return next((folder for folder in _candidates() if _is_writable(folder)), None)


def _candidates() -> list[Path]:
    if os.environ.get(DIRECTORY):
        return [Path(os.environ[DIRECTORY])]
    found = [Path(tempfile.gettempdir()) / f"normwise-{os.getuid() if hasattr(os, 'getuid') else 'user'}"]
    with contextlib.suppress(RuntimeError):
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        found.insert(0, Path(home) / "normwise")
    return found


def _is_writable(folder: Path) -> bool:
    """Whether files can be written there, and will be trusted; makes the folder."""
    with contextlib.suppress(OSError):
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    return _is_readable(folder) and os.access(folder, os.W_OK)


def _is_readable(folder: Path) -> bool:
    """Whether there is such a folder, and nobody else can have put machine code into it."""
    try:
        return folder.is_dir() and _is_trusted(folder.stat())
    except OSError:
        return False


def _is_trusted(about: os.stat_result) -> bool:
    """Whether what is described belongs to the user or to root, and not everybody may write to it."""
    if not hasattr(os, "getuid"):
        return True
    return about.st_uid in (os.getuid(), 0) and not about.st_mode & stat.S_IWOTH


def contents(file: str) -> Iterator[bytes]:
    """What the files of this name hold, from each folder that can be trusted, the one that is written to first."""
    for folder in _candidates():
        if _is_readable(folder):
            with contextlib.suppress(OSError):
                yield (folder / file).read_bytes()


def write(file: str, content: bytes) -> Path | None:
    """Keep a file, complete or not at all, in place of an older one; the path, or None where that cannot be.

    All users may read the file, as they do where root fills the folder of an image.
    """
    folder = directory()
    if folder is None:
        return None
    with contextlib.suppress(OSError):  # a full disk only costs the next process the same work
        descriptor, name = tempfile.mkstemp(dir=folder)
        os.close(descriptor)
        unfinished = Path(name)
        try:
            unfinished.write_bytes(content)
            unfinished.chmod(0o644)
            return unfinished.replace(folder / file)
        finally:
            unfinished.unlink(missing_ok=True)
    return None


@contextlib.contextmanager
def locked(file: str) -> Iterator[None]:
    """While one process is in here, every other waits that wants to make the file of the same name.

    A process that ends, however it ends, lets the next one in. Nobody waits longer than ``TIMEOUT``, nor at all where
    there is no lock: without a folder to write to, and on systems without ``fcntl``. To be entered by one thread of a
    process at a time.
    """
    descriptor = _open_lock()
    try:
        if descriptor is not None:
            _wait_for(descriptor, file)
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)  # which unlocks


def _open_lock() -> int | None:
    """One file for all names; whoever may write to the folder may not write to another user's."""
    folder = directory()
    if fcntl is None or folder is None:
        return None
    with contextlib.suppress(OSError):
        return os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    return None


def _wait_for(descriptor: int, file: str) -> None:
    byte = int.from_bytes(hashlib.sha256(file.encode()).digest()[:7])
    deadline = time.monotonic() + TIMEOUT
    while not _has_locked(descriptor, byte) and time.monotonic() < deadline:
        time.sleep(_POLL)


def _has_locked(descriptor: int, byte: int) -> bool:
    """Whether there is nothing to wait for: this process has the lock, or the file system has none."""
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)
    except (BlockingIOError, PermissionError):  # another process has it
        return False
    except OSError:
        return True
    return True
