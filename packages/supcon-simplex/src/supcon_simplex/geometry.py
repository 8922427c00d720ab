"""The metrics of neural collapse, from class means, scatter, and a sample of rows."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from supcon_simplex.simplex import nearest_simplex

NONE = math.nan


@dataclass(frozen=True)
class Moments:
    """What is known of all rows.

    Attributes:
        count: (K,) float64, rows of each class, none of them 0.
        mean: (K, h) float64, of each class.
        spread: (K,) float64, sum of squared distances to the class mean.
        scatter: (h, h) float64, sum of (h - mu_y)(h - mu_y)^T; or None.
    """

    count: Tensor
    mean: Tensor
    spread: Tensor
    scatter: Tensor | None


@dataclass(frozen=True)
class CollapseReport:
    """Metrics of neural collapse. A number that was not asked for, or needs what was not given, is NaN.

    Means are taken about the chosen centre for NC1 to NC3; "not centred" says where they are not. Deviations are those of a
    population (divided by the number, not by one less). Sigma_W is the mean over all rows of (h - mu_y)(h - mu_y)^T, Sigma_B the mean
    over the K classes of (mu_k - centre)(mu_k - centre)^T.

    Attributes:
        nc1_pinv: tr(Sigma_W pinv(Sigma_B)) / K; 0 when all rows of a class are one point.
        nc1_quotient: tr Sigma_W / tr Sigma_B.
        cdnv: class-distance normalised variance, mean over pairs of classes of (v_i + v_j) / (2 ||mu_i - mu_j||^2).
        nc2_equinorm: deviation of the norms of the means over their mean.
        nc2_equiangle: deviation of the cosines of pairs of means.
        nc2_max_angle: mean distance of these cosines from -1 / (K - 1).
        nc2_etf: || M M^T / ||M M^T||_F - (I - 11^T / K) / sqrt(K - 1) ||_F.
        simplex_distance: of the class means from the nearest regular simplex, over its radius; 0 at the optimum.
        weight_equinorm: nc2_equinorm of the weights, not centred.
        weight_etf: nc2_etf of the weights, not centred.
        weight_simplex_distance: simplex_distance of the weights.
        nc3_self_dual: as nc2_etf of W M^T.
        nc3_alignment: || W / ||W||_F - M / ||M||_F ||_F.
        bias_plane: || W mu + b ||_2 with mu the mean of all rows.
        nc4_agreement: share of sampled rows whose class by the classifier is that of the nearest class mean.
        cosine_across_means: (K (K - 1) / 2,) cosines of pairs of class means, not centred.
        cosine_across_weights: the same of the weights.
        cosine_to_mean: (m,) cosine of each sampled row to its class mean, not centred.
        norm_of_features: mean norm of the sampled rows.
        sampled: how many rows the sample has.
    """

    nc1_pinv: float = NONE
    nc1_quotient: float = NONE
    cdnv: float = NONE
    nc2_equinorm: float = NONE
    nc2_equiangle: float = NONE
    nc2_max_angle: float = NONE
    nc2_etf: float = NONE
    simplex_distance: float = NONE
    weight_equinorm: float = NONE
    weight_etf: float = NONE
    weight_simplex_distance: float = NONE
    nc3_self_dual: float = NONE
    nc3_alignment: float = NONE
    bias_plane: float = NONE
    nc4_agreement: float = NONE
    norm_of_features: float = NONE
    sampled: int = 0
    cosine_across_means: Tensor = field(default_factory=lambda: torch.empty(0), repr=False)
    cosine_across_weights: Tensor = field(default_factory=lambda: torch.empty(0), repr=False)
    cosine_to_mean: Tensor = field(default_factory=lambda: torch.empty(0), repr=False)

    @classmethod
    def nothing(cls, classes: int) -> CollapseReport:
        """What is reported where a class has no row: no number."""
        return cls(cosine_across_means=torch.full((classes * (classes - 1) // 2,), NONE, dtype=torch.float64))

    def metrics(self) -> dict[str, float]:
        """The numbers that there are, by name; cosines as their means."""
        found = {
            f.name: value
            for f in dataclasses.fields(self)
            if isinstance(value := getattr(self, f.name), float) and not math.isnan(value)
        }
        for name in ("cosine_across_means", "cosine_across_weights", "cosine_to_mean"):
            if len(values := getattr(self, name)):
                found[name] = float(values.mean())
        return found


def angular_similarity(cosine: Tensor) -> Tensor:
    """1 - arccos(cosine) / pi, which the paper's box plots show."""
    return 1 - cosine.clamp(-1, 1).acos() / math.pi


