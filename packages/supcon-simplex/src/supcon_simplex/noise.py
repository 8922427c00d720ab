"""Label noise: which training labels are wrong, and how.

    noisy = add_noise(labels, share=0.4, kind="flip", num_classes=10, seed=1)
    noisy.labels, noisy.chosen  # the labels to train on, and which rows were drawn

Source: the random-label experiment of the paper. "flip" is its program's later noise, "uniform" its earlier one, after Zhang et al. 2017.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offprints.errors import InputError
from offprints.user_errors import closest

NOISES = ("flip", "uniform", "pair")
"""flip: always another class, uniform over the others. uniform: drawn afresh from all classes, so that a share 1/K stays right.
pair: always the next class, which is noise that a model can learn."""


@dataclass(frozen=True)
class NoisyLabels:
    """Labels after noise.

    Attributes:
        labels: (N,) int64; the array that was given is left as it was.
        chosen: (N,) bool, the floor(share N) rows that were drawn. Under "uniform" some of them keep their label.
    """

    labels: NDArray[np.int64]
    chosen: NDArray[np.bool_]


def add_noise(
    labels: NDArray[np.integer],
    share: float,
    kind: str = "flip",
    num_classes: int | None = None,
    seed: int = 0,
) -> NoisyLabels:
    """Give floor(share N) rows, drawn without replacement, another label.

    Args:
        labels: (N,) integers in [0, num_classes).
        share: p, in [0, 1].
        kind: one of `NOISES`.
        num_classes: K; None takes the largest label and one.
        seed: of the rows and their new labels.

    Raises:
        InputError: an argument does not fit.
    """
    given = np.asarray(labels)
    if given.ndim != 1 or not np.issubdtype(given.dtype, np.integer):
        raise InputError(f"labels have to be a list of integers, not {given.dtype} of shape {given.shape}")
    classes = int(given.max(initial=-1)) + 1 if num_classes is None else num_classes
    if kind not in NOISES:
        raise InputError(f"noise {kind!r} is unknown{closest(kind, NOISES)}")
    if not 0 <= share <= 1:
        raise InputError(f"the share of noisy labels is {share}, but has to be in [0, 1]")
    if classes < 2:
        raise InputError(f"{classes} classes: there is no other label to give")
    if given.size and not (given.min() >= 0 and given.max() < classes):
        raise InputError(f"labels lie in [{given.min()}, {given.max()}], outside [0, {classes})")
    draw = np.random.default_rng(seed)
    noisy = given.astype(np.int64, copy=True)
    rows = draw.permutation(len(noisy))[: int(np.floor(share * len(noisy) + 1e-9))]
    if kind == "flip":
        noisy[rows] = (noisy[rows] + draw.integers(1, classes, len(rows))) % classes
    elif kind == "uniform":
        noisy[rows] = draw.integers(0, classes, len(rows))
    else:
        noisy[rows] = (noisy[rows] + 1) % classes
    chosen = np.zeros(len(noisy), dtype=np.bool_)
    chosen[rows] = True
    return NoisyLabels(noisy, chosen)
