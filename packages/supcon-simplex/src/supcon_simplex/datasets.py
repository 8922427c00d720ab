"""The data sets by name: scikit-learn's digits, MNIST and Fashion-MNIST, CIFAR-10 and -100 and a small lossy CIFAR-10, files of your own."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from offprints.data import Archive, DataFile, Dataset, Url
from offprints.errors import InputError
from offprints.user_errors import closest

from supcon_simplex.labelled import DataSplits, LabelledData
from supcon_simplex.own_files import read_splits
from supcon_simplex.records import read_cifar_records, read_idx

DIGITS_TRAIN = 100
"""Rows of each digit that train; the other 797 test."""

_FASHION = (
    "t-shirt",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)
_CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_IDX = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


@dataclass(frozen=True)
class IdxDataset(Dataset):
    """Four IDX files: training and test images and labels.

    Attributes:
        class_names: in label order.
    """

    class_names: tuple[str, ...] = ()

    def load(self, root: str | Path | None = None) -> DataSplits:
        """Both splits, from files whose content has been checked."""
        checksums = self.verify(root)
        images, labels, test_images, test_labels = (self.read_bytes(name, root) for name in _IDX)
        train, test = (
            read_idx(images, labels, f"{self.name} train"),
            read_idx(test_images, test_labels, f"{self.name} test"),
        )
        return DataSplits(
            self.name,
            LabelledData(*train, self.class_names),
            LabelledData(*test, self.class_names),
            checksums,
        )


@dataclass(frozen=True)
class CifarDataset(Dataset):
    """Files of CIFAR's binary version; the last one tests.

    Attributes:
        kind: "cifar10" or "cifar100".
        class_names: in label order.
        remark: see `DataSplits`.
    """

    kind: str = "cifar10"
    class_names: tuple[str, ...] = ()
    remark: str = ""

    def load(self, root: str | Path | None = None) -> DataSplits:
        """Both splits, from files whose content has been checked."""
        checksums = self.verify(root)
        parts = [
            read_cifar_records(self.read_bytes(f.name, root), self.kind, f"{self.name}/{f.name}")
            for f in self.files
        ]
        train = [np.concatenate(column) for column in zip(*parts[:-1], strict=True)]
        return DataSplits(
            self.name,
            LabelledData(train[0], train[1], self.class_names),
            LabelledData(*parts[-1], self.class_names),
            checksums,
            self.remark,
        )


def _idx(name: str, sums: tuple[str, str, str, str], base: str, **told: str | tuple[str, ...]) -> IdxDataset:
    sizes = (47040016, 60008, 7840016, 10008)
    files = tuple(DataFile(file, sha256, size) for file, sha256, size in zip(_IDX, sums, sizes, strict=True))
    sources = tuple(Url(f"{base}/{file}.gz", file) for file in _IDX)
    return IdxDataset(name, files=files, sources=sources, **told)  # type: ignore[arg-type]


def _cifar(kind: str, files: dict[str, int], classes: tuple[str, ...]) -> CifarDataset:
    dashed = kind.replace("cifar", "cifar-")
    folder = {"cifar10": "cifar-10-batches-bin", "cifar100": "cifar-100-binary"}[kind]
    return CifarDataset(
        kind,
        title=f"CIFAR-{len(classes)}, binary version",
        licence="none stated; its authors ask to be cited",
        citation="Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images",
        files=tuple(DataFile(name, size=size) for name, size in files.items()),
        sources=(
            Archive(
                f"https://www.cs.toronto.edu/~kriz/{dashed}-binary.tar.gz",
                {f"{folder}/{name}": name for name in files},
            ),
        ),
        folder=f"{dashed}-binary",
        kind=kind,
        class_names=classes,
    )


DATASETS: tuple[IdxDataset | CifarDataset, ...] = (
    _idx(
        "fashion-mnist",
        (
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        ),
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
        title="Fashion-MNIST",
        licence="MIT",
        citation="Xiao, Rasul and Vollgraf 2017, Fashion-MNIST",
        class_names=_FASHION,
    ),
    _idx(
        "mnist",
        (
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
        "https://ossci-datasets.s3.amazonaws.com/mnist",
        title="MNIST",
        licence="CC BY-SA 3.0",
        citation="LeCun, Bottou, Bengio and Haffner 1998",
        class_names=tuple(str(digit) for digit in range(10)),
    ),
    _cifar(
        "cifar10",
        dict.fromkeys([*(f"data_batch_{n}.bin" for n in range(1, 6)), "test_batch.bin"], 30_730_000),
        _CIFAR10,
    ),
    _cifar(
        "cifar100",
        {"train.bin": 153_700_000, "test.bin": 30_740_000},
        tuple(f"class {n}" for n in range(100)),
    ),
    CifarDataset(
        "cifar10-subset",
        title="8,000 + 2,000 images of CIFAR-10, decoded from JPEG copies",
        licence="none stated; its authors ask to be cited",
        citation="Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images",
        files=(
            DataFile(
                "data_batch_1.bin",
                "9bc28e32009be4a58b37756039e5b92ece48048fed843135138ae0e94dc66e3e",
                24_584_000,
            ),
            DataFile(
                "test_batch.bin",
                "06f5743fbd96393edfd8d5f5afaf48c59bfbbd020818793118b156a5abf473bb",
                6_146_000,
            ),
        ),
        class_names=_CIFAR10,
        remark="800 + 200 images a class, decoded from lossy JPEG copies: its accuracy is not that of CIFAR-10",
    ),
)
"""Those with files; digits has none."""

NAMES = ("digits", *(dataset.name for dataset in DATASETS))


def load(name: str, root: str | Path | None = None) -> DataSplits:
    """A data set by its name, or a file of your own by its path (see `read_splits`).

    Args:
        name: one of `NAMES`, or a path that ends in .npz, .csv or .tsv.
        root: where data sets lie; None takes $OFFPRINTS_DATA, else the user's cache.

    Raises:
        InputError: no data set is called so.
        DataError: its files are missing or wrong.
    """
    if name == "digits":
        return digits()
    if Path(name).suffix in (".npz", ".csv", ".tsv"):
        return read_splits(name)
    found = next((dataset for dataset in DATASETS if dataset.name == name), None)
    if found is None:
        raise InputError(f"{name!r} is no data set{closest(name, [*NAMES, 'or an .npz, .csv or .tsv file'])}")
    return found.load(root)


def digits() -> DataSplits:
    """scikit-learn's 1,797 handwritten digits of 8 x 8 pixels from 0 to 16; the first 100 of each class train, the rest test."""
    from sklearn.datasets import load_digits  # seconds of import, which other data need not wait for

    found = load_digits()
    data = LabelledData(
        found.data.astype(np.float32), found.target.astype(np.int64), tuple(str(digit) for digit in range(10))
    )
    rows = np.sort(np.concatenate([np.flatnonzero(data.labels == k)[:DIGITS_TRAIN] for k in range(10)]))
    digest = hashlib.sha256(found.data.tobytes() + found.target.tobytes()).hexdigest()
    return DataSplits("digits", data[rows], data.without(rows), {"sklearn.datasets.load_digits": digest})
