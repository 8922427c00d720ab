"""The supervised contrastive loss: correct in the corners, and in memory that does not grow with the square of the batch.

    loss = SupConLoss(temperature=0.1)
    loss(encoder(x), y).backward()

An anchor i pays  ln sum over k != i of exp(<z_i, z_k> / tau)  -  mean over its positives p of <z_i, z_p> / tau.  Positives are the
other rows of its label; the sum runs over all other rows. Rows without a positive pay nothing.
"""

from __future__ import annotations

import math
import warnings
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from offprints.errors import InputError

from supcon_simplex.distributed import gather_rows, processes, total
from supcon_simplex.pairs import Pairs, checked_labels, pairs_of_labels, pairs_of_mask
from supcon_simplex.plain import plain_terms
from supcon_simplex.rows import row_terms
from supcon_simplex.symmetric import SMALLEST_NORM, fits, symmetric_terms

Reduction = Literal["mean", "mean_positive", "mean_nonzero", "sum", "none"]
"""mean: over all anchors, those without a positive count as 0 (the paper's program). mean_positive: over those that have one.
mean_nonzero: over those whose loss is above 0, and 0 if the batch has one label only (pytorch-metric-learning)."""
Variant = Literal["out", "in"]
"""out: the mean over the positives stands outside the logarithm (the paper). in: inside (Khosla et al., Equation 3)."""
Anchors = Literal["all", "first"]
"""all: every view of every sample is an anchor. first: the first view of each."""
Program = Literal["reference", "hobbitlong", "pml"]


def supcon_loss(
    z: Tensor,
    labels: Tensor | None = None,
    temperature: float = 0.1,
    *,
    reduction: Reduction = "mean",
    normalize: bool = True,
    positive_weight: float = 1.0,
    variant: Variant = "out",
    anchors: Anchors = "all",
    mask: Tensor | None = None,
    gather: bool = False,
) -> Tensor:
    """The supervised contrastive loss of a batch.

    Args:
        z: (B, d) features, or (B, V, d) with V views of each sample; bfloat16 and float16 are computed in float32.
        labels: (B,) of any type; equal ones are of one class. None, with several views: each sample is a class of its own.
        temperature: tau, above 0.
        reduction: see `Reduction`.
        normalize: divide features by their L2 norm first; rows of norm 0 stay there and have no gradient. False takes them as they
            are: with norm rho they are unit features of temperature 1 / rho^2.
        positive_weight: omega, factor of the positives' terms in the denominator; 1 is the loss of the paper, 0 leaves them out
            ("decoupled"), which is -inf in a batch of a single class.
        variant: see `Variant`.
        anchors: see `Anchors`.
        mask: (B, B) instead of labels: entry (i, j) is not 0 where sample j is a positive of sample i.
        gather: take the rows of all processes of torch.distributed as keys, see `supcon_simplex.distributed`; batches may differ in
            size. The result is this process's share times their number: its average over the processes is the loss of the whole.

    Returns:
        A number; with reduction "none" the loss of each anchor: (B,), or (B, V) if all views of several are anchors.

    Raises:
        InputError: shapes that do not fit, a temperature that is not above 0, a negative weight, or an unknown name.

    Source: the loss of the paper's Section 2 for one batch, and its weighted variant in the published program.
    """
    _check(temperature, positive_weight, reduction, variant, anchors)
    flat, views = _flattened(z)
    samples = len(flat) // views
    own = torch.arange(samples, device=z.device) if anchors == "first" and views > 1 else None
    if gather and processes() > 1:
        names = _labels(labels, mask, samples, z.device, everywhere=True).repeat(views)
        return _gathered(
            flat, names, own, temperature, reduction, normalize, positive_weight, variant == "in"
        )
    if mask is not None and labels is None:
        pairs = pairs_of_mask(_checked_mask(mask, samples).to(z.device), views, own)
    else:
        if labels is None and views == 1:
            raise InputError("without labels or a mask a loss needs several views of each sample: (B, V, d)")
        pairs = pairs_of_labels(_labels(labels, mask, samples, z.device).repeat(views), own)
    if pairs.mask is None and pairs.groups == len(flat):
        warnings.warn("all labels are different: no row has a positive, and the loss is 0", stacklevel=2)
    with torch.autocast(z.device.type, enabled=False):  # half precision would lose what exponentials need
        terms = _terms(wide(flat), pairs, temperature, positive_weight, variant == "in", normalize)
    found = reduced(terms, pairs.partners, len(flat), reduction)
    return found.view(views, samples).T if reduction == "none" and views > 1 and own is None else found


