"""A policy over functions and their arguments: first the function, among those available, then each argument that it has.

    log pi(a) = log pi(function) + sum over the arguments that the function has of log pi(argument | function)

An argument that the function does not have adds nothing, to the log-probability, to the entropy or to a gradient.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from relational_rl.sc2.inputs import halvings
from relational_rl.sc2.interface import Interface
from relational_rl.sc2.observations import Action, arguments_of


class Scored(NamedTuple):
    """How likely actions were.

    Attributes:
        log_prob: (N,) of the function and its arguments together.
        entropy: (N,) of the functions, and of the arguments that the given function has.
    """

    log_prob: Tensor
    entropy: Tensor


class SpatialHead(nn.Module):
    """Logits of points: transposed 4 x 4 convolutions of stride 2 up to the size of the plane, then one 1 x 1 convolution each.

    The function's embedding joins the map before the transposed convolutions: behind the last of them, which the 1 x 1
    convolution follows without a nonlinearity, it would add one number to all cells and the softmax would take it away again.

    Args:
        inputs: channels of the map.
        cells: side of the map.
        size: rows and columns of the plane.
        width: channels of the transposed convolutions.
        embedding: width of the function's embedding.
        points: how many arguments have points on this plane.
    """

    def __init__(
        self, inputs: int, cells: int, size: tuple[int, int], width: int, embedding: int, points: int
    ) -> None:
        super().__init__()
        channels, parts = inputs + embedding, list[nn.Module]()
        for _ in range(halvings(size, cells)):
            parts += [nn.ConvTranspose2d(channels, width, 4, stride=2, padding=1), nn.ReLU()]
            channels = width
        if not parts:
            parts = [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
        self.up = nn.Sequential(*parts)
        self.points = nn.Conv2d(width, points, 1)

    def forward(self, features: Tensor, embedded: Tensor) -> Tensor:
        """A batch of maps.

        Args:
            features: (N, inputs, cells, cells).
            embedded: (N, embedding) of the functions.

        Returns:
            (N, points, rows * columns) logits, cell row * columns + column.
        """
        tiled = embedded[:, :, None, None].expand(-1, -1, *features.shape[2:])
        logits: Tensor = self.points(self.up(torch.cat([features, tiled], dim=1)))
        return logits.flatten(2)


class ActionHeads(nn.Module):
    """Function and arguments from the features of a state.

    Args:
        interface: of the environments.
        shared: width of the vector of features.
        plane: channels of the map of features.
        cells: side of the map.
        hidden: units before the logits of the functions.
        embedding: width of the embedding of a function.
        width: channels of the transposed convolutions.
    """

    def __init__(
        self,
        interface: Interface,
        shared: int,
        plane: int,
        cells: int,
        hidden: int,
        embedding: int,
        width: int,
    ) -> None:
        super().__init__()
        count = len(interface.functions)
        self.function = nn.Sequential(nn.Linear(shared, hidden), nn.ReLU(), nn.Linear(hidden, count))
        self.embedding = nn.Embedding(count, embedding)
        # Points on planes of one size share what leads up to that size.
        self.planes: dict[tuple[int, int], list[int]] = {}
        self.plain: list[int] = []
        for place, kind in enumerate(interface.arguments):
            if kind.spatial:
                self.planes.setdefault((kind.sizes[1], kind.sizes[0]), []).append(place)
            else:
                self.plain.append(place)
        self.spatial = nn.ModuleList(
            SpatialHead(plane, cells, size, width, embedding, len(places))
            for size, places in self.planes.items()
        )
        self.linear = nn.ModuleList(
            nn.Linear(shared + embedding, interface.arguments[place].choices) for place in self.plain
        )
        self.has: Tensor
        self.register_buffer("has", arguments_of(interface), persistent=False)

    def functions(self, shared: Tensor, available: Tensor) -> Tensor:
        """Log-probabilities of the functions.

        Args:
            shared: (N, shared).
            available: (N, functions) bool.

        Returns:
            (N, functions), minus infinity where a function is not available.
        """
        logits: Tensor = self.function(shared)
        return logits.masked_fill(~available, -torch.inf).log_softmax(-1)

    def arguments(self, shared: Tensor, plane: Tensor, function: Tensor) -> list[Tensor]:
        """Log-probabilities of every kind of argument, whether the function has it or not.

        Args:
            shared: (N, shared).
            plane: (N, plane, cells, cells).
            function: (N,) the functions that they are for.

        Returns:
            (N, choices) for each kind of argument.
        """
        embedded = self.embedding(function)
        found: dict[int, Tensor] = {}
        for head, places in zip(self.spatial, self.planes.values(), strict=True):
            logits = head(plane, embedded)  # (N, points, cells of the plane)
            found |= {place: logits[:, point] for point, place in enumerate(places)}
        conditioned = torch.cat([shared, embedded], dim=-1)
        found |= {place: linear(conditioned) for linear, place in zip(self.linear, self.plain, strict=True)}
        return [found[place].log_softmax(-1) for place in range(len(found))]

    def sample(
        self, shared: Tensor, plane: Tensor, available: Tensor, draws: torch.Generator
    ) -> tuple[Action, Tensor]:
        """Draw actions.

        Args:
            shared: (N, shared).
            plane: (N, plane, cells, cells).
            available: (N, functions) bool.
            draws: on the features' device.

        Returns:
            The actions, and (N,) their log-probabilities.
        """
        functions = self.functions(shared, available)
        function = torch.multinomial(functions.exp(), 1, generator=draws)[:, 0]
        log_prob = functions.gather(1, function[:, None])[:, 0]
        has, choices = self.has[function], []
        for place, logp in enumerate(self.arguments(shared, plane, function)):
            choice = torch.multinomial(logp.exp(), 1, generator=draws)
            log_prob = log_prob + torch.where(has[:, place], logp.gather(1, choice)[:, 0], 0.0)
            choices.append(choice[:, 0] * has[:, place])
        return Action(function, torch.stack(choices, dim=-1)), log_prob

    def score(self, shared: Tensor, plane: Tensor, available: Tensor, action: Action) -> Scored:
        """How likely given actions are.

        Args:
            shared: (N, shared).
            plane: (N, plane, cells, cells).
            available: (N, functions) bool.
            action: of shape (N,).
        """
        function, choices = action
        functions = self.functions(shared, available)
        log_prob = functions.gather(1, function[:, None])[:, 0]
        # 0 log 0 is 0, where a function is not available.
        entropy = -(functions.exp() * functions.masked_fill(~available, 0.0)).sum(-1)
        has = self.has[function]
        for place, logp in enumerate(self.arguments(shared, plane, function)):
            chosen = logp.gather(1, choices[:, place : place + 1])[:, 0]
            log_prob = log_prob + torch.where(has[:, place], chosen, 0.0)
            entropy = entropy - torch.where(has[:, place], (logp.exp() * logp).sum(-1), 0.0)
        return Scored(log_prob, entropy)
