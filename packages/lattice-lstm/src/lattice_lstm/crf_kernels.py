"""The CRF as compiled loops for the CPU: a sentence at a time, in double precision.

Sums over paths are taken of exponentials, rescaled at every character, which costs one product with a (K, K) matrix a character instead of
K^2 exponentials. Where scores are so far apart that a factor might vanish, the same sums are taken of logarithms. Loss and gradient come
from one walk forwards and one backwards: the gradient is the posterior of the tags less the right ones.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from lattice_lstm.compiled import compiled

Ints = NDArray[np.int64]
_FAR = 250.0  # exp(-250) is far above the smallest double, and its square still is one


def negative_log_likelihood(
    emissions: Tensor, transition: Tensor, start: Tensor, end: Tensor, tags: Tensor, offsets: Ints
) -> Tensor:
    """See `lattice_lstm.crf.negative_log_likelihood`."""
    loss: Tensor = _Likelihood.apply(emissions, transition, start, end, tags, offsets)  # type: ignore[no-untyped-call]
    return loss


def viterbi(
    emissions: Tensor, transition: Tensor, start: Tensor, end: Tensor, offsets: Ints
) -> tuple[Tensor, Tensor]:
    """See `lattice_lstm.crf.viterbi`."""
    tags = np.empty(len(emissions), np.int64)
    score = np.empty(len(offsets) - 1)
    # The transposed matrix has what leads to one tag in a row.
    e, into, first, last = _doubles(emissions, transition.t(), start, end)
    _viterbi(e, into, first, last, offsets, tags, score)
    return torch.from_numpy(tags), torch.from_numpy(score)


def log_sums(
    emissions: Tensor, transition: Tensor, start: Tensor, end: Tensor, offsets: Ints
) -> tuple[Tensor, Tensor, Tensor]:
    """Logarithms of the forward sums (N, K), the backward sums (N, K), and of the sum over all tags (S,), in double precision."""
    e, a, first, last = _doubles(emissions, transition, start, end)
    alpha, beta, log_z = np.empty_like(e), np.empty_like(e), np.empty(len(offsets) - 1)
    _log_sums(e, a, first, last, offsets, alpha, beta, log_z)
    return torch.from_numpy(alpha), torch.from_numpy(beta), torch.from_numpy(log_z)


class _Likelihood(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        emissions: Tensor,
        transition: Tensor,
        start: Tensor,
        end: Tensor,
        tags: Tensor,
        offsets: Ints,
    ) -> Tensor:
        e, a, first, last = _doubles(emissions, transition, start, end)
        grads = [np.zeros_like(one) for one in (e, a, first, last)]
        loss = _forward_backward(e, a, first, last, tags.contiguous().numpy(), offsets, *grads)
        ctx.save_for_backward(*(torch.from_numpy(one).to(emissions.dtype) for one in grads))
        return emissions.new_tensor(loss)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return (*(one * grad for one in ctx.saved_tensors), None, None)


def _doubles(*tensors: Tensor) -> list[NDArray[np.float64]]:
    return [np.ascontiguousarray(one.detach().numpy(), dtype=np.float64) for one in tensors]


@compiled
def _forward_backward(
    emissions: Any,
    transition: Any,
    start: Any,
    end: Any,
    tags: Any,
    offsets: Any,
    grad: Any,
    grad_transition: Any,
    grad_start: Any,
    grad_end: Any,
) -> float:
    """The loss, summed over sentences; adds its gradients to the last four."""
    size = len(start)
    apart = _spread(transition) + max(_spread_of(start), _spread_of(end))
    highest = transition.max() if size else 0.0
    highest = highest if highest > -np.inf else 0.0
    matrix = np.exp(transition - highest)
    into = matrix.T.copy()  # sums over rows of either matrix run over what lies together
    first, last = np.exp(start - start.max()), np.exp(end - end.max())
    pairs = np.zeros((size, size))
    loss = 0.0
    for s in range(len(offsets) - 1):
        begin, stop = offsets[s], offsets[s + 1]
        gold = start[tags[begin]] + emissions[begin, tags[begin]] + end[tags[stop - 1]]
        for row in range(begin + 1, stop):
            gold += transition[tags[row - 1], tags[row]] + emissions[row, tags[row]]
        near = apart
        for row in range(begin, stop):
            near = max(near, apart + _spread_of(emissions[row]))
        log_z = np.nan
        if near < _FAR:
            log_z = _scaled(
                emissions[begin:stop],
                matrix,
                into,
                first,
                last,
                grad[begin:stop],
                pairs,
                grad_start,
                grad_end,
            )
            log_z += start.max() + end.max() + highest * (stop - begin - 1)
        if not log_z > -np.inf:
            log_z = _logarithmic(
                emissions[begin:stop],
                transition,
                start,
                end,
                grad[begin:stop],
                grad_transition,
                grad_start,
                grad_end,
            )
        loss += log_z - gold
        grad_start[tags[begin]] -= 1.0
        grad_end[tags[stop - 1]] -= 1.0
        for row in range(begin, stop):
            grad[row, tags[row]] -= 1.0
            if row > begin:
                grad_transition[tags[row - 1], tags[row]] -= 1.0
    grad_transition += pairs * matrix
    return loss


@compiled
def _scaled(
    emissions: Any,
    matrix: Any,
    into: Any,
    first: Any,
    last: Any,
    grad: Any,
    pairs: Any,
    grad_start: Any,
    grad_end: Any,
) -> float:
    """One sentence by rescaled exponentials; not a number, and nothing added, where a sum vanishes."""
    length, size = emissions.shape
    alpha = np.empty((length, size))
    weight = np.empty((length, size))  # exp of the emissions
    log_z = 0.0
    for t in range(length):
        top = emissions[t].max()
        for j in range(size):
            weight[t, j] = math.exp(emissions[t, j] - top)
        now = alpha[t]
        if t == 0:
            now[:] = first
        else:
            now[:] = 0.0
            for i in range(size):
                factor = alpha[t - 1, i]
                for j in range(size):
                    now[j] += factor * matrix[i, j]
        total = 0.0
        for j in range(size):
            now[j] *= weight[t, j]
            total += now[j]
        if not total > 0.0:
            return np.nan
        now /= total
        log_z += top + math.log(total)
    ending = 0.0
    for j in range(size):
        ending += alpha[length - 1, j] * last[j]
    if not ending > 0.0:
        return np.nan
    log_z += math.log(ending)
    beta = last / ending  # such that alpha * beta are the probabilities
    for t in range(length - 1, -1, -1):
        for j in range(size):
            grad[t, j] += alpha[t, j] * beta[j]
        if t == length - 1:
            grad_end += alpha[t] * beta
        if t == 0:
            grad_start += alpha[t] * beta
            break
        for j in range(size):
            beta[j] *= weight[t, j]
        before = np.zeros(size)
        for j in range(size):
            factor = beta[j]
            for i in range(size):
                before[i] += factor * into[j, i]
        total = 0.0
        for i in range(size):
            total += alpha[t - 1, i] * before[i]
        for i in range(size):
            factor = alpha[t - 1, i] / total
            for j in range(size):
                pairs[i, j] += factor * beta[j]
        beta = before / total
    return log_z


@compiled
def _logarithmic(
    emissions: Any,
    transition: Any,
    start: Any,
    end: Any,
    grad: Any,
    grad_transition: Any,
    grad_start: Any,
    grad_end: Any,
) -> Any:
    """One sentence by sums of logarithms; minus infinity, and nothing added, where no tags are allowed."""
    length, size = emissions.shape
    alpha, beta = np.empty((length, size)), np.empty((length, size))
    alpha[0] = start + emissions[0]
    for t in range(1, length):
        for j in range(size):
            alpha[t, j] = _log_sum(alpha[t - 1] + transition[:, j]) + emissions[t, j]
    log_z = _log_sum(alpha[length - 1] + end)
    if not log_z > -np.inf:
        return log_z
    beta[length - 1] = end
    for t in range(length - 2, -1, -1):
        for i in range(size):
            beta[t, i] = _log_sum(transition[i] + emissions[t + 1] + beta[t + 1])
    for t in range(length):
        for j in range(size):
            chance = math.exp(alpha[t, j] + beta[t, j] - log_z)
            grad[t, j] += chance
            if t == 0:
                grad_start[j] += chance
            if t == length - 1:
                grad_end[j] += chance
            if t > 0:
                for i in range(size):
                    joint = alpha[t - 1, i] + transition[i, j] + emissions[t, j] + beta[t, j] - log_z
                    grad_transition[i, j] += math.exp(joint)
    return log_z


@compiled
def _log_sums(
    emissions: Any, transition: Any, start: Any, end: Any, offsets: Any, alpha: Any, beta: Any, log_z: Any
) -> None:
    """Forward and backward sums of every sentence: by rescaled exponentials, or by logarithms where those might vanish."""
    size = len(start)
    apart = _spread(transition) + max(_spread_of(start), _spread_of(end))
    highest = transition.max()
    matrix = np.exp(transition - highest)
    into = matrix.T.copy()
    for s in range(len(offsets) - 1):
        begin, stop = offsets[s], offsets[s + 1]
        near = apart
        for row in range(begin, stop):
            near = max(near, apart + _spread_of(emissions[row]))
        by_logarithms = not near < _FAR
        alpha[begin] = start + emissions[begin]
        beta[stop - 1] = end
        now, new = np.empty(size), np.empty(size)
        for row in range(begin + 1, stop):
            top = alpha[row - 1].max()
            if by_logarithms or not top > -np.inf:
                for j in range(size):
                    alpha[row, j] = _log_sum(alpha[row - 1] + transition[:, j]) + emissions[row, j]
                continue
            now[:] = np.exp(alpha[row - 1] - top)
            new[:] = 0.0
            for i in range(size):
                for j in range(size):
                    new[j] += now[i] * matrix[i, j]
            alpha[row] = np.log(new) + (top + highest) + emissions[row]
        for row in range(stop - 2, begin - 1, -1):
            after = emissions[row + 1] + beta[row + 1]
            top = after.max()
            if by_logarithms or not top > -np.inf:
                for i in range(size):
                    beta[row, i] = _log_sum(transition[i] + after)
                continue
            now[:] = np.exp(after - top)
            new[:] = 0.0
            for j in range(size):
                for i in range(size):
                    new[i] += now[j] * into[j, i]
            beta[row] = np.log(new) + (top + highest)
        log_z[s] = _log_sum(alpha[stop - 1] + end)


@compiled
def _log_sum(x: Any) -> Any:
    top = x.max()
    if not (top > -np.inf and top < np.inf):
        return top
    total = 0.0
    for value in x:
        total += math.exp(value - top)
    return top + math.log(total)


@compiled
def _spread_of(x: Any) -> float:
    """Distance of the largest from the smallest number that is finite; what is not a number is infinitely far."""
    low, high = np.inf, -np.inf
    for value in x:
        if value != value or value == np.inf:
            return np.inf
        if value > -np.inf:
            low, high = min(low, value), max(high, value)
    return high - low if high > -np.inf else 0.0


@compiled
def _spread(matrix: Any) -> float:
    return _spread_of(matrix.ravel())


@compiled
def _viterbi(emissions: Any, into: Any, start: Any, end: Any, offsets: Any, tags: Any, score: Any) -> None:
    size = len(start)
    longest = np.diff(offsets).max() if len(offsets) > 1 else 0
    back = np.empty((longest, size), np.int32)
    best, new = np.empty(size), np.empty(size)
    for s in range(len(offsets) - 1):
        begin, stop = offsets[s], offsets[s + 1]
        for j in range(size):
            best[j] = start[j] + emissions[begin, j]
        for row in range(begin + 1, stop):
            for j in range(size):
                top, before = -np.inf, 0
                for i in range(size):
                    value = best[i] + into[j, i]
                    if value > top:
                        top, before = value, i
                new[j] = top + emissions[row, j]
                back[row - begin, j] = before
            best, new = new, best
        top, tag = -np.inf, 0
        for j in range(size):
            value = best[j] + end[j]
            if value != value:
                top = value
                break
            if value > top:
                top, tag = value, j
        score[s] = top
        for row in range(stop - 1, begin - 1, -1):
            tags[row] = tag
            tag = back[row - begin, tag] if row > begin else 0
