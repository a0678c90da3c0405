"""A study's directory: what was asked, the lock, and where each run goes."""

from __future__ import annotations

import errno
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from normwise.errors import JobError, RequestError
from normwise.records.files import dumps, read_json, write_json
from normwise.records.metric import Metric

STUDY, LOCK, REPORT = "study.json", ".lock", "report.html"
WAIT = 1.0
"""Seconds that a directory in use is waited for: ``normwise runs`` takes the lock of each study for a moment."""

QUESTION = ("study", "data", "target", "model", "task", "loss", "metric")
"""What tells one study from another; arms, seeds and steps can be added to a study."""

ELSEWHERE = "give another directory with --out DIR"


@contextmanager
def opened(directory: Path, study: Mapping[str, Any], question: Mapping[str, Any]) -> Iterator[None]:
    """Hold a study's directory for this process, made if it does not exist.

    Args:
        directory: the study's directory.
        study: what was asked; written to ``study.json``.
        question: the part of ``study``, its keys ``QUESTION``, by which a directory is recognized as belonging to the
            same question, so that arms and seeds can be added to it.

    Raises:
        RequestError: for a path that is a file or cannot be written, a directory that stays in use for a
            second, one that holds a study of another question, or one that holds anything else.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        _refuse_foreign(directory, question)
        lock = FileLock(directory / LOCK).acquire(timeout=WAIT)
    except Timeout:
        raise RequestError(f"{directory} is in use by another normwise process; wait for it, or {ELSEWHERE}") from None
    except (FileExistsError, NotADirectoryError):
        raise RequestError(f"{directory} is, or lies below, a file; {ELSEWHERE}") from None
    except OSError as error:
        raise RequestError(f"{directory} cannot be written: {error.strerror}; {ELSEWHERE}") from None
    with lock:
        try:
            write_json(directory / STUDY, study)
        except OSError as error:
            raise disk_error(f"{directory}: {error.strerror}") from None
        yield


FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}


def is_disk(error: OSError, directory: Path) -> bool:
    """Whether an error is about writing a record, and not of the user's own code."""
    return error.errno in FULL or str(error.filename).startswith(str(directory))


def disk_error(what: str) -> JobError:
    """The error for a disk that does not take what is written, or does not give what was."""
    return JobError(
        f"cannot read or write {what}; what was recorded before is kept: fix that and run the same command again"
    )


def _refuse_foreign(directory: Path, question: Mapping[str, Any]) -> None:
    held = {path.name for path in directory.iterdir()} - {LOCK, f".{STUDY}.tmp"}
    if not held:
        return
    try:
        study = read_json(directory / STUDY)
    except JobError:
        raise RequestError(f"{directory / STUDY} is damaged; delete the folder {directory}, or {ELSEWHERE}") from None
    if study is None:
        raise RequestError(f"{directory} holds something else than a study; give an empty or a new one with --out DIR")
    for key, value in question.items():
        if study.get(key) != json.loads(dumps(_plain(value))):
            raise RequestError(
                f"{directory} holds a study with {key} {_shown(study.get(key))}, not {_shown(value)}; {ELSEWHERE}"
            )


def _shown(value: Any) -> str:
    """A part of a question in an error: a metric is shown by its name."""
    plain = _plain(value)
    return repr(plain.get("name", plain) if isinstance(plain, dict) else plain)


def _plain(value: Any) -> Any:
    return value._asdict() if isinstance(value, Metric) else value


def run_directory(study: Path, arm: str, settings: Mapping[str, Any]) -> Path:
    """Where a run belongs: ``<arm slug>-<seed>-<hash>``.

    The hash is of the resolved settings, seed included, and not of the arm's name: an arm that was renamed finds its
    runs.
    """
    digest = hashlib.sha256(dumps(dict(sorted(settings.items()))).encode()).hexdigest()[:12]
    ending = f"-{settings['seed']}-{digest}"
    with suppress(OSError):  # a path that cannot be is refused, with the reason, when it is opened
        for directory in study.glob(f"*{ending}"):
            return directory
    return study / f"{slug(arm)}{ending}"


def slug(text: str) -> str:
    """Letters, digits and single hyphens: fit for a file name.

    Only ASCII letters are kept; where others are dropped, six hexadecimal digits tell the name from others.
    """
    kept = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40].strip("-")
    if any(letter.isalnum() and not letter.isascii() for letter in text):
        kept += f"-{hashlib.sha256(text.encode(errors='backslashreplace')).hexdigest()[:6]}"
    return kept.strip("-") or "arm"
