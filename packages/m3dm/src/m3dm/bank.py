"""A memory bank: the patches of good parts that a new patch is compared with, and how far it is from the nearest.

Source: Section 3.4 of the paper; scores as in Section 3.3 of PatchCore (Roth et al. 2022).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from offprints.errors import InputError

from m3dm.arrays import Floats, Indices
from m3dm.coreset import greedy_coreset, project
from m3dm.neighbours import Neighbours

SUBSETS = ("greedy", "random", "all")


@dataclass(frozen=True)
class BankOptions:
    """What a bank keeps.

    Attributes:
        ratio: share of the patches.
        subset: greedy (the coreset), random or all.
        eps: of the random projection that the greedy choice is made on.
        limit: most rows that a bank keeps, whatever the ratio says; 0 for no limit.
        seed: of the projection and of the random subset.
    """

    ratio: float = 0.1
    subset: str = "greedy"
    eps: float = 0.9
    limit: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.ratio <= 1:
            raise InputError(f"ratio={self.ratio} of patches that a bank keeps must be in (0, 1]")
        if self.subset not in SUBSETS:
            raise InputError(f"subset={self.subset}: {', '.join(SUBSETS)}")
        if not 0 < self.eps < 1:
            raise InputError(f"eps={self.eps} must be in (0, 1)")


class MemoryBank:
    """Patches of good parts, normalised by one mean and one standard deviation.

    One scale for all features: a feature that never varies among good parts, as an empty bin of a histogram, would else count
    without bounds when it does.

    Args:
        rows: (M, D) float32, as they are kept.
        mean: of the features before.
        std: of the features before.
    """

    def __init__(self, rows: Floats, mean: float, std: float) -> None:
        self.rows, self.mean, self.std = rows, mean, std
        self._neighbours = Neighbours(rows)

    @classmethod
    def fit(
        cls,
        patches: Floats,
        options: BankOptions | None = None,
        scale: tuple[float, float] | None = None,
        keep: int | None = None,
    ) -> MemoryBank:
        """Choose the patches to keep.

        Args:
            patches: (N, D) of good parts, background left out.
            options: how many, and which.
            scale: mean and standard deviation; None takes those of the patches.
            keep: number of rows; None takes the options' share.

        Raises:
            InputError: there are no patches, or too few for the share.
        """
        options = options or BankOptions()
        if not len(patches):
            raise InputError("no patch of a good part shows the part: the memory bank would be empty")
        mean, std = scale or (float(patches.mean(dtype=np.float64)), float(patches.std(dtype=np.float64)))
        if not std > 0:
            raise InputError("all features of all patches are equal: nothing to compare")
        rows = ((patches - np.float32(mean)) / np.float32(std)).astype(np.float32)
        count = int(options.ratio * len(rows)) if keep is None else keep
        count = min(count, options.limit) if options.limit else count
        if not 1 <= count <= len(rows):
            raise InputError(
                f"ratio={options.ratio} keeps {count} of {len(rows)} patches; a bank needs 1 to all of them"
            )
        if options.subset == "greedy":
            rows = rows[greedy_coreset(project(rows, options.eps, options.seed), count)]
        elif options.subset == "random":
            rows = rows[np.random.default_rng(options.seed).permutation(len(rows))[:count]]
        return cls(np.ascontiguousarray(rows), mean, std)

    def __len__(self) -> int:
        return len(self.rows)

    def query(self, patches: Floats) -> tuple[Floats, Indices]:
        """Distances (P,) to the nearest rows, and which these are.

        Args:
            patches: (P, D) as the backbone gives them.
        """
        return self._neighbours.query(self.normalised(patches))

    def normalised(self, patches: Floats) -> Floats:
        """Patches on the scale of the rows."""
        return ((patches - np.float32(self.mean)) / np.float32(self.std)).astype(np.float32)

    def image_score(
        self, patches: Floats, distance: Floats, nearest: Indices, variant: str = "triple"
    ) -> float:
        """The score of an image by its most anomalous patch; see `image_score`."""
        at = int(distance.argmax())
        return image_score(
            self.normalised(patches[at]), float(distance[at]), int(nearest[at]), self.rows, variant
        )


VARIANTS = {"triple": (1.0, 0.0), "single": (1.0, 1e-5), "double": (1e-3, 0.0)}
"""Factor of distances and addend of the denominator, in the published program's three banks, one bank and two banks."""


def image_score(patch: Floats, distance: float, nearest: int, bank: Floats, variant: str = "triple") -> float:
    """The distance of the most anomalous patch, weighted by how alone its neighbour is in the bank.

        w = 1 - exp(d / sqrt(D)) / sum over the two rows next to the neighbour of exp(|patch - row| / sqrt(D))

    As published, the sum leaves out the neighbour itself; w is near 1/2, and below 0 where the two rows are nearer than it should
    be possible.

    Args:
        patch: (D,) the most anomalous patch, on the bank's scale.
        distance: to its nearest row.
        nearest: that row.
        bank: (M, D), three rows or more.
        variant: triple, single or double.

    Returns:
        w times the distance, scaled as the variant does.
    """
    if variant not in VARIANTS:
        raise InputError(f"variant {variant!r}: {', '.join(VARIANTS)}")
    factor, addend = VARIANTS[variant]
    others = neighbours_of(bank, nearest)[1:]
    root = np.sqrt(len(patch))
    away = np.linalg.norm(bank[others] - patch, axis=1).astype(np.float64)
    s = distance * factor
    weight = 1 - np.exp(s / root) / (np.exp(away * factor / root).sum() + addend)
    return float(weight * s)


def neighbours_of(bank: Floats, row: int, count: int = 3) -> Indices:
    """The rows of a bank nearest to one of its rows, itself first.

    Args:
        bank: (M, D).
        row: which.
        count: how many; M or fewer.
    """
    squared = ((bank - bank[row]) ** 2).sum(1)
    squared[row] = -1
    found: Indices = np.argsort(squared, kind="stable")[:count]
    return found
