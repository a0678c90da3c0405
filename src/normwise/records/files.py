"""Reading and writing JSON so that a process killed at any moment leaves whole files.

A file that is damaged all the same is refused with its name.
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

from normwise.errors import JobError, first_line


def dumps(value: Any, *, indent: int | None = None) -> str:
    """JSON in which a number that is not finite is null."""
    separators = (",", ": ") if indent else (",", ":")
    return json.dumps(_finite(value), indent=indent, ensure_ascii=False, allow_nan=False, separators=separators)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value


def replace(path: Path, content: bytes) -> None:
    """Write a whole file or none of it: a temporary name, fsync, rename."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as JSON, whole or not at all."""
    replace(path, (dumps(value, indent=2) + "\n").encode())


def read_json(path: Path) -> dict[str, Any] | None:
    """Read a file that holds a JSON object; None where there is none.

    Raises:
        JobError: the file holds something else.
    """
    try:
        return _object(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise damaged(path, first_line(error)) from error


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Read a file with a JSON object in each line; a last line that was cut off is left out. Without a file, no lines.

    Raises:
        JobError: a line holds something else.
    """
    number = 0
    try:
        whole, _, _ = path.read_text(encoding="utf-8").rpartition("\n")
        lines = []
        for number, line in enumerate(whole.split("\n") if whole else [], start=1):  # noqa: B007 - told in the error
            lines.append(_object(line))
        return lines
    except FileNotFoundError:
        return []
    except ValueError as error:
        raise damaged(path, f"line {number}: {first_line(error)}" if number else first_line(error)) from error


def _object(text: str) -> dict[str, Any]:
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError(f"a JSON object belongs there, not {text[:20]!r}")
    return found


def damaged(path: Path, why: str) -> JobError:
    """The error for a file of a run that does not hold what was written to it."""
    return JobError(
        f"{path} is damaged ({why}); delete the folder {path.parent} and give the command again, which makes it anew"
    )


def size(path: Path) -> int:
    """A file's length in bytes; zero where there is none."""
    return path.stat().st_size if path.exists() else 0
