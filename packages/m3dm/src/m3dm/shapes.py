"""The surfaces of made-up parts: closed meshes, bumpy as real ones are, with a colour at every vertex. Metres, camera's frame.

The camera looks along z from the origin; a part lies on a plane in front of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial import cKDTree

from m3dm.arrays import Floats, Indices

_WAVELENGTHS = (0.040, 0.020, 0.010)


@dataclass(frozen=True, eq=False)
class Surface:
    """A triangle mesh.

    Attributes:
        vertices: (V, 3) metres.
        triangles: (F, 3) vertices, anticlockwise from outside.
        colours: (V, 3) in [0, 1].
        label: (V,) how far a vertex belongs to a defect, 0 to 1.
    """

    vertices: Floats
    triangles: Indices
    colours: Floats
    label: Floats

    def normals(self) -> Floats:
        """(V, 3) outward directions of length 1, each the mean over the triangles around a vertex, by area."""
        corners = self.vertices[self.triangles]
        faces = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        found = np.empty_like(self.vertices)
        for axis in range(3):
            found[:, axis] = np.bincount(
                self.triangles.ravel(), np.repeat(faces[:, axis], 3), len(self.vertices)
            )
        unit: Floats = found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)
        return unit

    def moved(self, by: Floats) -> Surface:
        """The same mesh with every vertex moved by (V, 3) metres."""
        return replace(self, vertices=self.vertices + by)


@dataclass(frozen=True)
class Category:
    """A kind of part.

    Attributes:
        shape: its vertices and triangles, around the origin, z down.
        colour: red, green, blue in [0, 1].
        roughness: metres, standard deviation of the surface's bumps.
    """

    shape: Callable[[], tuple[Floats, Indices]]
    colour: tuple[float, float, float]
    roughness: float = 0.0004


def part(category: Category, geometry: np.random.Generator, texture: np.random.Generator) -> Surface:
    """A good part of a category.

    Args:
        category: of the part.
        geometry: draws its bumps, its place and its rotation.
        texture: draws its colours.
    """
    vertices, triangles = category.shape()
    surface = Surface(vertices, triangles, np.zeros_like(vertices), np.zeros(len(vertices)))
    bumps = _waves(vertices, geometry) * category.roughness
    surface = surface.moved(surface.normals() * bumps[:, None])
    painted = replace(surface, colours=_paint(surface.vertices, category.colour, texture))
    turn = geometry.uniform(0, 2 * np.pi)
    c, s = np.cos(turn), np.sin(turn)
    turned = painted.vertices @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])
    shift = np.append(geometry.uniform(-0.006, 0.006, 2), -turned[:, 2].max())  # the part stands on z = 0
    return replace(painted, vertices=turned + shift)


def _waves(points: Floats, rng: np.random.Generator) -> Floats:
    """(V,) smooth noise of standard deviation 1 or so: plane waves of three octaves."""
    total = np.zeros(len(points))
    for octave, length in enumerate(_WAVELENGTHS):
        directions = rng.normal(size=(3, 6))
        directions *= 2 * np.pi / length / np.linalg.norm(directions, axis=0)
        phase = rng.uniform(0, 2 * np.pi, 6)
        total += np.sin(points @ directions + phase).sum(1) / np.sqrt(3) * 0.5**octave
    found: Floats = total / np.sqrt(1 + 0.25 + 0.0625)
    return found


def _paint(points: Floats, base: tuple[float, float, float], rng: np.random.Generator) -> Floats:
    """(V, 3) a base colour, cloudy, with speckles that belong to a good part."""
    colour = np.array(base) * (1 + rng.normal(0, 0.012, 3))
    painted = colour * (1 + 0.05 * _waves(points, rng))[:, None]
    tree = cKDTree(points)
    for centre in points[rng.integers(0, len(points), 40)]:
        radius = rng.uniform(0.0008, 0.0018)
        near = tree.query_ball_point(centre, 1.8 * radius)
        weight = np.exp(-((((points[near] - centre) ** 2).sum(1) / radius**2) ** 2))
        painted[near] *= 1 + (rng.choice([-0.22, 0.16]) * weight)[:, None]
    return np.clip(painted, 0, 1)


def grid_mesh(
    surface: Callable[[Floats, Floats], Floats], around: int, along: int, closed: bool
) -> tuple[Floats, Indices]:
    """A mesh over a rectangle of parameters.

    Args:
        surface: (u, v) in [0, 1) -> (..., 3) points; u runs around and closes.
        around: vertices of u.
        along: vertices of v.
        closed: v closes too, as a torus does; else v runs from pole to pole.
    """
    u = np.arange(around) / around
    v = np.arange(along) / along if closed else (np.arange(along) + 0.5) / along
    points = surface(*np.meshgrid(u, v, indexing="ij")).reshape(-1, 3)
    i, j = np.meshgrid(np.arange(around), np.arange(along if closed else along - 1), indexing="ij")
    right, down = (i + 1) % around, (j + 1) % along
    a, b, c, d = (
        x.ravel() for x in (i * along + j, right * along + j, right * along + down, i * along + down)
    )
    triangles = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    if not closed:  # a point at each pole
        poles = points.reshape(around, along, 3)[:, [0, -1]].mean(0)
        first, second = len(points), len(points) + 1
        ring = np.arange(around)
        after = (ring + 1) % around
        caps = [
            np.stack([np.full(around, first), after * along, ring * along], 1),
            np.stack([np.full(around, second), ring * along + along - 1, after * along + along - 1], 1),
        ]
        points = np.concatenate([points, poles])
        triangles = np.concatenate([triangles, *caps])
    return points, _outward(points, triangles)


def _outward(points: Floats, triangles: Indices) -> Indices:
    """The triangles, turned over if the mesh is inside out: the volume it encloses must be positive."""
    a, b, c = points[triangles].transpose(1, 0, 2)
    volume = np.einsum("fd,fd->", a, np.cross(b, c))
    return triangles if volume > 0 else triangles[:, ::-1]


def torus(ring: float, tube: float) -> tuple[Floats, Indices]:
    """A ring that lies flat."""

    def surface(u: Floats, v: Floats) -> Floats:
        a, b = 2 * np.pi * u, 2 * np.pi * v
        out = ring + tube * np.cos(b)
        return np.stack([out * np.cos(a), out * np.sin(a), tube * np.sin(b)], -1)

    return grid_mesh(surface, 300, 160, closed=True)


def ball(half: tuple[float, float, float], power: float = 2.0) -> tuple[Floats, Indices]:
    """An ellipsoid (power 2) or, with a higher power, a box with rounded edges; half axes along x, y, z."""

    def surface(u: Floats, v: Floats) -> Floats:
        a, b = 2 * np.pi * u, np.pi * v
        # Poles lie on the x axis: on top they would crowd the vertices where the camera looks.
        way = np.stack([np.cos(b), np.sin(b) * np.cos(a), np.sin(b) * np.sin(a)], -1)
        size = (np.abs(way / np.array(half)) ** power).sum(-1, keepdims=True)
        found: Floats = way * size ** (-1 / power)
        return found

    return grid_mesh(surface, 240, 200, closed=False)


def lathe(profile: list[tuple[float, float]], lying: bool = False) -> tuple[Floats, Indices]:
    """A turned part.

    Args:
        profile: radius and height of its outline, from one pole to the other.
        lying: its axis lies along x; else it stands.
    """
    outline = np.array(profile)
    length = np.append(0, np.cumsum(np.linalg.norm(np.diff(outline, axis=0), axis=1)))

    def surface(u: Floats, v: Floats) -> Floats:
        at = v * length[-1]
        radius, height = (np.interp(at, length, outline[:, k]) for k in (0, 1))
        a = 2 * np.pi * u
        x, y = radius * np.cos(a), radius * np.sin(a)
        return np.stack([height, x, y] if lying else [x, y, height], -1)

    return grid_mesh(surface, 260, 200, closed=False)


def _rounded(points: list[tuple[float, float]], radius: float = 0.003) -> list[tuple[float, float]]:
    """An outline whose corners are rounded by cutting them off twice."""
    path = [np.array(point) for point in points]
    for _ in range(2):
        cut = [path[0]]
        for before, corner, after in zip(path, path[1:], path[2:], strict=False):
            for other in (before, after):
                gap = other - corner
                cut.append(corner + gap * min(radius / max(float(np.linalg.norm(gap)), 1e-9), 0.45))
        path = [*cut, path[-1]]
        radius /= 3
    return [(float(x), float(y)) for x, y in path]


CATEGORIES: Mapping[str, Category] = {
    "bagel": Category(lambda: torus(0.030, 0.014), (0.72, 0.50, 0.28)),
    "potato": Category(lambda: ball((0.045, 0.031, 0.026)), (0.66, 0.55, 0.33)),
    "cookie": Category(
        lambda: lathe(_rounded([(0, -0.008), (0.036, -0.008), (0.041, 0.0), (0.036, 0.006), (0, 0.006)])),
        (0.62, 0.44, 0.26),
        roughness=0.0003,
    ),
    "dowel": Category(
        lambda: lathe(
            _rounded([(0, -0.05), (0.011, -0.05), (0.013, 0.0), (0.011, 0.05), (0, 0.05)]), lying=True
        ),
        (0.76, 0.62, 0.42),
        roughness=0.0003,
    ),
    "foam": Category(lambda: ball((0.042, 0.034, 0.014), 6.0), (0.30, 0.42, 0.62)),
    "cable_gland": Category(
        lambda: lathe(
            _rounded(
                [(0, -0.026), (0.014, -0.026), (0.014, -0.012), (0.030, -0.012), (0.030, 0.01), (0, 0.01)]
            )
        ),
        (0.50, 0.50, 0.54),
        roughness=0.0003,
    ),
}
"""Kinds of parts; each has its own shape, colour and roughness."""
