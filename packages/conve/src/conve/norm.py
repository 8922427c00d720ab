"""Batch normalisation whose statistics are those of the whole batch, also when several processes share it.

torch's SyncBatchNorm needs a GPU; here the moments are two small sums, added up over the processes by a collective
that passes gradients, so that two CPU processes compute what one would with both halves of the batch.
"""

from __future__ import annotations

import torch
import torch.distributed
from torch import Tensor, nn

from offprints.gpu import processes


class BatchNorm(nn.Module):
    """Normalise each channel by its mean and variance over the batch, then scale and shift.

    Args:
        channels: size of dimension 1 of the input.
        eps: as in torch.nn.BatchNorm2d, whose buffers and parameters these are.
        momentum: as there.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """x (batch, channels, ...) -> the same shape, normalised."""
        if not self.training or processes() == 1:
            return nn.functional.batch_norm(
                x,
                self.running_mean,
                self.running_var,
                self.weight,
                self.bias,
                self.training,
                self.momentum,
                self.eps,
            )
        dims = [0, *range(2, x.ndim)]
        count, mean = shared_mean(x.sum(dims), x.numel() // x.shape[1])
        as_channel = [1, -1, *[1] * (x.ndim - 2)]
        _, var = shared_mean((x - mean.view(as_channel)).square().sum(dims), x.numel() // x.shape[1])
        self.track(mean, var, count)
        scale, shift = self.affine(mean, var)
        return x * scale.view(as_channel) + shift.view(as_channel)

    def affine(self, mean: Tensor, var: Tensor) -> tuple[Tensor, Tensor]:
        """Scale and shift per channel (channels,) that normalise an input of this mean and variance."""
        scale = self.weight * torch.rsqrt(var + self.eps)
        return scale, self.bias - mean * scale

    @torch.no_grad()
    def track(self, mean: Tensor, var: Tensor, count: Tensor | int) -> None:
        """Move the running statistics, which evaluation uses; the variance unbiased, as torch keeps it."""
        unbiased = var * (count / (count - 1))
        self.running_mean.lerp_(mean.detach(), self.momentum)
        self.running_var.lerp_(unbiased.detach(), self.momentum)


def shared_mean(total: Tensor, count: int) -> tuple[Tensor | int, Tensor]:
    """Count and mean over all processes from this one's total and count; gradients pass through."""
    if processes() == 1:
        return count, total / count
    packed = torch.cat([total.reshape(-1), total.new_tensor([float(count)])])
    summed = _SumOverProcesses.apply(packed)  # type: ignore[no-untyped-call]
    return summed[-1].detach(), (summed[:-1] / summed[-1].detach()).view_as(total)


class _SumOverProcesses(torch.autograd.Function):
    """All-reduce whose gradient is the all-reduce of the gradients: each process's loss depends on the sum."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, x: Tensor) -> Tensor:
        summed = x.clone()
        torch.distributed.all_reduce(summed)
        return summed

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, grad: Tensor) -> Tensor:
        summed = grad.clone()
        torch.distributed.all_reduce(summed)
        return summed
