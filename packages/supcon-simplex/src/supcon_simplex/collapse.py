"""How far classes have collapsed to the vertices of a simplex: metrics of neural collapse in one pass over the features.

    metrics = CollapseMetrics(classes=10, features=512)
    for z, y in batches:
        metrics.update(z, y)
    metrics.compute(head.weight, head.bias).metrics()

Counts, means and scatter within the classes are merged block by block (Chan et al.), in float64 and about the blocks' own means, so
that a large offset of the features costs no digits. What needs each row beside the final means, such as cosines to the class mean, is
taken from a uniform sample of rows; it is exact where the sample holds them all.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from offprints.errors import InputError

from supcon_simplex.geometry import CollapseReport, Moments, report
from supcon_simplex.reservoir import Reservoir

Centre = Literal["class", "sample"]
"""class: the mean of the class means. sample: the mean of all rows. They differ where classes are of unequal size."""


class CollapseMetrics:
    """Accumulates features and labels, in as many blocks as there are; parts from several processes can be merged.

    Attributes:
        count: (K,) float64, rows of each class.
        mean: (K, h) float64, of each class.
        spread: (K,) float64, sum of squared distances to the class mean.
        scatter: (h, h) float64, sum over all rows of (h - mu_y)(h - mu_y)^T; None without `covariance`.
        sample: some of the rows.
    """

    def __init__(
        self, classes: int, features: int, *, covariance: bool = True, sample: int = 10_000, seed: int = 0
    ) -> None:
        """Start with no rows.

        Args:
            classes: K, 2 or more.
            features: h.
            covariance: accumulate the h x h scatter, which `nc1_pinv` needs and most of the time goes into.
            sample: rows to keep for what is measured row by row; 0 leaves those metrics out.
            seed: of the sample; parts that are to be merged need seeds of their own.

        Raises:
            InputError: a number is out of range.
        """
        if classes < 2 or features < 1 or sample < 0:
            raise InputError(
                f"needs 2 classes, 1 feature and a sample of 0 or more; got {classes}, {features}, {sample}"
            )
        self.count = torch.zeros(classes, dtype=torch.float64)
        self.mean = torch.zeros(classes, features, dtype=torch.float64)
        self.spread = torch.zeros(classes, dtype=torch.float64)
        self.scatter = torch.zeros(features, features, dtype=torch.float64) if covariance else None
        self.sample = Reservoir(sample, seed)

    @torch.no_grad()
    def update(self, z: Tensor, y: Tensor) -> CollapseMetrics:
        """Add rows.

        Args:
            z: (n, h) features.
            y: (n,) labels from 0 to K - 1.

        Returns:
            Itself.

        Raises:
            InputError: shapes that do not fit, labels out of range, or a feature that is not finite.
        """
        classes, features = self.mean.shape
        if z.dim() != 2 or z.shape[1] != features or y.shape != (len(z),):
            raise InputError(
                f"rows must be (n, {features}) with (n,) labels, got {tuple(z.shape)}, {tuple(y.shape)}"
            )
        if y.is_floating_point() or y.is_complex():
            raise InputError(f"labels must be integers, got {y.dtype}")
        if len(z) == 0:
            return self
        y = y.long()
        if int(y.min()) < 0 or int(y.max()) >= classes:
            raise InputError(f"labels must be from 0 to {classes - 1}, got {int(y.min())} to {int(y.max())}")
        if not bool(torch.isfinite(z).all()):
            raise InputError("a feature is not finite: means and scatter would mean nothing")
        self._to(z.device)
        exact = z.double()
        count = torch.bincount(y, minlength=classes).double()
        mean = torch.zeros_like(self.mean).index_add_(0, y, exact) / count.clamp(min=1)[:, None]
        centred = exact - mean[y]
        spread = torch.zeros_like(self.spread).index_add_(0, y, centred.square().sum(1))
        scatter = None
        if self.scatter is not None:
            # About their own means, single precision keeps all of its digits; the sum is taken in double.
            rows = centred if z.dtype == torch.float64 else centred.float()
            scatter = (rows.T @ rows).double()
        self.merge_moments(count, mean, spread, scatter)
        self.sample.add(z, y)
        return self

    def merge(self, other: CollapseMetrics) -> CollapseMetrics:
        """Add all rows that another one has seen; the order of merging does not matter.

        Returns:
            Itself.

        Raises:
            InputError: it is for other classes or features, or one of both has no scatter or another size of sample.
        """
        if (
            other.mean.shape != self.mean.shape
            or (other.scatter is None) != (self.scatter is None)
            or other.sample.size != self.sample.size
        ):
            raise InputError("metrics can be merged if classes, features, covariance and sample are the same")
        self.merge_moments(other.count, other.mean, other.spread, other.scatter)
        self.sample.merge(other.sample)
        return self

    def merge_moments(self, count: Tensor, mean: Tensor, spread: Tensor, scatter: Tensor | None) -> None:
        """Add rows of which these are known; see the attributes of the same names."""
        self._to(mean.device)
        total = self.count + count
        share = count / total.clamp(min=1)
        move = mean - self.mean
        pull = self.count * share  # n m / (n + m)
        self.spread += spread + pull * move.square().sum(1)
        if self.scatter is not None and scatter is not None:
            self.scatter += scatter + (move * pull[:, None]).T @ move
        self.mean += move * share[:, None]
        self.count = total

    def compute(
        self,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        *,
        centre: Centre = "class",
        missing: Literal["error", "nan"] = "error",
    ) -> CollapseReport:
        """The metrics of all rows so far.

        Args:
            weight: (K, h) of a linear classifier, for what concerns it.
            bias: (K,) of it.
            centre: what the means are taken about; see `Centre`.
            missing: what to do if a class has no row: an error, or not-a-numbers.

        Raises:
            InputError: a class has no row, or weight or bias are of another shape.
        """
        if weight is not None and weight.shape != self.mean.shape:
            raise InputError(f"weight must be {tuple(self.mean.shape)}, got {tuple(weight.shape)}")
        if bias is not None and (weight is None or bias.shape != (len(self.count),)):
            raise InputError(f"bias must be ({len(self.count)},) beside a weight, got {tuple(bias.shape)}")
        if centre not in ("class", "sample"):
            raise InputError(f"centre={centre!r} is unknown: one of class, sample")
        if not self.count.all():
            if missing == "error":
                absent = (self.count == 0).nonzero()[:, 0].tolist()
                raise InputError(f"no rows of class {absent[0]}, nor of {len(absent) - 1} others")
            return CollapseReport.nothing(len(self.count))
        moments = Moments(self.count, self.mean, self.spread, self.scatter)
        rows, labels = self.sample.rows()
        found = [None if x is None else x.detach().to(self.mean.device).double() for x in (weight, bias)]
        return report(moments, rows, labels, found[0], found[1], centre == "sample")

    def _to(self, device: torch.device) -> None:
        if self.mean.device != device:
            self.count, self.mean, self.spread = (x.to(device) for x in (self.count, self.mean, self.spread))
            self.scatter = None if self.scatter is None else self.scatter.to(device)
