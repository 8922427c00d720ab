"""Which rows of a batch are anchors, which are keys, and whose positive each key is."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from offprints.errors import InputError


@dataclass(frozen=True)
class Pairs:
    """Anchors and keys of a batch. Keys are all rows, of all views; anchors are some or all of them.

    Attributes:
        own: (A,) int64, where each anchor stands among the keys: a row is no key of its own.
        group: (N,) int64, number of the label of each key, from 0.
        groups: how many labels there are.
        partners: (A,) int64, positives of each anchor.
        mask: (A, N) bool, positives where no labels say who they are; None where labels do.
        everyone: the anchors are all keys, in their order.
    """

    own: Tensor
    group: Tensor
    groups: int
    partners: Tensor
    mask: Tensor | None = None
    everyone: bool = True

    @property
    def anchor_group(self) -> Tensor:
        return self.group if self.everyone else self.group[self.own]

    def positives(self) -> Tensor:
        """(A, N) bool; quadratic, for the plain form."""
        if self.mask is not None:
            return self.mask
        same = self.anchor_group[:, None] == self.group
        return same.scatter(1, self.own[:, None], False)


def pairs_of_labels(labels: Tensor, own: Tensor | None = None) -> Pairs:
    """Rows of one label are each other's positives.

    Args:
        labels: (N,) of any type: they only tell rows apart.
        own: (A,) int64, which rows are anchors; None takes all.
    """
    _, group, counts = torch.unique(labels, return_inverse=True, return_counts=True)
    everyone = own is None
    if own is None:
        own = torch.arange(len(labels), device=labels.device)
    partners = counts[group if everyone else group[own]] - 1
    return Pairs(own, group, len(counts), partners, everyone=everyone)


def pairs_of_mask(mask: Tensor, views: int, own: Tensor | None = None) -> Pairs:
    """Positives as a matrix says; a row is never its own.

    Args:
        mask: (B, B), entry (i, j) is not 0 where sample j is a positive of sample i; it need not be symmetric.
        views: of each sample; keys are view after view.
        own: (A,) int64, which keys are anchors; None takes all.
    """
    rows = len(mask) * views
    everyone = own is None
    if own is None:
        own = torch.arange(rows, device=mask.device)
    positive = mask.ne(0).repeat(views, views)[own].scatter(1, own[:, None], False)
    group = torch.zeros(rows, dtype=torch.int64, device=mask.device)
    return Pairs(own, group, 1, positive.sum(1), positive, everyone)


def checked_labels(labels: Tensor, rows: int) -> Tensor:
    """Labels as a row of identifiers.

    Raises:
        InputError: another shape or length, or a label that is not a number.
    """
    if labels.dim() == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.dim() != 1:
        raise InputError(f"labels must be (B,), got {tuple(labels.shape)}")
    if len(labels) != rows:
        raise InputError(f"{len(labels)} labels for {rows} samples")
    if labels.is_complex():
        raise InputError("labels must be integers, floats or bools, not complex numbers")
    if labels.is_floating_point() and bool(labels.isnan().any()):
        raise InputError("a label is NaN, and so the same as no other")
    return labels
