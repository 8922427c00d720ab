"""Archives: the official shapes are read, dangerous and damaged ones are refused before anything is written."""

from __future__ import annotations

import gzip
import io
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from offprints import unpack as unpacking
from offprints.errors import CorruptFile, DataError, UnsafeArchive
from offprints.unpack import unpack

TRAIN = b"a\tr\tb\n" * 50_000


def write_tar(
    path: Path, members: dict[str, bytes], mode: str = "w:gz", extra: tuple[tarfile.TarInfo, ...] = ()
) -> Path:
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        for info in extra:
            tar.addfile(info)
    return path


def write_zip(path: Path, members: dict[str, bytes], mode: int = 0) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = mode << 16
            zipped.writestr(info, content)
    return path


def refused(
    archive: Path, tmp_path: Path, match: str, error: type[DataError] = UnsafeArchive, **options: int
) -> None:
    into = tmp_path / "out"
    with pytest.raises(error, match=match) as caught:
        unpack(archive, ["train.txt"], into, **options)
    assert str(archive) in str(caught.value)
    assert not list(into.rglob("*")) if into.exists() else True


@pytest.mark.parametrize(
    ("suffix", "write"),
    [
        ("tar", lambda p, m: write_tar(p, m, "w")),
        ("tar.gz", lambda p, m: write_tar(p, m, "w:gz")),
        ("tar.bz2", lambda p, m: write_tar(p, m, "w:bz2")),
        ("tar.xz", lambda p, m: write_tar(p, m, "w:xz")),
        ("zip", write_zip),
    ],
)
def test_official_archives_are_known_by_content_not_by_suffix(
    tmp_path: Path, suffix: str, write: Callable[[Path, dict[str, bytes]], Path]
) -> None:
    archive = write(tmp_path / f"{suffix} without suffix", {"set/readme": b"no", "./set/train.txt": TRAIN})
    paths = unpack(archive, ["train.txt", "test.txt"], tmp_path / "out")
    assert paths == {"train.txt": tmp_path / "out" / "train.txt"}
    assert paths["train.txt"].read_bytes() == TRAIN
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["train.txt"]


def test_gzip_member_stands_for_the_plain_file(tmp_path: Path) -> None:
    archive = write_tar(tmp_path / "a", {"set/train.txt.gz": gzip.compress(TRAIN)})
    path = unpack(archive, ["train.txt"], tmp_path / "out")["train.txt"]
    assert path.name == "train.txt.gz"
    assert gzip.decompress(path.read_bytes()) == TRAIN


def test_longest_path_tells_members_of_the_same_name_apart(tmp_path: Path) -> None:
    archive = write_zip(
        tmp_path / "a", {"all/S1/train.txt": b"1", "all/S2/train.txt": b"2", "all/XS1/train.txt": b"x"}
    )
    paths = unpack(archive, ["S1/train.txt", "S2/train.txt"], tmp_path / "out")
    assert {name: path.read_bytes() for name, path in paths.items()} == {
        "S1/train.txt": b"1",
        "S2/train.txt": b"2",
    }
    with pytest.raises(DataError, match=r"could be any of all/S1/train.txt, all/S2/train.txt"):
        unpack(archive, ["train.txt"], tmp_path / "out")


def test_declared_members_are_renamed(tmp_path: Path) -> None:
    archive = write_tar(tmp_path / "a", {"freebase_mtr100-train.txt": b"1", "old/train.txt": b"2"})
    members = {"freebase_mtr100-train.txt": "train.txt"}
    path = unpack(archive, ["train.txt"], tmp_path / "out", members=members)["train.txt"]
    assert path.read_bytes() == b"1"


UNSAFE = [
    ("/etc/passwd", "absolute path"),
    ("C:/windows/x", "absolute path"),
    ("../train.txt", r"leaves the folder through \.\."),
    ("set/../../train.txt", r"leaves the folder through \.\."),
    ("..\\train.txt", "backslash"),
]


@pytest.mark.parametrize(("name", "match"), UNSAFE)
@pytest.mark.parametrize("write", [write_tar, write_zip])
def test_a_path_that_leaves_the_folder_refuses_the_whole_archive(
    tmp_path: Path, name: str, match: str, write: Callable[[Path, dict[str, bytes]], Path]
) -> None:
    refused(write(tmp_path / "a", {"train.txt": TRAIN, name: b"evil"}), tmp_path, match)


