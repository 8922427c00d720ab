"""What training minimises, as functions of logits; each is a few lines and differentiable.

    published   the loss of the authors' program: for each fact (f - s)² and half the mean square of its negatives on either
                side, plus 0.2 times the mean squared hinge of the rule atoms
    paper       Eq. 13 to 15 as they are printed: every negative counts as much as a fact, a rule's distance is weighted inside the
                square, (w d)², and a confidence below zero is zero, so that nothing pulls it further
    logistic    the loss of the deterministic baselines, -log σ(x) of facts and -log σ(-x) of negatives (Trouillon et al. 2016)

All are means over the B facts of a batch. "rect" is fitted without its bound; see `UKGE`.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from ukge.model import UKGE

OBJECTIVES = ("published", "paper", "logistic")


@dataclass(frozen=True)
class Logits:
    """Logits of one batch.

    Attributes:
        positive: (B,), of facts.
        heads: (B, K), of facts with another head; K may be 0.
        tails: (B, K), of facts with another tail.
        atoms: (S,), of heads of ground rules; S may be 0.
    """

    positive: Tensor
    heads: Tensor
    tails: Tensor
    atoms: Tensor


@dataclass(frozen=True)
class Targets:
    """What the logits of a batch are compared with.

    Attributes:
        confidence: (B,), s of the facts.
        bound: (S,), lower bound of each atom: max(0, s1 + s2 - 1) for two body facts.
        atom_weight: (S,), w of the atom's rule.
        head_weight: (B, K) or None, 0 for a negative that is left out, else 1; None counts all.
        tail_weight: likewise.
        atoms_per_fact: number of atoms over number of training facts: what a draw of S stands for in the paper's sum.
    """

    confidence: Tensor
    bound: Tensor
    atom_weight: Tensor
    head_weight: Tensor | None = None
    tail_weight: Tensor | None = None
    atoms_per_fact: float = 0.0


def batch_loss(
    model: UKGE,
    logits: Logits,
    targets: Targets,
    objective: str = "published",
    negative_weight: float = 1.0,
    psl_weight: float = 0.2,
) -> Tensor:
    """The loss of a batch, without the regularisation; see the module.

    Args:
        model: says how a logit is compared with a confidence.
        logits: of the batch.
        targets: of the batch.
        objective: one of `OBJECTIVES`.
        negative_weight: factor of the negatives.
        psl_weight: factor of the atoms.

    Returns:
        () float.
    """
    sides = ((logits.heads, targets.head_weight), (logits.tails, targets.tail_weight))
    if objective == "logistic":
        loss = F.softplus(-logits.positive).mean()
        for logit, keep in sides:
            loss = loss + negative_weight * _mean_of_sums(F.softplus(logit), keep)
        return loss
    fitted = model.fitted
    loss = (fitted(logits.positive) - targets.confidence).square().mean()
    for logit, keep in sides:
        value = fitted(logit)
        if objective == "paper":
            loss = loss + negative_weight * _mean_of_sums(value.clamp(min=0).square(), keep)
        elif logit.shape[1]:
            loss = loss + negative_weight * _mean_of_sums(value.square(), keep) / (2 * logit.shape[1])
    if len(logits.atoms):
        distance = (targets.bound - fitted(logits.atoms)).clamp(min=0)
        if objective == "paper":
            square = (targets.atom_weight * distance).square().mean() * targets.atoms_per_fact
        else:
            square = (targets.atom_weight * distance.square()).mean()
        loss = loss + psl_weight * square
    return loss


def _mean_of_sums(value: Tensor, keep: Tensor | None) -> Tensor:
    """Mean over the facts of the sum over their negatives."""
    return (value if keep is None else value * keep).sum(1).mean()
