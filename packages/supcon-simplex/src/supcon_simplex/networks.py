"""Encoders: what makes features of inputs. Each ends without an activation, so that the simplex is within its reach.

The paper's ResNet-18 ends with ReLU and average pooling: its features are not negative, no two class means have a negative cosine, and
the best it can do is an orthogonal frame. `final_relu=True` is that network; without it a linear layer follows the pooling.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from offprints.errors import InputError
from offprints.user_errors import closest

NETWORKS = ("mlp", "cnn", "cnn13", "resnet18")


class Encoder(nn.Module):
    """A trunk, what follows it, and an optional projection that only the loss sees.

    Args:
        trunk: inputs to (B, width), not negative.
        width: of the trunk's output.
        features: of the encoder; a linear layer makes them. With `final_relu` there is none, and it has to be `width`.
        final_relu: end as the paper's network does.
        projection: width of a projection head (linear, ReLU, linear) as SupCon has it and the paper does not; 0 for none.

    Attributes:
        features: numbers of a row of `forward`.
        loss_features: numbers of a row of `project`.
    """

    def __init__(
        self, trunk: nn.Module, width: int, features: int, final_relu: bool = False, projection: int = 0
    ) -> None:
        super().__init__()
        if final_relu and features != width:
            raise InputError(
                f"final_relu=true ends with the {width} features of the network, not with features={features}"
            )
        self.trunk = trunk
        self.last = nn.Identity() if final_relu else nn.Linear(width, features)
        self.final_relu, self.features = final_relu, features
        self.head = (
            nn.Sequential(nn.Linear(features, features), nn.ReLU(), nn.Linear(features, projection))
            if projection
            else None
        )
        self.loss_features = projection or features

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, features)."""
        found: Tensor = self.last(self.trunk(inputs))
        return found

    def project(self, features: Tensor) -> Tensor:
        """(B, loss_features), what the loss is taken of."""
        return features if self.head is None else self.head(features)


def build_encoder(
    network: str,
    shape: Sequence[int],
    *,
    features: int = 128,
    widths: Sequence[int] = (256, 256),
    batch_norm: bool = False,
    final_relu: bool = False,
    projection: int = 0,
) -> Encoder:
    """An encoder by its name, with torch's global generator for its weights.

    Args:
        network: "mlp" takes vectors or images; "cnn" (for 28 x 28), "cnn13" and "resnet18" (for 32 x 32) take images.
        shape: of one input: (D,) or (C, H, W).
        features: of the encoder.
        widths: of the hidden layers of "mlp"; of the three stages of "cnn", which has (16, 32, 64) unless there are three.
        batch_norm: batch normalisation in "mlp" and "cnn"; the other two always have it.
        final_relu: see `Encoder`; features are then those of the trunk.
        projection: see `Encoder`.

    Raises:
        InputError: there is no such network, or it does not take such inputs.
    """
    if network not in NETWORKS:
        raise InputError(f"network {network!r} is unknown{closest(network, NETWORKS)}")
    if features < 1 or projection < 0 or not widths or min(widths) < 1:
        raise InputError(
            f"features={features}, projection={projection} and widths={list(widths)} have to be positive"
        )
    if network != "mlp" and len(shape) != 3:
        raise InputError(
            f"network {network!r} takes images (C, H, W), and these inputs have shape {tuple(shape)}: use mlp"
        )
    if network == "mlp":
        trunk, width = _mlp(shape, widths, batch_norm)
    elif network == "cnn":
        trunk, width = _cnn(shape[0], widths if len(widths) == 3 else (16, 32, 64), batch_norm)
    elif network == "cnn13":
        trunk, width = _cnn13(shape[0]), 128
    else:
        trunk, width = _ResNet18(shape[0]), 512
    return Encoder(trunk, width, width if final_relu else features, final_relu, projection)


def _mlp(shape: Sequence[int], widths: Sequence[int], batch_norm: bool) -> tuple[nn.Module, int]:
    layers: list[nn.Module] = [nn.Flatten()]
    inside = int(torch.Size(shape).numel())
    for width in widths:
        layers += [nn.Linear(inside, width), *([nn.BatchNorm1d(width)] if batch_norm else []), nn.ReLU()]
        inside = width
    return nn.Sequential(*layers), inside


def _cnn(channels: int, widths: Sequence[int], batch_norm: bool) -> tuple[nn.Module, int]:
    """A 5 x 5 and two 3 x 3 convolutions with ReLU, the first two of stride 2, averaged at the end: small enough for one CPU core."""
    layers: list[nn.Module] = []
    inside = channels
    for width, size, stride in zip(widths, (5, 3, 3), (2, 2, 1), strict=True):
        layers.append(nn.Conv2d(inside, width, size, stride, size // 2, bias=not batch_norm))
        layers += [*([nn.BatchNorm2d(width)] if batch_norm else []), nn.ReLU()]
        inside = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()), inside


def _cnn13(channels: int) -> nn.Module:
    """The 13-layer network of semi-supervised learning, leaky ReLU 0.1; the leak makes its features reach below 0 as well."""

    def block(inside: int, outside: int, size: int, padding: int) -> list[nn.Module]:
        return [
            nn.Conv2d(inside, outside, size, padding=padding, bias=False),
            nn.BatchNorm2d(outside),
            nn.LeakyReLU(0.1),
        ]

    layers = [*block(channels, 128, 3, 1), *block(128, 128, 3, 1), *block(128, 128, 3, 1), nn.MaxPool2d(2)]
    layers += [*block(128, 256, 3, 1), *block(256, 256, 3, 1), *block(256, 256, 3, 1), nn.MaxPool2d(2)]
    layers += [*block(256, 512, 3, 0), *block(512, 256, 1, 0), *block(256, 128, 1, 0)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())


class _ResNet18(nn.Module):
    """ResNet-18 for 32 x 32 images as in the published program: 3 x 3 stem of stride 1, no pooling before the stages."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(channels, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64), nn.ReLU()
        )
        blocks: list[nn.Module] = []
        inside = 64
        for width, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
            blocks += [_Block(inside, width, stride), _Block(width, width, 1)]
            inside = width
        self.stages = nn.Sequential(*blocks)

    def forward(self, images: Tensor) -> Tensor:
        return functional.adaptive_avg_pool2d(self.stages(self.stem(images)), 1).flatten(1)


class _Block(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut."""

    def __init__(self, inside: int, width: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Sequential(
            nn.Conv2d(inside, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
        )
        self.second = nn.Sequential(nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width))
        same = stride == 1 and inside == width
        self.shortcut: nn.Module = (
            nn.Identity()
            if same
            else nn.Sequential(nn.Conv2d(inside, width, 1, stride, bias=False), nn.BatchNorm2d(width))
        )

    def forward(self, inputs: Tensor) -> Tensor:
        return functional.relu(self.second(self.first(inputs)) + self.shortcut(inputs))
