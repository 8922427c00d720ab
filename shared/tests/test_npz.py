"""Arrays are read from npz files, and nothing is ever unpickled."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from offprints.data import (
    CorruptFile,
    DataError,
    MissingFile,
    load_npz,
)


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


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("point", [0x110000, 0xFFFFFFFF, 0xD800])
def test_strings_of_what_is_no_character_are_refused(tmp_path: Path, order: str, point: int) -> None:
    points = np.array([ord("a"), ord("字"), 0x10FFFF], f"{order}u4")
    np.savez(tmp_path / "good.npz", y=points.view(f"{order}U1"))
    assert load_npz(tmp_path / "good.npz")["y"].tolist() == ["a", "字", "\U0010ffff"]
    points[1] = point
    np.savez(tmp_path / "bad.npz", y=points.view(f"{order}U1"))
    with pytest.raises(CorruptFile, match=r"bad\.npz: y: characters that Unicode has not"):
        load_npz(tmp_path / "bad.npz")


def test_rows_of_several_fields_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "rows.npz", y=np.zeros(3, [("name", "<U3"), ("size", "<f8")]))
    with pytest.raises(DataError, match=r"rows\.npz: y: rows of type .* expected numbers or strings"):
        load_npz(tmp_path / "rows.npz")
