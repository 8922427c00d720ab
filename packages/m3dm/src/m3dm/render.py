"""What the sensor sees of a made-up part: rays are cast at its surface, light and noise are added, some points are missing.

Points are missing where the surface is seen too obliquely, where it lies in the shadow of the projector beside the camera, and at
random.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from m3dm.arrays import Colours, Floats, Mask
from m3dm.scan import Scan
from m3dm.shapes import Surface

DEPTH_NOISE, COLOUR_NOISE = 0.00012, 0.008
"""Standard deviations of a pixel's noise: metres along the ray, and of a colour (of 1)."""


@dataclass(frozen=True)
class Camera:
    """A pinhole camera that looks down at a plane.

    Attributes:
        side: pixels of the square image.
        height: metres above the plane.
        width: metres of the plane that the image shows.
        projector: metres from the camera to the projector, along x.
        depth_noise: metres, standard deviation along the ray.
        colour_noise: standard deviation, of 1.
        missing: share of points that are missing at random.
    """

    side: int = 300
    height: float = 0.45
    width: float = 0.13
    projector: float = 0.12
    depth_noise: float = DEPTH_NOISE
    colour_noise: float = COLOUR_NOISE
    missing: float = 0.01

    @property
    def focal(self) -> float:
        """In pixels."""
        return self.side * self.height / self.width

    def directions(self) -> Floats:
        """(side, side, 3) of the rays through the middles of pixels; z is 1."""
        at = (np.arange(self.side) + 0.5 - self.side / 2) / self.focal
        x, y = np.meshgrid(at, at)
        return np.stack([x, y, np.ones_like(x)], -1).astype(np.float32)


@dataclass(frozen=True, eq=False)
class View:
    """Everything that one look at a part gives.

    Attributes:
        rgb: (H, W, 3) uint8 in the light of all lamps.
        lit: (5, H, W, 3) uint8 in the light of one lamp each: left, right, back, front, from above.
        xyz: (H, W, 3) float32 metres, 0 where missing.
        depth: (H, W) float32 metres, without noise and gaps.
        normals: (H, W, 3) of the surface.
        mask: (H, W) defective pixels.
    """

    rgb: Colours
    lit: Colours
    xyz: Floats
    depth: Floats
    normals: Floats
    mask: Mask

    def scan(self, name: str, defect: str) -> Scan:
        """As a scan."""
        return Scan(self.rgb, self.xyz, self.mask, defect, name)


LAMPS = np.array([[-0.7, 0, -1], [0.7, 0, -1], [0, -0.7, -1], [0, 0.7, -1], [0.15, -0.2, -1]], np.float32)


def look_at(
    surface: Surface, camera: Camera, light: np.random.Generator, sensor: np.random.Generator
) -> View:
    """Photograph and scan a part that stands on the plane under the camera.

    Args:
        surface: of the part; z = 0 is the plane.
        camera: which.
        light: draws the direction and strength of the lamps.
        sensor: draws the noise and the missing points.
    """
    import open3d

    vertices = (surface.vertices + np.array([0, 0, camera.height])).astype(np.float32)
    core: Any = open3d.core  # its stubs do not know arrays
    scene: Any = open3d.t.geometry.RaycastingScene(nthreads=1)
    scene.add_triangles(core.Tensor(vertices), core.Tensor(surface.triangles.astype(np.uint32)))
    ways = camera.directions()
    rays = np.concatenate([np.zeros_like(ways), ways], -1)
    hits = {key: value.numpy() for key, value in scene.cast_rays(core.Tensor(rays), nthreads=1).items()}
    seen = np.isfinite(hits["t_hit"])
    depth = np.where(seen, hits["t_hit"], camera.height).astype(np.float32)  # z of a direction is 1
    weight = np.concatenate([1 - hits["primitive_uvs"].sum(-1, keepdims=True), hits["primitive_uvs"]], -1)[
        seen
    ]
    corner = surface.triangles[hits["primitive_ids"][seen]]

    def at_hits(values: Floats) -> Floats:
        found: Floats = np.einsum("nk,nk...->n...", weight, values[corner])
        return found

    normals = np.zeros_like(ways)
    normals[..., 2] = -1
    normals[seen] = at_hits(surface.normals())
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    colours = np.full_like(ways, 0.16)
    colours[seen] = at_hits(surface.colours)
    mask = np.zeros(seen.shape, bool)
    mask[seen] = at_hits(surface.label) > 0.5

    strength = light.uniform(0.97, 1.03)
    lamps = LAMPS + light.normal(0, 0.03, LAMPS.shape).astype(np.float32)
    lamps /= np.linalg.norm(lamps, axis=1, keepdims=True)
    diffuse = np.clip(np.einsum("hwd,ld->lhw", normals, lamps), 0, 1)
    shown = [_picture(colours, strength * (0.35 + 0.65 * lamp), camera, sensor) for lamp in diffuse]
    rgb = _picture(colours, strength * (0.35 + 0.65 * diffuse.mean(0)), camera, sensor)

    points = depth[..., None] * ways
    oblique = -np.einsum("hwd,hwd->hw", normals, ways) / np.linalg.norm(ways, axis=-1) < 0.18
    gone = oblique | _shadow(scene, points, normals, camera) | (sensor.random(seen.shape) < camera.missing)
    noisy = (depth + sensor.normal(0, camera.depth_noise, depth.shape).astype(np.float32))[..., None] * ways
    noisy[gone] = 0
    return View(rgb, np.stack(shown), noisy.astype(np.float32), depth, normals, mask)


def _picture(colours: Floats, light: Floats, camera: Camera, sensor: np.random.Generator) -> Colours:
    noisy = colours * light[..., None] + sensor.normal(0, camera.colour_noise, colours.shape)
    return (np.clip(noisy, 0, 1) * 255 + 0.5).astype(np.uint8)


def _shadow(scene: Any, points: Floats, normals: Floats, camera: Camera) -> Mask:
    """(H, W) where something stands between the point and the projector."""
    import open3d

    core: Any = open3d.core
    start = points + 0.0005 * normals  # or the ray would hit where it begins
    way = np.array([camera.projector, 0, 0], np.float32) - start
    rays = np.concatenate([start, way], -1).astype(np.float32)
    blocked: Mask = scene.test_occlusions(core.Tensor(rays), tfar=1.0, nthreads=1).numpy()
    return blocked
