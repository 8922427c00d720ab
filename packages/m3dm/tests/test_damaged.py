"""Whatever an image, a cloud, a kept scan, a detector or weights hold, it is read, or refused with a message that names the file.

`pytest packages/m3dm/tests/test_damaged.py --fuzz 10000` is the full size.
"""

from __future__ import annotations

import io
import logging

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from safetensors.torch import save

from offprints.fuzzing import in_file, mutated_zip

from m3dm import FPFH, M3DM, ColourBank, DetectorOptions, load_model, save_model
from m3dm.eyecandies import read_depth
from m3dm.features import extract
from m3dm.files import read_mask, read_rgb, read_xyz, write_ply
from m3dm.prepared import _load as load_prepared
from m3dm.prepared import _save as save_prepared
from m3dm.store import _load as load_kept
from m3dm.store import _save as save_kept
from m3dm.weights import fit_weights, read_weights

RNG = np.random.default_rng(0)
XYZ = RNG.random((6, 5, 3), np.float32)


def png(values: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, "png")
    return stream.getvalue()


COLOURS = RNG.integers(0, 256, (6, 5, 3), dtype=np.uint8)


def test_colours(fuzz, tmp_path):
    def read(path) -> None:
        found = read_rgb(path)
        assert found.dtype == np.uint8 and found.ndim == 3 and found.shape[2] == 3

    stream = io.BytesIO()
    Image.fromarray(COLOURS).save(stream, "jpeg")
    fuzz(in_file(read, tmp_path / "rgb.png"), [png(COLOURS), stream.getvalue()], says="rgb.png")


def test_masks(fuzz, tmp_path):
    def read(path) -> None:
        assert read_mask(path).dtype == bool and read_mask(path).ndim == 2

    fuzz(in_file(read, tmp_path / "gt.png"), [png(COLOURS[..., 0])], says="gt.png")


def cloud(path) -> None:
    found = read_xyz(path, (6, 5))
    assert found.dtype == np.float32 and found.shape[2] == 3 and np.isfinite(found).all()


def test_clouds_as_tiff(fuzz, tmp_path, caplog):
    caplog.set_level(logging.CRITICAL)  # tifffile warns of each
    corpus = []
    for compression in (None, "zlib"):
        stream = io.BytesIO()
        tifffile.imwrite(
            stream, XYZ, photometric="minisblack", planarconfig="contig", compression=compression
        )
        corpus.append(stream.getvalue())
    fuzz(in_file(cloud, tmp_path / "xyz.tiff"), corpus, says="xyz.tiff")


def test_clouds_as_ply(fuzz, tmp_path):
    write_ply(tmp_path / "valid.ply", XYZ.reshape(-1, 3), COLOURS.reshape(-1, 3))
    fuzz(
        in_file(cloud, tmp_path / "xyz.ply"),
        [(tmp_path / "valid.ply").read_bytes()],
        says="xyz.ply",
        megabytes=1024,
    )


def pcd(data: str) -> bytes:
    points = XYZ.reshape(-1, 3)
    head = (
        "# .PCD v0.7\nVERSION 0.7\nFIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nCOUNT 1 1 1\nWIDTH 5\nHEIGHT 6\n"
        f"VIEWPOINT 0 0 0 1 0 0 0\nPOINTS 30\nDATA {data}\n"
    )
    lines = "".join(f"{x} {y} {z}\n" for x, y, z in points)
    return head.encode() + (points.tobytes() if data == "binary" else lines.encode())


def test_clouds_as_pcd(fuzz, tmp_path):
    corpus = [pcd("ascii"), pcd("binary")]
    fuzz(in_file(cloud, tmp_path / "xyz.pcd"), corpus, says="xyz.pcd", megabytes=1024)


def test_depths(fuzz, tmp_path):
    (tmp_path / "depth.png").write_bytes(png(COLOURS[..., 0].astype(np.uint16) * 256))

    def read(path) -> None:
        assert np.isfinite(read_depth(tmp_path / "depth.png", path)).all()

    fuzz(in_file(read, tmp_path / "info.yaml"), [b"normalization: {min: 0.5, max: 2.5}\n"], says="info.yaml")


def test_kept_scans(fuzz, tmp_path, good_scans):
    save_prepared(tmp_path / "valid.npz", good_scans[0])
    corpus = [(tmp_path / "valid.npz").read_bytes()]
    reader = in_file(lambda path: load_prepared(path, "kept.npz"), tmp_path / "kept.npz")
    fuzz(reader, corpus, allowed=(ValueError,), mutation=mutated_zip)


def test_kept_features(fuzz, tmp_path, good_scans, caplog):
    caplog.set_level(logging.ERROR)  # damaged ones are warned of and made again
    save_kept(tmp_path / "valid.npz", ColourBank()(good_scans[0]))

    def read(path) -> None:
        found = load_kept(path)
        assert found is None or np.isfinite(found.values).all()

    fuzz(
        in_file(read, tmp_path / "kept.npz"),
        [(tmp_path / "valid.npz").read_bytes()],
        allowed=(),
        mutation=mutated_zip,
    )


def test_detectors(fuzz, tmp_path, good_scans):
    features = [extract(scan, FPFH(), ColourBank()) for scan in good_scans]
    detector = M3DM(FPFH(), ColourBank(), DetectorOptions(ratio_xyz=0.001, ratio_rgb=0.001)).fit_features(
        features
    )
    save_model(detector, tmp_path / "valid.safetensors")
    corpus = [(tmp_path / "valid.safetensors").read_bytes()]
    fuzz(in_file(load_model, tmp_path / "model.safetensors"), corpus, says="model.safetensors")


@pytest.mark.parametrize("ending", ["safetensors", "pth"])
def test_weights(fuzz, tmp_path, ending):
    state = torch.nn.Linear(3, 2).state_dict()
    stream = io.BytesIO()
    torch.save(state, stream)

    def read(path) -> None:
        network = torch.nn.Linear(3, 2)
        fit_weights(network, read_weights(path), path)
        assert all(torch.isfinite(value).all() for value in network.parameters())

    valid = save(state) if ending == "safetensors" else stream.getvalue()
    mutation = None if ending == "safetensors" else mutated_zip
    fuzz(in_file(read, tmp_path / f"weights.{ending}"), [valid], says=f"weights.{ending}", mutation=mutation)
