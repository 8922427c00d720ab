"""A linear-chain CRF over sentences that stand one after the other, without padding.

The score of tags y of a sentence is start[y_1] + sum_j emission[j, y_j] + sum_j transition[y_{j-1}, y_j] + end[y_n]. On the CPU the
compiled loops of `lattice_lstm.crf_kernels` do the work; the functions here are what they compute, run on any device, and are the
reference that tests hold the loops to.

Source: Section 3.4 of the paper. The published program has two more states and an unused one among its tags, none of them masked;
`LinearChainCRF` has exactly the tags, and vectors for start and end.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from offprints.errors import InputError

from lattice_lstm import crf_kernels
from lattice_lstm.tags import allowed_transitions

Ints = NDArray[np.int64]


class LinearChainCRF(nn.Module):
    """Scores of tag sequences.

    Args:
        tags: names of the K tags, in BMES.
        constrained: leave out ill-formed tags in the loss, too; `decode` does so in any case unless told otherwise.
        learnt: False leaves all scores at 0, which makes each tag independent of its neighbours: a softmax for each character.

    Attributes:
        transition: (K, K) from row to column; 0 at the start, as published.
        start: (K,)
        end: (K,)
    """

    allowed: Tensor
    may_start: Tensor
    may_end: Tensor

    def __init__(self, tags: Sequence[str], constrained: bool = False, learnt: bool = True) -> None:
        super().__init__()
        self.tags, self.constrained = tuple(tags), constrained
        size = len(self.tags)
        self.transition = nn.Parameter(torch.zeros(size, size), requires_grad=learnt)
        self.start = nn.Parameter(torch.zeros(size), requires_grad=learnt)
        self.end = nn.Parameter(torch.zeros(size), requires_grad=learnt)
        between, first, last = allowed_transitions(self.tags)
        self.register_buffer("allowed", torch.tensor(between), persistent=False)
        self.register_buffer("may_start", torch.tensor(first), persistent=False)
        self.register_buffer("may_end", torch.tensor(last), persistent=False)

    def scores(self, constrained: bool) -> tuple[Tensor, Tensor, Tensor]:
        """Transition, start and end; minus infinity where tags would be ill-formed, if so asked."""
        if not constrained:
            return self.transition, self.start, self.end
        never = -math.inf
        return (
            self.transition.masked_fill(~self.allowed, never),
            self.start.masked_fill(~self.may_start, never),
            self.end.masked_fill(~self.may_end, never),
        )

    def nll(self, emissions: Tensor, tags: Tensor, offsets: Ints) -> Tensor:
        """Negative log-likelihood, summed over sentences, as the paper sums it.

        Args:
            emissions: (N, K) of all characters, a sentence after the other.
            tags: (N,) int64.
            offsets: (S+1,) where each sentence begins; none is empty.

        Returns:
            () of the emissions' type.

        Raises:
            InputError: constrained, and a sentence's own tags are ill-formed; on a GPU, which is not waited for, the loss is infinite.
        """
        loss = negative_log_likelihood(emissions, *self.scores(self.constrained), tags, offsets)
        if self.constrained and not emissions.is_cuda and bool(torch.isinf(loss)):
            raise InputError("a sentence has ill-formed tags, which a constrained CRF gives no probability")
        return loss

    @torch.no_grad()
    def decode(self, emissions: Tensor, offsets: Ints, constrained: bool = True) -> Tensor:
        """The best tags, (N,) int64; where two ways into a tag are equally good, that from the first tag.

        Args:
            emissions: (N, K)
            offsets: (S+1,)
            constrained: well-formed tags only.

        Raises:
            InputError: no tags of a sentence are allowed, or an emission is not a number.
        """
        return self._best(emissions, self.scores(constrained or self.constrained), offsets)

    def _best(self, emissions: Tensor, scores: tuple[Tensor, Tensor, Tensor], offsets: Ints) -> Tensor:
        best, score = viterbi(emissions, *scores, offsets)
        if not bool(torch.isfinite(score).all()):
            wrong = int(torch.nonzero(~torch.isfinite(score))[0])
            raise InputError(
                f"sentence {wrong} has no tags that are allowed, or emissions that are no numbers"
            )
        return best

    @torch.no_grad()
    def believe(self, emissions: Tensor, offsets: Ints, constrained: bool = True) -> tuple[Tensor, Posterior]:
        """The best tags, as `decode`, and what the model believes of each character and of each span.

        Args:
            emissions: (N, K)
            offsets: (S+1,)
            constrained: of well-formed tags only.

        Raises:
            InputError: as `decode`.
        """
        scores = self.scores(constrained or self.constrained)
        return self._best(emissions, scores, offsets), posterior(emissions, *scores, offsets)


class Posterior:
    """Probabilities of tags, given all of a sentence.

    Args:
        alpha: (N, K) float64, log of the sum over all tags before, with the character's own emission.
        beta: (N, K) float64, log of the sum over all tags after.
        log_partition: (S,) float64.
        emissions: (N, K) float64
        transition: (K, K) float64
        offsets: (S+1,)
    """

    def __init__(
        self,
        alpha: Tensor,
        beta: Tensor,
        log_partition: Tensor,
        emissions: Tensor,
        transition: Tensor,
        offsets: Ints,
    ) -> None:
        self.alpha, self.beta, self.log_partition = alpha, beta, log_partition
        self.emissions, self.transition, self.offsets = emissions, transition, offsets

    @property
    def of_tags(self) -> Tensor:
        """(N, K) probability of each tag of each character."""
        lengths = torch.from_numpy(np.diff(self.offsets))
        log_z = torch.repeat_interleave(self.log_partition.cpu(), lengths).to(self.alpha.device)
        return (self.alpha + self.beta - log_z[:, None]).exp()

    def of_tags_at(self, sentence: int, start: int, tags: Sequence[int]) -> float:
        """Probability that a sentence has just these tags from `start` on; with B, M, E or S: that a span is an entity of its type."""
        alpha, beta, log_z, emissions, transition = self._on_host
        row = int(self.offsets[sentence]) + start
        log = alpha[row, tags[0]] - log_z[sentence]
        for before, tag in itertools.pairwise(tags):
            row += 1
            log += transition[before, tag] + emissions[row, tag]
        return min(1.0, math.exp(log + beta[row, tags[-1]]))

    @functools.cached_property
    def _on_host(self) -> list[NDArray[np.float64]]:
        parts = (self.alpha, self.beta, self.log_partition, self.emissions, self.transition)
        return [one.cpu().numpy() for one in parts]


def negative_log_likelihood(
    emissions: Tensor, transition: Tensor, start: Tensor, end: Tensor, tags: Tensor, offsets: Ints
) -> Tensor:
    """See `LinearChainCRF.nll`; differentiable in emissions, transition, start and end."""
    if emissions.device.type == "cpu":
        return crf_kernels.negative_log_likelihood(emissions, transition, start, end, tags, offsets)
    log_z = log_partition(emissions, transition, start, end, offsets).sum()
    return log_z - path_score(emissions, transition, start, end, tags, offsets)


def viterbi(
    emissions: Tensor, transition: Tensor, start: Tensor, end: Tensor, offsets: Ints
) -> tuple[Tensor, Tensor]:
    """Best tags (N,) and their score (S,)."""
    if emissions.device.type == "cpu":
        return crf_kernels.viterbi(emissions, transition, start, end, offsets)
    return plain_viterbi(emissions, transition, start, end, offsets)


def posterior(emissions: Tensor, transition: Tensor, start: Tensor, end: Tensor, offsets: Ints) -> Posterior:
    """Forward and backward sums, in double precision."""
    emissions, transition, start, end = (one.double() for one in (emissions, transition, start, end))
    if emissions.device.type == "cpu":
        alpha, beta, log_z = crf_kernels.log_sums(emissions, transition, start, end, offsets)
    else:
        alpha, beta, log_z = log_sums(emissions, transition, start, end, offsets)
    return Posterior(alpha, beta, log_z, emissions, transition, offsets)


def log_sums(
    emissions: Tensor, transition: Tensor, start: Tensor, end: Tensor, offsets: Ints
) -> tuple[Tensor, Tensor, Tensor]:
    """Logarithms of the sums over all tags before (N, K) and after (N, K) each character, and over all (S,); plain torch."""
    alpha, log_z = _forward(emissions, transition, start, end, offsets)
    return alpha, _backward(emissions, transition, end, offsets), log_z


def log_partition(emissions: Tensor, transition: Tensor, start: Tensor, end: Tensor, offsets: Ints) -> Tensor:
    """Log of the sum of exp(score) over all tags of each sentence, (S,); plain torch, differentiable."""
    return _forward(emissions, transition, start, end, offsets)[1]


def path_score(
    emissions: Tensor, transition: Tensor, start: Tensor, end: Tensor, tags: Tensor, offsets: Ints
) -> Tensor:
    """Score of given tags, summed over sentences; plain torch, differentiable."""
    first = torch.from_numpy(offsets[:-1]).to(tags.device)
    last = torch.from_numpy(offsets[1:] - 1).to(tags.device)
    inner = torch.ones(len(tags), dtype=torch.bool, device=tags.device)
    inner[first] = False
    rows = torch.nonzero(inner)[:, 0]
    own = emissions.gather(1, tags[:, None]).sum()
    between = transition[tags[rows - 1], tags[rows]].sum()
    return own + between + start[tags[first]].sum() + end[tags[last]].sum()


def plain_viterbi(
    emissions: Tensor, transition: Tensor, start: Tensor, end: Tensor, offsets: Ints
) -> tuple[Tensor, Tensor]:
    """`viterbi` in plain torch, all sentences a step at a time."""
    steps = _steps(offsets, emissions.device)
    best = torch.empty_like(emissions)
    back = torch.zeros(emissions.shape, dtype=torch.int64, device=emissions.device)
    best[steps[0]] = start + emissions[steps[0]]
    for before, rows in _pairs(steps):
        through = best[before][:, :, None] + transition  # (n, K, K)
        top, back[rows] = through.max(1)
        best[rows] = top + emissions[rows]
    last = torch.from_numpy(offsets[1:] - 1).to(emissions.device)
    score, tag = (best[last] + end).max(1)
    tags = torch.empty(len(emissions), dtype=torch.int64, device=emissions.device)
    tags[last] = tag
    for before, rows in reversed(_pairs(steps)):
        tags[before] = back[rows].gather(1, tags[rows][:, None])[:, 0]
    return tags, score


def _forward(
    emissions: Tensor, transition: Tensor, start: Tensor, end: Tensor, offsets: Ints
) -> tuple[Tensor, Tensor]:
    steps = _steps(offsets, emissions.device)
    current = start + emissions[steps[0]]
    order, parts = [steps[0]], [current]
    for _, rows in _pairs(steps):
        current = _logsumexp(current[: len(rows), :, None] + transition, 1) + emissions[rows]
        order.append(rows)
        parts.append(current)
    alpha = torch.cat(parts)[torch.argsort(torch.cat(order))]
    last = torch.from_numpy(offsets[1:] - 1).to(emissions.device)
    return alpha, _logsumexp(alpha[last] + end, 1)


def _backward(emissions: Tensor, transition: Tensor, end: Tensor, offsets: Ints) -> Tensor:
    beta = torch.empty_like(emissions)
    beta[torch.from_numpy(offsets[1:] - 1).to(emissions.device)] = end
    for before, rows in reversed(_pairs(_steps(offsets, emissions.device))):
        beta[before] = _logsumexp(transition + (emissions[rows] + beta[rows])[:, None, :], 2)
    return beta


def _steps(offsets: Ints, device: torch.device) -> list[Tensor]:
    """Rows of the first, second, ... characters of all sentences that have one, longest sentences first."""
    lengths = np.diff(offsets)
    order = np.argsort(-lengths, kind="stable")
    begin, lengths = offsets[:-1][order], lengths[order]
    counts = np.searchsorted(-lengths, -np.arange(1, lengths[0] + 1), side="right")
    return [torch.from_numpy(begin[:count] + step).to(device) for step, count in enumerate(counts)]


def _pairs(steps: list[Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Rows of a step, and those before them."""
    return [(rows - 1, rows) for rows in steps[1:]]


def _logsumexp(x: Tensor, dim: int) -> Tensor:
    """As torch's; where all terms are minus infinity its gradient is 0 and not a number that is none."""
    highest = x.amax(dim, keepdim=True).detach()
    highest = highest.masked_fill(~torch.isfinite(highest), 0.0)
    total = (x - highest).exp().sum(dim)
    safe = total.masked_fill(total == 0, 1.0)
    return (safe.log() + highest.squeeze(dim)).masked_fill(total == 0, -math.inf)
