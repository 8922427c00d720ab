"""The five operations that the layers are made of, and the backends that compute them.

Each operation walks edges and keeps nothing of their number times the width; the backends differ in how they walk.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Protocol

import torch
from torch import Tensor

from offprints.errors import InputError

from ke_gcn.pattern import ByRelation, Edges, Pattern

BACKENDS = ("auto", "numba", "torch", "triton", "dgl")


class Kernels(Protocol):
    """What a backend computes. All floating tensors of a call have one type and lie on one device.

    Attributes:
        whole_steps: a layer of a product or a translation runs as one compiled walk (`ke_gcn.steps`) instead of being put
            together from these operations.
    """

    whole_steps: bool

    def weighted_sum(self, pattern: Pattern, weight: Tensor, x: Tensor, transposed: bool) -> Tensor:
        """The product of a sparse matrix, or of its transpose, and a dense one.

        Args:
            pattern: where the entries are.
            weight: (entries,) their values.
            x: (columns, d); (rows, d) if transposed.
            transposed: take the transpose.

        Returns:
            (rows, d); (columns, d) if transposed.
        """
        ...

    def pair_dot(self, pattern: Pattern, x: Tensor, y: Tensor) -> Tensor:
        """<x[row], y[column]> of each entry; x (rows, d), y (columns, d) -> (entries,)."""
        ...

    def aggregate(self, edges: Edges, x: Tensor, r: Tensor, k: int) -> Tensor:
        """Sum of x[source] r[relation], with conj(r) against the direction; x (N, d), r (R, d) -> (N, d)."""
        ...

    def relate(self, triples: ByRelation, x: Tensor, y: Tensor, k: int) -> Tensor:
        """Sum of conj(x[head]) y[tail] over the triples of each relation; x, y (N, d) -> (R, d)."""
        ...

    def distances(self, x: Tensor, left: Tensor, right: Tensor) -> Tensor:
        """L1 distance of x[left] and x[right]; x (N, d), left and right (pairs,) int64 -> (pairs,)."""
        ...

    def distance_gradient(self, x: Tensor, left: Tensor, right: Tensor, gradient: Tensor) -> Tensor:
        """Gradient of the sum of gradient * distances with respect to x; (N, d)."""
        ...


def kernels(backend: str, device: torch.device) -> Kernels:
    """The backend of that name; "auto" is numba on a CPU, Triton on a GPU where it is installed, and torch elsewhere.

    Raises:
        InputError: there is no such backend, it cannot run on the device, or DGL or Triton is not installed.
    """
    if backend not in BACKENDS:
        raise InputError(f"backend={backend!r} is unknown: one of {', '.join(BACKENDS)}")
    if backend == "auto":
        fused = "triton" if device.type == "cuda" and find_spec("triton") else "torch"
        backend = "numba" if device.type == "cpu" else fused
    if backend == "triton":
        if device.type != "cuda":
            raise InputError(f"backend=triton computes on a GPU only; use backend=auto on {device}")
        if find_spec("triton") is None:
            raise InputError("backend=triton needs Triton, which comes with torch's builds for CUDA on Linux")
        from ke_gcn.triton_kernels import TritonKernels

        return TritonKernels()
    if backend != "torch" and device.type != "cpu":
        raise InputError(f"backend={backend} computes on the CPU only; use backend=torch on {device}")
    if backend == "numba":
        from ke_gcn.numba_kernels import NumbaKernels

        return NumbaKernels()
    if backend == "dgl":
        if find_spec("dgl") is None:
            raise InputError("backend=dgl needs DGL (Python < 3.12): pip install 'offprints-ke-gcn[dgl]'")
        from ke_gcn.dgl_kernels import DglKernels

        return DglKernels()
    from ke_gcn.torch_kernels import TorchKernels

    return TorchKernels()
