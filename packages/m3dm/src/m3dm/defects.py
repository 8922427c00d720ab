"""What can be wrong with a made-up part, each in three grades: 1 is hard to see, 3 is not.

Grades are measured in what the sensor can tell: of grade g, a surface is moved by 5 g standard deviations of the noise of a depth, and a
colour by 5 g standard deviations of the noise of a pixel; five is Rose's criterion for a detail that is to be told from noise. Defective
is what differs from the good part by more than three. Dents, bumps, holes, cuts and bends move the surface and leave its colours;
stains colour it and leave every point where it is; contaminations do both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from offprints.errors import InputError

from m3dm.arrays import Floats
from m3dm.render import COLOUR_NOISE, DEPTH_NOISE
from m3dm.shapes import Surface

GRADES = (1, 2, 3)
STEP, SEEN = 5, 3
"""Standard deviations of the sensor's noise: what a grade adds, and from which on a difference is one."""
HEIGHT, SHADE = STEP * DEPTH_NOISE, STEP * COLOUR_NOISE
"""Of grade 1: metres that a surface moves, and how far a colour does (of 1)."""
_HOLE = 0.007  # metres deep: as good as through
_HOLES = (0.0018, 0.0026, 0.0034)  # radii: 4, 6 and 8 pixels
_DENTS = (0.0045, 0.007)  # radii, from the smallest to the largest
_CREASE = 0.001  # metres that a bend's slope takes to grow by a factor of e


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
    if kind not in KINDS or grade not in GRADES:
        raise InputError(f"defect {kind} of grade {grade}: {', '.join(KINDS)}, of grade 1, 2 or 3")
    if kind == "bend":
        return _bend(surface, grade, rng)
    return _marked(surface, DEFECTS[kind](surface, _spot(surface, rng), grade, rng))


def _marked(good: Surface, bad: Surface) -> Surface:
    """Label what the sensor can tell apart."""
    moved = np.linalg.norm(bad.vertices - good.vertices, axis=1) > SEEN * DEPTH_NOISE
    tinted = np.abs(bad.colours - good.colours).max(1) > SEEN * COLOUR_NOISE
    return replace(bad, label=np.maximum(good.label, (moved | tinted).astype(float)))


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
    return surface.moved(height * weight[:, None] * spot.normal)


def _tinted(surface: Surface, spot: Spot, by: Floats, radius: float) -> Surface:
    """Add to the colours of a round place, at equal strength nearly up to its rim."""
    weight = np.exp(-((spot.distance / radius) ** 4))
    return replace(surface, colours=np.clip(surface.colours + weight[:, None] * by, 0, 1))


def _dent(surface: Surface, spot: Spot, grade: int, rng: np.random.Generator) -> Surface:
    return _bulge(surface, spot, -grade * HEIGHT, rng.uniform(*_DENTS))


def _bump(surface: Surface, spot: Spot, grade: int, rng: np.random.Generator) -> Surface:
    return _bulge(surface, spot, grade * HEIGHT, rng.uniform(*_DENTS))


def _hole(surface: Surface, spot: Spot, grade: int, rng: np.random.Generator) -> Surface:
    radius = _HOLES[grade - 1] * rng.uniform(0.9, 1.1)
    weight = np.exp(-((spot.distance / radius) ** 6))  # the wall is steep, but no cliff
    return surface.moved(-_HOLE * weight[:, None] * spot.normal)


def _cut(surface: Surface, spot: Spot, grade: int, rng: np.random.Generator) -> Surface:
    length, width = rng.uniform(0.012, 0.020), 0.0013
    ends = 1 / (1 + (2 * np.abs(spot.along) / length) ** 12)
    weight = np.exp(-((spot.across / width) ** 4)) * ends * (spot.distance < length)
    return surface.moved(-grade * HEIGHT * weight[:, None] * spot.normal)


def _bend(surface: Surface, grade: int, rng: np.random.Generator) -> Surface:
    """Turn one end up along a crease halfway to it, as steeply as the wall of a dent of the same grade.

    What lies beyond the crease keeps its shape: the crease itself is the defect.
    """
    turn = rng.uniform(0, 2 * np.pi)
    at = surface.vertices[:, :2] @ np.array([np.cos(turn), np.sin(turn)])
    beyond = at - at.mean() - rng.uniform(0.4, 0.6) * (at.max() - at.mean())
    steepness = 2 * np.exp(-0.5) * grade * HEIGHT / np.mean(_DENTS)  # of a bell curve, where it is steepest
    lift = steepness * _CREASE * np.logaddexp(0, beyond / _CREASE)
    label = np.maximum(surface.label, (np.abs(beyond) < 2.5 * _CREASE).astype(float))
    return replace(surface.moved(lift[:, None] * np.array([0, 0, -1.0])), label=label)


def _stain(surface: Surface, spot: Spot, grade: int, rng: np.random.Generator) -> Surface:
    taken = np.array([(1.0, 0.5, 1.0), (0.5, 1.0, 1.0), (1.0, 1.0, 0.5)][rng.integers(3)])
    return _tinted(surface, spot, -grade * SHADE * taken, rng.uniform(0.004, 0.007))


def _contamination(surface: Surface, spot: Spot, grade: int, rng: np.random.Generator) -> Surface:
    radius = rng.uniform(0.0025, 0.004)
    return _tinted(
        _bulge(surface, spot, grade * HEIGHT / 2, radius), spot, grade * SHADE * np.ones(3), radius
    )


DEFECTS: Mapping[str, Defect] = {
    "dent": _dent,
    "bump": _bump,
    "hole": _hole,
    "cut": _cut,
    "stain": _stain,
    "contamination": _contamination,
}
"""Kinds of defects at one spot."""
KINDS = ("dent", "bump", "hole", "cut", "bend", "stain", "contamination", "combined")
"""All kinds of defects."""
