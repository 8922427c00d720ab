"""Observations and actions of several environments as tensors, with whatever leading shape: (B,) to act, (T, B) to learn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from relational_rl.sc2.interface import Interface


class Observation(NamedTuple):
    """What agents see.

    Attributes:
        screen: (..., layers, rows, columns) int16.
        minimap: (..., layers, rows, columns) int16.
        player: (..., numbers) float32.
        previous: (...) int64, place of the function called before; 0 at an episode's start.
        available: (..., functions) bool, what may be called now; at least one.
        first: (...) bool, an episode's first observation: memories are empty there.
    """

    screen: Tensor
    minimap: Tensor
    player: Tensor
    previous: Tensor
    available: Tensor
    first: Tensor

    def to(self, device: torch.device) -> Observation:
        return Observation(*(part.to(device) for part in self))


class Action(NamedTuple):
    """What agents do.

    Attributes:
        function: (...) int64, its place among the interface's functions.
        arguments: (..., kinds of arguments) int64 choices; 0 where the function has no such argument.
    """

    function: Tensor
    arguments: Tensor


def stacked(observations: Sequence[Observation]) -> Observation:
    """Equal observations (...), one after the other -> (T, ...)."""
    return Observation(*(torch.stack(parts) for parts in zip(*observations, strict=True)))


def blank(interface: Interface, shape: tuple[int, ...]) -> Observation:
    """Observations of nothing, in which every function may be called; for shapes and tests."""
    return Observation(
        torch.zeros(*shape, len(interface.screen), *interface.screen_size, dtype=torch.int16),
        torch.zeros(*shape, len(interface.minimap), *interface.minimap_size, dtype=torch.int16),
        torch.zeros(*shape, interface.player),
        torch.zeros(shape, dtype=torch.int64),
        torch.ones(*shape, len(interface.functions), dtype=torch.bool),
        torch.zeros(shape, dtype=torch.bool),
    )


def arguments_of(interface: Interface) -> Tensor:
    """(functions, kinds of arguments) bool: which function has which arguments."""
    table = torch.zeros(len(interface.functions), len(interface.arguments), dtype=torch.bool)
    for place, function in enumerate(interface.functions):
        table[place, list(function.arguments)] = True
    return table


def random_action(interface: Interface, available: Tensor, draws: torch.Generator) -> Action:
    """Any available function, each as likely, with any arguments, each as likely.

    Args:
        interface: of the environments.
        available: (B, functions) bool.
        draws: on the CPU.
    """
    function = torch.multinomial(available.float(), 1, generator=draws)[:, 0]
    choices = [
        torch.randint(0, kind.choices, function.shape, generator=draws) for kind in interface.arguments
    ]
    has = arguments_of(interface)[function]
    return Action(function, torch.stack(choices, -1) * has)
