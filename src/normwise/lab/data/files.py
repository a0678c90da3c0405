"""Where the files of a named data set are: in the user's folder, or in the cache that downloads go to."""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from normwise.errors import DataError


@dataclass(frozen=True)
class Files:
    """The files of one data set and where the official copies are.

    Attributes:
        folder: the folder's name, in a user's data directory and in the cache.
        sha256: of each file that is read, by name.
        mirrors: addresses that a file's name is appended to, tried in this order.
        archive: name and SHA-256 of the one archive that holds the files, None where each file is downloaded by itself.
    """

    folder: str
    sha256: dict[str, str]
    mirrors: tuple[str, ...]
    archive: tuple[str, str] | None = None


def folder(source: Files, data_dir: str | Path | None, progress: bool) -> Path:
    """The folder with a data set's files.

    Args:
        source: the data set's files.
        data_dir: the user's data directory; None is the one that NORMWISE_DATA names. It is never downloaded into, and
            its files are not compared with the official checksums: they may be a selection.
        progress: whether a download shows a progress bar.

    Returns:
        ``<data_dir>/<source.folder>``, or the same in the cache where there is no data directory.

    Raises:
        DataError: a file is missing from the data directory, or cannot be downloaded.
    """
    given = data_dir if data_dir is not None else os.environ.get("NORMWISE_DATA") or None
    if given is None:
        return download(source, progress)
    place = Path(given).expanduser() / source.folder
    if missing := [name for name in source.sha256 if not (place / name).is_file()]:
        origin = "--data-dir" if data_dir is not None else "NORMWISE_DATA"
        raise DataError(
            f"{origin} is {str(given)!r}, but {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing from "
            f"{place}; put the files there, or give no data directory to download them"
        )
    return place


def download(source: Files, progress: bool) -> Path:
    """Fills the cache, ``pooch.os_cache("normwise")``, with a data set's files and returns their folder.

    A file counts only with the right SHA-256, so what an interrupted download leaves is never used.

    Raises:
        DataError: no mirror gave the files; it says how to do without a network.
    """
    import pooch

    place = Path(pooch.os_cache("normwise")) / source.folder
    if _complete(place, source):
        return place
    try:
        place.mkdir(parents=True, exist_ok=True)
        _fetch(place, source, progress)
    except (OSError, ValueError, tarfile.TarError) as error:
        raise DataError(
            f"cannot download {source.folder} into {place}: {_sentence(error)}. Without a network, put "
            f"{', '.join(source.sha256)} into a folder named {source.folder} and give the folder above it "
            f"as --data-dir or NORMWISE_DATA"
        ) from error
    return place


def _fetch(place: Path, source: Files, progress: bool) -> None:
    """Downloads what is missing; a second process that wants the same files waits for this one."""
    import filelock

    with filelock.FileLock(place / ".lock"):
        if _complete(place, source):
            return
        if source.archive is None:
            for name, sha256 in source.sha256.items():
                _retrieve(source, name, sha256, place, progress)
        else:
            archive = _retrieve(source, *source.archive, place, progress)
            _unpack(archive, source, place)
            archive.unlink()


def _retrieve(source: Files, name: str, sha256: str, place: Path, progress: bool) -> Path:
    """Downloads one file from the first mirror that gives it with the right checksum."""
    import pooch
    from requests import exceptions

    pooch.get_logger().setLevel("WARNING")  # the bar, and the error where there is one, say it
    failures: list[str] = []
    for mirror in source.mirrors:
        try:
            return Path(pooch.retrieve(mirror + name, f"sha256:{sha256}", name, place, progressbar=progress))
        except (exceptions.ConnectionError, exceptions.Timeout):
            failures.append(f"no connection to {urlsplit(mirror).netloc}")
        except (OSError, ValueError) as error:
            failures.append(_sentence(error))
            if (response := getattr(error, "response", None)) is not None:
                response.close()
    raise OSError("; ".join(failures))


def _unpack(archive: Path, source: Files, place: Path) -> None:
    """Unpacks the files that are read; each appears under its name only when it is whole and its checksum is right."""
    with tarfile.open(archive) as members:
        for member in members:
            name = PurePosixPath(member.name).name
            content = members.extractfile(member)
            if name in source.sha256 and content is not None:
                partial = place / f"{name}.part"
                with partial.open("wb") as file:
                    shutil.copyfileobj(content, file)
                if _sha256(partial) == source.sha256[name]:
                    partial.replace(place / name)
                partial.unlink(missing_ok=True)
    if missing := [name for name in source.sha256 if not (place / name).is_file()]:
        raise OSError(f"{archive.name} holds no {', '.join(missing)} with the right checksum")


def _complete(place: Path, source: Files) -> bool:
    return all((place / name).is_file() and _sha256(place / name) == sha256 for name, sha256 in source.sha256.items())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sentence(error: Exception) -> str:
    """An exception as one line."""
    return " ".join(str(error).split()).removesuffix(".")
