"""conv -> batch norm -> ReLU -> feature dropout, the widest part of the network, in two passes instead of five.

The maps hold 32 times as many numbers as the picture, so what counts is how often they are read and written. The
normalisation needs their mean and variance, but a filter is linear in the 9 pixels under it: the mean of map c is
w_c . mean(patch) and its variance w_c^T Cov(patch) w_c. Both come from the picture, before any map exists, and the
normalisation becomes another filter weight and bias. What remains is one convolution and one masked ReLU.

`reference` says the same in torch's own layers; the tests hold the two equal, gradients included.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from conve.norm import BatchNorm, shared_mean


def convolve_norm_relu_drop(
    image: Tensor, conv: nn.Conv2d, norm: BatchNorm, dropout: float, training: bool, bfloat16: bool = False
) -> Tensor:
    """Feature maps of pictures, flattened.

    Args:
        image: (batch, 1, height, width).
        conv: 1 -> channels, no padding.
        norm: over the channels.
        dropout: probability to drop a whole map, in training.
        bfloat16: give the maps in bfloat16, half the bytes for the product that follows.

    Returns:
        (batch, channels * height' * width').
    """
    if not training:
        scale, shift = norm.affine(norm.running_mean, norm.running_var)
        if conv.bias is not None:
            shift = shift + scale * conv.bias
        maps = F.relu(F.conv2d(image, conv.weight * scale.view(-1, 1, 1, 1), shift)).flatten(1)
        return maps.bfloat16() if bfloat16 else maps
    patches = F.unfold(image, conv.kernel_size)  # (B, K, P): K = 9 pixels under the filter at P places
    weight = conv.weight.view(conv.out_channels, -1)  # (C, K)
    scale, shift = _normalise_by_patches(patches, weight, conv.bias, norm)
    keep = None
    if dropout > 0:
        keep = image.new_empty(len(image), conv.out_channels, 1).bernoulli_(1 - dropout).div_(1 - dropout)
    kept: Tensor = _FilterReluDrop.apply(patches, weight * scale[:, None], shift, keep, bfloat16)  # type: ignore[no-untyped-call]
    return kept.flatten(1)


def reference(image: Tensor, conv: nn.Conv2d, norm: BatchNorm, dropout: float, training: bool) -> Tensor:
    """The same in torch's layers: the explanation and the oracle of `convolve_norm_relu_drop`."""
    maps = F.relu(norm(conv(image)))
    return F.dropout2d(maps, dropout, training).flatten(1)


def _normalise_by_patches(
    patches: Tensor, weight: Tensor, bias: Tensor | None, norm: BatchNorm
) -> tuple[Tensor, Tensor]:
    count = patches.shape[0] * patches.shape[2]
    total_count, mean = shared_mean(patches.sum((0, 2)), count)  # (K,)
    centred = patches - mean[:, None]
    _, covariance = shared_mean(torch.matmul(centred, centred.transpose(1, 2)).sum(0), count)  # (K, K)
    map_mean = weight @ mean  # (C,)
    map_var = ((weight @ covariance) * weight).sum(1)
    norm.track(map_mean if bias is None else map_mean + bias, map_var, total_count)
    return norm.affine(map_mean, map_var)  # a bias of the filter moves mean and map alike: it cancels


class _FilterReluDrop(torch.autograd.Function):
    """keep * relu(weight . patches + shift), keeping for the backward pass only the result itself."""

    @staticmethod
    def forward(
        ctx: Any, patches: Tensor, weight: Tensor, shift: Tensor, keep: Tensor | None, bfloat16: bool
    ) -> Tensor:
        maps = _each(weight, patches)  # (B, C, P)
        maps.add_(shift[:, None]).clamp_(min=0)
        if keep is not None:
            maps.mul_(keep)
        result = maps.bfloat16() if bfloat16 else maps
        ctx.save_for_backward(patches, weight, keep, result)
        return result

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        patches, weight, keep, result = ctx.saved_tensors
        # What was cut off or dropped has no gradient. `grad` was made by the product behind the maps, for this alone: it is
        # written over, as the maps are the widest array of the network.
        torch.ops.aten.threshold_backward.grad_input(grad, result, 0, grad_input=grad)
        grad = grad.to(patches.dtype)
        if keep is not None:
            grad = grad.mul_(keep)
        grad_weight = torch.matmul(grad, patches.transpose(1, 2)).sum(0)  # (C, K)
        grad_patches = _each(weight.T, grad) if ctx.needs_input_grad[0] else None
        return grad_patches, grad_weight, grad.sum((0, 2)), None, None


def _each(matrix: Tensor, batch: Tensor) -> Tensor:
    """matrix (m, k) @ each of (B, k, n) -> (B, m, n). torch.matmul would join the batch to one product, by copies."""
    return torch.bmm(matrix.expand(len(batch), -1, -1), batch)