def reduced(terms: Tensor, partners: Tensor, keys: int, reduction: Reduction) -> Tensor:
    """The anchors' losses as `reduction` wants them.

    Args:
        terms: (..., A), the loss of each anchor.
        partners: (..., A) int64, positives of each.
        keys: rows that each anchor is compared with, and itself.
        reduction: over the last dimension.
    """
    if reduction == "none":
        return terms
    if reduction == "sum":
        return terms.sum(-1)
    if reduction == "mean":
        return terms.mean(-1)
    if reduction == "mean_positive":
        return terms.sum(-1) / (partners > 0).sum(-1).clamp(min=1)
    counted = (terms > 0) & (partners < keys - 1).any(-1, keepdim=True)
    return torch.where(counted, terms, terms * 0).sum(-1) / counted.sum(-1).clamp(min=1)


class SupConLoss(nn.Module):
    """`supcon_loss` with its options kept.

    Attributes:
        scale: factor of the result.
    """

    def __init__(
        self,
        temperature: float = 0.1,
        reduction: Reduction = "mean",
        normalize: bool = True,
        positive_weight: float = 1.0,
        variant: Variant = "out",
        anchors: Anchors = "all",
        scale: float = 1.0,
        gather: bool = False,
    ) -> None:
        """Check and keep the options.

        Args:
            temperature: tau, above 0.
            reduction: see `Reduction`.
            normalize: divide features by their L2 norm first.
            positive_weight: omega, factor of the positives' terms in the denominator.
            variant: see `Variant`.
            anchors: see `Anchors`.
            scale: factor of the result.
            gather: take the rows of all processes as keys.

        Raises:
            InputError: a number is out of range, or a name is unknown.
        """
        super().__init__()
        _check(temperature, positive_weight, reduction, variant, anchors)
        self.temperature = temperature
        self.reduction: Reduction = reduction
        self.normalize = normalize
        self.positive_weight = positive_weight
        self.variant: Variant = variant
        self.anchors: Anchors = anchors
        self.scale = scale
        self.gather = gather

    @classmethod
    def like(
        cls, program: Program, temperature: float | None = None, base_temperature: float = 0.07
    ) -> SupConLoss:
        """The loss that gives another program's numbers.

        Args:
            program: "reference", the paper's own; "hobbitlong", HobbitLong/SupContrast; "pml", pytorch-metric-learning.
            temperature: tau; None takes the program's default.
            base_temperature: of "hobbitlong", which multiplies its loss by temperature / base_temperature and expects unit features.

        Raises:
            InputError: there is no such program.
        """
        if program == "reference":
            return cls(0.1 if temperature is None else temperature)
        if program == "hobbitlong":
            temperature = 0.07 if temperature is None else temperature
            return cls(temperature, normalize=False, scale=temperature / base_temperature)
        if program == "pml":
            return cls(0.1 if temperature is None else temperature, "mean_nonzero")
        raise InputError(f"program={program!r} is unknown: one of {', '.join(get_args(Program))}")

    def forward(self, z: Tensor, labels: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        """See `supcon_loss`."""
        found = supcon_loss(
            z,
            labels,
            self.temperature,
            reduction=self.reduction,
            normalize=self.normalize,
            positive_weight=self.positive_weight,
            variant=self.variant,
            anchors=self.anchors,
            mask=mask,
            gather=self.gather,
        )
        return found if self.scale == 1 else found * self.scale

    def extra_repr(self) -> str:
        names = (
            "temperature",
            "reduction",
            "normalize",
            "positive_weight",
            "variant",
            "anchors",
            "scale",
            "gather",
        )
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in names)


