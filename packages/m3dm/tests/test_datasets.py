"""Scans on disk: the official layouts, folders of one's own, what is kept of prepared scans, and files that do not fit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import open3d
import pytest
import tifffile
from PIL import Image

from offprints.errors import CorruptFile, InputError, MissingFile

from m3dm.datasets import eyecandies, folder_scans, mvtec3d
from m3dm.files import read_mask, read_rgb, read_xyz, write_ply
from m3dm.prepared import prepared
from m3dm.preprocess import PreparationOptions
from m3dm.render import Camera
from m3dm.scan import Scan, ScanError
from m3dm.synthetic import Plan, SyntheticOptions, count, make_synthetic, synthetic_view

SMALL = SyntheticOptions(
    ("potato",), train=2, validation=1, good=2, defects=("dent", "stain"), each=2, side=100
)


@pytest.fixture(scope="module")
def mvtec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_synthetic(tmp_path_factory.mktemp("mvtec"), SMALL)


@pytest.fixture(scope="module")
def candies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_synthetic(tmp_path_factory.mktemp("candies"), SMALL, "eyecandies")


def test_made_up_scans_come_back_from_the_layout_of_mvtec(mvtec: Path) -> None:
    assert {path.name for path in (mvtec / "potato").iterdir()} == {
        "train",
        "validation",
        "test",
        "class_ids.json",
        "calibration",
    }
    train, test = mvtec3d(mvtec, "potato", "train"), mvtec3d(mvtec, "potato", "test")
    assert (len(train), len(test)) == (2, 6)
    assert count(SMALL) == 2 + 1 + 6
    scan = train[0]
    view = synthetic_view("potato", Plan(0, "good", 0, 0), Camera(side=100))
    assert (scan.rgb == view.rgb).all() and (scan.xyz == view.xyz).all()
    assert [its.defect for its in test] == ["dent"] * 2 + ["good"] * 2 + ["stain"] * 2
    assert [its.truth().any() for its in test] == [True, True, False, False, True, True]
    ids = json.loads((mvtec / "potato" / "class_ids.json").read_text())
    values = np.unique(np.asarray(Image.open(mvtec / "potato" / "test" / "stain" / "gt" / "000.png")))
    assert set(values) == {0, ids["stain"]}


def test_made_up_scans_come_back_from_the_layout_of_eyecandies(candies: Path) -> None:
    files = list((candies / "potato" / "train" / "data").glob("000_*"))
    assert len(files) == 17  # as the data set has them
    test = list(eyecandies(candies, "potato", "test_public"))
    assert [scan.defect for scan in test] == ["good"] * 2 + ["bad"] * 4
    scan = test[0]
    # The plane lies 0.18 m below the camera; x and y follow from the pixel and the focal length alone.
    assert np.median(scan.xyz[:10, :, 2]) == pytest.approx(0.18, abs=1e-4)
    focal = 711.11 * 100 / 512
    across = (np.arange(100) - 50) / focal
    np.testing.assert_allclose(scan.xyz[..., 0], scan.xyz[..., 2] * across, atol=1e-6)
    assert (eyecandies(candies, "potato", "train", light=1)[0].rgb != scan.rgb).any()


def test_a_stopped_data_set_is_finished_and_another_one_is_refused(mvtec: Path, tmp_path: Path) -> None:
    root = make_synthetic(tmp_path / "again", SMALL)
    victim = root / "potato" / "test" / "dent" / "rgb" / "001.png"
    before = victim.read_bytes()
    victim.unlink()
    make_synthetic(root, SMALL)
    assert victim.read_bytes() == before
    with pytest.raises(InputError, match="other options"):
        make_synthetic(root, SyntheticOptions(("bagel",), side=100))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"categories": ("apple",)}, "apple"),
        ({"defects": ("scratch",)}, "scratch"),
        ({"train": 0}, "train=0"),
    ],
)
def test_a_data_set_that_cannot_be_made_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        SyntheticOptions(**options)


@pytest.mark.real_data
def test_real_images_are_read_as_the_data_set_lays_them_out(tire: Path) -> None:
    train, test = mvtec3d(tire, "tire", "train"), mvtec3d(tire, "tire", "test")
    assert (len(train), len(test)) == (14, 24)
    scan = test.sources[0].read()
    assert scan.xyz is None and scan.size == (800, 600)
    kinds = [source.defect for source in test.sources]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {
        "good": 6,
        "contamination": 5,
        "cut": 5,
        "hole": 5,
        "combined": 3,
    }
    for source in test.sources:
        found = source.read()
        assert found.truth().any() == (found.defect != "good")
    ready = prepared(train)[0]
    assert ready.size == (224, 224)
    edge = (ready.rgb == 0).all(-1)
    assert edge[:, :27].all() and not edge[:, 29:195].all(0).any()  # 600 of 800 columns hold the image


def folder_of(tmp_path: Path, raw_scan: Callable[..., Scan]) -> tuple[Path, Scan]:
    scan = raw_scan(side=100)
    for name in ("rgb", "xyz"):
        (tmp_path / name).mkdir(parents=True)
    Image.fromarray(scan.rgb).save(tmp_path / "rgb" / "7.png")
    tifffile.imwrite(tmp_path / "xyz" / "7.tiff", scan.xyz, photometric="minisblack")
    return tmp_path, scan


@pytest.mark.parametrize("ending", ["tiff", "ply", "pcd"])
def test_a_folder_of_ones_own_is_read_from_every_kind_of_cloud(tmp_path: Path, raw_scan, ending: str) -> None:
    root, scan = folder_of(tmp_path, raw_scan)
    if ending != "tiff":
        (root / "xyz" / "7.tiff").unlink()
        points = scan.xyz.reshape(-1, 3).astype(np.float64)
        points[(points == 0).all(1)] = np.nan  # as sensors write what they do not see
        cloud = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(points))
        assert open3d.io.write_point_cloud(str(root / "xyz" / f"7.{ending}"), cloud)
    found = folder_scans(root)[0]
    assert found.defect is None and found.name == "7"
    np.testing.assert_allclose(found.xyz, scan.xyz, atol=1e-6)
    assert (found.rgb == scan.rgb).all()


def test_a_cloud_with_scores_is_one_that_other_tools_read(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    points, colours = rng.normal(size=(5, 3)).astype(np.float32), rng.integers(0, 255, (5, 3), dtype=np.uint8)
    write_ply(tmp_path / "a.ply", points, colours, rng.random(5).astype(np.float32))
    cloud = open3d.io.read_point_cloud(str(tmp_path / "a.ply"))
    np.testing.assert_allclose(np.asarray(cloud.points), points, atol=1e-6)
    np.testing.assert_allclose(np.asarray(cloud.colors) * 255, colours, atol=0.51)
    assert b"property float anomaly" in (tmp_path / "a.ply").read_bytes()


def test_prepared_scans_are_kept_and_made_again_when_anything_changes(
    tmp_path: Path, raw_scan, caplog: pytest.LogCaptureFixture
) -> None:
    root, _ = folder_of(tmp_path / "raw", raw_scan)
    keep = tmp_path / "kept"
    first = prepared(folder_scans(root), directory=keep)[0]
    assert len(list(keep.iterdir())) == 1
    again = prepared(folder_scans(root), directory=keep)[0]
    assert (again.xyz == first.xyz).all() and (again.rgb == first.rgb).all()
    prepared(folder_scans(root), PreparationOptions(link=0.01), keep)[0]
    assert len(list(keep.iterdir())) == 2
    image = np.array(Image.open(root / "rgb" / "7.png"))
    image[50, 50] ^= 255
    Image.fromarray(image).save(root / "rgb" / "7.png")
    prepared(folder_scans(root), directory=keep)[0]
    assert len(list(keep.iterdir())) == 3
    for path in keep.iterdir():
        path.write_bytes(path.read_bytes()[:1000])
    mended = prepared(folder_scans(root), directory=keep)[0]
    assert (mended.xyz == first.xyz).all()
    assert "damaged" in caplog.text


def test_files_that_are_no_scans_are_refused_by_name(tmp_path: Path, raw_scan) -> None:
    root, scan = folder_of(tmp_path, raw_scan)
    image, cloud = root / "rgb" / "7.png", root / "xyz" / "7.tiff"

    def refused(kind: type[Exception], message: str) -> None:
        with pytest.raises(kind, match=message):
            folder_scans(root)[0]

    whole = cloud.read_bytes()
    cloud.write_bytes(whole[:500])
    refused(CorruptFile, r"7\.tiff is damaged")
    tifffile.imwrite(cloud, scan.xyz[..., 0])
    refused(ScanError, "organised cloud")
    broken = scan.xyz.copy()
    broken[3, 4] = [np.nan, 1, 1]
    broken[5, 5] = np.inf
    tifffile.imwrite(cloud, broken, photometric="minisblack")
    refused(ScanError, "2 points are infinite")
    tifffile.imwrite(cloud, scan.xyz[:-1], photometric="minisblack")
    refused(ScanError, r"rgb 100 x 100, xyz 99 x 100")
    cloud.write_bytes(whole)
    Image.fromarray(scan.rgb[..., 0]).save(image)
    refused(ScanError, "mode L")
    image.write_bytes(b"no image")
    refused(CorruptFile, r"7\.png is damaged")
    image.unlink()
    Image.fromarray(scan.rgb).save(root / "rgb" / "8.png")
    with pytest.raises(MissingFile, match="scan 7 .* a cloud but no image"):
        folder_scans(root)


def test_an_opaque_alpha_channel_is_left_out_and_another_one_refused(tmp_path: Path) -> None:
    pixels = np.full((4, 4, 4), 255, np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert read_rgb(tmp_path / "a.png").shape == (4, 4, 3)
    pixels[0, 0, 3] = 7
    Image.fromarray(pixels).save(tmp_path / "a.png")
    with pytest.raises(ScanError, match="RGBA"):
        read_rgb(tmp_path / "a.png")
    with pytest.raises(ScanError, match="one channel"):
        read_mask(tmp_path / "a.png")


def test_a_layout_that_lacks_something_says_what(mvtec: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match="potato"):
        mvtec3d(mvtec, "bagel", "train")
    with pytest.raises(MissingFile, match="no folder .*exam"):
        mvtec3d(mvtec, "potato", "exam")
    with pytest.raises(MissingFile, match="no folder"):
        folder_scans(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingFile, match="no \\*.png"):
        folder_scans(tmp_path / "empty")
    good = tmp_path / "a" / "train" / "good"
    (good / "rgb").mkdir(parents=True)
    (good / "xyz").mkdir()
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(good / "rgb" / "000.png")
    with pytest.raises(MissingFile, match="scan 000 .*xyz"):
        mvtec3d(tmp_path, "a", "train")
    with pytest.raises(MissingFile, match="no file"):
        read_xyz(tmp_path / "none.tiff")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rgb": None, "xyz": None}, "neither rgb nor xyz"),
        ({"rgb": np.zeros((4, 4), np.uint8)}, "rgb has shape"),
        ({"rgb": np.zeros((4, 4, 3))}, "must be uint8"),
        ({"xyz": np.zeros((4, 4, 3), int)}, "float32 metres"),
        ({"xyz": np.full((4, 4, 3), np.nan)}, "16 points that are NaN"),
        ({"mask": np.zeros((5, 4), bool)}, "mask 5 x 4"),
        ({"xyz": np.zeros((5, 4, 3))}, "xyz 5 x 4"),
    ],
)
def test_arrays_that_are_no_scan_are_refused(fields: dict[str, object], message: str) -> None:
    given = {"rgb": np.zeros((4, 4, 3), np.uint8), "xyz": np.zeros((4, 4, 3), np.float32), "name": "mine"}
    with pytest.raises(ScanError, match=f"mine: .*{message}"):
        Scan(**{**given, **fields})
