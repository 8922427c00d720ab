"""The detector: memory banks of good parts, and how far a new part is from them.

    detector = M3DM(xyz=Relief(), rgb=ColourBank()).fit(scans)
    prediction = detector.predict(scan)
    prediction.score, prediction.p_value, prediction.map

The parts are those of the paper: features of points and of colours (Section 3.2), their fusion (3.3), a bank for each (3.4), and one
decision of all banks (3.5).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from offprints.errors import InputError

from m3dm.arrays import Floats
from m3dm.bank import BankOptions, MemoryBank
from m3dm.calibration import Threshold, choose_threshold, p_value
from m3dm.decision import Fuser, Published, fuser_named
from m3dm.features import Backbone, PatchFeatures, ScanFeatures, extract
from m3dm.fused import Fusion
from m3dm.fusion import FeatureFusion, FusionOptions
from m3dm.maps import heat_map
from m3dm.preprocess import PreparationOptions, preprocess
from m3dm.scan import Scan
from m3dm.standard import Standard

MODES: Mapping[str, tuple[str, ...]] = {
    "rgb": ("rgb",),
    "xyz": ("xyz",),
    "fusion": ("fusion",),
    "rgb+xyz": ("xyz", "rgb"),
    "full": ("xyz", "rgb", "fusion"),
}
"""Mode -> the banks it has; the paper's is full."""
PUBLISHED_WEIGHTS = {"xyz": 1.0, "rgb": 0.1, "fusion": 1.0}


@dataclass
class DetectorOptions:
    """How a detector is made.

    Attributes:
        mode: rgb, xyz, fusion, rgb+xyz or full.
        fusion: concat (features side by side), plain (as BTF has them) or uff (the paper's trained fusion).
        fuser: calibrated, add, max, mahalanobis or published (the paper's one-class machines).
        ratio_xyz: share of the patches that the bank of points keeps.
        ratio_rgb: of colours.
        ratio_fusion: of fused features.
        subset: greedy, random or all.
        eps: of the random projection that the greedy choice is made on.
        limit: most rows of a bank; 0 for no limit.
        image_score: peak of the fused map, or published: scores of the banks, weighted and fused.
        normalisation: own scale of each bank, or published: the mean of points and the standard deviation of colours for all.
        folds: parts of the training scans that are scored by banks of the others, for fuser and p-values; 0 lets banks score what
            they hold, as published.
        stride: of the pixels that the fuser learns from.
        blur: gaussian, published (8 bits) or none.
        sigma: pixels of the blur.
        seed: of projections, folds and random subsets; the command line takes that of the run.
    """

    mode: str = "full"
    fusion: str = "concat"
    fuser: str = "calibrated"
    ratio_xyz: float = 0.1
    ratio_rgb: float = 0.1
    ratio_fusion: float = 0.1
    subset: str = "greedy"
    eps: float = 0.9
    limit: int = 0
    image_score: str = "peak"
    normalisation: str = "own"
    folds: int = 3
    stride: int = 2
    blur: str = "gaussian"
    sigma: float = 4.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name, known in (
            ("mode", tuple(MODES)),
            ("fusion", ("concat", "plain", "uff")),
            ("image_score", ("peak", "published")),
            ("normalisation", ("own", "published")),
        ):
            if getattr(self, name) not in known:
                raise InputError(f"{name}={getattr(self, name)}: {', '.join(known)}")
        if self.folds == 1 or self.folds < 0:
            raise InputError(f"folds={self.folds}: 2 or more, or 0 to let banks score what they hold")
        if self.stride < 1:
            raise InputError(f"stride={self.stride} must be 1 or more")
        self.bank("xyz"), self.bank("rgb"), self.bank("fusion")
        fuser_named(self.fuser)

    @property
    def banks(self) -> tuple[str, ...]:
        """Names of the banks, in the order of all arrays."""
        return MODES[self.mode]

    def bank(self, name: str) -> BankOptions:
        """What a bank keeps."""
        return BankOptions(getattr(self, f"ratio_{name}"), self.subset, self.eps, self.limit, self.seed)