def _terms(
    x: Tensor, pairs: Pairs, temperature: float, weight: float, inside: bool, normalize: bool
) -> Tensor:
    """The loss of each anchor, by the form that suits it."""
    if pairs.mask is None and pairs.everyone:
        if normalize and fits(1 / temperature, x.dtype):
            return symmetric_terms(x, pairs, temperature, weight, inside, True)
        # Reading the largest norm would make a GPU wait, whose blocks are as large as most batches anyhow.
        if not normalize and x.device.type == "cpu" and fits(_largest_square(x) / temperature, x.dtype):
            return symmetric_terms(x, pairs, temperature, weight, inside, False)
    keys = unit(x) if normalize else x
    anchor_rows = keys if pairs.everyone else keys.index_select(0, pairs.own)
    terms = row_terms if pairs.mask is None else plain_terms
    return terms(anchor_rows, keys, pairs, temperature, weight, inside)


def _largest_square(x: Tensor) -> float:
    return float(x.detach().square().sum(1).max())


def _flattened(z: Tensor) -> tuple[Tensor, int]:
    """View after view as one table, and how many views there are."""
    if z.dim() not in (2, 3):
        raise InputError(f"features must be (B, d) or (B, V, d), got {tuple(z.shape)}")
    if not z.is_floating_point():
        raise InputError(f"features must be of a floating type, got {z.dtype}")
    if 0 in z.shape:
        raise InputError(f"features of shape {tuple(z.shape)}: there is nothing to compare")
    return (z, 1) if z.dim() == 2 else (z.transpose(0, 1).flatten(0, 1), z.shape[1])


def _gathered(
    flat: Tensor,
    labels: Tensor,
    own: Tensor | None,
    temperature: float,
    reduction: Reduction,
    normalize: bool,
    weight: float,
    inside: bool,
) -> Tensor:
    """This process's anchors among the keys of all."""
    with torch.autocast(flat.device.type, enabled=False):
        x = wide(flat)
        keys, first = gather_rows(unit(x) if normalize else x)
        here = torch.arange(len(flat), device=flat.device) if own is None else own
        pairs = pairs_of_labels(gather_rows(labels).rows, first + here)
        terms = row_terms(keys.index_select(0, pairs.own), keys, pairs, temperature, weight, inside)
    if reduction == "none":
        return terms
    counted = torch.ones_like(pairs.partners, dtype=torch.bool)
    if reduction == "mean_positive":
        counted = pairs.partners > 0
    elif reduction == "mean_nonzero":
        counted = (terms > 0) & (pairs.groups > 1)
    share = torch.where(counted, terms, terms * 0).sum() * processes()
    return share if reduction == "sum" else share / total(counted.sum()).clamp(min=1)


def _labels(
    labels: Tensor | None, mask: Tensor | None, samples: int, device: torch.device, everywhere: bool = False
) -> Tensor:
    """Labels, or a number for each sample; alike in type in all processes, and told apart, if `everywhere`."""
    if mask is not None:
        raise InputError(
            "give labels or a mask, not both" if labels is not None else "a mask cannot be gathered"
        )
    if labels is None:
        number = torch.arange(samples, device=device)
        return number + gather_rows(number).first if everywhere else number
    labels = checked_labels(torch.as_tensor(labels), samples).to(device)
    if not everywhere:
        return labels
    return labels.double() if labels.is_floating_point() else labels.long()


def _checked_mask(mask: Tensor, samples: int) -> Tensor:
    if mask.shape != (samples, samples):
        raise InputError(f"mask must be {(samples, samples)}, got {tuple(mask.shape)}")
    return mask


def wide(z: Tensor) -> Tensor:
    """Half precision as float32, the others as they are."""
    return z if z.dtype == torch.float64 else z.float()


def unit(z: Tensor) -> Tensor:
    """Rows over their norms; those without a direction become 0, and have no gradient."""
    norm = z.norm(dim=1, keepdim=True)
    return z / torch.where(norm < SMALLEST_NORM, torch.inf, norm)


def _check(temperature: float, positive_weight: float, reduction: str, variant: str, anchors: str) -> None:
    if not (temperature > 0 and math.isfinite(temperature)):
        raise InputError(f"temperature must be above 0 and finite, got {temperature}")
    if not (positive_weight >= 0 and math.isfinite(positive_weight)):
        raise InputError(f"positive_weight must be 0 or more and finite, got {positive_weight}")
    for name, value, known in (
        ("reduction", reduction, get_args(Reduction)),
        ("variant", variant, get_args(Variant)),
        ("anchors", anchors, get_args(Anchors)),
    ):
        if value not in known:
            raise InputError(f"{name}={value!r} is unknown: one of {', '.join(known)}")
