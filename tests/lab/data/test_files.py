from __future__ import annotations

import functools
import hashlib
import http.server
import io
import os
import tarfile
import threading
from concurrent import futures
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from normwise.errors import DataError
from normwise.lab.data import files
from normwise.lab.data.files import Files

CONTENT = {"a.bin": b"first file", "b.bin": b"second file"}
SHA256 = {name: hashlib.sha256(content).hexdigest() for name, content in CONTENT.items()}


class _Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder and remembers what was asked for."""

    def do_GET(self):
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        super().do_GET()

    def log_message(self, *args):
        pass


class Mirror:
    """A web server on the loopback interface, over a folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.server = http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), functools.partial(_Handler, directory=str(folder))
        )
        self.server.asked = self.asked = []  # type: ignore[attr-defined]
        self.address = f"http://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def put(self, **content: bytes) -> None:
        for name, value in content.items():
            (self.folder / name.replace("_", ".")).write_bytes(value)

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def mirror(tmp_path):
    mirror = Mirror(tmp_path / "mirror")
    yield mirror
    mirror.close()


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """An empty cache, no data directory, and no proxy between the test and its own server."""
    monkeypatch.delenv("NORMWISE_DATA", raising=False)
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr("pooch.os_cache", lambda project: tmp_path / "cache" / project)
    return tmp_path / "cache" / "normwise" / "tiny"


def source(*mirrors: Mirror, archive: tuple[str, str] | None = None) -> Files:
    return Files("tiny", SHA256, tuple(mirror.address for mirror in mirrors), archive)


def names(place: Path) -> set[str]:
    return {path.name for path in place.iterdir()} - {".lock"}


def tar(**content: bytes) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, value in content.items():
            member = tarfile.TarInfo(f"folder/{name.replace('_', '.')}")
            member.size = len(value)
            archive.addfile(member, io.BytesIO(value))
    return stream.getvalue()


def test_files_are_downloaded_once(mirror, cache, capfd):
    mirror.put(a_bin=CONTENT["a.bin"], b_bin=CONTENT["b.bin"])
    assert files.folder(source(mirror), None, progress=False) == cache
    assert {name: (cache / name).read_bytes() for name in names(cache)} == CONTENT
    assert files.folder(source(mirror), None, progress=False) == cache
    assert mirror.asked == ["/a.bin", "/b.bin"]
    assert capfd.readouterr() == ("", "")


def test_progress_goes_to_stderr(mirror, cache, capfd):
    mirror.put(a_bin=CONTENT["a.bin"], b_bin=CONTENT["b.bin"])
    files.folder(source(mirror), None, progress=True)
    captured = capfd.readouterr()
    assert "100%" in captured.err
    assert captured.out == ""


def test_a_wrong_checksum_is_refused_and_leaves_nothing(mirror, cache):
    mirror.put(a_bin=CONTENT["a.bin"], b_bin=b"second fil3")
    with pytest.raises(DataError, match=r"cannot download tiny .*hash of downloaded file \(b\.bin\)"):
        files.folder(source(mirror), None, progress=False)
    assert names(cache) == {"a.bin"}


def test_a_partly_downloaded_file_is_replaced(mirror, cache):
    cache.mkdir(parents=True)
    (cache / "a.bin").write_bytes(CONTENT["a.bin"][:4])
    mirror.put(a_bin=CONTENT["a.bin"], b_bin=CONTENT["b.bin"])
    files.folder(source(mirror), None, progress=False)
    assert (cache / "a.bin").read_bytes() == CONTENT["a.bin"]


def test_the_second_mirror_helps_out(mirror, cache, tmp_path):
    """One file is missing from the first mirror, the other is not what it should be there."""
    other = Mirror(tmp_path / "other")
    try:
        mirror.put(a_bin=b"<html>moved</html>")
        other.put(a_bin=CONTENT["a.bin"], b_bin=CONTENT["b.bin"])
        files.folder(source(mirror, other), None, progress=False)
    finally:
        other.close()
    assert {name: (cache / name).read_bytes() for name in names(cache)} == CONTENT


def test_no_network_says_what_to_do(mirror, cache):
    mirror.close()
    with pytest.raises(DataError) as raised:
        files.folder(source(mirror), None, progress=False)
    message = str(raised.value)
    assert f"no connection to {urlsplit(mirror.address).netloc}. Without" in message
    assert "Without a network, put a.bin, b.bin into a folder named tiny" in message
    assert "--data-dir or NORMWISE_DATA" in message
    assert "\n" not in message


def test_a_cache_that_cannot_be_written_is_an_error(mirror, cache):
    cache.parent.parent.mkdir(parents=True)
    cache.parent.write_text("a file where the folder should be")
    with pytest.raises(DataError, match="cannot download tiny"):
        files.folder(source(mirror), None, progress=False)


