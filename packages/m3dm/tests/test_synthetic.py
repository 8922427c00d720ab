"""Made-up parts: what a defect changes and what it leaves, and what the sensor does to both."""

from __future__ import annotations

import numpy as np
import pytest

from m3dm.defects import KINDS, SEEN, damage
from m3dm.render import COLOUR_NOISE, DEPTH_NOISE, Camera, look_at
from m3dm.shapes import CATEGORIES, part
from m3dm.synthetic import Plan, synthetic_view

CAMERA = Camera(side=160)


@pytest.fixture(params=list(CATEGORIES))
def surface(request: pytest.FixtureRequest):
    return part(CATEGORIES[request.param], np.random.default_rng(0), np.random.default_rng(1))


def test_a_part_is_a_closed_surface_that_faces_outward_and_stands_on_the_plane(surface) -> None:
    edges = np.sort(surface.triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), 1)
    _, times = np.unique(edges, axis=0, return_counts=True)
    assert (times == 2).all()  # each edge belongs to two triangles
    a, b, c = (surface.vertices - surface.vertices.mean(0))[surface.triangles].transpose(1, 0, 2)
    assert np.einsum("fd,fd->", a, np.cross(b, c)) > 0
    assert surface.vertices[:, 2].max() == pytest.approx(0, abs=1e-9)
    size = np.ptp(surface.vertices, axis=0)
    assert (size > 0.015).all() and (size < 0.115).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_defect_changes_shape_or_colour_as_its_kind_says_and_only_there(surface, kind: str) -> None:
    broken = damage(surface, kind, 3, np.random.default_rng(2))
    moved = np.linalg.norm(broken.vertices - surface.vertices, axis=1)
    recoloured = np.abs(broken.colours - surface.colours).max(1)
    assert moved.any() == (kind != "stain")
    assert recoloured.any() == (kind in ("stain", "contamination", "combined"))
    marked = broken.label > 0.5
    assert marked.any()
    if kind == "bend":
        # What lies beyond the crease is turned as a whole: its height changes as that of a plane does.
        beyond = ~marked & (moved > SEEN * DEPTH_NOISE)
        flat = np.column_stack([surface.vertices[beyond, :2], np.ones(beyond.sum())])
        lift = (broken.vertices - surface.vertices)[beyond, 2]
        assert np.abs(lift - flat @ np.linalg.lstsq(flat, lift)[0]).max() < DEPTH_NOISE
        assert lift.min() < -20 * DEPTH_NOISE
    else:
        told = (moved > SEEN * DEPTH_NOISE) | (recoloured > SEEN * COLOUR_NOISE)
        assert (marked == told).all()


@pytest.mark.parametrize("kind", KINDS)
def test_the_sensor_can_tell_every_defect_of_the_first_grade(kind: str) -> None:
    good = part(CATEGORIES["potato"], np.random.default_rng(0), np.random.default_rng(1))
    bad = damage(good, kind, 1, np.random.default_rng(2))
    one, other = (look_at(its, CAMERA, *map(np.random.default_rng, (3, 4))) for its in (good, bad))
    deeper = np.abs(other.depth - one.depth) / DEPTH_NOISE
    paler = np.abs(other.rgb.astype(float) - one.rgb).max(-1) / 255 / COLOUR_NOISE
    where = deeper > 0 if kind == "bend" else other.mask  # a bend lifts all that lies beyond its crease
    assert (np.quantile(deeper[where], 0.9) > SEEN) == (kind not in ("stain", "contamination"))
    if kind in ("stain", "contamination", "combined"):
        assert np.quantile(paler[where], 0.9) > SEEN


@pytest.mark.parametrize("kind", ["dent", "bump", "cut", "bend", "stain", "contamination"])
def test_a_higher_grade_is_a_greater_change(surface, kind: str) -> None:
    change = []
    for grade in (1, 2, 3):
        broken = damage(surface, kind, grade, np.random.default_rng(2))
        change.append(
            np.abs(broken.vertices - surface.vertices).max() + np.abs(broken.colours - surface.colours).max()
        )
    assert change[0] < change[1] < change[2]


def test_a_stain_leaves_every_point_where_it_is() -> None:
    stained, paler = (synthetic_view("cookie", Plan(2, "stain", 0, grade), CAMERA) for grade in (3, 1))
    assert (stained.xyz == paler.xyz).all()
    assert (stained.rgb != paler.rgb).any()


@pytest.mark.parametrize("category", list(CATEGORIES))
def test_the_sensor_sees_a_part_in_the_middle_with_gaps_and_shadows(category: str) -> None:
    view = synthetic_view(category, Plan(0, "good", 0, 0), CAMERA)
    part_of = view.depth < CAMERA.height - 0.003
    assert 0.05 < part_of.mean() < 0.6
    edge = np.ones_like(part_of)
    edge[4:-4, 4:-4] = False
    assert not part_of[edge].any()
    missing = (view.xyz == 0).all(-1)
    assert 0.005 < missing.mean() < 0.2
    shadow = missing & ~part_of
    assert shadow.mean() > 0.012  # more than the one in a hundred at random
    seen = ~missing
    assert np.abs(view.xyz[seen][:, 2] - view.depth[seen]).std() < 0.0002
    # All defects of a category are in sight.
    for kind in KINDS:
        assert synthetic_view(category, Plan(2, kind, 0, 1), CAMERA).mask.sum() >= 3, kind


def test_the_same_plan_gives_the_same_scan_and_another_number_another() -> None:
    one, again = (synthetic_view("foam", Plan(2, "dent", 1, 2), CAMERA) for _ in range(2))
    other = synthetic_view("foam", Plan(2, "dent", 2, 2), CAMERA)
    assert (one.rgb == again.rgb).all() and (one.xyz == again.xyz).all()
    assert (one.rgb != other.rgb).any()
