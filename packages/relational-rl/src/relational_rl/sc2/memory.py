"""A convolutional LSTM: a memory for every cell of a feature map."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn


class Memory(NamedTuple):
    """What is carried from step to step.

    Attributes:
        hidden: (B, width, h, w), what the step before gave out.
        cell: (B, width, h, w).
    """

    hidden: Tensor
    cell: Tensor


class ConvLSTM(nn.Module):
    """An LSTM whose products with inputs and with its own output are convolutions that keep the map's size.

    Args:
        inputs: channels of the input.
        width: channels of the memory and of the output.
        kernel: odd.

    Source: Shi et al. 2015, without the connections from cell to gates; appendix on StarCraft II: 3 x 3, 96 channels.
    """

    def __init__(self, inputs: int, width: int, kernel: int = 3) -> None:
        super().__init__()
        self.width = width
        self.from_input = nn.Conv2d(inputs, 4 * width, kernel, padding=kernel // 2)
        self.from_hidden = nn.Conv2d(width, 4 * width, kernel, padding=kernel // 2, bias=False)

    def start(self, batch: int, height: int, width: int) -> Memory:
        """An empty memory.

        Args:
            batch: B.
            height: h.
            width: w.
        """
        nothing = self.from_input.weight.new_zeros(batch, self.width, height, width)
        return Memory(nothing, nothing)

    def forward(self, inputs: Tensor, memory: Memory, first: Tensor) -> tuple[Tensor, Memory]:
        """T steps.

        Args:
            inputs: (T, B, C, h, w).
            memory: from before the first of these steps.
            first: (T, B) bool, steps before which the memory is emptied.

        Returns:
            (T, B, width, h, w) outputs, and the memory after the last step.
        """
        # What comes from the inputs needs no memory: one convolution for all steps.
        from_inputs = self.from_input(inputs.flatten(0, 1)).unflatten(0, inputs.shape[:2])
        hidden, cell = memory
        outputs = []
        for t in range(len(inputs)):
            keep = (~first[t]).to(cell.dtype)[:, None, None, None]
            hidden, cell = hidden * keep, cell * keep
            gates = from_inputs[t] + self.from_hidden(hidden)  # (B, 4 width, h, w)
            enter, forget, give, content = gates.chunk(4, dim=1)
            # One is added so that a new memory keeps more than it forgets (Jozefowicz et al. 2015).
            cell = torch.sigmoid(forget + 1) * cell + torch.sigmoid(enter) * torch.tanh(content)
            hidden = torch.sigmoid(give) * torch.tanh(cell)
            outputs.append(hidden)
        return torch.stack(outputs), Memory(hidden, cell)
