"""The agents for StarCraft II: relational, and control with residual convolutions in the place of attention.

screen, minimap -> two streams of planes -> 8 x 8 maps -> ConvLSTM -> attention between the 64 cells -> map and vector
player, call before -> vector                          map -> points;   both vectors -> function, other arguments, value
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn

from offprints.errors import InputError

from relational_rl.relational import RelationalBlock
from relational_rl.sc2.heads import ActionHeads, Scored
from relational_rl.sc2.inputs import Stream, VectorInputs
from relational_rl.sc2.interface import Interface
from relational_rl.sc2.memory import ConvLSTM, Memory
from relational_rl.sc2.observations import Action, Observation


@dataclass
class SC2Options:
    """A StarCraft II agent's network.

    Attributes:
        kind: relational, or control with twelve convolutional layers in the place of attention.
        cells: side of the feature map; screen and minimap are halved until they have it.
        stream: channels of the map of the screen, and of the minimap.
        embedding: width of the embedding of a category, and of the call before.
        vector: units of the two layers on the non-spatial inputs.
        memory: channels of the ConvLSTM.
        coordinates: tag each cell with its column and row.
        blocks: applications of the relational block.
        control_blocks: residual blocks of three layers in the control agent.
        shared_weights: one relational block, applied again and again, in place of one for each application.
        heads: of the attention.
        head_dim: width of queries, keys and values of a head.
        qkv_norm: per_head, joint or none, as in the agents of Box-World.
        plane: channels of the map that points are chosen from.
        hidden: units of the two layers behind the pooled (relational) or flattened (control) map.
        head: units before the functions' logits, and before the value.
        function: width of the embedding that a function's arguments are conditioned on.
        upward: channels of the transposed convolutions.

    Source: appendix on StarCraft II, in part as others report it (docs/papers/relational-rl.md says which part). Heads, blocks and
    widths were swept there; the defaults of those are ours.
    """

    kind: str = "relational"
    cells: int = 8
    stream: int = 32
    embedding: int = 10
    vector: list[int] = field(default_factory=lambda: [128, 64])
    memory: int = 96
    coordinates: bool = True
    blocks: int = 3
    control_blocks: int = 4
    shared_weights: bool = False
    heads: int = 2
    head_dim: int = 32
    qkv_norm: str = "per_head"
    plane: int = 32
    hidden: int = 512
    head: int = 256
    function: int = 16
    upward: int = 16

    def __post_init__(self) -> None:
        if self.kind not in ("relational", "control"):
            raise InputError(f"sc2.model option kind={self.kind!r} is unknown: relational, control")
        if self.qkv_norm not in ("per_head", "joint", "none"):
            raise InputError(f"sc2.model option qkv_norm={self.qkv_norm!r} is unknown: per_head, joint, none")
        if len(self.vector) != 2 or min(self.vector) < 1:
            raise InputError(f"sc2.model option vector={self.vector} must be two numbers of units")
        sizes = (
            "cells",
            "stream",
            "embedding",
            "memory",
            "blocks",
            "control_blocks",
            "heads",
            "head_dim",
            "plane",
        )
        for name in (*sizes, "hidden", "head", "function", "upward"):
            if getattr(self, name) < 1:
                raise InputError(f"sc2.model option {name}={getattr(self, name)} must be 1 or more")


class Features(NamedTuple):
    """What the heads look at, of N states.

    Attributes:
        shared: (N, vector + hidden).
        plane: (N, plane, cells, cells).
        value: (N,).
        available: (N, functions) bool, as observed.
    """

    shared: Tensor
    plane: Tensor
    value: Tensor
    available: Tensor


class TripleBlock(nn.Module):
    """A 4 x 4 and two 3 x 3 convolutions of stride 1, and a skip connection.

    Args:
        width: channels.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 4)
        self.second, self.third = (nn.Conv2d(width, width, 3, padding=1) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        """(N, width, h, w) -> the same."""
        padded = nn.functional.pad(x, (1, 2, 1, 2))  # an even kernel needs one more behind
        update: Tensor = self.third(self.second(self.first(padded).relu()).relu())
        return (x + update).relu()


class SC2Agent(nn.Module):
    """Observations to a policy over calls, and a value.

    Args:
        interface: of the environments; sizes, layers, functions and arguments are read off it.
        options: of the network.

    Raises:
        InputError: screen or minimap do not halve to the side of the feature map.
    """

    def __init__(self, interface: Interface, options: SC2Options | None = None) -> None:
        super().__init__()
        self.interface = interface
        self.options = told = options or SC2Options()
        self.screen = Stream(interface.screen, interface.screen_size, told.embedding, told.stream, told.cells)
        self.minimap = Stream(
            interface.minimap, interface.minimap_size, told.embedding, told.stream, told.cells
        )
        first, second = told.vector
        self.vector = VectorInputs(interface, told.embedding, (first, second))
        self.memory = ConvLSTM(2 * told.stream, told.memory)
        width = told.memory + 2 * told.coordinates
        self.trunk = nn.ModuleList(self._blocks(width))
        self.to_plane = nn.Conv2d(width, told.plane, 1)
        pooled = width if told.kind == "relational" else width * told.cells**2
        self.to_vector = nn.Sequential(
            nn.Linear(pooled, told.hidden), nn.ReLU(), nn.Linear(told.hidden, told.hidden), nn.ReLU()
        )
        shared = second + told.hidden
        self.heads = ActionHeads(
            interface, shared, told.plane, told.cells, told.head, told.function, told.upward
        )
        self.value = nn.Sequential(nn.Linear(shared, told.head), nn.ReLU(), nn.Linear(told.head, 1))
        self.on_screen: Tensor
        self.on_minimap: Tensor
        for name, arguments in (("on_screen", ("screen", "screen2")), ("on_minimap", ("minimap",))):
            flags = torch.zeros(len(interface.functions), dtype=torch.bool)
            flags[list(interface.calls_with(*arguments))] = True
            self.register_buffer(name, flags, persistent=False)

    def start(self, batch: int) -> Memory:
        """An empty memory for so many environments."""
        return self.memory.start(batch, self.options.cells, self.options.cells)

    def forward(self, seen: Observation, memory: Memory) -> tuple[Features, Memory]:
        """T steps of B environments.

        Args:
            seen: (T, B).
            memory: from before the first of these steps; it is emptied where `seen.first` says so.

        Returns:
            Features of the T * B states, step by step, and the memory after the last step.
        """
        steps = seen.first.shape
        flat = Observation(*(part.flatten(0, 1) for part in seen))
        maps = torch.cat(
            [
                self.screen(flat.screen, self.on_screen[flat.previous]),
                self.minimap(flat.minimap, self.on_minimap[flat.previous]),
            ],
            dim=1,
        )
        outputs, memory = self.memory(maps.unflatten(0, steps), memory, seen.first)
        plane, pooled = self._related(outputs.flatten(0, 1))
        shared = torch.cat([self.vector(flat.player, flat.previous), self.to_vector(pooled)], dim=-1)
        value = self.value(shared)[:, 0]
        return Features(shared, self.to_plane(plane).relu(), value, flat.available), memory

    @torch.no_grad()
    def act(self, seen: Observation, memory: Memory, draws: torch.Generator) -> tuple[Action, Tensor, Memory]:
        """Draw an action for each of B environments.

        Args:
            seen: (B,).
            memory: from the step before.
            draws: on the agent's device.

        Returns:
            Actions (B,), their log-probabilities (B,), and the memory for the next step.
        """
        features, memory = self(Observation(*(part[None] for part in seen)), memory)
        action, log_prob = self.heads.sample(features.shared, features.plane, features.available, draws)
        return action, log_prob, memory

    def score(self, features: Features, action: Action) -> Scored:
        """Log-probability and entropy of N actions in N states."""
        return self.heads.score(features.shared, features.plane, features.available, action)

    def _blocks(self, width: int) -> list[nn.Module]:
        told = self.options
        if told.kind == "control":
            return [TripleBlock(width) for _ in range(told.control_blocks)]
        count = 1 if told.shared_weights else told.blocks
        return [
            RelationalBlock(width, told.heads, told.head_dim, qkv_norm=told.qkv_norm) for _ in range(count)
        ]

    def _related(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """(N, memory, cells, cells) -> the same with coordinates after the trunk, and what the vector is made of."""
        if self.options.coordinates:
            places = torch.linspace(-1, 1, self.options.cells, dtype=maps.dtype, device=maps.device)
            y, x = torch.meshgrid(places, places, indexing="ij")
            maps = torch.cat([maps, torch.stack([x, y]).expand(len(maps), -1, -1, -1)], dim=1)
        if self.options.kind == "control":
            for block in self.trunk:
                maps = block(maps)
            return maps, maps.flatten(1)
        entities = maps.flatten(2).transpose(1, 2)  # (N, cells * cells, width), entity = row * cells + column
        times = self.options.blocks if self.options.shared_weights else 1
        for block in list(self.trunk) * times:
            entities, _ = block(entities)
        return entities.transpose(1, 2).unflatten(2, maps.shape[2:]), entities.amax(1)
