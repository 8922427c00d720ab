"""Loss and gradients of one batch: compiled loops where each fact has its own negatives, autograd elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ukge.loss import Logits, Targets, batch_loss
from ukge.model import UKGE


@dataclass(frozen=True)
class Batch:
    """What one step learns from; ids are int64.

    Attributes:
        head: (B + S,), of the facts and then of the rule atoms.
        relation: (B + S,).
        tail: (B + S,).
        heads: (B, K) corrupted heads, or (n,) that all facts share.
        tails: (B, K) corrupted tails, or (n,) that all facts share.
        targets: of the loss.
    """

    head: Tensor
    relation: Tensor
    tail: Tensor
    heads: Tensor
    tails: Tensor
    targets: Targets

    @property
    def facts(self) -> int:
        return len(self.targets.confidence)

    @property
    def shared(self) -> bool:
        return self.heads.ndim == 1


def add_gradients(
    model: UKGE,
    batch: Batch,
    objective: str = "published",
    negative_weight: float = 1.0,
    psl_weight: float = 0.2,
    l2: float = 0.0,
) -> Tensor:
    """Put the gradients of a batch into `.grad` of the model's parameters, in place of what was there.

    Args:
        model: its parameters are read, and their gradients written.
        batch: of B facts and S atoms.
        objective: see `loss`.
        negative_weight: see `batch_loss`.
        psl_weight: see `batch_loss`.
        l2: lambda; adds l2 / (2 B) times the squared norm of the rows of the B facts, as the published program does for rect.

    Returns:
        () the loss, detached.
    """
    entity = model.entity
    # Products with shared negatives are matrix products already; other devices have no use for loops of the CPU.
    if batch.shared or entity.device.type != "cpu" or entity.dtype != torch.float32:
        for parameter in model.parameters():
            parameter.grad = None
        loss = plain_loss(model, batch, objective, negative_weight, psl_weight, l2)
        loss.backward()
        return loss.detach()

    from ukge.kernels import gradients  # here: other devices need no compiler

    out = (_gradient(model.entity), _gradient(model.relation))
    value, by_weight, by_bias = gradients(
        (entity.detach(), model.relation.detach(), model.weight.item(), model.bias.item()),
        (batch.head, batch.relation, batch.tail),
        (batch.heads, batch.tails),
        batch.targets,
        out,
        scorer=model.scorer_name,
        logistic_map=model.kind == "logi",
        objective=objective,
        negative_weight=negative_weight,
        psl_weight=psl_weight,
        l2=l2,
    )
    model.entity.grad, model.relation.grad = out
    model.weight.grad, model.bias.grad = torch.tensor(by_weight), torch.tensor(by_bias)
    return torch.tensor(value)


def _gradient(table: nn.Parameter) -> Tensor:
    """Where the gradient of a table goes: what the last step left, to be written over."""
    return table.grad if table.grad is not None else torch.empty_like(table)


def plain_loss(
    model: UKGE,
    batch: Batch,
    objective: str = "published",
    negative_weight: float = 1.0,
    psl_weight: float = 0.2,
    l2: float = 0.0,
) -> Tensor:
    """The loss by gathering every row, for autograd on any device; what the compiled loops are held to.

    Args:
        model: of any scorer and kind.
        batch: as `add_gradients`.
        objective: as `add_gradients`.
        negative_weight: as `add_gradients`.
        psl_weight: as `add_gradients`.
        l2: as `add_gradients`.

    Returns:
        () differentiable.
    """
    size, scorer = batch.facts, model.scorer
    ids = (batch.head, batch.tail, batch.heads, batch.tails)
    # One gather: autograd would else make a dense gradient of the table for each.
    rows = F.embedding(torch.cat([part.reshape(-1) for part in ids]), model.entity)
    head, tail, heads, tails = rows.split([part.numel() for part in ids])
    relation = F.embedding(batch.relation, model.relation)
    tail_query, head_query = scorer.tail_query(head, relation), scorer.head_query(tail, relation)
    own = scorer.of_pairs(tail_query, tail)
    sides = [
        scorer.of_all(query[:size], drawn)
        if batch.shared
        else scorer.of_pairs(query[:size].unsqueeze(1), drawn.view(size, -1, model.dim))
        for query, drawn in ((head_query, heads), (tail_query, tails))
    ]
    x = (own[:size], *sides, own[size:])
    logits = Logits(*(model.weight * part + model.bias for part in x))
    loss = batch_loss(model, logits, batch.targets, objective, negative_weight, psl_weight)
    norms = sum(rows[:size].square().sum() for rows in (head, relation, tail))
    return loss + l2 / (2 * size) * norms
