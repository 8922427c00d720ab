"""Readers, subsets, label noise and files of your own."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offprints.data import CorruptFile, DataError, MissingFile
from offprints.errors import InputError

from supcon_simplex.datasets import DATASETS, load
from supcon_simplex.labelled import LabelledData, Standard
from supcon_simplex.noise import add_noise
from supcon_simplex.own_files import read_rows, read_splits
from supcon_simplex.records import read_cifar, read_cifar_records, read_idx


def idx(images: np.ndarray, labels: np.ndarray) -> tuple[bytes, bytes]:
    return (
        struct.pack(">4i", 0x803, *images.shape) + images.tobytes(),
        struct.pack(">2i", 0x801, len(labels)) + labels.tobytes(),
    )


@pytest.fixture
def pictures() -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(0)
    return draw.integers(0, 256, (7, 4, 5), dtype=np.uint8), draw.integers(0, 10, 7, dtype=np.uint8)


def test_idx_files_give_back_what_was_written(pictures: tuple[np.ndarray, np.ndarray]) -> None:
    images, labels = read_idx(*idx(*pictures))
    assert images.shape == (7, 1, 4, 5)
    assert (images[:, 0] == pictures[0]).all()
    assert (labels == pictures[1]).all()


@pytest.mark.parametrize(
    ("break_it", "kind", "message"),
    [
        (
            lambda i, y: (b"\0\0\x08\x01" + i[4:], y),
            DataError,
            "magic number is 0x00000801, expected 0x00000803",
        ),
        (lambda i, y: (i, b"\0\0\x08\x03" + y[4:]), DataError, "expected 0x00000801"),
        (lambda i, y: (i[:-1], y), CorruptFile, "155 bytes, but its header says 156"),
        (lambda i, y: (i, y + b"\0"), CorruptFile, "16 bytes, but its header says 15"),
        (lambda i, y: (i[:10], y), CorruptFile, "too few for the header"),
        (lambda i, y: (i, struct.pack(">2i", 0x801, 6) + y[8:-1]), DataError, "7 images, but 6 labels"),
    ],
)
def test_a_wrong_idx_file_is_one_error(pictures, break_it, kind, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(kind, match=message):
        read_idx(*break_it(*idx(*pictures)))


def records(count: int, seed: int, labels: int = 1, classes: int = 10) -> np.ndarray:
    draw = np.random.default_rng(seed)
    table = draw.integers(0, 256, (count, labels + 3072), dtype=np.uint8)
    table[:, :labels] = draw.integers(0, min(classes, 20), (count, labels))
    return table


def test_cifar_planes_are_red_green_blue_by_rows() -> None:
    table = records(3, 0)
    pixels, labels = read_cifar_records(table.tobytes())
    assert (labels == table[:, 0]).all()
    assert pixels[2, 1, 4, 6] == table[2, 1 + 1024 + 4 * 32 + 6]


def test_cifar100_takes_the_fine_label() -> None:
    table = records(4, 0, labels=2)
    table[:, 1] = [99, 3, 50, 7]
    assert read_cifar_records(table.tobytes(), "cifar100")[1].tolist() == [99, 3, 50, 7]


def test_records_of_the_other_kind_or_cut_short_are_refused() -> None:
    with pytest.raises(CorruptFile, match="whole number of cifar10 records"):
        read_cifar_records(records(3, 0).tobytes()[:-1])
    table = records(3, 0)
    table[1, 0] = 10
    with pytest.raises(DataError, match="record 1 has labels \\[10\\]"):
        read_cifar_records(table.tobytes())
    coarse = records(2, 0, labels=2)
    coarse[1, 0] = 20
    with pytest.raises(DataError, match="record 1"):
        read_cifar_records(coarse.tobytes(), "cifar100")


def test_a_folder_and_the_archive_hold_the_same_rows(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    parts = {f"data_batch_{n}.bin": records(4, n).tobytes() for n in range(1, 6)}
    parts["test_batch.bin"] = records(3, 9).tobytes()
    archive = tmp_path / "cifar-10-binary.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for name, content in parts.items():
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
            info = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    found, packed = read_cifar(folder), read_cifar(archive)
    assert found[0][0].shape == (20, 3, 32, 32)
    for ours, theirs in zip(found, packed, strict=True):
        assert (ours[0] == theirs[0]).all()
        assert (ours[1] == theirs[1]).all()


def test_pickled_batches_are_refused_by_name(tmp_path: Path) -> None:
    archive = tmp_path / "cifar-10-python.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        info = tarfile.TarInfo("cifar-10-batches-py/data_batch_1")
        info.size = 3
        tar.addfile(info, io.BytesIO(b"abc"))
    with pytest.raises(DataError, match="cifar-10-binary.tar.gz"):
        read_cifar(archive)


def test_a_missing_split_is_named(tmp_path: Path) -> None:
    (tmp_path / "data_batch_1.bin").write_bytes(records(2, 0).tobytes())
    with pytest.raises(MissingFile, match="no test records"):
        read_cifar(tmp_path)
    with pytest.raises(MissingFile, match="no folder or archive"):
        read_cifar(tmp_path / "none")
    (tmp_path / "test_batch.bin.gz").write_bytes(gzip.compress(records(2, 0).tobytes())[:-20])
    with pytest.raises(CorruptFile, match="truncated"):
        read_cifar(tmp_path)


def test_digits_are_the_published_ones() -> None:
    found = load("digits")
    assert (found.train.counts == 100).all()
    assert (found.train.counts + found.test.counts).tolist() == [
        178,
        182,
        177,
        183,
        181,
        182,
        181,
        179,
        174,
        180,
    ]
    assert found.train.inputs.min() == 0
    assert found.train.inputs.max() == 16


def test_real_data_sets_have_their_published_counts(data_root: Path) -> None:
    fashion = load("fashion-mnist", data_root)
    assert (fashion.train.counts == 6000).all()
    assert (fashion.test.counts == 1000).all()
    mnist = load("mnist", data_root)
    assert mnist.train.counts.tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert not mnist.train.is_balanced
    subset = load("cifar10-subset", data_root)
    assert (subset.train.counts == 800).all()
    assert "not that of CIFAR-10" in subset.remark
    # Per channel, as computed when the subset was made.
    assert np.allclose(subset.train.inputs.mean((0, 2, 3)) / 255, [0.4919, 0.4817, 0.4457], atol=1e-4)


def test_an_unknown_name_gets_near_ones_and_a_missing_set_its_command(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="fashion-mnist"):
        load("fashion-mnits")
    with pytest.raises(MissingFile, match="offprints-data fetch cifar100"):
        load("cifar100", tmp_path)
    assert len({dataset.name for dataset in DATASETS}) == len(DATASETS)


def small(rows: int = 60, classes: int = 3) -> LabelledData:
    draw = np.random.default_rng(0)
    labels = np.arange(rows) % classes
    return LabelledData(draw.standard_normal((rows, 4)).astype(np.float32), labels, ("a", "b", "c")[:classes])


def test_a_subset_is_balanced_and_in_file_order_or_drawn() -> None:
    data = small()
    first = data.subset(5)
    assert (first.counts == 5).all()
    assert (first.inputs == data.inputs[:15]).all()
    drawn, again, other = (data.subset(5, seed) for seed in (1, 1, 2))
    assert (drawn.counts == 5).all()
    assert drawn.fingerprint == again.fingerprint
    assert len({drawn.fingerprint, other.fingerprint, first.fingerprint}) == 3
    with pytest.raises(InputError, match="smallest class has 20"):
        data.subset(21)


def test_standardising_leaves_the_rows_as_they_are_and_constants_at_zero() -> None:
    data = small()
    data.inputs[:, 2] = 5
    before = data.inputs.copy()
    x, _ = data.tensors(Standard.of(data))
    assert (data.inputs == before).all()
    assert (x[:, 2] == 0).all()
    assert x.std(0, correction=0)[[0, 1, 3]].numpy() == pytest.approx(1, abs=1e-5)


def test_rows_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match="2 rows, but 3 labels"):
        LabelledData(np.zeros((2, 4)), np.zeros(3, np.int64), ("a",))
    with pytest.raises(InputError, match="labels lie in \\[0, 3\\]"):
        LabelledData(np.zeros((2, 4)), np.array([0, 3]), ("a", "b"))
    with pytest.raises(InputError, match="row 1 holds a number that is not finite"):
        LabelledData(np.array([[0.0], [np.nan]]), np.array([0, 1]), ("a", "b"))


@given(st.floats(0, 1), st.integers(0, 99))
def test_flipped_labels_are_exactly_the_floor_and_all_wrong(share: float, seed: int) -> None:
    labels = np.arange(237) % 7
    clean = labels.copy()
    noisy = add_noise(labels, share, "flip", 7, seed)
    changed = noisy.labels != labels
    assert changed.sum() == int(np.floor(share * 237 + 1e-9))
    assert (changed == noisy.chosen).all()
    assert (labels == clean).all()
    assert (noisy.labels == add_noise(labels, share, "flip", 7, seed).labels).all()


def test_flipped_labels_are_spread_evenly_over_the_other_classes() -> None:
    noisy = add_noise(np.zeros(90_000, np.int64), 1.0, "flip", 10, 1).labels
    counts = np.bincount(noisy, minlength=10)
    assert counts[0] == 0
    assert np.abs(counts[1:] - 10_000).max() < 5 * np.sqrt(10_000 * 8 / 9)


def test_uniform_noise_leaves_a_share_of_one_in_k_right() -> None:
    labels = np.arange(100_000) % 10
    noisy = add_noise(labels, 0.5, "uniform", 10, 3)
    assert noisy.chosen.sum() == 50_000
    right = (noisy.labels == labels)[noisy.chosen].mean()
    assert abs(right - 0.1) < 5 * np.sqrt(0.09 / 50_000)


def test_pair_noise_goes_to_the_next_class() -> None:
    labels = np.arange(40) % 4
    noisy = add_noise(labels, 0.25, "pair", 4, 0)
    assert (noisy.labels[noisy.chosen] == (labels[noisy.chosen] + 1) % 4).all()
    assert noisy.chosen.sum() == 10


@pytest.mark.parametrize(
    ("labels", "told", "message"),
    [
        ([0, 1], {"share": 1.5}, "share of noisy labels"),
        ([0, 1], {"share": 0.5, "kind": "flop"}, "flip"),
        ([0, 5], {"share": 0.5, "num_classes": 3}, "outside \\[0, 3\\)"),
        ([0, 0], {"share": 0.5}, "no other label"),
        ([0.5, 1.0], {"share": 0.5}, "integers"),
    ],
)
def test_noise_that_makes_no_sense_is_refused(
    labels: list[float], told: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        add_noise(np.array(labels), **told)  # type: ignore[arg-type]


def test_a_table_of_your_own_is_read_with_its_split(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("a,b,label,split\n1,2,cat,train\n3,4,dog,train\n5,6,cat,test\n")
    found = read_splits(path)
    assert found.train.class_names == ("cat", "dog")
    assert found.train.inputs.tolist() == [[1, 2], [3, 4]]
    assert found.test.labels.tolist() == [0]
    assert read_rows(path).shape == (3, 2)


def test_arrays_of_your_own_are_split_by_class(tmp_path: Path) -> None:
    path = tmp_path / "mine.npz"
    np.savez(path, x=np.arange(80.0).reshape(40, 2), y=np.repeat([7, 3], 20))
    found = read_splits(path)
    assert found.test.counts.tolist() == [4, 4]
    assert found.train.class_names == ("3", "7")
    assert not set(found.test.inputs[:, 0]) & set(found.train.inputs[:, 0])
    np.savez(path, x=np.zeros((4, 2)), y=[0, 1, 0, 1], x_test=np.ones((2, 2)), y_test=[0, 1])
    assert (read_splits(path).test.inputs == 1).all()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", "a,b\n1,2\n", "no column 'label'"),
        ("t.csv", "a,label\nx,0\n1,1\n", "line 2: column a is 'x'"),
        ("t.csv", "a,label\n1,\n2,b\n", "line 2: no label"),
        ("t.csv", "a,label\n1,b\n2,b\n", "two classes"),
        ("t.csv", "a,label,split\n1,b,train\n2,c,valid\n", "'valid'"),
        ("t.csv", "a,label,split\n1,b,train\n2,c,test\n", "no training row of class c"),
        ("t.csv", "", "not a table"),
        ("t.csv", "label\n1\n2\n", "no columns of numbers"),
    ],
)
def test_a_table_that_does_not_fit_is_one_message(
    tmp_path: Path, name: str, content: str, message: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=message):
        read_splits(tmp_path / name)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.zeros((3, 2))}, "no array y"),
        ({"x": np.zeros((3, 2)), "y": np.zeros(2, int)}, "3 rows, but 2 labels"),
        ({"x": np.zeros((3, 2, 2)), "y": np.zeros(3, int)}, "expected numbers"),
        ({"x": np.zeros((3, 2)), "y": np.zeros(3)}, "expected \\(N,\\) integers or names"),
        ({"x": np.zeros((3, 2)), "y": np.arange(3), "x_test": np.zeros((1, 2))}, "belong together"),
    ],
)
def test_arrays_that_do_not_fit_are_one_message(
    tmp_path: Path, arrays: dict[str, np.ndarray], message: str
) -> None:
    np.savez(tmp_path / "t.npz", **arrays)
    with pytest.raises(DataError, match=message):
        read_splits(tmp_path / "t.npz")
    with pytest.raises(MissingFile, match="no file"):
        read_splits(tmp_path / "none.npz")


def test_an_unknown_data_set_is_answered_with_each_known_one_once():
    with pytest.raises(InputError) as raised:
        load("digit")
    assert "did you mean digits?" in str(raised.value)
    assert str(raised.value).count("fashion-mnist") == 1
    assert ".csv" in str(raised.value)
