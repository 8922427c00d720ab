"""Loss and gradients of one batch, quick on a CPU: autograd for what is small, sparse products for what is large.

A batch of B facts with K corrupted heads and K corrupted tails touches 2 B K rows of the entity table. Gathering them, as the
plain way does, writes and reads (B, K, dim) arrays several times over. Here the negatives are the pattern of a sparse (B, N)
matrix, and the three large products of the step are

    logits         pattern ∘ (queries · candidatesᵀ)      a sampled product, which computes only the entries of the pattern
    queries' grad  coefficients · candidates              a weighted sum of rows, one bag a fact
    entities' grad coefficientsᵀ · queries                likewise, one bag an entity, after a counting sort

Autograd sees the loss as a function of the logits, (B, 2 K + 1) numbers, and the queries as functions of the facts' rows.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor
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
    size, scorer = batch.facts, model.scorer
    entity = model.entity.detach()
    head = entity[batch.head].requires_grad_()
    relation = model.relation.detach()[batch.relation].requires_grad_()
    tail = entity[batch.tail].requires_grad_()
    tail_query = scorer.tail_query(head, relation)
    head_query = scorer.head_query(tail, relation)
    table = scorer.candidates(entity)

    # The fact itself is the first of its candidate tails.
    own = batch.tail[:size].unsqueeze(1)
    queries = tail_query.detach()
    if batch.shared:
        x_own = _sampled(queries[:size], table, own)
        x_tails = queries[:size] @ table[batch.tails].T
        x_heads = head_query.detach()[:size] @ table[batch.heads].T
    else:
        pattern = torch.cat([own, batch.tails], 1)
        x_own, x_tails = _sampled(queries[:size], table, pattern).split([1, pattern.shape[1] - 1], 1)
        x_heads = _sampled(head_query.detach()[:size], table, batch.heads)
    x_atoms = (queries[size:] * table[batch.tail[size:]]).sum(1)

    x = [part.detach().requires_grad_() for part in (x_own[:, 0], x_heads, x_tails, x_atoms)]
    logits = Logits(*(model.weight * part + model.bias for part in x))
    loss = batch_loss(model, logits, batch.targets, objective, negative_weight, psl_weight)
    model.weight.grad = model.bias.grad = None
    loss.backward()
    c_own, c_heads, c_tails, c_atoms = (
        part.grad if part.grad is not None else torch.zeros_like(part) for part in x
    )

    # Gradients of the queries.
    at_atoms = c_atoms.unsqueeze(1) * table[batch.tail[size:]]
    if batch.shared:
        at_tails = c_tails @ table[batch.tails] + c_own.unsqueeze(1) * table[batch.tail[:size]]
        at_heads = c_heads @ table[batch.heads]
    else:
        c_pattern = torch.cat([c_own.unsqueeze(1), c_tails], 1)
        at_tails, at_heads = (
            _weighted_rows(table, pattern, c_pattern),
            _weighted_rows(table, batch.heads, c_heads),
        )
    # An atom is no question for a head.
    none = torch.zeros_like(at_atoms)
    torch.autograd.backward(
        (tail_query, head_query), (torch.cat([at_tails, at_atoms]), torch.cat([at_heads, none]))
    )
    assert head.grad is not None and relation.grad is not None and tail.grad is not None
    if l2:
        for rows in (head, relation, tail):
            assert rows.grad is not None
            rows.grad[:size].add_(rows.detach()[:size], alpha=l2 / size)
            loss = loss + l2 / (2 * size) * rows.detach()[:size].square().sum()

    # Gradients of the entities, as candidates and as members of the facts.
    as_candidate = _Scatter(len(entity))
    if batch.shared:
        as_candidate.add(batch.tails.unsqueeze(1), None, c_tails.T @ queries[:size])
        as_candidate.add(batch.heads.unsqueeze(1), None, c_heads.T @ head_query.detach()[:size])
        as_candidate.add(own, c_own.unsqueeze(1), queries[:size])
    else:
        as_candidate.add(pattern, c_pattern, queries[:size])
        as_candidate.add(batch.heads, c_heads, head_query.detach()[:size])
    as_candidate.add(batch.tail[size:].unsqueeze(1), c_atoms.unsqueeze(1), queries[size:])
    as_member = as_candidate if table is entity else _Scatter(len(entity))
    as_member.add(batch.head.unsqueeze(1), None, head.grad)
    as_member.add(batch.tail.unsqueeze(1), None, tail.grad)
    gradient = as_member.total()
    if as_member is not as_candidate:
        leaf = entity.clone().requires_grad_()
        gradient += torch.autograd.grad(scorer.candidates(leaf), leaf, as_candidate.total())[0]
    model.entity.grad = gradient
    model.relation.grad = torch.zeros_like(model.relation).index_add_(0, batch.relation, relation.grad)
    return loss.detach()


def plain_loss(
    model: UKGE,
    batch: Batch,
    objective: str = "published",
    negative_weight: float = 1.0,
    psl_weight: float = 0.2,
    l2: float = 0.0,
) -> Tensor:
    """The same loss by gathering every row, for autograd: slow, plain, and what `add_gradients` is held to."""
    size, scorer = batch.facts, model.scorer
    head, tail = model.entity[batch.head], model.entity[batch.tail]
    relation = model.relation[batch.relation]
    tail_query, head_query = scorer.tail_query(head, relation), scorer.head_query(tail, relation)
    x_all = (tail_query * scorer.candidates(tail)).sum(1)
    sides = []
    for query, ids in ((head_query, batch.heads), (tail_query, batch.tails)):
        rows = scorer.candidates(model.entity[ids.reshape(-1)]).view(*ids.shape, query.shape[1])
        if batch.shared:
            sides.append(query[:size] @ rows.T)
        else:
            sides.append((query[:size].unsqueeze(1) * rows).sum(2))
    x = (x_all[:size], sides[0], sides[1], x_all[size:])
    logits = Logits(*(model.weight * part + model.bias for part in x))
    loss = batch_loss(model, logits, batch.targets, objective, negative_weight, psl_weight)
    norms = sum(rows[:size].square().sum() for rows in (head, relation, tail))
    return loss + l2 / (2 * size) * norms


def _sampled(query: Tensor, table: Tensor, columns: Tensor) -> Tensor:
    """query[i] · table[columns[i, j]], (B, K)."""
    rows, width = columns.shape
    if width == 0:
        return query.new_zeros(rows, 0)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta", UserWarning)
        pattern = torch.sparse_csr_tensor(
            torch.arange(0, rows * width + 1, width, device=columns.device),
            columns.reshape(-1),
            query.new_zeros(rows * width),
            size=(rows, len(table)),
            check_invariants=False,
        )
    product: Tensor = torch.sparse.sampled_addmm(pattern, query, table.T, beta=0.0)
    return product.values().view(rows, width)


def _weighted_rows(table: Tensor, columns: Tensor, weight: Tensor) -> Tensor:
    """Σ_j weight[i, j] table[columns[i, j]], (B, width of table)."""
    if columns.shape[1] == 0:
        return table.new_zeros(len(columns), table.shape[1])
    return F.embedding_bag(columns, table, mode="sum", per_sample_weights=weight)


class _Scatter:
    """Σ weight · row into the entities that take part, gathered first and summed in one pass."""

    def __init__(self, num_entities: int) -> None:
        self.num_entities = num_entities
        self.columns: list[Tensor] = []
        self.weights: list[Tensor] = []
        self.widths: list[tuple[int, int]] = []
        self.rows: list[Tensor] = []

    def add(self, columns: Tensor, weight: Tensor | None, rows: Tensor) -> None:
        """Add weight[i, j] · rows[i] to entity columns[i, j]; without a weight it is 1."""
        self.columns.append(columns.reshape(-1))
        self.weights.append(
            (torch.ones_like(columns, dtype=rows.dtype) if weight is None else weight).reshape(-1)
        )
        self.widths.append((columns.shape[0], columns.shape[1]))
        self.rows.append(rows)

    def total(self) -> Tensor:
        """(N, width), zero where nothing was added."""
        columns, weight, rows = torch.cat(self.columns), torch.cat(self.weights), torch.cat(self.rows)
        count = torch.cat([torch.full((n,), width, device=columns.device) for n, width in self.widths])
        if columns.device.type != "cpu":
            source = rows.repeat_interleave(count, 0) * weight.unsqueeze(1)
            return rows.new_zeros(self.num_entities, rows.shape[1]).index_add_(0, columns, source)
        offsets = np.concatenate([[0], np.cumsum(count.numpy())])
        matrix = csr_matrix(
            (weight.numpy(), columns.numpy(), offsets), shape=(len(rows), self.num_entities), copy=False
        )
        by_entity = matrix.T.tocsr()  # a counting sort
        return F.embedding_bag(
            torch.from_numpy(by_entity.indices),
            rows,
            torch.from_numpy(by_entity.indptr[:-1]),
            mode="sum",
            per_sample_weights=torch.from_numpy(by_entity.data),
        )
