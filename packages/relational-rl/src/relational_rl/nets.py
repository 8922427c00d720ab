"""The agents: pixels to entities, attention between entities (or convolutions instead), and heads for policy and value.

Agent(AgentOptions())                       the relational agent of the paper
Agent(AgentOptions(kind="control"))         residual convolutions in the place of attention
agent(frames) -> logits (B, 4), values (B,)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from offprints.errors import InputError

from relational_rl.relational import RelationalBlock


@dataclass
class AgentOptions:
    """An agent's network.

    Attributes:
        kind: relational; control, with residual convolutions; or plain, which flattens the stem's features. The command line takes
            it from `agents`.
        blocks: applications of the relational block, or residual blocks of the control agent.
        shared_weights: one relational block, applied again and again, in place of one for each application.
        heads: of the attention.
        head_dim: width of queries, keys and values of a head.
        qkv_norm: per_head normalises each head's queries, keys and values; joint all heads' together; none does not.
        mlp_final_relu: a ReLU after the block's second layer too.
        pooling: max or mean over the entities.
        coordinates: tag each entity with its column and row.
        padding: same pads below and to the right before each convolution of the stem; valid does not.
        input_norm: opponent takes brightness, 0 at the floor, and two axes of hue, 0 at every grey, on which the keys lie around
            a circle of radius 2; centered maps the floor's grey to 0 and 64 steps to 1; unit divides by 255.
        hidden: width of the fully connected layers.
        layers: number of them.
        init: torch's default, or orthogonal with a policy that begins uniform.
        side: side of the boards; only the plain agent is bound to it. The command line takes it from `world.size`.
        actions: of the policy.

    Source: Section 4.1 and appendix; the paper leaves open padding, input scale, initialisation and the block's hidden width.
    """

    kind: str = "relational"
    blocks: int = 1
    shared_weights: bool = True
    heads: int = 2
    head_dim: int = 64
    qkv_norm: str = "per_head"
    mlp_final_relu: bool = False
    pooling: str = "max"
    coordinates: bool = True
    padding: str = "same"
    input_norm: str = "opponent"
    hidden: int = 256
    layers: int = 4
    init: str = "default"
    side: int = 14
    actions: int = 4

    def __post_init__(self) -> None:
        choices = {
            "kind": ("relational", "control", "plain"),
            "qkv_norm": ("per_head", "joint", "none"),
            "pooling": ("max", "mean"),
            "padding": ("same", "valid"),
            "input_norm": ("opponent", "centered", "unit"),
            "init": ("default", "orthogonal"),
        }
        for name, among in choices.items():
            if getattr(self, name) not in among:
                raise InputError(
                    f"model option {name}={getattr(self, name)!r} is unknown: {', '.join(among)}"
                )
        for name in ("blocks", "heads", "head_dim", "hidden", "layers", "actions"):
            if getattr(self, name) < 1:
                raise InputError(f"model option {name}={getattr(self, name)} must be 1 or more")


FLOOR_GREY = 204
OPPONENT = (
    tuple(4 / 255 / 3 for _ in range(3)),
    tuple(part / 45 for part in (1.0, -0.5, -0.5)),
    tuple(part / 45 * math.sqrt(0.75) for part in (0.0, 1.0, -1.0)),
)
"""RGB beside the floor's to brightness and to the two axes of hue: an invertible change of colours, and nothing else.

Which key fits which lock is a question of hue alone, and neighbouring hues are 18 to 27 of 255 steps apart in one channel, while board
and floor differ by 204: on these axes hue has the larger part of the input's variance, and not the smaller one.
"""


class Stem(nn.Module):
    """Pixels to entities: two 2 x 2 convolutions with 12 and 24 kernels, and the coordinates of each cell.

    Args:
        padding: see `AgentOptions`.
        input_norm: see `AgentOptions`.
        coordinates: see `AgentOptions`.
    """

    opponent: Tensor

    def __init__(self, padding: str = "same", input_norm: str = "opponent", coordinates: bool = True) -> None:
        super().__init__()
        self.register_buffer("opponent", torch.tensor(OPPONENT).T.contiguous(), persistent=False)
        self.first, self.second = nn.Conv2d(3, 12, 2), nn.Conv2d(12, 24, 2)
        self.padding, self.input_norm, self.coordinates = padding, input_norm, coordinates
        self.width = 24 + 2 * coordinates

    def forward(self, frames: Tensor) -> Tensor:
        """(B, H, W, 3) uint8 -> (B, h, w, 26): 24 features, then x (column) and y (row) from -1 to 1."""
        x = self._scaled(frames.to(self.first.weight.dtype)).permute(0, 3, 1, 2)  # (B, 3, H, W)
        for convolution in (self.first, self.second):
            if self.padding == "same":
                x = F.pad(x, (0, 1, 0, 1))
            x = convolution(x).relu()
        x = x.permute(0, 2, 3, 1)  # (B, h, w, 24)
        if not self.coordinates:
            return x
        rows, columns = (torch.linspace(-1, 1, n, dtype=x.dtype, device=x.device) for n in x.shape[1:3])
        y, x_of = torch.meshgrid(rows, columns, indexing="ij")
        place = torch.stack([x_of, y], dim=-1).expand(len(x), -1, -1, -1)
        return torch.cat([x, place], dim=-1)

    def _scaled(self, rgb: Tensor) -> Tensor:
        """(..., 3) from 0 to 255 to the input of the convolutions."""
        if self.input_norm == "unit":
            return rgb / 255
        beside = rgb - FLOOR_GREY
        return beside @ self.opponent if self.input_norm == "opponent" else beside * (4 / 255)

    def entity_of(self, cell: Tensor, side: int) -> Tensor:
        """The entity whose pixels have a cell of the board at their upper left, or, without padding, in their middle.

        Args:
            cell: (B,) int64, row * side + column.
            side: of the board.
        """
        if self.padding == "same":
            return cell
        inner = side - 2
        row, column = ((part - 1).clamp(0, inner - 1) for part in (cell // side, cell % side))
        return row * inner + column


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions and a skip connection.

    Args:
        width: channels.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = (nn.Conv2d(width, width, 3, padding=1) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, h, w) -> the same."""
        update: Tensor = self.second(self.first(x).relu())
        return (x + update).relu()


