"""The steps of M3DM beside the published order of operations; writes results.json beside this file.

    nox -s "bench(m3dm)"                                  the table of docs/benchmarks.md
    nox -s "bench(m3dm)" -- --rounds 3 --threads 1        quicker and noisier
    nox -s "bench(m3dm)" -- --only coreset align          parts: coreset, align, clean, query, end, metrics
    nox -s "bench(m3dm)" -- --no-peers                    ours alone

Arrays are seeded random ones, rows of low rank behind tanh, as features of networks are; scans are made up. Answers are compared
before anything is timed: the same rows in the same order, the same neighbours, the same part.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from peers import (
    PublishedOrder,
    cdist_query,
    dbscan,
    dense_alignment,
    faiss_query,
    plain_coreset,
)

from offprints.benchmark import Entry, compared, in_turn, run

from m3dm import FPFH, M3DM, ColourBank, DetectorOptions
from m3dm.align import alignment
from m3dm.coreset import greedy_coreset, project
from m3dm.grouping import farthest_points
from m3dm.metrics import OverlapCurve
from m3dm.neighbours import Neighbours
from m3dm.preprocess import PreparationOptions, largest_component, preprocess
from m3dm.render import Camera
from m3dm.scan import Scan
from m3dm.synthetic import Plan, synthetic_view


def rows_like_features(count: int, dim: int, seed: int = 0, rank: int = 24) -> np.ndarray:
    """(count, dim) float32 rows of low rank behind tanh, with a little noise."""
    rng = np.random.default_rng(seed)
    axes = np.random.default_rng(1).normal(size=(rank, dim)) / np.sqrt(rank)
    return (np.tanh(rng.normal(size=(count, rank)) @ axes) + 0.02 * rng.normal(size=(count, dim))).astype(
        np.float32
    )


def coreset(options: argparse.Namespace) -> Iterator[Entry]:
    """A tenth of N rows, projected as published."""
    for threads in options.threads:
        torch.set_num_threads(threads)
        for count in (5_000, 10_000, 20_000):
            rows = project(rows_like_features(count, 768))
            given = torch.from_numpy(rows)
            works: dict[str, Callable[[], object]] = {
                "ours": lambda rows=rows, count=count: greedy_coreset(rows, count // 10)
            }
            if not options.no_peers:
                works["plain loop, torch"] = lambda given=given, count=count: plain_coreset(
                    given, count // 10
                )
                # In float32, as it is timed, the plain loop breaks near ties by its rounding.
                require(
                    greedy_coreset(rows, count // 10).tolist() == plain_coreset(given.double(), count // 10),
                    "the order of the coreset",
                )
            yield from beside("coreset", count, threads, works, min(options.rounds, 3))


def align(options: argparse.Namespace) -> Iterator[Entry]:
    """Features of 1,024 groups, 1,152 wide, to 56 x 56 patches."""
    scan = part_of(Camera(width=0.11))
    points = scan.xyz[scan.points]
    where = torch.from_numpy(np.flatnonzero(scan.points.ravel()))
    for threads in options.threads:
        torch.set_num_threads(threads)
        for groups in (256, 512, 1_024):
            centres = points[farthest_points(points, groups)]
            features = rows_like_features(groups, 1_152)

            def ours(centres: np.ndarray = centres, features: np.ndarray = features) -> np.ndarray:
                return alignment(scan, centres, pooling="published")[0] @ features

            works: dict[str, Callable[[], object]] = {"ours": ours}
            peer = "" if options.no_peers else "sorted distances, dense pixels, torch"
            if peer:
                given = [torch.from_numpy(part) for part in (points, centres, features)]
                works[peer] = lambda given=given: dense_alignment(*given, where)
                # The expanded square loses digits near a centre, where weights are large: it is held to the answer in float64.
                points64, centres64, features64 = (part.double() for part in given)
                gap = np.abs(ours() - dense_alignment(points64, centres64, features64, where).numpy()).max()
                require(float(gap) < 5e-3, f"alignment: off by {gap}")
            timings = in_turn(works, min(options.rounds, 7))
            yield compared(
                "align", groups, threads, timings["ours"], peer, timings.get(peer), points=len(points)
            )


def clean(options: argparse.Namespace) -> Iterator[Entry]:
    """The part among all points, at three resolutions; size is the number of points."""
    for side in (300, 500, 650):
        view = synthetic_view("bagel", Plan(0, "good", 0, 0), Camera(side=side, width=0.11))
        raw = preprocess(view.scan("bagel", "good"), PreparationOptions(clean="none", side=0))
        valid = raw.points
        works: dict[str, Callable[[], object]] = {
            "ours": lambda raw=raw, valid=valid: largest_component(raw.xyz, valid)
        }
        peer = "" if options.no_peers else "DBSCAN, open3d"
        if peer:
            works[peer] = lambda raw=raw, valid=valid: dbscan(raw.xyz, valid)
            one, other = largest_component(raw.xyz, valid), dbscan(raw.xyz, valid)
            require((one & other).sum() / (one | other).sum() > 0.999, "the part")
        timings = in_turn(works, 1)
        yield compared("clean", int(valid.sum()), 1, timings["ours"], peer, timings.get(peer))


def query(options: argparse.Namespace) -> Iterator[Entry]:
    """The nearest of M rows for 3,136 patches, 1,152 wide."""
    patches = rows_like_features(3_136, 1_152, seed=2)
    for threads in options.threads:
        torch.set_num_threads(threads)
        for count in (5_000, 10_000, 20_000):
            bank = rows_like_features(count, 1_152)
            near = Neighbours(bank)
            works: dict[str, Callable[[], object]] = {"ours": lambda near=near: near.query(patches)}
            if not options.no_peers:
                pair = torch.from_numpy(patches), torch.from_numpy(bank)
                works["torch.cdist"] = lambda pair=pair: cdist_query(*pair)
                same = near.query(patches)[1] == cdist_query(*pair)[1].numpy()
                require(bool(same.all()), f"nearest rows: {int((~same).sum())} differ")
                if (library := faiss_query(threads)) is not None:
                    index = library[1](bank)
                    works[library[0]] = lambda index=index: index.search(patches, 1)
            yield from beside("query", count, threads, works, min(options.rounds, 5))


def end(options: argparse.Namespace) -> Iterator[Entry]:
    """From raw scans to verdicts: fit on n good parts and judge four others, by two banks of the same features."""
    camera = Camera()
    raw = {
        (split, kind, number): synthetic_view("potato", Plan(split, kind, number, 2), camera).scan("", kind)
        for split, kind, numbers in ((0, "good", range(24)), (2, "dent", range(2)), (2, "stain", range(2)))
        for number in numbers
    }
    tests = [scan for (split, *_), scan in raw.items() if split]

    def ours(scans: list[Scan]) -> list[tuple[float, np.ndarray]]:
        settings = DetectorOptions(mode="rgb+xyz")
        detector = M3DM(FPFH(), ColourBank(), settings).fit([preprocess(scan) for scan in scans])
        return [(said.score, said.map) for said in map(detector.inspect, tests)]

    def theirs(scans: list[Scan]) -> list[tuple[float, np.ndarray]]:
        detector = PublishedOrder().fit(scans)
        return [detector.predict(scan) for scan in tests]

    for threads in options.threads:
        torch.set_num_threads(threads)
        for count in (6, 12, 24):
            scans = [scan for (split, *_), scan in raw.items() if not split][:count]
            works: dict[str, Callable[[], object]] = {"ours": lambda scans=scans: ours(scans)}
            if not options.no_peers:
                works["published order"] = lambda scans=scans: theirs(scans)
                for one, other in zip(ours(scans), theirs(scans), strict=True):
                    # Fusers, blurs and outlines differ; the maps must still tell the same story.
                    alike = float(np.corrcoef(one[1].ravel(), other[1].ravel())[0, 1])
                    require(alike > 0.7, f"maps: correlation {alike:.3f}")
            yield from beside("end to end", count, threads, works, min(options.rounds, 3))


def metrics(options: argparse.Namespace) -> Iterator[Entry]:
    """Pixel AUROC and AUPRO at four limits, of n maps of 224 x 224."""
    for count in (28, 55, 110):
        rng = np.random.default_rng(0)
        masks = np.zeros((count, 224, 224), bool)
        masks[: 3 * count // 4, 90:120, 80:110] = True
        maps = (rng.normal(size=masks.shape) + masks).astype(np.float32)

        def ours(maps: np.ndarray = maps, masks: np.ndarray = masks) -> list[float]:
            curve = OverlapCurve(maps, masks)
            return [curve.area(limit) for limit in (0.3, 0.1, 0.05, 0.01)]

        yield compared("metrics", count, 1, in_turn({"ours": ours}, min(options.rounds, 5))["ours"])


def beside(
    workload: str, size: int, threads: int, works: dict[str, Callable[[], object]], rounds: int
) -> Iterator[Entry]:
    """Ours and every peer in turn, a line for each peer."""
    timings = in_turn(works, rounds)
    for peer in [name for name in works if name != "ours"] or [""]:
        yield compared(workload, size, threads, timings["ours"], peer, timings.get(peer))


def part_of(camera: Camera) -> Scan:
    """A prepared made-up scan."""
    return preprocess(synthetic_view("bagel", Plan(0, "good", 0, 0), camera).scan("bagel", "good"))


def require(holds: bool, what: str) -> None:
    """Times of different answers are worth nothing."""
    if not holds:
        raise SystemExit(f"ours and the peer's differ: {what}")


if __name__ == "__main__":
    run(
        {
            "coreset": coreset,
            "align": align,
            "clean": clean,
            "query": query,
            "end": end,
            "metrics": metrics,
        },
        __doc__,
        Path(__file__).with_name("results.json"),
    )
