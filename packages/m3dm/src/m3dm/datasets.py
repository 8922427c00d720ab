"""Scans on disk: MVTec 3D-AD, Eyecandies, and folders of one's own. A scan is read when it is asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, overload

from offprints.errors import InputError, MissingFile

from m3dm.eyecandies import EyecandiesFiles
from m3dm.files import CLOUDS, read_mask, read_rgb, read_xyz
from m3dm.scan import GOOD, Scan, ScanError

MVTEC_CATEGORIES = (
    "bagel",
    "cable_gland",
    "carrot",
    "cookie",
    "dowel",
    "foam",
    "peach",
    "potato",
    "rope",
    "tire",
)
EYECANDIES_CATEGORIES = (
    "CandyCane",
    "ChocolateCookie",
    "ChocolatePraline",
    "Confetto",
    "GummyBear",
    "HazelnutTruffle",
    "LicoriceSandwich",
    "Lollipop",
    "Marshmallow",
    "PeppermintCandy",
)


class ScanSource(Protocol):
    """A scan that can be read."""

    @property
    def name(self) -> str:
        """For messages and results."""
        ...

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files that it is read from."""
        ...

    def read(self) -> Scan:
        """Read it."""
        ...


@dataclass(frozen=True)
class ScanFiles:
    """The files of one scan.

    Attributes:
        name: of the scan.
        rgb: image, or None.
        xyz: organised cloud, or None.
        gt: mask, or None.
        defect: kind of defect, "good", or None where nobody knows.
    """

    name: str
    rgb: Path | None
    xyz: Path | None
    gt: Path | None = None
    defect: str | None = None

    @property
    def paths(self) -> tuple[Path, ...]:
        return tuple(path for path in (self.rgb, self.xyz, self.gt) if path is not None)

    def read(self) -> Scan:
        """Read the files.

        Raises:
            InputError: a file is missing or damaged, or they do not fit together.
        """
        rgb = None if self.rgb is None else read_rgb(self.rgb)
        xyz = (
            None
            if self.xyz is None
            else read_xyz(self.xyz, None if rgb is None else (rgb.shape[0], rgb.shape[1]))
        )
        mask = None if self.gt is None else read_mask(self.gt)
        return Scan(rgb, xyz, mask, self.defect, self.name)


class Scans(Sequence[Scan]):
    """Scans that are read when they are asked for.

    Args:
        name: of the whole, such as mvtec3d-bagel-train.
        sources: one for each.
    """

    def __init__(self, name: str, sources: Sequence[ScanSource]) -> None:
        if not sources:
            raise InputError(f"{name} has no scan")
        self.name = name
        self.sources = tuple(sources)

    def __len__(self) -> int:
        return len(self.sources)

    def __iter__(self) -> Iterator[Scan]:
        return (source.read() for source in self.sources)

    @overload
    def __getitem__(self, index: int) -> Scan: ...

    @overload
    def __getitem__(self, index: slice) -> Scans: ...

    def __getitem__(self, index: int | slice) -> Scan | Scans:
        if isinstance(index, slice):
            return Scans(self.name, self.sources[index])
        return self.sources[index].read()

    def checksums(self) -> dict[str, str]:
        """One sha256 over all files, in order, as results.json names a data set."""
        digest = hashlib.sha256()
        for source in self.sources:
            for path in source.paths:
                digest.update(hashlib.sha256(path.read_bytes()).digest())
        return {self.name: digest.hexdigest()}


def mvtec3d(root: Path | str, category: str, split: str) -> Scans:
    """Scans of MVTec 3D-AD, or of a data set in its layout: <category>/<split>/<defect>/{rgb,xyz,gt}/000.{png,tiff,png}.

    A category without any xyz folder gives scans without points.

    Args:
        root: folder of the categories.
        category: bagel, cable_gland, ...
        split: train, validation or test.

    Raises:
        MissingFile: no such folder, or a file without its partner.
    """
    base = _folder(Path(root) / category, root)
    part = base / split
    if not part.is_dir():
        raise MissingFile(f"no folder {part}; {base} has {_children(base)}")
    with_points = any(base.glob("*/*/xyz"))
    found: list[ScanSource] = []
    for folder in sorted(path for path in part.iterdir() if path.is_dir()):
        images = sorted((folder / "rgb").glob("*.png"))
        if not images:
            raise MissingFile(f"no *.png in {folder / 'rgb'}")
        if with_points:
            _require_partners(folder, images)
        for image in images:
            gt = folder / "gt" / image.name
            if folder.name != GOOD and not gt.is_file():
                raise MissingFile(f"no mask {gt} of the defective scan {image}")
            found.append(
                ScanFiles(
                    name=f"{category}/{split}/{folder.name}/{image.stem}",
                    rgb=image,
                    xyz=folder / "xyz" / f"{image.stem}.tiff" if with_points else None,
                    gt=gt if gt.is_file() else None,
                    defect=folder.name,
                )
            )
    return Scans(f"mvtec3d-{category}-{split}", found)


