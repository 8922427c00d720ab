"""Made-up scans with defects of known kind, place and grade, written in the layouts of MVTec 3D-AD or Eyecandies.

Geometry, texture, light, sensor and defect draw from streams of their own: the same part with and without a stain has the same
points to the bit. Results on these scans say nothing about results on real ones.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from offprints.atomic import atomic_write, write_text
from offprints.errors import InputError

from m3dm.arrays import Floats
from m3dm.defects import GRADES, KINDS, damage
from m3dm.eyecandies import FOCAL, FOCAL_SIDE
from m3dm.render import Camera, View, look_at
from m3dm.scan import GOOD
from m3dm.shapes import CATEGORIES, part

LAYOUTS = ("mvtec3d", "eyecandies")
_SPLITS = {"mvtec3d": ("train", "validation", "test"), "eyecandies": ("train", "val", "test_public")}
_MASKS = {
    "bumps": ("dent", "bump", "contamination"),
    "dents": ("hole", "cut", "bend"),
    "colors": ("stain",),
    "normals": (),
}


@dataclass
class SyntheticOptions:
    """What to make.

    Attributes:
        categories: kinds of parts.
        train: good scans to train on, of each.
        validation: further good scans.
        good: good test scans.
        defects: kinds of defects in the test scans.
        each: test scans of each kind, grades in turn.
        side: pixels.
        seed: of everything; the command line takes that of the run.
    """

    categories: tuple[str, ...] = ("bagel", "potato", "cookie", "dowel")
    train: int = 24
    validation: int = 6
    good: int = 18
    defects: tuple[str, ...] = ("dent", "bump", "hole", "cut", "bend", "stain", "contamination", "combined")
    each: int = 6
    side: int = 300
    seed: int = 0

    def __post_init__(self) -> None:
        for name, known in (("categories", CATEGORIES), ("defects", KINDS)):
            odd = [value for value in getattr(self, name) if value not in known]
            if odd or not getattr(self, name):
                raise InputError(f"{name}={', '.join(odd) or 'none'}: choose from {', '.join(known)}")
        for name, least in (("train", 1), ("validation", 0), ("good", 1), ("each", 1), ("side", 64)):
            if getattr(self, name) < least:
                raise InputError(f"{name}={getattr(self, name)} must be {least} or more")


@dataclass(frozen=True)
class Plan:
    """One scan that is to be made.

    Attributes:
        split: 0 train, 1 validation, 2 test.
        kind: of defect, or "good".
        number: within its kind.
        grade: of the defect, 0 of a good part.
    """

    split: int
    kind: str
    number: int
    grade: int


def synthetic_view(category: str, plan: Plan, camera: Camera, seed: int = 0) -> View:
    """Look at one made-up part.

    Args:
        category: of the part.
        plan: which part; the same split, kind and number always give the same one.
        camera: that looks.
        seed: of the data set.
    """
    # A defective part is drawn by the number of its kind; zlib's checksum, and not hash(), is the same in every process.
    key = [seed, zlib.crc32(category.encode()), plan.split, zlib.crc32(plan.kind.encode()), plan.number]
    geometry, texture, light, sensor, defect = (
        np.random.default_rng(stream) for stream in np.random.SeedSequence(key).spawn(5)
    )
    surface = part(CATEGORIES[category], geometry, texture)
    if plan.kind != GOOD:
        surface = damage(surface, plan.kind, plan.grade, defect)
    return look_at(surface, camera, light, sensor)


def plans(options: SyntheticOptions) -> Iterator[Plan]:
    """The scans of a category, in order."""
    for split, count in ((0, options.train), (1, options.validation), (2, options.good)):
        yield from (Plan(split, GOOD, number, 0) for number in range(count))
    for kind in options.defects:
        yield from (Plan(2, kind, number, GRADES[number % 3]) for number in range(options.each))


def make_synthetic(
    root: Path | str,
    options: SyntheticOptions | None = None,
    layout: str = "mvtec3d",
    on_scan: Callable[[], None] = lambda: None,
) -> Path:
    """Write a data set; a scan that is there already stays, so that a stopped call goes on.

    Args:
        root: folder of the categories.
        options: what to make.
        layout: mvtec3d or eyecandies.
        on_scan: called after each scan.

    Returns:
        The root.

    Raises:
        InputError: there is no such layout, or another data set lies there.
    """
    options = options or SyntheticOptions()
    if layout not in LAYOUTS:
        raise InputError(f"layout={layout}: {' or '.join(LAYOUTS)}")
    root = Path(root)
    _claim(root, options, layout)
    # The official scans of Eyecandies have one focal length; seen from nearer, a part fills the image as it does in the other layout.
    near = {"height": 0.18, "width": 0.18 * FOCAL_SIDE / FOCAL} if layout == "eyecandies" else {}
    camera = Camera(side=options.side, **near)
    for category in options.categories:
        numbers: dict[int, int] = {}
        for plan in plans(options):
            number = numbers.get(plan.split, 0)
            numbers[plan.split] = number + 1
            last = _paths(root / category, plan, layout, number)[-1]
            if not last.exists():
                view = synthetic_view(category, plan, camera, options.seed)
                write = _write_mvtec if layout == "mvtec3d" else _write_eyecandies
                write(_paths(root / category, plan, layout, number), view, plan, options)
            on_scan()
        if layout == "mvtec3d" and not (root / category / "calibration").exists():
            _describe(root / category, options, camera)
    return root


def count(options: SyntheticOptions) -> int:
    """How many scans there will be."""
    return len(options.categories) * sum(1 for _ in plans(options))


def _claim(root: Path, options: SyntheticOptions, layout: str) -> None:
    """Say in the root what lies there; refuse to mix two data sets."""
    told = json.dumps({"layout": layout, **vars(options)}, indent=2, sort_keys=True, default=list) + "\n"
    path = root / "synthetic.json"
    if path.exists() and json.loads(path.read_text(encoding="utf-8")) != json.loads(told):
        raise InputError(
            f"{root} holds a synthetic data set of other options; see {path}, or choose another folder"
        )
    if not path.exists():
        write_text(path, told)


def _paths(base: Path, plan: Plan, layout: str, number: int) -> list[Path]:
    """The files of a scan; the last one is written last."""
    split = _SPLITS[layout][plan.split]
    if layout == "mvtec3d":
        folder, name = base / split / plan.kind, f"{plan.number:03d}"
        masks = [folder / "gt" / f"{name}.png"] if plan.split == 2 else []
        return [*masks, folder / "xyz" / f"{name}.tiff", folder / "rgb" / f"{name}.png"]
    width = 2 if plan.split == 2 else 3
    endings = [f"image_{i}.png" for i in range(6)] + [
        "info_depth.yaml",
        "normals.png",
        "pose.txt",
        "mask.png",
    ]
    endings += [f"{kind}_mask.png" for kind in _MASKS] + ["metadata.yaml", "obj_params.yaml", "depth.png"]
    return [base / split / "data" / f"{number:0{width}d}_{ending}" for ending in endings]


def _write_mvtec(paths: list[Path], view: View, plan: Plan, options: SyntheticOptions) -> None:
    for path in paths:
        if path.parent.name == "gt":
            value = 0 if plan.kind == GOOD else 255 - options.defects.index(plan.kind)
            _write_image(path, view.mask.astype(np.uint8) * np.uint8(value))
        elif path.suffix == ".tiff":
            with atomic_write(path) as file:
                tifffile.imwrite(
                    file, view.xyz, photometric="minisblack", planarconfig="contig", metadata=None
                )
        else:
            _write_image(path, view.rgb)


def _write_eyecandies(paths: list[Path], view: View, plan: Plan, options: SyntheticOptions) -> None:
    low, high = float(view.depth.min()), float(view.depth.max())
    # Eyecandies' depth has no gaps.
    steps = np.round((view.depth.astype(np.float64) - low) / (high - low) * 65535).astype(np.uint16)
    images = {"image_0": view.rgb, **{f"image_{i + 1}": lit for i, lit in enumerate(view.lit)}}
    images |= {
        "depth": steps,
        "normals": np.round((view.normals + 1) / 2 * 255).astype(np.uint8),
        "mask": view.mask.astype(np.uint8) * np.uint8(255),
    }
    for kind, those in _MASKS.items():
        images[f"{kind}_mask"] = (view.mask & (plan.kind in those)).astype(np.uint8) * np.uint8(255)
    texts = {
        "info_depth.yaml": f"normalization:\n  min: {low!r}\n  max: {high!r}\n",
        "pose.txt": "\n".join(" ".join(f"{value:.1f}" for value in row) for row in np.eye(4)) + "\n",
        "metadata.yaml": f"anomalous: {int(plan.kind != GOOD)}\nkind: {plan.kind}\ngrade: {plan.grade}\n",
        "obj_params.yaml": f"seed: {options.seed}\nnumber: {plan.number}\n",
    }
    for path in paths:
        ending = path.name.partition("_")[2]
        if ending in texts:
            write_text(path, texts[ending])
        else:
            _write_image(path, images[ending.removesuffix(".png")])


def _write_image(
    path: Path, pixels: Floats | np.ndarray[tuple[int, ...], np.dtype[np.unsignedinteger]]
) -> None:
    with atomic_write(path) as file:
        Image.fromarray(pixels).save(file, format="PNG")


def _describe(base: Path, options: SyntheticOptions, camera: Camera) -> None:
    """The files that MVTec 3D-AD has beside the scans of a category."""
    ids = {kind: 255 - index for index, kind in enumerate(options.defects)}
    write_text(base / "class_ids.json", json.dumps(ids, indent=2) + "\n")
    calibration = {
        "camera_type": "area_scan_division",
        "focus": camera.focal,  # pixels are the unit of length
        "kappa": 0.0,
        "sx": 1.0,
        "sy": 1.0,
        "cx": camera.side / 2,
        "cy": camera.side / 2,
        "image_width": camera.side,
        "image_height": camera.side,
    }
    write_text(base / "calibration" / "camera_parameters.json", json.dumps(calibration, indent=2) + "\n")
