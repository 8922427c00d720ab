"""Data sets: found as they lie, checked by content; what is wrong is named."""

from __future__ import annotations

import gzip
import hashlib
import os
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from toy_data import TEST, TOY, TRAIN, lay, pinned

from offprints import content, data
from offprints.data import (
    ChecksumMismatch,
    CorruptFile,
    DataError,
    DataFile,
    Dataset,
    MalformedLine,
    MissingFile,
    UnsafeArchive,
)
from offprints.errors import InputError

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


def test_a_malformed_line_names_file_and_line_even_across_processes() -> None:
    error = pickle.loads(pickle.dumps(MalformedLine("d/train.txt", 7, "2 fields, expected 3")))
    assert str(error) == "d/train.txt, line 7: 2 fields, expected 3"
    assert (error.path, error.line_number, isinstance(error, DataError)) == (Path("d/train.txt"), 7, True)