def eyecandies(root: Path | str, category: str, split: str, light: int = 4) -> Scans:
    """Scans of Eyecandies: <category>/<split>/data/<id>_{image_0..5,depth,pose,mask,...}.

    Args:
        root: folder of the categories.
        category: CandyCane, ...
        split: train, val or test_public; test_private has no labels.
        light: which of the six images is taken; 4 is the published choice.

    Raises:
        MissingFile: no such folder, or a scan that lacks a file.
    """
    base = _folder(Path(root) / category, root)
    data = base / split / "data"
    if not data.is_dir():
        raise MissingFile(f"no folder {data}; {base} has {_children(base)}")
    labelled = split not in ("train", "val")
    names = sorted(path.name.removesuffix("_depth.png") for path in data.glob("*_depth.png"))
    if not names:
        raise MissingFile(f"no *_depth.png in {data}")
    found: list[ScanSource] = [
        EyecandiesFiles(data, name, f"{category}/{split}/{name}", light, labelled) for name in names
    ]
    return Scans(f"eyecandies-{category}-{split}", found)


def folder_scans(root: Path | str, defect: str | None = None) -> Scans:
    """Scans of a folder of one's own.

    Either `rgb/` with images and `xyz/` with clouds of the same names, or both side by side: 7.png and 7.tiff. One modality may
    be absent, for all scans alike. Masks, where there are any, lie in `gt/`.

    Args:
        root: the folder.
        defect: what all of them are: "good" for training; None where nobody knows.

    Raises:
        MissingFile: no such folder, nothing in it, or a file without its partner.
        ScanError: two clouds have the same name.
    """
    root = Path(root)
    if not root.is_dir():
        raise MissingFile(f"no folder {root}")
    images_at, clouds_at = (root / name if (root / name).is_dir() else root for name in ("rgb", "xyz"))
    images = {path.stem: path for path in sorted(images_at.glob("*.png"))}
    clouds: dict[str, Path] = {}
    for path in sorted(path for path in clouds_at.iterdir() if path.suffix.lower() in CLOUDS):
        if path.stem in clouds:
            raise ScanError(f"{path} and {clouds[path.stem]} are clouds of the same scan")
        clouds[path.stem] = path
    if not images and not clouds:
        hint = "; for the layout of MVTec 3D-AD use layout=mvtec3d" if (root / "train").is_dir() else ""
        raise MissingFile(f"no *.png and no {', '.join(CLOUDS)} in {root} or its rgb and xyz{hint}")
    if images and clouds and set(images) != set(clouds):
        odd = sorted(set(images) ^ set(clouds))[0]
        has, lacks = ("an image", "cloud") if odd in images else ("a cloud", "image")
        raise MissingFile(
            f"scan {odd} in {root} has {has} but no {lacks}; names must agree, or all lack one kind"
        )
    masks = root / "gt"
    return Scans(
        root.name,
        [
            ScanFiles(
                name=name,
                rgb=images.get(name),
                xyz=clouds.get(name),
                gt=path if (path := masks / f"{name}.png").is_file() else None,
                defect=defect,
            )
            for name in sorted({**images, **clouds})
        ],
    )


def categories(root: Path | str) -> list[str]:
    """The categories under a root: folders that hold a train folder."""
    root = Path(root)
    if not root.is_dir():
        raise MissingFile(f"no folder {root}")
    found = sorted(path.name for path in root.iterdir() if (path / "train").is_dir())
    if not found:
        raise MissingFile(f"no category in {root}: a category is a folder that holds a folder train")
    return found


def _require_partners(folder: Path, images: Sequence[Path]) -> None:
    clouds = {path.stem for path in (folder / "xyz").glob("*.tiff")}
    odd = sorted({image.stem for image in images} ^ clouds)
    if odd:
        lacks = "xyz" if odd[0] not in clouds else "rgb"
        raise MissingFile(
            f"scan {odd[0]} in {folder} has no file in {folder / lacks}: rgb and xyz must have equal names"
        )


def _folder(path: Path, root: Path | str) -> Path:
    if not path.is_dir():
        known = f"; {root} has {_children(Path(root))}" if Path(root).is_dir() else ""
        raise MissingFile(f"no folder {path}{known}")
    return path


def _children(folder: Path) -> str:
    return ", ".join(sorted(path.name for path in folder.iterdir() if path.is_dir())) or "no folders"
