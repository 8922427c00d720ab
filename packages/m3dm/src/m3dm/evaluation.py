"""From predictions of test scans to the numbers of a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from offprints.errors import InputError

from m3dm.arrays import Floats, Mask
from m3dm.baselines import Detector
from m3dm.detector import Prediction
from m3dm.features import ScanFeatures
from m3dm.metrics import LIMITS, Report, auroc, evaluate
from m3dm.scan import GOOD


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What came out of the test scans of one category.

    Attributes:
        report: the metrics.
        by_defect: kind of defect -> image AUROC of it against all good scans.
        predictions: of all test scans, in order.
    """

    report: Report
    by_defect: Mapping[str, float]
    predictions: Sequence[Prediction]

    def metrics(self) -> dict[str, float]:
        """Names of results.json -> values; by kind of defect under i_auroc_<kind>."""
        return {
            **self.report.metrics(),
            **{f"i_auroc_{kind}": value for kind, value in self.by_defect.items()},
        }


def evaluate_detector(
    detector: Detector,
    tests: Sequence[ScanFeatures],
    limits: Sequence[float] = LIMITS,
    on_scan: Callable[[], None] = lambda: None,
) -> Evaluation:
    """Judge test scans and compare with the truth.

    Every scan is judged by itself: nothing of the other test scans goes into its score.

    Args:
        detector: fitted.
        tests: features of test scans, with masks.
        limits: highest false-positive rates of AUPRO.
        on_scan: called after each.

    Raises:
        InputError: a scan has no mask, or there is not both a good and a defective one.
    """
    predictions = []
    for scan in tests:
        predictions.append(detector.predict_features(scan))
        on_scan()
    kinds = [_kind(scan) for scan in tests]
    if len(set(kinds) - {GOOD}) == 0 or GOOD not in kinds:
        raise InputError(
            f"test scans are {', '.join(sorted(set(kinds)))}: metrics need both good and defective ones"
        )
    scores = np.array([prediction.score for prediction in predictions])
    bad = np.array([kind != GOOD for kind in kinds])
    maps: Floats = np.stack([prediction.map for prediction in predictions])
    masks: Mask = np.stack([_mask(scan) for scan in tests])
    by_defect = {}
    for kind in sorted(set(kinds) - {GOOD}):
        those = np.array([its in (kind, GOOD) for its in kinds])
        by_defect[kind] = auroc(scores[those], bad[those])
    return Evaluation(evaluate(scores, bad, maps, masks, limits), by_defect, predictions)


def means(categories: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Unweighted means over categories, and each category's own: <name>, <category>/<name>.

    Args:
        categories: category -> name -> value.
    """
    names = [
        name
        for name in next(iter(categories.values()))
        if all(name in found for found in categories.values())
    ]
    total = {name: float(np.mean([found[name] for found in categories.values()])) for name in names}
    return total | {
        f"{category}/{name}": value for category, found in categories.items() for name, value in found.items()
    }


def _kind(scan: ScanFeatures) -> str:
    if scan.defect is not None:
        return scan.defect
    return "defect" if _mask(scan).any() else GOOD


def _mask(scan: ScanFeatures) -> Mask:
    if scan.mask is None:
        raise InputError(f"{scan.name} has no mask: AUPRO and pixel AUROC need one for every test scan")
    return scan.mask