def published_options(**changes: object) -> DetectorOptions:
    """The options of the published program, its mixed scales, 1 % banks and self-scoring included."""
    theirs = DetectorOptions(
        fuser="published",
        fusion="uff",
        ratio_rgb=0.04,  # 1 % of the patches of points, which are four times as many
        ratio_fusion=0.01,
        image_score="published",
        normalisation="published",
        folds=0,
        stride=1,
        blur="published",
    )
    return replace(theirs, **changes)  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a detector says of a scan.

    Attributes:
        name: of the scan.
        score: higher is more anomalous.
        map: (side, side) float32, of pixels.
        scores: bank -> its own score.
        maps: bank -> its share in the map, (side, side).
        p_value: chance that a good part scores as high; None if the detector has no held-out good scores.
        p_values: bank -> the same for the bank's own score; a low one tells which modality sees something.
    """

    name: str
    score: float
    map: Floats
    scores: Mapping[str, float]
    maps: Mapping[str, Floats]
    p_value: float | None = None
    p_values: Mapping[str, float] = field(default_factory=dict)

    def fired(self, level: float = 0.1) -> tuple[str, ...]:
        """Banks that a good part would leave so far away with at most this probability, the surest first."""
        found = [name for name, value in self.p_values.items() if value <= level]
        return tuple(sorted(found, key=lambda name: self.p_values[name]))


class M3DM:
    """Memory banks over features of colours, of points, and of both.

    Args:
        xyz: backbone of points; None where the mode has no need of it.
        rgb: backbone of colours.
        options: mode, banks, fuser and the rest.
        network: a trained fusion, for fusion=uff; None trains one on the good scans.
        fusion_options: how to train it.
        preparation: how scans are prepared; `inspect` does so, and a saved detector remembers it.

    Attributes:
        banks: name -> memory bank, once fitted.
        good_scores: (n,) scores of good scans by banks that do not hold them; empty with folds=0.
        good_bank_scores: (n, B) the same for each bank.

    Raises:
        InputError: the mode needs a backbone that is not given.
    """

    def __init__(
        self,
        xyz: Backbone | None = None,
        rgb: Backbone | None = None,
        options: DetectorOptions | None = None,
        network: FeatureFusion | None = None,
        fusion_options: FusionOptions | None = None,
        preparation: PreparationOptions | None = None,
    ) -> None:
        self.options = options or DetectorOptions()
        self.preparation = preparation or PreparationOptions()
        self.xyz, self.rgb = xyz, rgb
        for modality, given in (("xyz", xyz), ("rgb", rgb)):
            wanted = {modality, "fusion"} & set(self.options.banks)
            if wanted and given is None:
                raise InputError(f"mode={self.options.mode} needs a backbone of {modality}")
        if xyz is not None and "xyz" not in self.options.banks and "fusion" not in self.options.banks:
            self.xyz = None
        if rgb is not None and "rgb" not in self.options.banks and "fusion" not in self.options.banks:
            self.rgb = None
        self.fusion = Fusion(self.options.fusion, network, fusion_options, self.options.seed)
        self.standards: dict[str, Standard] = {}
        self.banks: dict[str, MemoryBank] = {}
        self.fuser: Fuser = self._fuser()
        self.good_scores: Floats = np.zeros(0)
        self.good_bank_scores: Floats = np.zeros((0, len(self.options.banks)))
        self.trained_on = 0

    # Learning

    def fit(self, scans: Sequence[Scan], on_scan: Callable[[], None] = lambda: None) -> M3DM:
        """Learn what good parts look like.

        Args:
            scans: prepared scans of good parts.
            on_scan: called after the features of each.

        Raises:
            InputError: there is none, one cannot be described, or there are too few for the options.
        """
        found = []
        for scan in scans:
            found.append(extract(scan, self.xyz, self.rgb))
            on_scan()
        return self.fit_features(found)

    def fit_features(self, features: Sequence[ScanFeatures]) -> M3DM:
        """Learn from features that are there already; see `fit`."""
        if not features:
            raise InputError("no scan of a good part to learn from")
        bad = [scan.name for scan in features if scan.defect not in (None, "good")]
        if bad:
            raise InputError(
                f"{bad[0]} is defective ({len(bad)} such scans): a detector learns from good parts alone"
            )
        options = self.options
        if options.folds > len(features) and options.folds:
            raise InputError(
                f"folds={options.folds} need as many scans; there are {len(features)}. "
                "With one scan use folds=0 fuser=add: the fuser then learns from distances to itself, and there are no p-values"
            )
        modalities = [name for name in ("xyz", "rgb") if getattr(self, name) is not None]
        for name in modalities:
            rows = _valid_rows([_of(scan, name) for scan in features])
            backbone: Backbone = getattr(self, name)
            self.standards[name] = Standard.fit(rows, backbone.standardise)
        plain = [self._standardised(scan) for scan in features]
        if "fusion" in options.banks:
            self.fusion.fit([scan["xyz"] for scan in plain], [scan["rgb"] for scan in plain])
        patches = [self._patches(scan) for scan in plain]
        self.banks = self._build(patches)
        self.trained_on = len(patches)
        scores, maps = self._good_distances(patches, features[0].side)
        self.fuser = self._fuser().fit(scores, maps[:, :: options.stride, :: options.stride])
        if options.folds:
            self._calibrate(scores, maps)
        return self

    def _fuser(self) -> Fuser:
        if self.options.fuser == "published":
            return Published(np.array([PUBLISHED_WEIGHTS[name] for name in self.options.banks]))
        return fuser_named(self.options.fuser)

    def _build(self, patches: Sequence[Mapping[str, PatchFeatures]]) -> dict[str, MemoryBank]:
        """Banks of the patches of some scans."""
        rows = {name: _valid_rows([scan[name] for scan in patches]) for name in self.options.banks}
        scale = None
        if self.options.normalisation == "published" and {"xyz", "rgb"} <= set(rows):
            # Published: the mean of points and the standard deviation of colours, for every bank alike.
            scale = (float(rows["xyz"].mean(dtype=np.float64)), float(rows["rgb"].std(dtype=np.float64)))
        return {name: MemoryBank.fit(found, self.options.bank(name), scale) for name, found in rows.items()}

    def _good_distances(
        self, patches: Sequence[Mapping[str, PatchFeatures]], side: int
    ) -> tuple[Floats, Floats]:
        """Scores (n, B) and maps (n, h, w, B) of the good scans, each by banks that do not hold it (unless folds=0)."""
        folds, options = self.options.folds, self.options
        of = np.random.default_rng(options.seed).permutation(len(patches)) % max(folds, 1)
        scores = np.zeros((len(patches), len(options.banks)))
        maps = []
        built = {0: self.banks} if not folds else {}
        for fold in range(folds):
            built[fold] = self._build([scan for scan, its in zip(patches, of, strict=True) if its != fold])
        for number, scan in enumerate(patches):
            scores[number], found = self._distances(scan, built[int(of[number])], side)
            maps.append(found)
        return scores, np.stack(maps)

    def _calibrate(self, scores: Floats, maps: Floats) -> None:
        self.good_scores = np.array([self._fused(s, m)[0] for s, m in zip(scores, maps, strict=True)])
        self.good_bank_scores = np.stack([self.fuser.parts(m).max((0, 1)) for m in maps])

    # Asking

    def inspect(self, scan: Scan) -> Prediction:
        """Prepare a raw scan and judge it.

        Raises:
            InputError: it cannot be prepared, lacks a modality, or the detector has not learnt yet.
        """
        return self.predict(preprocess(scan, self.preparation))

    def predict(self, scan: Scan) -> Prediction:
        """Judge a prepared scan.

        Raises:
            InputError: it lacks a modality, or the detector has not learnt yet.
        """
        return self.predict_features(extract(scan, self.xyz, self.rgb))

    def predict_features(self, scan: ScanFeatures) -> Prediction:
        """Judge features that are there already; see `predict`."""
        if not self.banks:
            raise InputError("this detector has learnt nothing yet: call fit with scans of good parts")
        scores, maps = self._distances(self._patches(self._standardised(scan)), self.banks, scan.side)
        score, fused = self._fused(scores, maps)
        parts = self.fuser.parts(maps)
        known = bool(len(self.good_scores))
        names = self.options.banks
        peaks = parts.max((0, 1))
        return Prediction(
            scan.name,
            score,
            fused,
            {name: float(scores[k]) for k, name in enumerate(names)},
            {name: parts[..., k] for k, name in enumerate(names)},
            p_value(score, self.good_scores) if known else None,
            {name: p_value(float(peaks[k]), self.good_bank_scores[:, k]) for k, name in enumerate(names)}
            if known
            else {},
        )

    def threshold(self, rate: float = 0.05, confidence: float = 0.95) -> Threshold:
        """From which score on to reject; see `calibration.choose_threshold`.

        The bound is exact for scores by the banks of the folds. New parts are scored by banks of all good scans, which hold more.

        Raises:
            InputError: the detector has no held-out good scores: it was fitted with folds=0.
        """
        return choose_threshold(self.good_scores, rate, confidence)

    def _fused(self, scores: Floats, maps: Floats) -> tuple[float, Floats]:
        fused = self.fuser.map(maps).astype(np.float32)
        score = float(fused.max()) if self.options.image_score == "peak" else float(self.fuser.score(scores))
        return score, fused

    def _standardised(self, scan: ScanFeatures) -> dict[str, PatchFeatures]:
        return {
            name: replace(found, values=standard(found.values))
            for name, standard in self.standards.items()
            if (found := _of(scan, name)) is not None
        }

    def _patches(self, scan: Mapping[str, PatchFeatures]) -> dict[str, PatchFeatures]:
        """Bank -> the patches that it is asked about."""
        found = {name: scan[name] for name in self.options.banks if name != "fusion"}
        if "fusion" in self.options.banks:
            found["fusion"] = self.fusion(scan["xyz"], scan["rgb"])
        return found

    def _distances(
        self, patches: Mapping[str, PatchFeatures], banks: Mapping[str, MemoryBank], side: int
    ) -> tuple[Floats, Floats]:
        """Scores (B,) and maps (side, side, B) of one scan."""
        options = self.options
        scores, maps = np.zeros(len(options.banks)), []
        variant = {1: "single", 2: "double"}.get(len(options.banks), "triple")
        for k, name in enumerate(options.banks):
            found, bank = patches[name], banks[name]
            # A patch that does not see the part is background, as in good parts: it is 0 away.
            away = np.zeros(len(found.values), np.float32)
            if found.valid.any():
                distance, nearest = bank.query(found.values[found.valid])
                away[found.valid] = distance
                if options.image_score == "published":
                    scores[k] = bank.image_score(found.values[found.valid], distance, nearest, variant)
            maps.append(heat_map(away, found.grid, side, options.blur, options.sigma))
            if options.image_score == "peak":
                scores[k] = float(maps[-1].max())
        return scores, np.stack(maps, -1)


def _of(scan: ScanFeatures, modality: str) -> PatchFeatures:
    found: PatchFeatures | None = getattr(scan, modality)
    if found is None:
        raise InputError(f"{scan.name} has no features of {modality}")
    return found


def _valid_rows(scans: Sequence[PatchFeatures]) -> Floats:
    """The patches of several scans that show the part, one below the other."""
    return np.concatenate([scan.values[scan.valid] for scan in scans])
