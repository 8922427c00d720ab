"""The largest eigenvalue of every graph of a batch, by Lanczos on all of them at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh_tridiagonal
from scipy.sparse import csr_array

from offprints.errors import InputError

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
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    graph = np.repeat(np.arange(len(sizes)), sizes)

    def dot(u: Floats, v: Floats) -> Floats:
        sums: Floats = np.add.reduceat(u * v, starts)
        return sums

    vector = np.random.default_rng(0).standard_normal(len(graph))
    vector /= np.sqrt(dot(vector, vector))[graph]
    previous, beta = np.zeros_like(vector), np.zeros(len(sizes))
    alphas: list[Floats] = []
    betas: list[Floats] = []
    found, residual = np.zeros(len(sizes)), np.full(len(sizes), np.inf)
    open_blocks = np.arange(len(sizes))
    for step in range(1, most_steps + 1):
        following = laplacian @ vector - beta[graph] * previous
        alpha = dot(following, vector)
        following -= alpha[graph] * vector
        beta = np.sqrt(dot(following, following))
        beta[beta < 1e-13] = 0.0  # the block's vectors are used up: what follows is 0 and adds nothing
        alphas.append(alpha)
        betas.append(beta)
        previous = vector
        vector = np.divide(following, beta[graph], out=np.zeros_like(following), where=beta[graph] > 0)
        if step % 10 == 0 or step == most_steps or not beta.any():
            diagonal, beside = np.stack(alphas, 1), np.stack(betas, 1)
            for block in open_blocks:
                found[block], residual[block] = _top(diagonal[block], beside[block])
            open_blocks = open_blocks[residual[open_blocks] > tolerance * found[open_blocks]]
            if not len(open_blocks):
                return found
    worst = int(open_blocks[0])
    raise InputError(
        f"the largest eigenvalue of graph {worst} ({sizes[worst]} nodes) has not converged after {most_steps} steps: "
        'give lambda_max as a number, or take the bound, lambda_max="bound"'
    )


def _top(diagonal: Floats, beside: Floats) -> tuple[float, float]:
    """Largest eigenvalue of the tridiagonal matrix, and its residual in the graph."""
    ends = np.flatnonzero(beside == 0)
    size = int(ends[0]) + 1 if len(ends) else len(diagonal)
    if size == 1:
        return float(diagonal[0]), float(beside[0])
    values, vectors = eigh_tridiagonal(
        diagonal[:size], beside[: size - 1], select="i", select_range=(size - 1, size - 1)
    )
    return float(values[0]), float(abs(beside[size - 1] * vectors[-1, 0]))
