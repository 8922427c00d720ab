"""Data sets are fetched whole or not at all."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from toy_data import TEST, TOY, TRAIN, WHOLE, lay, pinned, tar_gz

from offprints.data import (
    Archive,
    ChecksumMismatch,
    CorruptFile,
    DataError,
    FetchFailed,
    MissingFile,
    UnsafeArchive,
    Url,
)


def nothing_stands(root: Path) -> bool:
    """No declared file, whole or not, and no scratch folder."""
    return not any(path.is_file() or path.name.startswith(".partial") for path in root.rglob("*"))


@pytest.fixture
def serve() -> Iterator[Callable[[Mapping[str, bytes | int]], str]]:
    """Serves bodies on 127.0.0.1; an int is the number of bytes of WHOLE after which the connection is cut."""
    servers = []

    def start(bodies: Mapping[str, bytes | int]) -> str:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = bodies.get(self.path.lstrip("/"))
                if body is None:
                    self.send_error(404)
                    return
                cut = body if isinstance(body, int) else None
                body = WHOLE if isinstance(body, int) else body
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[:cut])
                if cut is None or not hold.is_set():
                    return
                self.wfile.flush()
                stop.wait(30)

            def log_message(self, *_: object) -> None:
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}"

    hold, stop = threading.Event(), threading.Event()
    start.hold = hold  # type: ignore[attr-defined]
    yield start
    stop.set()
    for server in servers:
        server.shutdown()
        server.server_close()


def test_fetch_takes_an_archive_single_files_and_mirrors(
    tmp_path: Path, serve: Callable[[Mapping[str, bytes | int]], str]
) -> None:
    packed = gzip.compress(TRAIN)
    address = serve({"toy.tar.gz": WHOLE, "t.gz": packed, "test": TEST})
    by_archive = replace(
        TOY, sources=(Archive(f"{address}/toy.tar.gz", sha256=hashlib.sha256(WHOLE).hexdigest()),)
    )
    assert by_archive.fetch(tmp_path / "1") == by_archive.locate(tmp_path / "1")
    assert by_archive.read_bytes("train.txt", tmp_path / "1") == TRAIN
    assert sorted(path.name for path in (tmp_path / "1" / "toy").iterdir()) == ["test.txt", "train.txt"]
    sources = (
        Archive(f"{address}/gone.tar.gz"),
        Url(f"{address}/t.gz", "train.txt"),
        Url(f"{address}/test", "test.txt"),
    )
    paths = replace(TOY, sources=sources).fetch(tmp_path / "2")
    assert {path.name for path in paths.values()} == {"train.txt.gz", "test.txt"}
    assert TOY.verify(tmp_path / "2") == TOY.verify(tmp_path / "1")


def test_fetch_leaves_right_files_alone_and_replaces_wrong_ones(
    tmp_path: Path, serve: Callable[[Mapping[str, bytes | int]], str]
) -> None:
    root = lay(tmp_path, {"train.txt": b"wrong", "train.txt.gz": gzip.compress(TRAIN)[:99], "test.txt": TEST})
    before = (root / "toy" / "test.txt").stat().st_mtime_ns
    source = Url(f"{serve({'t.gz': gzip.compress(TRAIN)})}/t.gz", "train.txt")
    assert replace(TOY, sources=(source,)).fetch(root)["train.txt"].name == "train.txt.gz"
    assert TOY.read_bytes("train.txt", root) == TRAIN
    assert (root / "toy" / "test.txt").stat().st_mtime_ns == before
    assert replace(TOY, sources=(Archive("http://127.0.0.1:9/never-asked"),)).fetch(root) == TOY.locate(root)


@pytest.mark.parametrize("kept", [0, 100, len(WHOLE) // 2, len(WHOLE) - 1])
def test_a_cut_connection_leaves_nothing(
    tmp_path: Path, serve: Callable[[Mapping[str, bytes | int]], str], kept: int
) -> None:
    one = replace(TOY, sources=(Archive(f"{serve({'toy.tar.gz': kept})}/toy.tar.gz"),))
    with pytest.raises(FetchFailed, match=r"http://127.0.0.1:\d+/toy.tar.gz: download failed"):
        one.fetch(tmp_path)
    assert nothing_stands(tmp_path)


@pytest.mark.parametrize(
    ("body", "error", "match"),
    [
        (WHOLE[:-500], CorruptFile, "truncated or damaged archive"),
        (tar_gz({"train.txt": TRAIN[:-1] + b"x"}), ChecksumMismatch, "sha256 of the content of train.txt is"),
        (tar_gz({"train.txt": TRAIN + b"x"}), ChecksumMismatch, "size of the content of train.txt is"),
        (tar_gz({"train.txt.gz": gzip.compress(TRAIN)[:-5]}), CorruptFile, "truncated or damaged gzip file"),
        (tar_gz({"../train.txt/..": TRAIN}), UnsafeArchive, "leaves the folder"),
        (tar_gz({"other.txt": TRAIN}), FetchFailed, "no official source gives train.txt, test.txt"),
        (b"<html>moved</html>", CorruptFile, "truncated or damaged archive"),
    ],
)
def test_a_wrong_archive_leaves_nothing(
    tmp_path: Path,
    serve: Callable[[Mapping[str, bytes | int]], str],
    body: bytes,
    error: type[DataError],
    match: str,
) -> None:
    one = replace(TOY, sources=(Archive(f"{serve({'toy.tar.gz': body})}/toy.tar.gz"),))
    with pytest.raises(error, match=match):
        one.fetch(tmp_path)
    assert nothing_stands(tmp_path)
    with pytest.raises(MissingFile):
        one.verify(tmp_path)


def test_the_archives_own_checksum_is_checked_before_it_is_opened(
    tmp_path: Path, serve: Callable[[Mapping[str, bytes | int]], str]
) -> None:
    address = serve({"toy.tar.gz": WHOLE})
    with pytest.raises(ChecksumMismatch, match=r"sha256 of the download is [0-9a-f]{64}, expected 00"):
        replace(TOY, sources=(Archive(f"{address}/toy.tar.gz", sha256="00"),)).fetch(tmp_path)
    assert nothing_stands(tmp_path)


@pytest.mark.parametrize(
    ("url", "match"),
    [
        ("http://127.0.0.1:9/toy.tar.gz", "download failed"),
        ("ftp://127.0.0.1:9/toy.tar.gz", "download failed"),
        ("gopher://127.0.0.1/toy.tar.gz", "unknown kind of address"),
    ],
)
def test_an_address_that_cannot_be_reached_is_a_typed_error(tmp_path: Path, url: str, match: str) -> None:
    with pytest.raises(FetchFailed, match=f"{url}: {match}"):
        replace(TOY, sources=(Archive(url),)).fetch(tmp_path)


def test_a_killed_fetch_leaves_nothing_that_passes_as_whole(
    tmp_path: Path, serve: Callable[[Mapping[str, bytes | int]], str]
) -> None:
    serve.hold.set()  # type: ignore[attr-defined]
    url = f"{serve({'toy.tar.gz': len(WHOLE) // 2})}/toy.tar.gz"
    program = (
        "import sys; from pathlib import Path; from offprints.data import *\n"
        "Dataset('toy', '', '', '', (DataFile('train.txt'),), (Archive(sys.argv[1]),)).fetch(Path(sys.argv[2]))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program, url, str(tmp_path)])
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if any(path.stat().st_size for path in tmp_path.rglob("download")):
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    scratch = list((tmp_path / "toy").iterdir())
    assert [path.name.startswith(".partial-") for path in scratch] == [True]
    with pytest.raises(MissingFile):
        TOY.locate(tmp_path)
    # What the kill left is swept by a later fetch, once no live fetch can own it.
    serve.hold.clear()  # type: ignore[attr-defined]
    whole = replace(TOY, sources=(Archive(f"{serve({'toy.tar.gz': WHOLE})}/toy.tar.gz"),))
    os.utime(scratch[0], (time.time() - 90_000,) * 2)
    whole.fetch(tmp_path)
    assert sorted(path.name for path in (tmp_path / "toy").iterdir()) == ["test.txt", "train.txt"]


def test_a_file_of_the_users_own_serves_instead_of_the_address(tmp_path: Path) -> None:
    (tmp_path / "mine.tgz").write_bytes(WHOLE)
    closed = replace(TOY, sources=())
    with pytest.raises(MissingFile, match=r"no open address: put the files into .*--from ARCHIVE"):
        closed.locate(tmp_path)
    closed.fetch(tmp_path, archive=tmp_path / "mine.tgz")
    assert closed.verify(tmp_path) == TOY.verify(tmp_path)
    (tmp_path / "train.txt.gz").write_bytes(gzip.compress(TRAIN))
    single = replace(TOY, files=TOY.files[:1])
    assert single.fetch(tmp_path / "2", archive=tmp_path / "train.txt.gz")["train.txt"].name == "train.txt.gz"
    assert single.read_bytes("train.txt", tmp_path / "2") == TRAIN
    with pytest.raises(FetchFailed, match=r"train\.txt\.gz does not hold test\.txt"):
        TOY.fetch(tmp_path / "3", archive=tmp_path / "train.txt.gz")
    with pytest.raises(MissingFile, match="to take toy from"):
        closed.fetch(tmp_path / "4", archive=tmp_path / "none.zip")
    members = {"toy/test.txt": "train.txt"}
    renamed = replace(
        TOY, files=(pinned("train.txt", TEST),), sources=(Archive("https://x/mine.tgz", members),)
    )
    renamed.fetch(tmp_path / "5", archive=tmp_path / "mine.tgz")
