"""The same transform by the products of other libraries: SciPy's CSR, DGL's message passing, PyGSP's filter bank."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_array

from ufg import FrameletTransform, GraphOperator
from ufg.dgl_baselines import to_dgl

Product = Callable[[Any], Any]


def analyze(products: list[Product], table: np.ndarray, x: Any) -> list[Any]:
    """Blocks of coefficients: low-pass, then high-pass by level."""
    low, high = x, []
    for product in products:
        terms = [low, product(low)]
        while len(terms) < table.shape[1]:
            terms.append(2 * product(terms[-1]) - terms[-2])
        outputs = []
        for row in table.tolist():
            total = row[0] / 2 * terms[0]
            for c, term in zip(row[1:], terms[1:], strict=True):
                total = total + c * term
            outputs.append(total)
        low, *bands = outputs
        high.append(bands)
    return [low, *(bands[j] for j in range(len(table) - 1) for bands in high)]


def synthesize(products: list[Product], table: np.ndarray, blocks: list[Any]) -> Any:
    """The transpose of `analyze`, by Clenshaw."""
    levels, rows = len(products), table.tolist()
    low = blocks[0]
    for level in reversed(range(levels)):
        bands = [low, *(blocks[1 + j * levels + level] for j in range(len(rows) - 1))]
        mixed = [
            sum(row[k] * band for row, band in zip(rows, bands, strict=True)) for k in range(len(rows[0]))
        ]
        after, term = None, mixed[-1]
        for k in range(len(mixed) - 2, 0, -1):
            following = mixed[k] + 2 * products[level](term)
            after, term = term, following if after is None else following - after
        low = mixed[0] / 2 + products[level](term)
        if after is not None:
            low = low - after
    return low


def scipy_products(op: GraphOperator, transform: FrameletTransform) -> list[Product]:
    """By SciPy's CSR times a NumPy array."""
    made = []
    for matrix in transform.matrices(op):
        parts = (matrix.values().numpy(), matrix.col_indices().numpy(), matrix.crow_indices().numpy())
        made.append(csr_array(parts, shape=tuple(matrix.shape)).__matmul__)
    return made


def torch_products(op: GraphOperator, transform: FrameletTransform) -> list[Product]:
    """By torch's CSR times a tensor."""
    return [matrix.__matmul__ for matrix in transform.matrices(op)]


def dgl_products(op: GraphOperator, transform: FrameletTransform) -> list[Product]:
    """By DGL's message passing: neighbours weighted and summed."""
    import dgl

    graph = to_dgl(op)
    source, target = (end.long() for end in graph.edges())
    root = op.degree.rsqrt()
    normal = (graph.edata["weight"] * root[source] * root[target]).unsqueeze(1)
    scale = float(2 / op.lambda_max[0])

    def product(dilation: float) -> Product:
        off, on = -dilation * scale * normal, dilation * scale - 1
        return lambda x: dgl.ops.u_mul_e_sum(graph, x, off) + on * x

    return [product(dilation) for dilation in transform.dilations]


def pygsp_bank(op: GraphOperator, transform: FrameletTransform) -> tuple[str, Callable[[np.ndarray], Any]]:
    """PyGSP's Chebyshev filter bank with the transform's responses as kernels: analysis alone.

    Each kernel is a product of filters over levels, so that the degree is that of the product.
    """
    from pygsp import filters, graphs

    graph = graphs.Graph(_scipy(op.adjacency))
    graph.compute_laplacian("normalized")
    graph._lmax = 2.0
    kernels = [
        lambda u, k=k: transform.response(np.atleast_1d(np.asarray(u, float)).ravel())[k].reshape(np.shape(u))
        for k in range(transform.num_blocks)
    ]
    bank = filters.Filter(graph, kernels)
    degree = (transform.terms - 1) * transform.levels
    return f"pygsp {version('pygsp')}", lambda x: bank.filter(x, method="chebyshev", order=degree)


def _scipy(matrix: torch.Tensor) -> csr_array:
    parts = (matrix.values().numpy(), matrix.col_indices().numpy(), matrix.crow_indices().numpy())
    found = csr_array(parts, shape=tuple(matrix.shape), copy=True)  # the indices are those of the graph
    found.eliminate_zeros()
    return found
