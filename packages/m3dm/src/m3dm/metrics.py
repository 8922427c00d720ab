"""How good scores and heat maps are: image AUROC, pixel AUROC and the area under the per-region overlap curve (AUPRO).

All are exact: every distinct score is a threshold, and equal scores are one step. Only the scores of normal pixels are sorted as a
whole; the few defective ones are looked up among them. `sampled_aupro` is the approximation that published numbers come from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from offprints.errors import InputError

from m3dm.arrays import Floats, Indices, Mask

LIMITS = (0.3, 0.1, 0.05, 0.01)
"""Highest false-positive rates up to which the overlap curve is integrated; the paper uses the first."""
_EIGHT = np.ones((3, 3), bool)


@dataclass(frozen=True)
class Report:
    """What an evaluation found.

    Attributes:
        i_auroc: area under the ROC curve of image scores.
        p_auroc: of all pixels of all images together.
        aupro: limit of the false-positive rate -> area under the per-region overlap, divided by the limit.
    """

    i_auroc: float
    p_auroc: float
    aupro: Mapping[float, float]

    def metrics(self) -> dict[str, float]:
        """The names in results.json: i_auroc, p_auroc, aupro (limit .3), aupro_10, aupro_05, aupro_01."""
        named = {f"aupro_{round(100 * limit):02d}": area for limit, area in self.aupro.items()}
        if "aupro_30" in named:
            named["aupro"] = named.pop("aupro_30")
        return {"i_auroc": self.i_auroc, "p_auroc": self.p_auroc, **named}


def evaluate(
    scores: Floats | Sequence[float],
    labels: Mask | Sequence[bool],
    maps: Floats,
    masks: Mask,
    limits: Sequence[float] = LIMITS,
) -> Report:
    """Evaluate scores and maps of test images.

    Args:
        scores: (n,) of images, higher is more anomalous.
        labels: (n,) whether an image shows a defect.
        maps: (n, h, w) scores of pixels.
        masks: (n, h, w) defective pixels.
        limits: highest false-positive rates of AUPRO.

    Raises:
        InputError: no defect or nothing else, shapes that do not fit, or a score that is no number.

    Source: Section 4.1 of the paper; AUPRO as in Bergmann et al. 2021.
    """
    curve = OverlapCurve(maps, masks)
    return Report(auroc(scores, labels), curve.p_auroc, {limit: curve.area(limit) for limit in limits})


def auroc(scores: Floats | Sequence[float], labels: Mask | Sequence[bool]) -> float:
    """Area under the ROC curve: the chance that a defective one scores above a good one; ties count half.

    Args:
        scores: (n,), higher is more anomalous.
        labels: (n,) whether defective.

    Raises:
        InputError: only one kind, or a score that is no number.
    """
    values, defective = np.asarray(scores), np.asarray(labels, bool)
    if values.shape != defective.shape or values.ndim != 1:
        raise InputError(f"scores have shape {values.shape}, labels {defective.shape}; both must be (n,)")
    _require_numbers(values, "scores")
    bad, good = values[defective], np.sort(values[~defective])
    if not len(bad) or not len(good):
        raise InputError(
            f"AUROC is not defined: of {len(values)} scores {len(bad)} are of defective ones; it needs both kinds"
        )
    return _auroc(good, bad)


class OverlapCurve:
    """Per-region overlap against false-positive rate, over every threshold.

    A region is an 8-connected component of a mask. The overlap is the mean over regions of the share of its pixels that score
    at the threshold or above; the false-positive rate is over the pixels outside regions of all images.

    Args:
        maps: (n, h, w) scores.
        masks: (n, h, w) bool or {0, 1}.

    Attributes:
        fpr: (k,) false-positive rates, rising from 0 to 1; vertices of the curve, in order.
        pro: (k,) overlap at each.
        regions: number of regions.
        p_auroc: area under the pixels' ROC curve.

    Raises:
        InputError: no region, no pixel outside, shapes that differ, or a score that is no number.
    """

    def __init__(self, maps: Floats, masks: Mask) -> None:
        maps, masks = _checked(maps, masks)
        weights, self.regions = _region_weights(masks)
        good = np.sort(maps[~masks])
        bad, weight = maps[masks], weights[masks]
        self.p_auroc = _auroc(good, bad)
        order = np.argsort(bad)[::-1]
        bad, weight = bad[order], weight[order]
        last = np.append(np.flatnonzero(np.diff(bad)), len(bad) - 1)  # of each group of equal scores
        overlap = np.cumsum(weight)[last]
        # The overlap moves at scores of defective pixels alone. Before such a step the curve is level up to the share of normal
        # pixels above the score; normal pixels of the same score make the step a slope.
        above = (len(good) - np.searchsorted(good, bad[last], "right")) / len(good)
        reached = (len(good) - np.searchsorted(good, bad[last], "left")) / len(good)
        self.fpr = np.concatenate([[0.0], np.stack([above, reached], 1).ravel(), [1.0]])
        before = np.concatenate([[0.0], overlap[:-1]])
        self.pro = np.concatenate([[0.0], np.stack([before, overlap], 1).ravel(), [1.0]])

    def area(self, limit: float) -> float:
        """AUPRO: the area up to a false-positive rate, divided by it.

        Args:
            limit: in (0, 1].
        """
        return _area(self.fpr, self.pro, limit)


def sampled_curve(maps: Floats, masks: Mask, thresholds: int = 100) -> tuple[Floats, Floats]:
    """The overlap curve at the scores of normal pixels of equidistant ranks, as published programs sample it.

    A false-positive rate is taken from the rank even among equal scores. At a limit of .01, 100 thresholds leave two points.

    Args:
        maps: (n, h, w) scores.
        masks: (n, h, w) defective pixels.
        thresholds: 100 in the evaluation of the data set's authors and in M3DM, 99 in later work.

    Returns:
        (thresholds + 1,) false-positive rates from 0 to 1, and the overlap at each.
    """
    maps, masks = _checked(maps, masks)
    weights, _ = _region_weights(masks)
    good = np.sort(maps[~masks])
    ranks = np.linspace(0, len(good) - 1, thresholds, dtype=int)
    order = np.argsort(maps[masks])
    bad, weight = maps[masks][order], weights[masks][order]
    left_out = np.concatenate([[0.0], np.cumsum(weight)])[np.searchsorted(bad, good[ranks], "right")]
    fpr = np.concatenate([[1.0], 1 - (ranks + 1) / len(good)])
    pro = np.concatenate([[1.0], 1 - left_out])
    return fpr[::-1], pro[::-1]


def sampled_aupro(maps: Floats, masks: Mask, limit: float = 0.3, thresholds: int = 100) -> float:
    """AUPRO from `sampled_curve`: what published tables hold. It is too low, most of all for small limits and equal scores."""
    return _area(*sampled_curve(maps, masks, thresholds), limit)


def regions(mask: Mask) -> tuple[Indices, int]:
    """Number the 8-connected regions of one mask.

    Args:
        mask: (h, w).

    Returns:
        (h, w) number of the region of each pixel, 0 outside; and how many there are.
    """
    numbers, count = ndimage.label(mask, _EIGHT)
    return numbers, int(count)


def _checked(maps: Floats, masks: Mask) -> tuple[Floats, Mask]:
    maps, masks = np.asarray(maps), np.asarray(masks)
    if maps.ndim != 3 or maps.shape != masks.shape:
        raise InputError(f"maps have shape {maps.shape}, masks {masks.shape}; both must be (n, h, w)")
    _require_numbers(maps, "maps")
    masks = masks.astype(bool)
    if not masks.any():
        raise InputError("AUPRO is not defined: no mask has a defective pixel")
    if masks.all():
        raise InputError("AUPRO is not defined: every pixel is defective")
    return maps, masks


def _require_numbers(values: Floats, what: str) -> None:
    wrong = int(np.count_nonzero(~np.isfinite(values)))
    if wrong:
        raise InputError(
            f"{what} hold {wrong} values that are not finite; a broken model must not look average"
        )


def _region_weights(masks: Mask) -> tuple[Floats, int]:
    """What each pixel adds to the overlap: regions count alike, whatever their size."""
    weights = np.zeros(masks.shape)
    count = 0
    for mask, weight in zip(masks, weights, strict=True):
        if not mask.any():
            continue
        numbers, found = regions(mask)
        sizes = np.bincount(numbers.ravel())
        weight[mask] = 1 / sizes[numbers[mask]]
        count += found
    return weights / count, count


def _auroc(good: Floats, bad: Floats) -> float:
    """Share of pairs in the right order, from sorted scores of good ones; ties count half."""
    below = np.searchsorted(good, bad, "left").sum(dtype=np.int64)
    not_above = np.searchsorted(good, bad, "right").sum(dtype=np.int64)
    return float((int(below) + int(not_above)) / (2 * len(good) * len(bad)))


def _area(x: Floats, y: Floats, limit: float) -> float:
    if not 0 < limit <= 1:
        raise InputError(f"limit {limit} of the false-positive rate must be in (0, 1]")
    inside = int(np.searchsorted(x, limit, "right"))
    x_in, y_in = x[:inside], y[:inside]
    if inside < len(x) and x_in[-1] < limit:
        share = (limit - x_in[-1]) / (x[inside] - x_in[-1])
        x_in = np.append(x_in, limit)
        y_in = np.append(y_in, y_in[-1] + share * (y[inside] - y_in[-1]))
    return float(np.trapezoid(y_in, x_in) / limit)