def test_an_archive_is_unpacked_and_removed(mirror, cache):
    content = tar(a_bin=CONTENT["a.bin"], readme_txt=b"not needed", b_bin=CONTENT["b.bin"])
    (mirror.folder / "all.tar.gz").write_bytes(content)
    packed = source(mirror, archive=("all.tar.gz", hashlib.sha256(content).hexdigest()))
    for _ in range(2):
        assert files.folder(packed, None, progress=False) == cache
        assert {name: (cache / name).read_bytes() for name in names(cache)} == CONTENT
    assert mirror.asked == ["/all.tar.gz"]


def test_two_processes_share_one_download(mirror, cache):
    """The lock is on an open file, so threads stand for processes."""
    content = tar(a_bin=CONTENT["a.bin"], b_bin=CONTENT["b.bin"])
    (mirror.folder / "all.tar.gz").write_bytes(content)
    packed = source(mirror, archive=("all.tar.gz", hashlib.sha256(content).hexdigest()))
    with futures.ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: files.folder(packed, None, progress=False), range(4))) == [cache] * 4
    assert mirror.asked == ["/all.tar.gz"]


def test_a_partly_unpacked_archive_is_unpacked_again(mirror, cache):
    content = tar(a_bin=CONTENT["a.bin"], b_bin=CONTENT["b.bin"])
    (mirror.folder / "all.tar.gz").write_bytes(content)
    cache.mkdir(parents=True)
    (cache / "a.bin").write_bytes(CONTENT["a.bin"])
    (cache / "b.bin").write_bytes(CONTENT["b.bin"][:3])
    (cache / "b.bin.part").write_bytes(b"?")
    files.folder(source(mirror, archive=("all.tar.gz", hashlib.sha256(content).hexdigest())), None, progress=False)
    assert {name: (cache / name).read_bytes() for name in names(cache)} == CONTENT


@pytest.mark.parametrize("content", [tar(a_bin=CONTENT["a.bin"]), tar(a_bin=CONTENT["a.bin"], b_bin=b"else")])
def test_an_archive_without_the_right_files_is_refused(mirror, cache, content):
    (mirror.folder / "all.tar.gz").write_bytes(content)
    with pytest.raises(DataError, match=r"all\.tar\.gz holds no b\.bin with the right checksum"):
        files.folder(source(mirror, archive=("all.tar.gz", hashlib.sha256(content).hexdigest())), None, progress=False)
    assert not (cache / "b.bin").exists()


@pytest.mark.parametrize("by", ["argument", "variable"])
def test_a_data_directory_is_read_and_never_written(mirror, cache, tmp_path, monkeypatch, by):
    place = tmp_path / "data" / "tiny"
    place.mkdir(parents=True)
    for name in CONTENT:
        (place / name).write_bytes(b"a selection of the user's")
    if by == "variable":
        monkeypatch.setenv("NORMWISE_DATA", str(tmp_path / "data"))
    given = str(tmp_path / "data") if by == "argument" else None
    assert files.folder(source(mirror), given, progress=False) == place
    assert names(place) == set(CONTENT)
    assert mirror.asked == []
    assert not cache.exists()


@pytest.mark.parametrize("by", ["argument", "variable"])
def test_missing_files_of_a_data_directory_are_named(mirror, cache, tmp_path, monkeypatch, by):
    (tmp_path / "data" / "tiny").mkdir(parents=True)
    (tmp_path / "data" / "tiny" / "a.bin").touch()
    if by == "variable":
        monkeypatch.setenv("NORMWISE_DATA", str(tmp_path / "data"))
    origin = "--data-dir" if by == "argument" else "NORMWISE_DATA"
    with pytest.raises(DataError, match=rf"{origin} is '.*data', but b\.bin is missing from .*tiny"):
        files.folder(source(mirror), tmp_path / "data" if by == "argument" else None, progress=False)
    assert mirror.asked == []


def test_the_argument_goes_before_the_variable(tmp_path, monkeypatch):
    monkeypatch.setenv("NORMWISE_DATA", str(tmp_path / "variable"))
    with pytest.raises(DataError, match=rf"missing from {tmp_path}{os.sep}argument"):
        files.folder(source(), tmp_path / "argument", progress=False)


def test_an_empty_variable_is_no_data_directory(mirror, cache, monkeypatch):
    monkeypatch.setenv("NORMWISE_DATA", "")
    mirror.put(a_bin=CONTENT["a.bin"], b_bin=CONTENT["b.bin"])
    assert files.folder(source(mirror), None, progress=False) == cache
