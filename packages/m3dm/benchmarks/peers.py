"""What ours is compared with: each step in the order of operations of the published program, in torch, and libraries for one step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from m3dm.bank import image_score
from m3dm.colour import ColourBank
from m3dm.coreset import project
from m3dm.decision import Published
from m3dm.features import PatchFeatures, foreground
from m3dm.fpfh import FPFH
from m3dm.maps import heat_map
from m3dm.preprocess import PreparationOptions, largest_cluster, preprocess
from m3dm.scan import Scan


def plain_coreset(rows: torch.Tensor, count: int) -> list[int]:
    """One pass over all rows for each choice, in the precision of the rows."""
    nearest = torch.linalg.norm(rows - rows[:1], dim=1)
    chosen = [0]
    for _ in range(count - 1):
        last = int(nearest.argmax())
        chosen.append(last)
        nearest = torch.minimum(nearest, torch.linalg.norm(rows - rows[last], dim=1))
        nearest[last] = 0
    return chosen


def sorted_interpolation(points: torch.Tensor, centres: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
    """All distances by the expanded square, sorted; three features gathered and summed for each point."""
    squared = (points**2).sum(1)[:, None] + (centres**2).sum(1)[None] - 2 * points @ centres.T
    squared, order = squared.sort(dim=1)
    weight = 1 / (squared[:, :3] + 1e-8)
    weight = weight / weight.sum(1, keepdim=True)
    return (features[order[:, :3]] * weight[..., None]).sum(1)


def dense_alignment(
    points: torch.Tensor, centres: torch.Tensor, features: torch.Tensor, where: torch.Tensor, side: int = 224
) -> torch.Tensor:
    """A feature for each pixel, averaged and pooled."""
    dense = torch.zeros(side * side, features.shape[1], dtype=features.dtype)
    dense[where] = sorted_interpolation(points, centres, features)
    image = dense.T.reshape(1, -1, side, side)
    return F.adaptive_avg_pool2d(F.avg_pool2d(image, 3, 1), 56).reshape(features.shape[1], -1).T


def cdist_query(patches: torch.Tensor, bank: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """All distances, the least of each row."""
    distance, nearest = torch.cdist(patches, bank).min(1)
    return distance, nearest


def dbscan(xyz: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """The largest cluster of all points."""
    return largest_cluster(xyz, valid)


def faiss_query(threads: int) -> tuple[str, Callable[[np.ndarray], Any]] | None:
    """Name, and what makes an index of (M, D) rows; None without the library."""
    try:
        import faiss
    except ImportError:
        return None
    faiss.omp_set_num_threads(threads)

    def index(bank: np.ndarray) -> Any:
        found = faiss.IndexFlatL2(bank.shape[1])
        found.add(bank)
        return found

    return f"faiss-cpu {faiss.__version__}", index


class PublishedOrder:
    """Two banks, points and colours, in the published order of operations, with the same backbones as ours.

    DBSCAN cleans each scan; the training scans are described twice, once for the banks and once for the machines; features stand at each
    pixel before they are pooled; the coreset passes over all rows for each choice; every patch is held against every row, background too.
    """

    def __init__(self, ratio: float = 0.1) -> None:
        self.ratio = ratio
        self.points, self.colours = FPFH(), ColourBank()
        self.machines = Published(np.array([1.0, 1.0]))

    def fit(self, raw: Sequence[Scan]) -> PublishedOrder:
        scans = [self.prepared(scan) for scan in raw]
        found = [self.described(scan) for scan in scans]
        rows = [np.concatenate([scan[k].values[scan[k].valid] for scan in found]) for k in range(2)]
        self.means = [np.full(rows[0].shape[1], rows[0].mean()), rows[1].mean(0)]
        self.scales = [np.full(rows[0].shape[1], rows[0].std()), rows[1].std(0)]
        self.banks = []
        for k in range(2):
            scaled = ((rows[k] - self.means[k]) / self.scales[k]).astype(np.float32)
            low = torch.from_numpy(project(scaled))
            self.banks.append(torch.from_numpy(scaled)[plain_coreset(low, int(self.ratio * len(low)))])
        again = [self.distances(self.described(scan)) for scan in scans]
        self.machines.fit(np.array([scores for scores, _ in again]), np.stack([maps for _, maps in again]))
        return self

    def predict(self, raw: Scan) -> tuple[float, np.ndarray]:
        scores, maps = self.distances(self.described(self.prepared(raw)))
        return float(self.machines.score(scores)), self.machines.map(maps)

    def prepared(self, raw: Scan) -> Scan:
        return preprocess(raw, PreparationOptions(clean="dbscan"))

    def described(self, scan: Scan) -> list[PatchFeatures]:
        assert scan.xyz is not None and scan.rgb is not None
        part = foreground(scan)
        step = np.zeros_like(part)
        step[:: self.points.step, :: self.points.step] = True
        seen = scan.points & step
        return [
            dense_pooling(self.points.at_points(scan.xyz, seen), seen),
            dense_pooling(self.colours.at_pixels(scan.rgb, part), part),
        ]

    def distances(self, found: Sequence[PatchFeatures]) -> tuple[np.ndarray, np.ndarray]:
        scores, maps = np.zeros(2), []
        for k, its in enumerate(found):
            patches = torch.from_numpy(((its.values - self.means[k]) / self.scales[k]).astype(np.float32))
            distance, nearest = cdist_query(patches, self.banks[k])
            away = np.where(its.valid, distance.numpy(), 0)
            at = int(away.argmax())
            scores[k] = image_score(
                patches[at].numpy(), float(away[at]), int(nearest[at]), self.banks[k].numpy(), "double"
            )
            maps.append(heat_map(away, its.grid, blur="published"))
        return scores, np.stack(maps, -1)


def dense_pooling(values: np.ndarray, valid: np.ndarray, patches: int = 56) -> PatchFeatures:
    """A feature for each pixel, averaged over 3 x 3 and pooled; means over the pixels that have one."""
    side = len(valid)
    dense = torch.zeros(side * side, values.shape[1] + 1)
    where = torch.from_numpy(np.flatnonzero(valid.ravel()))
    dense[where] = torch.cat([torch.from_numpy(values), torch.ones(len(values), 1)], 1)
    image = dense.T.reshape(1, -1, side, side)
    found = F.adaptive_avg_pool2d(F.avg_pool2d(image, 3, 1), patches)[0].reshape(values.shape[1] + 1, -1).T
    share = found[:, -1:].clamp_min(1e-9)
    return PatchFeatures((found[:, :-1] / share).numpy(), (patches, patches), (share[:, 0] > 0.25).numpy())