@pytest.mark.parametrize(
    ("kind", "match"),
    [
        (tarfile.SYMTYPE, "is a link to '/etc/passwd'"),
        (tarfile.LNKTYPE, "is a link to '/etc/passwd'"),
        (tarfile.CHRTYPE, "is not a plain file"),
        (tarfile.FIFOTYPE, "is not a plain file"),
    ],
)
def test_links_and_devices_in_a_tar_are_refused(tmp_path: Path, kind: bytes, match: str) -> None:
    info = tarfile.TarInfo("set/link")
    info.type, info.linkname = kind, "/etc/passwd"
    refused(write_tar(tmp_path / "a", {"train.txt": TRAIN}, extra=(info,)), tmp_path, match)


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    refused(
        write_zip(tmp_path / "a", {"train.txt": b"/etc/passwd"}, stat.S_IFLNK | 0o777), tmp_path, "is a link"
    )


def test_a_member_that_stands_twice_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a", "w:gz") as tar:
        for name in ("set/train.txt", "./set/train.txt"):
            tar.addfile(tarfile.TarInfo(name))
    refused(tmp_path / "a", tmp_path, "stands twice")


@pytest.mark.parametrize("write", [write_tar, write_zip])
def test_a_bomb_is_refused_by_its_declared_size(
    tmp_path: Path, write: Callable[[Path, dict[str, bytes]], Path]
) -> None:
    archive = write(tmp_path / "a", {"train.txt": b"a", "zeros": bytes(5_000_000)})
    assert archive.stat().st_size < 20_000
    refused(archive, tmp_path, "unpacks to more than the 1,000,000 bytes", limit=1_000_000)


def test_a_tar_bomb_is_not_decompressed_to_be_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = write_tar(tmp_path / "a", {"train.txt": b"a", "zeros": bytes(8_000_000), "last": b""})
    positions: list[int] = []
    read = unpacking._Guarded.read

    def noting_read(self: unpacking._Guarded, size: int | None = -1, /) -> bytes:
        chunk = read(self, size)
        positions.append(self.tell())
        return chunk

    monkeypatch.setattr(unpacking._Guarded, "read", noting_read)
    refused(archive, tmp_path, "unpacks to more than", limit=1_000_000)
    assert max(positions) < 10_000


def test_a_header_that_claims_gigabytes_is_refused_before_it_is_read(tmp_path: Path) -> None:
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, 2**31
    with gzip.open(tmp_path / "a", "wb") as file:
        file.write(header.tobuf() + bytes(10_000))
    refused(tmp_path / "a", tmp_path, "a header claims 2147483648 bytes", CorruptFile)


def test_too_many_members_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "MEMBER_LIMIT", 3)
    refused(write_tar(tmp_path / "a", {str(i): b"" for i in range(4)}), tmp_path, "more than 3 members")


@pytest.mark.parametrize("write", [write_tar, write_zip])
@pytest.mark.parametrize("kept", [0.2, 0.6, 0.98])
def test_a_truncated_archive_is_refused(
    tmp_path: Path, write: Callable[[Path, dict[str, bytes]], Path], kept: float
) -> None:
    noise = bytes(hash(i) * 7919 % 251 for i in range(100_000))
    archive = write(tmp_path / "a", {"train.txt": TRAIN, "valid.txt": noise})
    content = archive.read_bytes()
    archive.write_bytes(content[: int(kept * len(content))])
    refused(archive, tmp_path, "truncated or damaged", CorruptFile)


def test_a_damaged_zip_member_is_refused(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "a", {"train.txt": TRAIN})
    content = bytearray(archive.read_bytes())
    content[60] ^= 0xFF
    archive.write_bytes(content)
    with pytest.raises(CorruptFile, match="truncated or damaged"):
        unpack(archive, ["train.txt"], tmp_path / "out")


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "a", {"train.txt": b"secret"})
    content = bytearray(archive.read_bytes())
    content[6] |= 1  # flag bits of the local header and of the directory
    content[content.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(content)
    with pytest.raises(CorruptFile, match="encrypted"):
        unpack(archive, ["train.txt"], tmp_path / "out")


# The stamp of the archive is fixed: every worker must collect the same names of tests.
NO_ARCHIVES = [b"", b"<html>not found</html>" * 100, gzip.compress(b"a\tr\tb\n" * 500, mtime=0)]


@pytest.mark.parametrize("content", NO_ARCHIVES, ids=["empty", "html", "gzip of no tar"])
def test_what_is_no_archive_says_so(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    refused(tmp_path / "a", tmp_path, "truncated or damaged archive", CorruptFile)
