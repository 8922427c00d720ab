"""Denoising and compression of graph signals without training, each in one call.

found = denoise(op, noisy)                 # noise estimated, thresholds by SURE
found.signal, found.kept
packed = compress(op, x, keep=0.1)         # the largest tenth of the high-pass coefficients
packed.restore(op)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from offprints.errors import InputError

from ufg.graph import GraphOperator
from ufg.shrink import median_deviation, shrink, sure_threshold
from ufg.transform import FrameletTransform

METHODS = ("sure", "universal")
_PROBES = 32


@dataclass(frozen=True)
class Denoised:
    """A signal with less noise.

    Attributes:
        signal: (N, C).
        sigma: (C,) standard deviation of the noise, as given or estimated.
        thresholds: (K - 1, C) of the high-pass blocks.
        kept: (K - 1,) share of the coefficients of each high-pass block that are not 0.
    """

    signal: Tensor
    sigma: Tensor
    thresholds: Tensor
    kept: Tensor


def denoise(
    op: GraphOperator,
    x: Tensor,
    method: str = "sure",
    sigma: float | None = None,
    rule: str = "soft",
    transform: FrameletTransform | None = None,
) -> Denoised:
    """Shrink the high-pass coefficients of a noisy signal.

    White noise of deviation sigma has sigma times the root of trace(W^2) / N in the block of W, which is measured once with random
    signs. Thresholds are in these units.

    Args:
        op: of the graph.
        x: (N, C) signals with white Gaussian noise.
        method: "sure", the threshold of least estimated risk for each block and column; "universal", sqrt(2 ln N).
        sigma: of the noise; None estimates it for each column by the median of the finest block (MAD).
        rule: soft, hard, firm or garrote; SURE is the risk of soft.
        transform: None takes Haar with two levels.

    Raises:
        InputError: an option has no such value, sigma is negative, or x does not fit the graph or is not finite.
    """
    if method not in METHODS:
        raise InputError(f"no denoising method is called {method!r}: one of {', '.join(METHODS)}")
    if sigma is not None and not 0 <= sigma < math.inf:
        raise InputError(f"sigma={sigma} of the noise is 0 or more")
    transform = transform or FrameletTransform()
    blocks = transform.analyze(op, x, check=True)
    gains = noise_gains(op, transform)
    if sigma is None:
        finest = 1 + (len(transform.bank) - 2) * transform.levels + _finest_level(transform)
        level = median_deviation(blocks[finest])[0] / gains[finest]
    else:
        level = torch.full_like(blocks[0, 0], sigma)
    noise = gains[1:, None] * level  # (K - 1, C)
    if method == "sure":
        thresholds = sure_threshold(blocks[1:], noise.unsqueeze(1)).squeeze(1)
    else:
        thresholds = noise * math.sqrt(2 * math.log(max(2, op.num_nodes)))
    shrunk = shrink(blocks, thresholds.unsqueeze(1), rule)
    kept = (shrunk[1:] != 0).to(x.dtype if x.is_floating_point() else op.dtype).mean((1, 2))
    return Denoised(transform.synthesize(op, shrunk, exact=True), level, thresholds, kept)


def noise_gains(op: GraphOperator, transform: FrameletTransform) -> Tensor:
    """Standard deviation that white noise of deviation 1 has in each block: the root of trace(W^2) / N.

    Estimated by 32 columns of random signs (Hutchinson 1990), the same in every call.

    Returns:
        (K,).
    """

    def measure() -> Tensor:
        generator = torch.Generator().manual_seed(0)
        signs = torch.randint(0, 2, (op.num_nodes, _PROBES), generator=generator) * 2 - 1
        return transform.analyze(op, signs.to(op.device, op.dtype)).square().mean((1, 2)).sqrt()

    return op.cached(("noise gains", transform), measure)


def _finest_level(transform: FrameletTransform) -> int:
    """Number of the level, from 0, whose high-pass filter sees the largest eigenvalues."""
    return transform.levels - 1 if transform.order == "ascending" else 0


@dataclass(frozen=True)
class Compressed:
    """The coefficients that were kept of a signal.

    Attributes:
        transform: what they are coefficients of.
        low: (N, C) the low-pass block.
        index: (n,) int64 places in the flattened (K - 1, N, C) high-pass blocks.
        value: (n,) the coefficients there.
        error: relative error of the restored signal, in the Euclidean norm.
    """

    transform: FrameletTransform
    low: Tensor
    index: Tensor
    value: Tensor
    error: float

    @property
    def ratio(self) -> float:
        """Share of the high-pass coefficients that were kept."""
        return len(self.index) / (self.low.numel() * (self.transform.num_blocks - 1))

    def restore(self, op: GraphOperator) -> Tensor:
        """The signal, (N, C)."""
        return _restored(op, self.transform, self.low, self.index, self.value)


def compress(
    op: GraphOperator, x: Tensor, keep: float = 0.1, transform: FrameletTransform | None = None
) -> Compressed:
    """Keep the low-pass block and the largest of the other coefficients.

    Args:
        op: of the graph.
        x: (N, C).
        keep: share of the high-pass coefficients, in [0, 1].
        transform: None takes Haar with two levels.

    Raises:
        InputError: `keep` is not a share, or x does not fit the graph or is not finite.
    """
    if not 0 <= keep <= 1:
        raise InputError(f"keep={keep} is a share of the coefficients, in [0, 1]")
    transform = transform or FrameletTransform()
    blocks = transform.analyze(op, x, check=True)
    high = blocks[1:].flatten()
    index = high.abs().topk(round(keep * len(high)), sorted=False).indices.sort().values
    again = _restored(op, transform, blocks[0], index, high[index])
    error = float((again - x).norm() / x.to(again.dtype).norm().clamp_min(torch.finfo(again.dtype).tiny))
    return Compressed(transform, blocks[0].clone(), index, high[index], error)


def _restored(
    op: GraphOperator, transform: FrameletTransform, low: Tensor, index: Tensor, value: Tensor
) -> Tensor:
    high = low.new_zeros((transform.num_blocks - 1) * low.numel())
    high[index] = value
    blocks = torch.cat([low[None], high.reshape(-1, *low.shape)])
    return transform.synthesize(op, blocks, exact=True)


def snr_gain(clean: Tensor, noisy: Tensor, denoised: Tensor) -> float:
    """How much closer to the clean signal denoising has come, in decibels."""
    before, after = (noisy - clean).square().sum(), (denoised - clean).square().sum()
    return float(10 * (before / after).log10())


def tikhonov(op: GraphOperator, x: Tensor, strength: float, steps: int = 60) -> Tensor:
    """The smoother to compare with: (I + strength * L_scaled)^(-1) x, by conjugate gradients.

    Args:
        op: of the graph.
        x: (N, C).
        strength: 0 or more.
        steps: of the iteration, whose condition is 1 + 2 strength at most.
    """
    shifted = op.shifted(1.0)  # L_scaled - I
    y, residual = torch.zeros_like(x), x.clone()
    direction, squared = residual, residual.square().sum(0)
    tiny = torch.finfo(x.dtype).tiny
    for _ in range(steps):
        image = (1 + strength) * direction + strength * (shifted @ direction)
        step = squared / (direction * image).sum(0).clamp_min(tiny)
        y, residual = y + step * direction, residual - step * image
        before, squared = squared, residual.square().sum(0)
        direction = residual + squared / before.clamp_min(tiny) * direction
    return y
