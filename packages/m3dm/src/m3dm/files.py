"""Files of scans: PNG, TIFF, PLY and PCD in, PLY out. Every error names the file and what is wrong with it."""

from __future__ import annotations

import io
import math
import warnings
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from offprints.atomic import atomic_write
from offprints.errors import CorruptFile, MissingFile

from m3dm.arrays import Colours, Floats, Mask
from m3dm.cloud_headers import declared_points
from m3dm.scan import ScanError

_DEFLATED = 1032  # times: the most that a file is packed
_PIXELS = 64 * 10**6  # no sensor has more
CLOUDS = (".tiff", ".tif", ".ply", ".pcd")


def read_rgb(path: Path | str) -> Colours:
    """Read a colour image.

    An opaque alpha channel is left out.

    Args:
        path: PNG or another file that Pillow reads.

    Returns:
        (H, W, 3) uint8.

    Raises:
        MissingFile: there is no such file.
        CorruptFile: it is truncated or no image.
        ScanError: it has one channel, 16 bits or transparent pixels.
    """
    image = open_image(Path(path))
    if image.mode == "RGBA" and np.asarray(image)[..., 3].min() == 255:
        image = image.convert("RGB")
    if image.mode != "RGB":
        raise ScanError(f"{path}: an image of mode {image.mode}; a scan needs 8-bit RGB")
    return np.array(image)


def read_mask(path: Path | str) -> Mask:
    """Read a ground-truth mask: 0 is good, every other value a kind of defect.

    Args:
        path: 8-bit PNG of one channel.

    Returns:
        (H, W) defective pixels.

    Raises:
        MissingFile: there is no such file.
        CorruptFile: it is truncated or no image.
        ScanError: it has colours.
    """
    image = open_image(Path(path))
    if image.mode not in ("L", "1", "P", "I;16", "I"):
        raise ScanError(f"{path}: an image of mode {image.mode}; a mask has one channel")
    found: Mask = np.asarray(image) > 0
    return found


def read_xyz(path: Path | str, size: tuple[int, int] | None = None) -> Floats:
    """Read an organised point cloud.

    Points of which every coordinate is NaN, as many sensors write them, become (0, 0, 0): missing.

    Args:
        path: TIFF with three channels, or PLY or PCD with a point for every pixel, row by row.
        size: (H, W) of the image, for PLY and PCD, whose points have no rows.

    Returns:
        (H, W, 3) float32 metres.

    Raises:
        MissingFile: there is no such file.
        CorruptFile: it is truncated or of another format.
        ScanError: its points are not organised, or some are not finite.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFile(f"no file {path}")
    if path.suffix.lower() in (".tiff", ".tif"):
        try:
            content = io.BytesIO(path.read_bytes())  # a file would be asked for as many bytes as a tag claims
            with tifffile.TiffFile(content) as file:
                _require_size(file, len(content.getbuffer()))
                xyz = np.asarray(file.asarray())
        except MemoryError:
            raise
        except Exception as error:  # tifffile ends in whatever its parts end in
            raise CorruptFile(f"{path} is damaged or not a TIFF: {error}") from error
        if xyz.dtype.kind not in "fiu":
            raise ScanError(f"{path} holds {xyz.dtype}; coordinates are numbers")
        if xyz.ndim != 3 or xyz.shape[2] != 3:
            raise ScanError(f"{path} has shape {xyz.shape}; an organised cloud is (H, W, 3)")
    elif path.suffix.lower() in (".ply", ".pcd"):
        xyz = _organised(path, size)
    else:
        raise ScanError(f"{path}: a cloud is a file {', '.join(CLOUDS)}")
    xyz = xyz.astype(np.float32)
    xyz[np.isnan(xyz).all(-1)] = 0
    wrong = int((~np.isfinite(xyz)).any(-1).sum())
    if wrong:
        raise ScanError(
            f"{path}: {wrong} points are infinite or NaN in part; a missing point is (0, 0, 0) or all NaN"
        )
    return xyz


def write_ply(path: Path | str, points: Floats, colours: Colours, scores: Floats | None = None) -> None:
    """Write points with colours, and the anomaly score as a property of its own, as binary PLY.

    Args:
        path: the file.
        points: (N, 3) metres.
        colours: (N, 3) uint8.
        scores: (N,) shown by viewers as the scalar `anomaly`.
    """
    fields = [("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("red", "u1"), ("green", "u1"), ("blue", "u1")]
    fields += [("anomaly", "<f4")] if scores is not None else []
    rows = np.empty(len(points), dtype=fields)
    for column, name in enumerate("xyz"):
        rows[name] = points[:, column]
    for column, name in enumerate(("red", "green", "blue")):
        rows[name] = colours[:, column]
    if scores is not None:
        rows["anomaly"] = scores
    types = {"<f4": "float", "u1": "uchar"}
    properties = "".join(f"property {types[kind]} {name}\n" for name, kind in fields)
    header = f"ply\nformat binary_little_endian 1.0\nelement vertex {len(rows)}\n{properties}end_header\n"
    with atomic_write(path) as file:
        file.write(header.encode() + rows.tobytes())


def _require_size(file: tifffile.TiffFile, held: int) -> None:
    """A TIFF may say that it is of any size, which is taken before its content is looked at."""
    size = math.prod(file.series[0].shape) * file.series[0].dtype.itemsize
    most = min(_PIXELS * 3 * 8, _DEFLATED * held)
    if size > most:
        raise ValueError(f"its header says {size:,} bytes of points, and there can be {most:,} at most")


def open_image(path: Path) -> Image.Image:
    """An image with all its pixels read.

    Args:
        path: a file that Pillow reads, of 64 million pixels at most.

    Raises:
        MissingFile: there is no such file.
        CorruptFile: it is truncated, no image, or larger.
    """
    if not path.is_file():
        raise MissingFile(f"no file {path}")
    try:
        # From memory: a file would be asked for as many bytes as a chunk claims to have.
        content = io.BytesIO(path.read_bytes())
        with warnings.catch_warnings(), Image.open(content) as image:
            warnings.simplefilter("ignore")  # of metadata that nobody needs
            if image.width * image.height > _PIXELS:
                raise ValueError(f"{image.width} x {image.height} pixels; {_PIXELS:,} are the most")
            image.load()
            return image.copy()
    except (MemoryError, MissingFile):
        raise
    except Exception as error:  # Pillow's readers end in whatever their parts end in
        raise CorruptFile(f"{path} is damaged or not an image: {error}") from error


def _organised(path: Path, size: tuple[int, int] | None) -> Floats:
    import open3d

    if size is None:
        raise ScanError(f"{path}: without an image its rows are not known; store an organised cloud as TIFF")
    _require_points(path, declared_points(path), size)
    # open3d says what is wrong on its own stream; the errors below say it once.
    with open3d.utility.VerbosityContextManager(open3d.utility.VerbosityLevel.Error):
        cloud = open3d.io.read_point_cloud(path, remove_nan_points=False, remove_infinite_points=False)
    points = np.asarray(cloud.points)
    if not len(points):
        raise CorruptFile(f"{path} has no points, or is damaged")
    _require_points(path, len(points), size)
    return points.reshape(*size, 3)


def _require_points(path: Path, points: int, size: tuple[int, int]) -> None:
    if points != size[0] * size[1]:
        raise ScanError(
            f"{path} has {points} points, the image {size[0]} x {size[1]} = {size[0] * size[1]} pixels; "
            "it needs a point for every pixel, row by row"
        )
