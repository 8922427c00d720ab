"""The largest eigenvalue of every graph of a batch, by Lanczos on all of them at once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from offprints.errors import InputError

from ufg.kernels import compiled

_BETWEEN = 10  # steps between two looks at what has converged
Floats = NDArray[np.float64]


def largest_eigenvalues(
    laplacian: csr_array, sizes: NDArray[np.int64], tolerance: float = 1e-6, most_steps: int = 1000
) -> Floats:
    """Largest eigenvalue of every diagonal block.

    One product with the whole matrix is a step for every graph; the coefficients of the recurrence are sums over the nodes of
    each. Vectors are not orthogonalised again: that would change copies of an eigenvalue, not the largest one. The start is the
    same in every call, so that a graph has one answer.

    Args:
        laplacian: (N, N) symmetric, block-diagonal, positive semidefinite.
        sizes: (G,) nodes of each block.
        tolerance: bound of the residual, relative to the eigenvalue; the error is about its square.
        most_steps: of the recurrence.

    Returns:
        (G,) float64; at most 2 for a normalised Laplacian.

    Raises:
        InputError: a block has not converged after `most_steps`.
    """
    found = np.zeros(len(sizes))
    blocks = np.arange(len(sizes))  # those that have not converged, which alone are gone on with
    vector = np.random.default_rng(0).standard_normal(len(laplacian.indptr) - 1)
    starts, graph = _layout(sizes)
    vector /= np.sqrt(np.add.reduceat(vector * vector, starts))[graph]
    previous, beta = np.zeros_like(vector), np.zeros(len(sizes))
    alphas, betas = np.zeros((2, 0, len(sizes)))
    for step in range(1, most_steps + 1):
        following = laplacian @ vector - beta[graph] * previous
        alpha = np.add.reduceat(following * vector, starts)
        following -= alpha[graph] * vector
        beta = np.sqrt(np.add.reduceat(following * following, starts))
        beta[beta < 1e-13] = 0.0  # the block's vectors are used up: what follows is 0 and adds nothing
        alphas, betas = np.vstack([alphas, alpha]), np.vstack([betas, beta])
        previous = vector
        each = beta[graph]
        vector = np.divide(following, each, out=np.zeros_like(following), where=each > 0)
        if step % _BETWEEN and step < most_steps and beta.any():
            continue
        values, residuals = _largest(alphas, betas)
        found[blocks] = values
        going = residuals > tolerance * values
        if not going.any():
            return found
        nodes = going[graph]
        laplacian = laplacian[nodes][:, nodes]
        vector, previous, beta = vector[nodes], previous[nodes], beta[going]
        alphas, betas, blocks = alphas[:, going], betas[:, going], blocks[going]
        starts, graph = _layout(sizes[blocks])
    worst = int(blocks[0])
    raise InputError(
        f"the largest eigenvalue of graph {worst} ({sizes[worst]} nodes) has not converged after {most_steps} steps: "
        'give lambda_max as a number, or take the bound, lambda_max="bound"'
    )


def _layout(sizes: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First node of each block, and the block of each node."""
    return np.concatenate([[0], np.cumsum(sizes)[:-1]]), np.repeat(np.arange(len(sizes)), sizes)


@compiled()
def _largest(alphas: Any, betas: Any) -> Any:
    """Of each column's tridiagonal matrix the largest eigenvalue, and the residual that it has in the graph.

    The number of negative pivots of T - x I is that of eigenvalues below x: bisection. The eigenvector is made from its last entry
    on, in which direction it grows.
    """
    steps, blocks = alphas.shape
    values, residuals = np.empty(blocks), np.empty(blocks)
    for block in range(blocks):
        size = steps
        for k in range(steps):
            if betas[k, block] == 0:
                size = k + 1
                break
        low = high = alphas[0, block]
        for k in range(size):  # Gershgorin
            beside = (betas[k - 1, block] if k > 0 else 0.0) + (betas[k, block] if k < size - 1 else 0.0)
            low = max(low, alphas[k, block])
            high = max(high, alphas[k, block] + beside)
        while high - low > 4e-16 * abs(high):
            middle = (low + high) / 2
            if middle <= low or middle >= high:
                break
            pivot, below = alphas[0, block] - middle, 0
            if pivot < 0:
                below = 1
            for k in range(1, size):
                pivot = (
                    alphas[k, block] - middle - betas[k - 1, block] ** 2 / (pivot if pivot != 0 else 1e-300)
                )
                if pivot < 0:
                    below += 1
            if below == size:
                high = middle
            else:
                low = middle
        values[block] = (low + high) / 2
        entry, before, total = 1.0, 0.0, 1.0
        for k in range(size - 1, 0, -1):
            beside = before * betas[k, block] if k < size - 1 else 0.0
            entry, before = ((values[block] - alphas[k, block]) * entry - beside) / betas[k - 1, block], entry
            total += entry * entry
            if total > 1e200:  # only the ratio to the last entry counts, and it is 0
                break
        residuals[block] = betas[size - 1, block] / np.sqrt(total)
    return values, residuals
