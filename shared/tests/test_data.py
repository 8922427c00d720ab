"""Data sets: found as they lie, checked by content, fetched whole or not at all, never unpickled."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import io
import os
import pickle
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest

from offprints import content, data, data_cli
from offprints.data import (
    Archive,
    ChecksumMismatch,
    CorruptFile,
    DataError,
    DataFile,
    Dataset,
    FetchFailed,
    MalformedLine,
    MissingFile,
    UnsafeArchive,
    Url,
    load_npz,
)
from offprints.errors import InputError

TRAIN = b"".join(b"head%d\trel\ttail%d\n" % (i, i * 7919 % 10_007) for i in range(20_000))
TEST = b"a\trel\tb\nc\trel\td"


def pinned(name: str, text: bytes) -> DataFile:
    return DataFile(name, hashlib.sha256(text).hexdigest(), len(text))


TOY = Dataset(
    name="toy",
    title="Toy facts",
    licence="CC0",
    citation="none",
    files=(pinned("train.txt", TRAIN), pinned("test.txt", TEST)),
    sources=(Archive("https://example.org/toy.tar.gz"),),
)


def lay(root: Path, files: Mapping[str, bytes]) -> Path:
    for name, text in files.items():
        path = root / "toy" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)
    return root


def tar_gz(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(f"toy/{name}")
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text))
    return buffer.getvalue()


WHOLE = tar_gz({"train.txt": TRAIN, "test.txt": TEST})


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


# --- found as they lie ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["train.txt", "train.txt.gz"])
def test_a_plain_file_and_its_gzip_answer_to_one_checksum(tmp_path: Path, form: str) -> None:
    text = gzip.compress(TRAIN) if form.endswith(".gz") else TRAIN
    root = lay(tmp_path, {form: text, "test.txt": TEST})
    assert TOY.locate(root) == {"train.txt": root / "toy" / form, "test.txt": root / "toy" / "test.txt"}
    assert TOY.verify(root) == {file.name: file.sha256 for file in TOY.files}
    assert TOY.read_bytes("train.txt", root) == TRAIN
    with TOY.open("train.txt", root) as stream:
        assert stream.readline() == b"head0\trel\ttail0\n"


def test_a_file_whose_own_name_ends_in_gz_is_content_as_it_is(tmp_path: Path) -> None:
    packed = gzip.compress(b"x")
    one = replace(TOY, files=(pinned("images.gz", packed),))
    assert one.read_bytes("images.gz", lay(tmp_path, {"images.gz": packed})) == packed


def test_root_is_the_environment_variable_else_the_user_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OFFPRINTS_DATA", str(lay(tmp_path, {"train.txt": TRAIN, "test.txt": TEST})))
    assert TOY.locate()["train.txt"] == tmp_path / "toy" / "train.txt"
    monkeypatch.delenv("OFFPRINTS_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert "offprints" in data.data_root().parts
    assert data.data_root().is_relative_to(tmp_path)


def test_a_missing_file_names_folder_address_and_command(tmp_path: Path) -> None:
    lay(tmp_path, {"train.txt": TRAIN})
    with pytest.raises(MissingFile) as caught:
        TOY.locate(tmp_path)
    assert isinstance(caught.value, FileNotFoundError)
    assert isinstance(caught.value, InputError)
    for part in ("toy: test.txt not found", str(tmp_path / "toy"), "https://example.org/toy.tar.gz"):
        assert part in str(caught.value)
    assert f"offprints-data fetch toy --root {tmp_path}" in str(caught.value)
    with pytest.raises(MissingFile, match=r"no file .*test\.txt.*offprints-data fetch toy"):
        TOY.open("test.txt", tmp_path)
    with pytest.raises(DataError, match=r"toy has no file 'dev\.txt'; it has train\.txt, test\.txt"):
        TOY.open("dev.txt", tmp_path)


@pytest.mark.parametrize("name", ["", "/etc/passwd", "../other/train.txt", "a\\b"])
def test_a_declared_name_cannot_leave_the_folder(name: str) -> None:
    with pytest.raises(ValueError, match="not a path below the folder"):
        DataFile(name)
    with pytest.raises(ValueError, match="not a path below the folder"):
        replace(TOY, name="toy" if name == "" else name, folder=name or "..")


# --- checked by content ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda text: text[:-9], "size"),
        (lambda text: text + b"x", "size"),
        (lambda text: text[::-1], "sha256"),
    ],
)
def test_changed_content_is_named_with_what_was_found_and_expected(
    tmp_path: Path, change: Callable[[bytes], bytes], what: str, packed: bool
) -> None:
    text = change(TRAIN)
    form = {"train.txt.gz": gzip.compress(text)} if packed else {"train.txt": text}
    root = lay(tmp_path, {**form, "test.txt": TEST})
    with pytest.raises(
        ChecksumMismatch, match=f"{what} of the content of train.txt is .*, expected "
    ) as caught:
        TOY.verify(root)
    for part in (
        str(root / "toy" / next(iter(form))),
        "offprints-data fetch toy",
        "https://example.org/toy.tar.gz",
    ):
        assert part in str(caught.value)
    assert str(getattr(TOY.files[0], what)) in str(caught.value)
    with pytest.raises(ChecksumMismatch):
        TOY.open("train.txt", root)


@pytest.mark.parametrize("kept", [0, 5, 1000, -1])
def test_a_truncated_gzip_file_is_named(tmp_path: Path, kept: int) -> None:
    root = lay(tmp_path, {"train.txt.gz": gzip.compress(TRAIN)[:kept], "test.txt": TEST})
    with pytest.raises((CorruptFile, ChecksumMismatch), match=r"train\.txt\.gz.*offprints-data fetch toy"):
        TOY.verify(root)


def test_a_gzip_bomb_is_not_read_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = lay(tmp_path, {"train.txt": TRAIN, "test.txt.gz": gzip.compress(bytes(30 * 2**20))})
    with pytest.raises(ChecksumMismatch, match=f"size .* is at least {2**20}, expected {len(TEST)}"):
        TOY.verify(root)
    monkeypatch.setattr(content, "UNPACKED_LIMIT", 3 * 2**20)
    with pytest.raises(UnsafeArchive, match="unpacks to more than"):
        replace(TOY, files=(DataFile("test.txt"),)).verify(root)


def test_old_declarations_without_sha256_are_checked_by_what_they_have(tmp_path: Path) -> None:
    root = lay(tmp_path, {"train.txt": TRAIN, "test.txt": TEST})
    md5 = hashlib.md5(TRAIN).hexdigest()
    loose = replace(TOY, files=(DataFile("train.txt", md5=md5), DataFile("test.txt", lines=2)))
    assert loose.verify(root) == TOY.verify(root)
    assert [file.pinning for file in loose.files] == ["not pinned (md5 only)", "not pinned (lines only)"]
    assert TOY.files[0].pinning == "sha256"
    assert DataFile("x").pinning == "not pinned"
    with pytest.raises(ChecksumMismatch, match=r"lines of the content of test\.txt is 2, expected 3"):
        replace(TOY, files=(DataFile("test.txt", lines=3),)).verify(root)
    with pytest.raises(ChecksumMismatch, match=f"md5 .* is {md5}, expected 00"):
        replace(TOY, files=(DataFile("train.txt", md5="00"),)).verify(root)


def test_a_file_is_read_once_and_again_after_it_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = lay(tmp_path, {"train.txt": TRAIN, "test.txt": TEST})
    reads: list[Path] = []
    opened = content.open_content
    monkeypatch.setattr(content, "open_content", lambda path, name: reads.append(path) or opened(path, name))
    for _ in range(3):
        TOY.verify(root)
    assert len(reads) == 2
    (root / "toy" / "test.txt").write_bytes(TEST[::-1])
    os.utime(root / "toy" / "test.txt", ns=(1, 1))
    with pytest.raises(ChecksumMismatch):
        TOY.verify(root)


# --- fetched whole or not at all ------------------------------------------------------------------------------------


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


@pytest.mark.real_data
def test_real_umls_is_read_as_it_lies() -> None:
    umls = Dataset(
        name="umls",
        title="",
        licence="MIT",
        citation="",
        files=(
            DataFile("train.txt", md5="0beae7304448af74fae9c2f5e510c45d", lines=5216),
            DataFile("valid.txt", md5="288e273e6e0b51e07f4beacf096fe953", lines=652),
            DataFile("test.txt", md5="e179c95c129ee4f188846322b57d4298", lines=661),
        ),
    )
    try:
        umls.locate()
    except MissingFile as error:
        pytest.skip(str(error))
    assert len(umls.verify()) == 3


# --- errors, arrays, registration, command --------------------------------------------------------------------------


def test_a_malformed_line_names_file_and_line_even_across_processes() -> None:
    error = pickle.loads(pickle.dumps(MalformedLine("d/train.txt", 7, "2 fields, expected 3")))
    assert str(error) == "d/train.txt, line 7: 2 fields, expected 3"
    assert (error.path, error.line_number, isinstance(error, DataError)) == (Path("d/train.txt"), 7, True)


class Trap:
    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, ("trapped",)


def test_npz_files_are_never_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez("good.npz", a=np.arange(3), b=np.eye(2))
    assert load_npz("good.npz")["a"].tolist() == [0, 1, 2]
    assert list(load_npz("good.npz", ["b"])) == ["b"]
    np.savez("object.npz", a=np.arange(3), b=np.array([Trap()], dtype=object))
    assert list(load_npz("object.npz", ["a"])) == ["a"]
    Path("pickle.npz").write_bytes(pickle.dumps(Trap()))
    for name in ("object.npz", "pickle.npz"):
        with pytest.raises(DataError, match=f"{name}: .*pickled objects are never loaded"):
            load_npz(name)
    assert not Path("trapped").exists()
    np.save("single.npy", np.arange(3))
    with pytest.raises(DataError, match="a single array"):
        load_npz("single.npy")
    with pytest.raises(DataError, match="no array c in it, only a, b"):
        load_npz("good.npz", ["c"])
    with pytest.raises(MissingFile, match=r"no file none\.npz"):
        load_npz("none.npz")


@pytest.mark.parametrize("kept", [0, 0.3, 0.8])
def test_a_truncated_npz_file_is_named(tmp_path: Path, kept: float) -> None:
    path = tmp_path / "a.npz"
    np.savez_compressed(path, a=np.random.default_rng(0).normal(size=1000))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(CorruptFile, match=r"a\.npz: truncated or damaged"):
        load_npz(path)


OTHER = replace(TOY, title="another toy")
DECLARED = {"one": (TOY, replace(TOY, name="tools")), "two": {"toy": TOY}, "zed": [OTHER]}


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [EntryPoint(name, f"{__name__}:DECLARED", data.ENTRY_POINTS) for name in DECLARED]
    entries.append(EntryPoint("broken", "no_such_module:DATASETS", data.ENTRY_POINTS))
    load = EntryPoint.load
    monkeypatch.setattr(
        EntryPoint, "load", lambda self: load(self) if self.name == "broken" else DECLARED[self.name]
    )
    monkeypatch.setattr(data, "entry_points", lambda group: entries if group == "offprints.datasets" else [])


@pytest.mark.usefixtures("registered")
def test_packages_register_datasets_and_a_broken_package_hides_none() -> None:
    assert data.datasets() == {"toy": TOY, "tools": replace(TOY, name="tools"), "zed:toy": OTHER}
    assert data.dataset("toy") is TOY
    with pytest.raises(DataError, match="no data set is called 'tol'; nearest: to"):
        data.dataset("tol")


@pytest.mark.usefixtures("registered")
def test_command_lists_fetches_verifies_and_locates(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = ["--root", str(tmp_path)]
    assert data_cli.main(["list", *root]) == 0
    assert "Toy facts" in capsys.readouterr().out
    (tmp_path / "mine.tgz").write_bytes(WHOLE)
    assert data_cli.main(["fetch", "toy", "--from", str(tmp_path / "mine.tgz"), *root]) == 0
    assert data_cli.main(["verify", "toy", *root]) == 0
    assert "every file is as declared" in capsys.readouterr().out
    assert data_cli.main(["path", "toy", *root]) == 0
    assert capsys.readouterr().out == f"{tmp_path}/toy/train.txt\n{tmp_path}/toy/test.txt\n"


@pytest.mark.usefixtures("registered")
def test_command_exits_2_with_one_message_for_the_users_mistakes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = ["--root", str(tmp_path)]
    lay(tmp_path, {"train.txt": TRAIN[:-1], "test.txt": TEST})
    (tmp_path / "bad.tgz").write_bytes(WHOLE[:999])
    for arguments, message in (
        (["verify", "toy"], "size of the content of train.txt"),
        (["path", "tools"], "tools: train.txt, test.txt not found"),
        (["verify", "tol"], "no data set is called 'tol'"),
        (["fetch", "toy", "--from", str(tmp_path / "bad.tgz")], "truncated or damaged archive"),
    ):
        assert data_cli.main([*arguments, *root]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("error: ")
        assert err.count("\n") == 1
        assert message in err
    with pytest.raises(SystemExit) as caught:
        data_cli.main(["nonsense"])
    assert caught.value.code == 2


def test_command_also_runs_as_a_module() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "offprints.data", "verify", "no such set"], capture_output=True, text=True
    )
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("error: no data set is called 'no such set'")
