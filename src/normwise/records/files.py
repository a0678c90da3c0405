"""Reading and writing JSON so that a process killed at any moment leaves whole files."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any


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


def read_json(path: Path) -> Any:
    """Read a JSON file; None where there is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Read a file of JSON lines; a last line that was cut off is left out."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    whole, _, _ = text.rpartition("\n")
    return [json.loads(line) for line in whole.splitlines()]


def size(path: Path) -> int:
    """A file's length in bytes; zero where there is none."""
    return path.stat().st_size if path.exists() else 0