class Agent(nn.Module):
    """Frames to a policy and a value.

    Args:
        options: of the network.
    """

    def __init__(self, options: AgentOptions | None = None) -> None:
        super().__init__()
        self.options = options = options or AgentOptions()
        self.stem = Stem(options.padding, options.input_norm, options.coordinates)
        width = self.stem.width
        self.trunk = nn.ModuleList()
        if options.kind == "relational":
            count = 1 if options.shared_weights else options.blocks
            self.trunk.extend(
                RelationalBlock(
                    width,
                    options.heads,
                    options.head_dim,
                    qkv_norm=options.qkv_norm,
                    mlp_final_relu=options.mlp_final_relu,
                )
                for _ in range(count)
            )
        elif options.kind == "control":
            self.trunk.extend(ResidualBlock(width) for _ in range(options.blocks))
        else:
            map_side = options.side - 2 * (options.padding == "valid")
            width *= map_side**2
        layers: list[nn.Module] = []
        for layer in range(options.layers):
            layers += [nn.Linear(width if layer == 0 else options.hidden, options.hidden), nn.ReLU()]
        self.head = nn.Sequential(*layers)
        self.policy, self.value = nn.Linear(options.hidden, options.actions), nn.Linear(options.hidden, 1)
        if options.init == "orthogonal":
            self._orthogonal()

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """(B, H, W, 3) uint8 -> logits (B, actions), values (B,).

        Raises:
            InputError: see `entities`.
        """
        return self.decide(self.entities(frames))

    def entities(self, frames: Tensor) -> Tensor:
        """(B, H, W, 3) uint8 -> (B, N, D), the entities as the trunk leaves them; entity row * w + column.

        Raises:
            InputError: a plain agent sees boards of another side than it was made for.
        """
        features = self.stem(frames)
        if self.options.kind == "control":
            x = features.permute(0, 3, 1, 2)
            for block in self.trunk:
                x = block(x)
            features = x.permute(0, 2, 3, 1)
        if self.options.kind == "plain" and frames.shape[1] != self.options.side:
            raise InputError(
                f"this plain agent was made for boards of side {self.options.side}, not {frames.shape[1]}; relational and control "
                "agents take any side"
            )
        entities: Tensor = features.flatten(1, 2)
        if self.options.kind == "relational":
            for block in self._applied():
                entities, _ = block(entities)
        return entities

    def decide(self, entities: Tensor) -> tuple[Tensor, Tensor]:
        """(B, N, D) entities -> logits (B, actions), values (B,)."""
        hidden = self.head(entities.flatten(1) if self.options.kind == "plain" else self._pooled(entities))
        return self.policy(hidden), self.value(hidden)[:, 0]

    @torch.no_grad()
    def attention(self, frames: Tensor) -> Tensor:
        """Who attends to whom.

        Args:
            frames: (B, H, W, 3) uint8.

        Returns:
            (k, B, H, N, N) of each application and head: row the entity that asks, column the one that answers. Entity
            row * w + column of the feature map stands for the 3 x 3 pixels (or fewer) from that cell to the lower right.

        Raises:
            InputError: the agent is not relational.
        """
        if self.options.kind != "relational":
            raise InputError(f"a {self.options.kind} agent has no attention")
        entities, found = self.stem(frames).flatten(1, 2), []
        for block in self._applied():
            entities, weights = block(entities, need_weights=True)
            found.append(weights)
        return torch.stack(found)

    def _applied(self) -> list[nn.Module]:
        return list(self.trunk) * (self.options.blocks if self.options.shared_weights else 1)

    def _pooled(self, entities: Tensor) -> Tensor:
        """(B, N, D) -> (B, D)."""
        return entities.amax(1) if self.options.pooling == "max" else entities.mean(1)

    def _orthogonal(self) -> None:
        for module in self.modules():
            if isinstance(module, (nn.Linear, nn.Conv2d)):
                nn.init.orthogonal_(module.weight, math.sqrt(2))
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        nn.init.orthogonal_(self.policy.weight, 0.01)
        nn.init.orthogonal_(self.value.weight, 1.0)
