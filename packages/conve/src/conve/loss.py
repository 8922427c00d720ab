"""The 1-N loss: every query against every entity, with a target that says which are its answers.

The plain way builds the (batch, entities) target and walks over it a dozen times. Here nothing of that size lives
longer than a chunk. With smoothed targets y' = on * [answer] + off, the gradient of the binary cross entropy with
respect to a logit is sigmoid(logit) - off - on * [answer]: a sigmoid in place, one subtraction, and a scatter to the
few answers. Both products of the backward pass are taken while the chunk is still in cache.

`dense_loss` is the same in one line of torch: the explanation and the oracle.

Source: Section 4.1 of the paper (1-N scoring); both label smoothings as in `smoothed_targets`.
"""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from offprints.errors import InputError

Kind = Literal["bce", "softmax"]
Smoothing = Literal["reference", "standard"]


class Targets(NamedTuple):
    """What a logit should be: `on` more for an answer, `off` for every entity."""

    on: float
    off: float


def smoothed_targets(epsilon: float, num_entities: int, kind: Smoothing = "reference") -> Targets:
    """Targets of label smoothing.

    "reference" is what the published numbers were trained on, y' = (1 - eps) y + 1/N: it adds 1/N whatever eps is.
    "standard" is y' = (1 - eps) y + eps/N. Without smoothing (eps = 0) both are the labels themselves.
    """
    if not 0 <= epsilon < 1:
        raise InputError(f"label smoothing is {epsilon}: it lies in [0, 1)")
    if kind not in ("reference", "standard"):
        raise InputError(f"unknown smoothing {kind!r}: one of reference, standard")
    if epsilon == 0:
        return Targets(1.0, 0.0)
    return Targets(1 - epsilon, (1.0 if kind == "reference" else epsilon) / num_entities)


def one_to_n_loss(
    query: Tensor,
    table: Tensor,
    bias: Tensor | None,
    row: Tensor,
    answer: Tensor,
    targets: Targets,
    *,
    kind: Kind = "bce",
    chunk: int = 2048,
    bfloat16: bool = False,
    with_value: bool = True,
    batch_size: int | None = None,
) -> Tensor:
    """Mean loss over the batch, with gradients for query, table and bias; O(batch * chunk) extra memory.

    Args:
        query: (batch, dim) float.
        table: (entities, dim) float. Logits are query . table^T + bias.
        bias: (entities,) float, or None.
        row: (facts,) int64, the query of each true answer.
        answer: (facts,) int64, the entity that answers it; each pair once.
        targets: from `smoothed_targets`.
        kind: "bce", the mean over batch * entities of binary cross entropies (the paper); or "softmax", the mean over
            the batch of the cross entropy against the answers' shares (KvsAll of Ruffinelli et al. 2020).
        chunk: entities at a time.
        bfloat16: inputs of the three products in bfloat16, accumulated in float32.
        with_value: False leaves the value NaN and saves its passes; the gradients are the same.
        batch_size: the mean's denominator where it is not len(query): the global batch of several processes.

    Returns:
        A scalar.
    """
    sizes = (chunk, len(query) if batch_size is None else batch_size)
    loss: Tensor = _OneToN.apply(query, table, bias, row, answer, targets, kind, sizes, bfloat16, with_value)  # type: ignore[no-untyped-call]
    return loss


def dense_loss(
    query: Tensor,
    table: Tensor,
    bias: Tensor | None,
    row: Tensor,
    answer: Tensor,
    targets: Targets,
    kind: Kind = "bce",
) -> Tensor:
    """The same loss over a dense target: the explanation and the oracle of `one_to_n_loss`."""
    logits = query @ table.T if bias is None else query @ table.T + bias  # (B, N)
    labels = torch.zeros_like(logits)
    labels[row, answer] = 1
    if kind == "bce":
        return F.binary_cross_entropy_with_logits(logits, targets.on * labels + targets.off)
    shares = labels / labels.sum(1, keepdim=True).clamp(min=1)
    return -((targets.on * shares + targets.off) * torch.log_softmax(logits, 1)).sum(1).mean()


