"""Sparse matrices that carry no gradient, times dense ones that do.

torch's own sparse product would make a gradient for the sparse factor and transpose it anew in every backward pass. Here the
transpose is made once, or not at all where the matrix is symmetric.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from offprints.errors import InputError

from ufg import kernels


def csr_tensor(row_starts: Tensor, columns: Tensor, values: Tensor, shape: tuple[int, int]) -> Tensor:
    """A torch CSR matrix that shares the three arrays given."""
    with warnings.catch_warnings():
        # torch says once a process that CSR is in beta.
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta", UserWarning)
        return torch.sparse_csr_tensor(row_starts, columns, values, shape, check_invariants=False)


@dataclass(frozen=True, eq=False)
class ConstantMatrix:
    """A sparse matrix without gradient and its transpose, such as the features of a bag of words.

    `matrix @ dense` is differentiable in the dense factor.

    Attributes:
        csr: (rows, columns) torch CSR.
        transposed: (columns, rows) torch CSR; the same object where the matrix is symmetric.
    """

    csr: Tensor
    transposed: Tensor

    @cached_property
    def _compiled(self) -> kernels.Matrix | None:
        csr = self.csr
        if not kernels.are_for(csr.device) or csr.dtype not in (torch.float32, torch.float64):
            return None
        return kernels.Matrix.of(csr.crow_indices(), csr.col_indices(), csr.values())

    @cached_property
    def T(self) -> ConstantMatrix:
        """The transpose, which shares all memory."""
        return self if self.transposed is self.csr else ConstantMatrix(self.transposed, self.csr)

    @classmethod
    def of(cls, matrix: Any, dtype: torch.dtype = torch.float32) -> ConstantMatrix:
        """From a SciPy sparse matrix, or a dense array whose zeros are left out.

        Raises:
            InputError: it is no matrix, or holds numbers that are not finite.
        """
        rows = csr_array(matrix)
        if rows.ndim != 2:
            raise InputError(f"a matrix has two dimensions, not {rows.ndim}")
        if not np.isfinite(rows.data).all():
            raise InputError("the matrix holds numbers that are not finite")
        rows.sum_duplicates()
        return cls(_to_torch(rows, dtype), _to_torch(csr_array(rows.T), dtype))

    @property
    def shape(self) -> torch.Size:
        return self.csr.shape

    @property
    def dtype(self) -> torch.dtype:
        return self.csr.dtype

    @property
    def device(self) -> torch.device:
        return self.csr.device

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> ConstantMatrix:
        """The same on another device or with another dtype."""
        csr = self.csr.to(device=device, dtype=dtype)
        same = self.transposed is self.csr
        return ConstantMatrix(csr, csr if same else self.transposed.to(device=device, dtype=dtype))

    def to_dense(self) -> Tensor:
        return self.csr.to_dense()

    def __matmul__(self, dense: Tensor) -> Tensor:
        product: Tensor = cast(Any, _Product).apply(dense, self)
        return product

    def multiply(self, dense: Tensor) -> Tensor:
        """The product without a gradient: compiled on a CPU, torch's own elsewhere."""
        if self._compiled is not None and dense.dtype == self.dtype and dense.ndim == 2:
            return kernels.multiply(self._compiled, dense)
        return self.csr @ dense.contiguous()


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, dense: Tensor, matrix: ConstantMatrix) -> Tensor:
        ctx.matrix = matrix
        return matrix.multiply(dense)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return cast(Any, _Product).apply(gradients[0].contiguous(), ctx.matrix.T), None


def _to_torch(matrix: csr_array, dtype: torch.dtype) -> Tensor:
    indices = torch.from_numpy(matrix.indices.astype(np.int32))
    starts = torch.from_numpy(matrix.indptr.astype(np.int32))
    return csr_tensor(starts, indices, torch.from_numpy(matrix.data).to(dtype), matrix.shape)
