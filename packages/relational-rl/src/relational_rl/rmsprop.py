"""RMSProp as IMPALA was trained with: the small number stands under the root, and the mean square begins at 1.

torch's own adds it to the root. With the published 0.1 the two differ by a factor of three where gradients are small, so that a learning
rate of one is none for the other.

Source: Espeholt et al. 2018, appendix D; TensorFlow's RMSPropOptimizer, which it names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor


class RMSProp(torch.optim.Optimizer):
    """p -= lr * g / sqrt(mean square of g + eps).

    Args:
        parameters: to learn.
        lr: the learning rate.
        decay: of the mean square.
        eps: under the root.
    """

    def __init__(
        self, parameters: Iterable[Tensor], lr: float, decay: float = 0.99, eps: float = 0.1
    ) -> None:
        super().__init__(parameters, {"lr": lr, "decay": decay, "eps": eps})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:
        """One update of every parameter that has a gradient."""
        assert closure is None, "the loss is not looked at again"
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            if not parameters:
                continue
            gradients: list[Any] = [p.grad for p in parameters]
            for p in parameters:
                if not self.state[p]:
                    self.state[p]["square"] = torch.ones_like(p)
            squares: list[Any] = [self.state[p]["square"] for p in parameters]
            torch._foreach_mul_(squares, group["decay"])
            torch._foreach_addcmul_(squares, gradients, gradients, 1 - group["decay"])
            roots = torch._foreach_add(squares, group["eps"])
            torch._foreach_sqrt_(roots)
            torch._foreach_addcdiv_(parameters, gradients, roots, -group["lr"])