class _OneToN(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        table: Tensor,
        bias: Tensor | None,
        row: Tensor,
        answer: Tensor,
        targets: Targets,
        kind: Kind,
        sizes: tuple[int, int],
        bfloat16: bool,
        with_value: bool,
    ) -> Tensor:
        chunk, batch_size = sizes
        num_entities = len(table)
        starts = range(0, num_entities, chunk)
        bounds = [0, len(answer)]
        if len(starts) > 1:  # one chunk needs no order, and on a GPU no wait for it
            by_entity = torch.argsort(answer)
            row, answer = row[by_entity], answer[by_entity]
            edges = torch.tensor([*starts, num_entities], device=answer.device)
            bounds = torch.searchsorted(answer, edges).tolist()
        low_query = query.bfloat16() if bfloat16 else query

        if kind == "softmax":
            log_normaliser = _log_normaliser(low_query, table, bias, chunk)  # (B,)
            on = targets.on / torch.bincount(row, minlength=len(query)).clamp(min=1)[row].to(query.dtype)
            scale = 1 / batch_size
        else:
            log_normaliser, on = None, query.new_full((len(row),), targets.on)
            scale = 1 / (batch_size * num_entities)

        # The scale of the mean goes into the small factor of each product, never over something of the table's size.
        scaled_query = (query * scale).to(low_query.dtype)
        grad_query = torch.zeros_like(query)
        grad_table = torch.empty_like(table)
        grad_bias = None if bias is None else torch.empty_like(bias)
        value = query.new_zeros(()) if with_value else query.new_full((), math.nan)
        room = low_query.new_empty(min(chunk, num_entities), len(query))
        for i, start in enumerate(starts):
            part = slice(start, min(start + chunk, num_entities))
            facts = slice(bounds[i], bounds[i + 1])
            low_table = table[part].to(low_query.dtype)
            logits = _logits(low_query, low_table, bias, part, room[: len(low_table)])  # (chunk, B)
            at_answers = (answer[facts] - start, row[facts])
            if with_value:
                if log_normaliser is None:
                    value += F.softplus(logits).sum(dtype=value.dtype) - targets.off * logits.sum(
                        dtype=value.dtype
                    )
                else:
                    value -= targets.off * (logits - log_normaliser).sum(dtype=value.dtype)
                value -= (on[facts] * logits[at_answers]).sum(dtype=value.dtype)
            # From here on `logits` holds the gradient with respect to itself, without the scale.
            if log_normaliser is None:
                logits.sigmoid_()
            else:
                # The targets of a row add up to less than one where smoothing takes from them and gives 1/N to all.
                logits.sub_(log_normaliser).exp_()
                logits.mul_(_mass(row, on, len(query), targets.off * num_entities))
            logits.sub_(targets.off)
            logits.index_put_(at_answers, -on[facts].to(logits.dtype), accumulate=True)
            if low_query.dtype == table.dtype:
                grad_query.addmm_(logits.T, low_table)
                torch.mm(logits, scaled_query, out=grad_table[part])
            else:
                grad_query += logits.T @ low_table
                grad_table[part] = logits @ scaled_query
            if grad_bias is not None:
                torch.sum(logits, 1, dtype=grad_bias.dtype, out=grad_bias[part])
        if with_value and log_normaliser is not None:
            value += (on * log_normaliser[row]).sum()
        grad_query *= scale
        if grad_bias is not None:
            grad_bias *= scale
        ctx.gradients = [grad_query, grad_table, grad_bias]
        return value * scale

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.gradients is None:
            raise RuntimeError("the gradients of one_to_n_loss were taken before: they are handed out once")
        # They are the receiver's to write into, so none is kept.
        gradients, ctx.gradients = ctx.gradients, None
        # loss.backward() asks for these gradients themselves; on a GPU, to look at the factor would be to wait for it.
        if grad.is_cuda or float(grad) != 1:
            gradients = [None if saved is None else saved * grad for saved in gradients]
        return (*gradients, None, None, None, None, None, None, None)


def _logits(query: Tensor, table: Tensor, bias: Tensor | None, part: slice, out: Tensor) -> Tensor:
    """Logits of a part of the entities, an entity a row: the layout in which all three products are quick."""
    if bias is None:
        return torch.mm(table, query.T, out=out)
    return torch.addmm(bias[part].to(query.dtype)[:, None], table, query.T, out=out)


def _log_normaliser(query: Tensor, table: Tensor, bias: Tensor | None, chunk: int) -> Tensor:
    """log sum exp of each query's logits, chunk by chunk; (batch,)."""
    total: Tensor | None = None
    room = query.new_empty(min(chunk, len(table)), len(query))
    for start in range(0, len(table), chunk):
        part = slice(start, min(start + chunk, len(table)))
        low_table = table[part].to(query.dtype)
        logits = _logits(query, low_table, bias, part, room[: len(low_table)])
        here = torch.logsumexp(logits.to(table.dtype), 0)
        total = here if total is None else torch.logaddexp(total, here)
    assert total is not None
    return total


def _mass(row: Tensor, on: Tensor, batch: int, off_mass: float) -> Tensor:
    """What the targets of each query add up to; (batch,)."""
    return torch.full((batch,), off_mass, dtype=on.dtype, device=on.device).index_add_(0, row, on)
