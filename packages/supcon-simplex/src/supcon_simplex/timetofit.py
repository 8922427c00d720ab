"""Time-to-fit against label noise: the steps until a training set with wrong labels is fitted without one error.

    times = fit_times(data.train.subset(100), Grid(shares=[0.1, 0.5, 0.9], seeds=5))
    times.table()    # loss, noise, share, seed, steps, censored
    times.metrics()  # local slopes with intervals, medians, censored runs

Source: the dynamics section of the paper; time-to-fit is the first step that was looked at with training error exactly 0.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from offprints.checkpoint import Checkpoints, fingerprint
from offprints.errors import InputError

from supcon_simplex.batched_mlp import LOSSES, Ensemble, EnsembleOptions
from supcon_simplex.labelled import LabelledData, Standard
from supcon_simplex.noise import NOISES, add_noise
from supcon_simplex.slopes import bootstrap, curvature, slope


@dataclass
class Grid:
    """Which runs a time-to-fit experiment has: every loss at every level with every seed.

    Attributes:
        losses: of ce, ce_fixed, sc.
        noise: flip, uniform or pair.
        shares: noise levels p.
        seeds: runs of each cell, 5 or more for intervals that mean something.
        slope_from: the local slope is taken over levels from here
        slope_to: to here.
        level: of the intervals.
        draws: resamplings of the bootstrap.
    """

    losses: list[str] = field(default_factory=lambda: ["ce", "sc"])
    noise: str = "flip"
    shares: list[float] = field(default_factory=lambda: [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9])
    seeds: int = 5
    slope_from: float = 0.4
    slope_to: float = 0.9
    level: float = 0.95
    draws: int = 1000

    def __post_init__(self) -> None:
        for name, fits, right in (
            ("losses", bool(self.losses) and set(self.losses) <= set(LOSSES), f"of {', '.join(LOSSES)}"),
            ("noise", self.noise in NOISES, f"one of {', '.join(NOISES)}"),
            ("shares", bool(self.shares) and all(0 < p <= 1 for p in self.shares), "in (0, 1]"),
            ("seeds", self.seeds >= 1, "1 or more"),
            ("slope_to", 0 < self.slope_from < self.slope_to <= 1, "above slope_from, both in (0, 1]"),
            ("level", 0 < self.level < 1, "in (0, 1)"),
            ("draws", self.draws >= 1, "1 or more"),
        ):
            if not fits:
                raise InputError(f"grid option {name}={getattr(self, name)!r} is not valid: {right}")
        if len(set(self.shares)) < len(self.shares) or len(set(self.losses)) < len(self.losses):
            raise InputError("a level or a loss stands twice in the grid")


@dataclass(frozen=True)
class FitTimes:
    """What a grid came to.

    Attributes:
        grid: the runs.
        most_steps: where a run was given up.
        steps: loss -> (levels, seeds) int64, the first exact fit; most_steps where there was none.
        censored: loss -> (levels, seeds) bool, whether there was none.
    """

    grid: Grid
    most_steps: int
    steps: Mapping[str, NDArray[np.int64]]
    censored: Mapping[str, NDArray[np.bool_]]

    def table(self) -> pd.DataFrame:
        """A row a run: loss, noise, share, seed, steps, censored."""
        rows = [
            (
                loss,
                self.grid.noise,
                share,
                seed,
                int(self.steps[loss][i, seed]),
                bool(self.censored[loss][i, seed]),
            )
            for loss in self.grid.losses
            for i, share in enumerate(self.grid.shares)
            for seed in range(self.grid.seeds)
        ]
        return pd.DataFrame(rows, columns=["loss", "noise", "share", "seed", "steps", "censored"])

    def medians(self, loss: str) -> NDArray[np.float64]:
        """(levels,) median steps; infinite where half of the runs or more are censored."""
        steps = np.where(self.censored[loss], np.inf, self.steps[loss])
        return np.quantile(steps, 0.5, axis=1, method="higher")

    def metrics(self) -> dict[str, float]:
        """Local slopes and curvatures with their intervals, medians, and how many runs were censored."""
        grid, found = self.grid, {}
        inside = np.array([grid.slope_from - 1e-9 <= share <= grid.slope_to + 1e-9 for share in grid.shares])
        every = np.ones_like(inside)
        slopes = {}
        for loss in grid.losses:
            slopes[loss] = self._measure(loss, inside, slope)
            bends = self._measure(loss, every, curvature)
            for name, measure in (("slope", slopes[loss]), ("curvature", bends)):
                found[f"{name}/{loss}"] = measure(np.arange(grid.seeds))
                found[f"{name}/{loss}_low"], found[f"{name}/{loss}_high"] = self._interval(measure)
            found[f"censored/{loss}"] = float(self.censored[loss].sum())
            for share, median in zip(grid.shares, self.medians(loss), strict=True):
                found[f"steps/{loss}_{share:g}"] = float(median)
        for loss in grid.losses:
            if loss != "ce" and "ce" in slopes:
                # The same seeds on both sides: they share weights, batches and wrong labels.
                def difference(seeds: NDArray[np.int64], loss: str = loss) -> float:
                    return slopes[loss](seeds) - slopes["ce"](seeds)

                found[f"slope/{loss}_minus_ce"] = difference(np.arange(grid.seeds))
                low, high = self._interval(difference)
                found[f"slope/{loss}_minus_ce_low"], found[f"slope/{loss}_minus_ce_high"] = low, high
                with np.errstate(invalid="ignore"):  # of two censored medians nothing is known
                    ratios = self.medians(loss) / self.medians("ce")
                found |= {
                    f"ratio/{loss}_{p:g}": float(ratio) for p, ratio in zip(grid.shares, ratios, strict=True)
                }
        return found

    def _interval(self, measure: Callable[[NDArray[np.int64]], float]) -> tuple[float, float]:
        return bootstrap(measure, self.grid.seeds, self.grid.draws, self.grid.level)

    def _measure(
        self,
        loss: str,
        levels: NDArray[np.bool_],
        of: Callable[[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]], float],
    ) -> Callable[[NDArray[np.int64]], float]:
        shares = np.array(self.grid.shares)[levels]
        steps, censored = self.steps[loss][levels].astype(np.float64), self.censored[loss][levels]

        def measure(seeds: NDArray[np.int64]) -> float:
            return of(np.repeat(shares, len(seeds)), steps[:, seeds].ravel(), censored[:, seeds].ravel())

        return measure


def fit_times(
    data: LabelledData,
    grid: Grid,
    options: EnsembleOptions | None = None,
    *,
    seed: int = 0,
    directory: Path | str | None = None,
    save_every: float = 60.0,
    on_look: Callable[[str, Ensemble], None] | None = None,
    uninterrupted: Callable[[], AbstractContextManager[None]] | None = None,
) -> FitTimes:
    """Train every run of a grid, all runs of one loss at once, until each has fitted or is censored.

    Run number s of all losses and levels has one seed: it begins with the same weights and draws the same batches.

    Args:
        data: balanced rows; their labels get the noise.
        grid: which runs.
        options: how they are trained.
        seed: of weights, batches and noise; run s has 1000 seed + s.
        directory: where checkpoints go; a second call goes on from them. None keeps none.
        save_every: seconds of work that a kill may cost, roughly.
        on_look: called with the loss and its ensemble after each look.
        uninterrupted: context of a piece of work that an interrupt must not cut.

    Raises:
        InputError: the rows are not balanced; an option does not fit.
        CheckpointError: the checkpoint is damaged, or of another grid or other data.
    """
    options = options or EnsembleOptions()
    if not data.is_balanced:
        raise InputError(
            f"time-to-fit needs as many rows of each class, not {data.counts.tolist()}: take a subset"
        )
    inputs = data.tensors(Standard.of(data))[0].flatten(1)
    seeds = [1000 * seed + number for number in range(grid.seeds)]
    cells = [(share, one) for share in grid.shares for one in seeds]
    labels = torch.stack([torch.from_numpy(_noisy(data, grid.noise, share, one)) for share, one in cells])
    steps, censored = {}, {}
    for loss in grid.losses:
        ensemble = Ensemble(inputs, labels, data.num_classes, loss, [one for _, one in cells], options)
        keeper = None
        if directory is not None:
            made_of = fingerprint(
                data=data.fingerprint,
                noise=grid.noise,
                shares=list(grid.shares),
                seeds=seeds,
                options=vars(options),
            )
            keeper = Checkpoints(Path(directory) / loss, "supcon-simplex-timetofit", made_of)
        _finish(ensemble, loss, keeper, save_every, on_look, uninterrupted or nullcontext)
        found = ensemble.fitted.numpy().reshape(len(grid.shares), grid.seeds)
        censored[loss] = found < 0
        steps[loss] = np.where(found < 0, options.most_steps, found)
    return FitTimes(grid, options.most_steps, steps, censored)


def _noisy(data: LabelledData, kind: str, share: float, seed: int) -> NDArray[np.int64]:
    # A seed of its own for each level, so that the wrong rows of one level are not a part of those of the next.
    return add_noise(
        data.labels, share, kind, data.num_classes, seed=1_000_000 * round(1000 * share) + seed
    ).labels


def _finish(
    ensemble: Ensemble,
    loss: str,
    keeper: Checkpoints | None,
    save_every: float,
    on_look: Callable[[str, Ensemble], None] | None,
    guard: Callable[[], AbstractContextManager[None]],
) -> None:
    last = keeper.load_last() if keeper is not None else None
    if last is not None:
        ensemble.restore(last.state)
    saved = time.monotonic()
    try:
        while not ensemble.done:
            with guard():
                ensemble.advance()
                if on_look is not None:
                    on_look(loss, ensemble)
            if keeper is not None and time.monotonic() - saved > save_every:
                keeper.save_last(ensemble.state(), ensemble.step)
                saved = time.monotonic()
    finally:
        if keeper is not None:
            keeper.save_last(ensemble.state(), ensemble.step)
