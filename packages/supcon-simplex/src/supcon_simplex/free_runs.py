"""The tasks without data: points that are free to move, and batches of every composition."""

from __future__ import annotations

import math

import pandas as pd
import torch

from offprints.app import Results, Run
from offprints.errors import InputError
from offprints.tables import show

from supcon_simplex import figures
from supcon_simplex.bounds import sc_batch_value
from supcon_simplex.compositions import composition_share
from supcon_simplex.compositions import compositions as all_compositions
from supcon_simplex.config import Config
from supcon_simplex.geometry import pairwise_cosines
from supcon_simplex.optimum import Optimum, optimize_embeddings, supcon_of
from supcon_simplex.simplex import simplex_distance


def sphere(config: Config, run: Run) -> Results:
    """Move free points on a circle or sphere until the loss of their one batch is least, and draw them."""
    free = config.free
    if free.classes < 2 or free.per_class < 2:
        raise InputError(f"free.classes={free.classes} and free.per_class={free.per_class} are 2 or more")
    counts = [free.per_class] * free.classes
    found = _best(counts, free.features, free.temperature, config)
    labels = _labels(counts)
    means = torch.stack([found.points[labels == label].mean(0) for label in range(free.classes)])
    cosines = pairwise_cosines(means)
    metrics = {
        "free/loss": found.value,
        "free/simplex_value": sc_batch_value(counts, free.temperature),
        "free/smallest_cosine": float(cosines.min()),
        "free/largest_cosine": float(cosines.max()),
    }
    metrics["free/gap"] = metrics["free/loss"] - metrics["free/simplex_value"]
    if free.features >= free.classes - 1:
        metrics["free/simplex_distance"] = simplex_distance(means)
    else:
        run.log.warning(
            "%d dimensions cannot hold a simplex of %d classes: the value of the simplex is out of reach",
            free.features, free.classes,
        )  # fmt: skip
    if free.features in (2, 3):
        run.figure(
            "points",
            figures.points(found.points, labels, f"K = {free.classes}, τ = {free.temperature:g}"),
            "Points that were free to move on the sphere, coloured by class",
        )
    return Results(metrics)


def compositions(config: Config, run: Run) -> Results:
    """Count all batches by their label composition, with what each costs at the simplex and at its own best points."""
    options = config.compositions
    if options.classes < 2 or options.batch_size < 2 or options.per_class < 1:
        raise InputError(
            f"compositions.classes={options.classes} and .batch_size={options.batch_size} are 2 or more, "
            f".per_class={options.per_class} 1 or more"
        )
    kinds = all_compositions(options.batch_size, options.classes)
    table = pd.DataFrame({"composition": [" ".join(map(str, counts)) for counts in kinds]})
    table["share"] = [composition_share(counts, "multiset", options.per_class) for counts in kinds]
    table["loss at the simplex"] = [
        sc_batch_value(counts, options.temperature, classes=options.classes) for counts in kinds
    ]
    total = math.comb(options.classes * options.per_class + options.batch_size - 1, options.batch_size)
    table["batches"] = (table["share"] * total).round().astype(int)
    slugs = ["_".join(map(str, counts)) for counts in kinds]
    metrics = {
        f"simplex/{slug}": value for slug, value in zip(slugs, table["loss at the simplex"], strict=True)
    }
    metrics["all/batches"] = float(table["batches"].sum())
    metrics["all/mean_loss"] = float((table["share"] * table["loss at the simplex"]).sum())
    if options.minimise:
        best = []
        with run.progress(len(kinds), "best points of a single batch") as bar:
            for counts in kinds:
                best.append(_best([n for n in counts if n], 2, options.temperature, config))
                bar.advance(1, {"loss": best[-1].value})
        table["least loss on the circle"] = [one.value for one in best]
        metrics |= {f"least/{slug}": one.value for slug, one in zip(slugs, best, strict=True)}
        titles = [f"{name}: {one.value:.3f}" for name, one in zip(table["composition"], best, strict=True)]
        drawn = {
            title: (one.points, _labels([n for n in counts if n]))
            for title, one, counts in zip(titles, best, kinds, strict=True)
        }
        run.figure(
            "minimisers",
            figures.minimisers(drawn),
            "The best points on the circle for batches of several label compositions",
        )
    show(
        table,
        f"K = {options.classes}, b = {options.batch_size}, n = {options.per_class}, τ = {options.temperature:g}",
    )
    run.figure(
        "compositions",
        figures.compositions(
            list(table["composition"]), table["share"].to_numpy(), table["loss at the simplex"].to_numpy()
        ),
        "What a batch of each label composition costs at the simplex, and how often it is drawn",
    )
    return Results(metrics, {"compositions": table.to_dict("list")})


def _best(counts: list[int], features: int, temperature: float, config: Config) -> Optimum:
    """The least loss of one batch with these counts."""
    free = config.free
    if not 0 < temperature < math.inf:
        raise InputError(f"temperature={temperature} must be positive")
    return optimize_embeddings(
        supcon_of(counts, temperature), sum(counts), features,
        restarts=free.restarts, seed=config.seed, steps=free.steps,
    )  # fmt: skip


def _labels(counts: list[int]) -> torch.Tensor:
    return torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
