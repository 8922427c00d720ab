"""What can be wrong with a made-up part, each in three grades: 1 is hard to see, 3 is not.

Dents, bumps, holes, cuts and bends move the surface and leave its colours; stains colour it and leave every point where it is;
contaminations do both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from offprints.errors import InputError

from m3dm.arrays import Floats
from m3dm.shapes import Surface

GRADES = (1, 2, 3)


@dataclass(frozen=True, eq=False)
class Spot:
    """A place on a surface, and where every vertex lies seen from it.

    Attributes:
        distance: (V,) metres; infinite for vertices that face another way, as on the far side of a tube.
        normal: (3,) of the place.
        along: (V,) metres in a direction of the tangent plane.
        across: (V,) metres at right angles to it.
    """

    distance: Floats
    normal: Floats
    along: Floats
    across: Floats


Defect = Callable[[Surface, Spot, int, np.random.Generator], Surface]


def damage(surface: Surface, kind: str, grade: int, rng: np.random.Generator) -> Surface:
    """A part with one defect at a place that faces the camera.

    Args:
        surface: of a good part.
        kind: dent, bump, hole, cut, bend, stain, contamination or combined (a dent and, elsewhere, a stain).
        grade: 1, 2 or 3.
        rng: draws the place and the details.

    Raises:
        InputError: there is no such kind or grade.
    """
    if kind == "combined":
        return damage(damage(surface, "dent", grade, rng), "stain", grade, rng)
    if kind not in DEFECTS or grade not in GRADES:
        raise InputError(f"defect {kind} of grade {grade}: {', '.join(KINDS)}, of grade 1, 2 or 3")
    return DEFECTS[kind](surface, _spot(surface, rng), grade, rng)


def _spot(surface: Surface, rng: np.random.Generator) -> Spot:
    normals = surface.normals()
    # The camera looks along z: what faces it has a normal that points back. Vertices are dense in places, so that each is drawn
    # in proportion to the area it stands for.
    corners = surface.vertices[surface.triangles]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    share = np.bincount(surface.triangles.ravel(), np.repeat(area, 3), len(normals)) * (normals[:, 2] < -0.75)
    chosen = rng.choice(len(normals), p=share / share.sum())
    normal, apart = normals[chosen], surface.vertices - surface.vertices[chosen]
    distance = np.where(normals @ normal > -0.2, np.linalg.norm(apart, axis=1), np.inf)
    tangent = np.cross(normal, rng.normal(size=3))
    tangent /= np.linalg.norm(tangent)
    return Spot(distance, normal, apart @ tangent, apart @ np.cross(normal, tangent))


def _bulge(surface: Surface, spot: Spot, height: float, radius: float) -> Surface:
    """Move a round place out (or in) by a bell curve that has nearly ended at the radius."""
    weight = np.exp(-2 * (spot.distance / radius) ** 2)
    label = np.maximum(surface.label, spot.distance < radius * 0.8)
    return replace(surface.moved(height * weight[:, None] * spot.normal), label=label)


def _dent(surface: Surface, spot: Spot, grade: int, rng: np.random.Generator) -> Surface:
    return _bulge(surface, spot, -(0.0014, 0.0024, 0.0038)[grade - 1], rng.uniform(0.005, 0.008))


def _bump(surface: Surface, spot: Spot, grade: int, rng: np.random.Generator) -> Surface:
    return _bulge(surface, spot, (0.0014, 0.0024, 0.0038)[grade - 1], rng.uniform(0.005, 0.008))


def _hole(surface: Surface, spot: Spot, grade: int, rng: np.random.Generator) -> Surface:
    radius = (0.0018, 0.0024, 0.0032)[grade - 1] * rng.uniform(0.9, 1.1)
    weight = np.exp(-((spot.distance / radius) ** 6))
    label = np.maximum(surface.label, spot.distance < 1.2 * radius)  # the wall is steep, but no cliff
    return replace(surface.moved(-0.007 * weight[:, None] * spot.normal), label=label)


def _cut(surface: Surface, spot: Spot, grade: int, rng: np.random.Generator) -> Surface:
    length, width = rng.uniform(0.012, 0.020), 0.0013
    ends = 1 / (1 + (2 * np.abs(spot.along) / length) ** 12)
    weight = np.exp(-((spot.across / width) ** 4)) * ends * (spot.distance < length)
    label = np.maximum(surface.label, (weight > 0.3).astype(float))
    return replace(
        surface.moved(-(0.0016, 0.0026, 0.0038)[grade - 1] * weight[:, None] * spot.normal), label=label
    )


def _bend(surface: Surface, spot: Spot, grade: int, rng: np.random.Generator) -> Surface:
    """Lift one end: a parabola from the middle on, in a random direction."""
    turn = rng.uniform(0, 2 * np.pi)
    at = surface.vertices[:, :2] @ np.array([np.cos(turn), np.sin(turn)])
    beyond = np.clip((at - at.mean()) / (at.max() - at.mean()), 0, 1) ** 2
    lift = (0.003, 0.005, 0.008)[grade - 1] * beyond
    label = np.maximum(surface.label, (lift > 0.0012).astype(float))
    return replace(surface.moved(lift[:, None] * np.array([0, 0, -1.0])), label=label)


def _stain(surface: Surface, spot: Spot, grade: int, rng: np.random.Generator) -> Surface:
    radius = rng.uniform(0.004, 0.007)
    tint = np.array([(0.15, 0.30, 0.12), (0.30, 0.10, 0.10), (0.12, 0.12, 0.30)][rng.integers(3)])
    weight = (0.22, 0.38, 0.60)[grade - 1] * np.exp(-((spot.distance / radius) ** 4))
    colours = surface.colours + weight[:, None] * (tint - surface.colours)
    return replace(surface, colours=colours, label=np.maximum(surface.label, spot.distance < radius))


def _contamination(surface: Surface, spot: Spot, grade: int, rng: np.random.Generator) -> Surface:
    radius = rng.uniform(0.0025, 0.004)
    lifted = _bulge(surface, spot, (0.0008, 0.0013, 0.0020)[grade - 1], radius)
    weight = (0.25, 0.40, 0.65)[grade - 1] * np.exp(-((spot.distance / radius) ** 4))
    tint = np.array([0.85, 0.85, 0.80])
    label = np.maximum(lifted.label, spot.distance < 1.1 * radius)
    return replace(lifted, colours=surface.colours + weight[:, None] * (tint - surface.colours), label=label)


DEFECTS: Mapping[str, Defect] = {
    "dent": _dent,
    "bump": _bump,
    "hole": _hole,
    "cut": _cut,
    "bend": _bend,
    "stain": _stain,
    "contamination": _contamination,
}
KINDS = (*DEFECTS, "combined")
"""All kinds of defects."""