def pairwise_cosines(points: Tensor) -> Tensor:
    """Cosines of all pairs i < j; (K, h) -> (K (K - 1) / 2,), row by row."""
    unit = torch.nn.functional.normalize(points, dim=1)
    first, second = torch.triu_indices(len(points), len(points), 1, device=points.device)
    return (unit @ unit.T)[first, second]


def report(
    moments: Moments,
    rows: Tensor | None,
    labels: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    about_rows: bool,
) -> CollapseReport:
    """All metrics that these allow.

    Args:
        moments: of all rows.
        rows: (m, h) sampled rows, or None.
        labels: (m,) theirs.
        weight: (K, h) float64 of a classifier, or None.
        bias: (K,) float64 of it, or None.
        about_rows: centre by the mean of all rows instead of the mean of the class means.
    """
    mean, count = moments.mean, moments.count
    of_rows = (count[:, None] * mean).sum(0) / count.sum()
    centred = mean - (of_rows if about_rows else mean.mean(0))
    found: dict[str, float | int | Tensor] = {
        **_variability(moments, centred),
        "nc2_equinorm": _equinorm(centred),
        "nc2_equiangle": float(pairwise_cosines(centred).std(correction=0)),
        "nc2_max_angle": float((pairwise_cosines(centred) + 1 / (len(mean) - 1)).abs().mean()),
        "nc2_etf": _etf_error(centred @ centred.T),
        "simplex_distance": _simplex_distance(mean),
        "cosine_across_means": pairwise_cosines(mean),
    }
    if weight is not None:
        found |= {
            "weight_equinorm": _equinorm(weight),
            "weight_etf": _etf_error(weight @ weight.T),
            "weight_simplex_distance": _simplex_distance(weight),
            "nc3_self_dual": _etf_error(weight @ centred.T),
            "nc3_alignment": float((weight / weight.norm() - centred / centred.norm()).norm()),
            "bias_plane": float((weight @ of_rows + (0 if bias is None else bias)).norm()),
            "cosine_across_weights": pairwise_cosines(weight),
        }
    if rows is not None:
        exact, labels = rows.to(mean.device).double(), labels.to(mean.device)
        found["cosine_to_mean"] = torch.nn.functional.cosine_similarity(exact, mean[labels])
        found["norm_of_features"] = float(exact.norm(dim=1).mean())
        found["sampled"] = len(rows)
        if weight is not None:
            found["nc4_agreement"] = _agreement(exact, mean, weight, bias)
    return CollapseReport(**found)  # type: ignore[arg-type]


def _variability(moments: Moments, centred: Tensor) -> dict[str, float]:
    classes = len(centred)
    variance = moments.spread / moments.count
    first, second = torch.triu_indices(classes, classes, 1, device=centred.device)
    apart = (moments.mean[first] - moments.mean[second]).square().sum(1)
    found = {
        "nc1_quotient": float(moments.spread.sum() / moments.count.sum() / centred.square().sum() * classes),
        "cdnv": float(((variance[first] + variance[second]) / (2 * apart)).mean()),
    }
    if moments.scatter is not None:
        # Sigma_B = U (s^2 / K) U^T, so tr(Sigma_W pinv(Sigma_B)) / K is a sum over the directions of the means alone.
        _, s, directions = torch.linalg.svd(centred, full_matrices=False)
        alive = s.square() > max(centred.shape) * torch.finfo(s.dtype).eps * s.square().max()
        within = (directions @ moments.scatter * directions).sum(1) / moments.count.sum()
        found["nc1_pinv"] = float((within[alive] / s[alive].square()).sum())
    return found


def _equinorm(points: Tensor) -> float:
    norms = points.norm(dim=1)
    return float(norms.std(correction=0) / norms.mean())


def _etf_error(gram: Tensor) -> float:
    classes = len(gram)
    target = (torch.eye(classes, dtype=gram.dtype, device=gram.device) - 1 / classes) / math.sqrt(classes - 1)
    return float((gram / gram.norm() - target).norm())


def _simplex_distance(points: Tensor) -> float:
    """NaN where there is no such simplex, or the points are one."""
    possible = points.shape[1] >= len(points) - 1 and bool((points - points.mean(0)).any())
    return nearest_simplex(points).distance if possible else NONE


def _agreement(rows: Tensor, mean: Tensor, weight: Tensor, bias: Tensor | None) -> float:
    """Ties go to the lowest class."""
    agreed = 0
    for part in rows.split(4096):
        logits = part @ weight.T if bias is None else part @ weight.T + bias
        nearest = torch.cdist(part, mean, compute_mode="donot_use_mm_for_euclid_dist").argmin(1)
        agreed += int((logits.argmax(1) == nearest).sum())
    return agreed / len(rows)
