"""A small network for colours, trained in minutes on the good scans themselves, without labels and without other data.

Its features are what survives: two looks at the same place, through another light, turned and with noise, must find each other among
all other places of the scan (InfoNCE). What changes with light is forgotten, what tells places apart is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from offprints.checkpoint import Checkpoints, fingerprint
from offprints.errors import InputError
from offprints.training import EpochLoop, LoopOptions, Outcome

from m3dm.align import LEAST
from m3dm.arrays import Colours, Mask
from m3dm.features import MARGIN, PatchFeatures, continued, foreground, interior, pooled
from m3dm.scan import Scan, ScanError

_DARK = 0.02
"""Added before the logarithm: five grey levels, so that noise in the dark does not count as contrast."""


@dataclass
class SmallNetOptions(LoopOptions):
    """The small network and its training.

    Attributes:
        width: channels of the last layer: numbers of a feature.
        temperature: of the contrast.
        places: of a scan that contrast in one step.
        jitter: of brightness, in natural logarithms; a third of it of each colour channel.
        noise: standard deviation that is added to a pixel, of 1.
    """

    epochs: int = 40
    learning_rate: float = 0.002
    schedule: str = "cosine"
    warmup_epochs: float = 1.0
    evaluate_every: int = 0
    width: int = 64
    temperature: float = 0.1
    places: int = 512
    jitter: float = 0.1
    noise: float = 0.005

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(
            ("width", self.width >= 4, "4 or more"),
            ("temperature", self.temperature > 0, "positive"),
            ("places", self.places >= 2, "2 or more"),
        )


class ConvNet(nn.Module):
    """Four convolutions, two of which halve the image; features of 4 x 4 pixels that see 29 x 29.

    They look at logarithms, on the scale of the good scans: twice the light is the same step for a black part as for a white one.

    Args:
        width: channels of the last one.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        half = width // 2
        self.register_buffer("mean", torch.zeros(3))
        self.register_buffer("scale", torch.ones(3))
        self.layers = nn.Sequential(
            nn.Conv2d(3, half, 5, 2, 2),
            nn.GELU(),
            nn.Conv2d(half, width, 5, 2, 2),
            nn.GELU(),
            nn.Conv2d(width, width, 3, 1, 1),
            nn.GELU(),
            nn.Conv2d(width, width, 3, 1, 1),
        )
        self.head = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))

    def forward(self, images: Tensor) -> Tensor:
        """(B, width, H/4, W/4) features of (B, 3, H, W) images in [0, 1]."""
        standard = (torch.log(images + _DARK) - self.mean[:, None, None]) / self.scale[:, None, None]
        found: Tensor = self.layers(standard)
        return found

    def learn_scale(self, pixels: Tensor) -> None:
        """Take mean and scale from (N, 3) pixels of good parts, in [0, 1]."""
        logs = torch.log(pixels + _DARK)
        self.mean.copy_(logs.mean(0))
        self.scale.copy_(logs.std(0).clamp_min(0.05))


@dataclass(frozen=True, eq=False)
class SmallNet:
    """Features of a network that was trained on good scans.

    Attributes:
        network: trained, in eval mode.
        width: numbers of a feature.
        trained_on: number of scans, for the record.
    """

    network: ConvNet
    width: int
    trained_on: int

    modality = "rgb"
    standardise = True

    @torch.inference_mode()
    def __call__(self, scan: Scan) -> PatchFeatures:
        """Features of a prepared scan.

        Raises:
            ScanError: it has no image, or its side is no multiple of 4.
        """
        if scan.rgb is None:
            raise ScanError(f"{scan.name}: no rgb; the network looks at images")
        if scan.size[0] % 4 or scan.size[1] % 4:
            raise ScanError(
                f"{scan.name}: {scan.size[0]} x {scan.size[1]} pixels are no multiple of 4: prepare it first"
            )
        part = interior(foreground(scan), MARGIN)
        found = self.network(as_input(continued(scan.rgb, part))[None])[0]
        grid = (found.shape[1], found.shape[2])
        return PatchFeatures(found.flatten(1).T.contiguous().numpy(), grid, pooled(part, grid, LEAST))

    def describe(self) -> dict[str, object]:
        weights = torch.cat([value.flatten() for value in self.network.state_dict().values()])
        return {
            "kind": "smallnet",
            "width": self.width,
            "trained_on": self.trained_on,
            "weights": fingerprint(
                weights=weights.double().sum().item(), square=weights.double().square().sum().item()
            ),
        }

    @classmethod
    def restored(cls, described: Mapping[str, Any], tensors: dict[str, Tensor]) -> SmallNet:
        """From what `describe` gave, and the tensors of its state."""
        longest = max((max(value.shape, default=1) for value in tensors.values()), default=0)
        if not 0 < int(described["width"]) <= longest:  # a network is made before its weights are put in
            raise InputError(f"a width of {described['width']}, and the longest tensor has {longest} numbers")
        network = ConvNet(int(described["width"]))
        network.load_state_dict(tensors)
        return cls(network.eval(), int(described["width"]), int(described["trained_on"]))


class SmallNetTrainer(EpochLoop[int]):
    """Trains the small network; a step is one scan, looked at twice.

    Args:
        network: what is trained.
        images: (H, W, 3) uint8 of good parts.
        parts: (H, W) where each shows its part.
        options: how.
        seed: of the order, of places and of looks.
        directory: of checkpoints; None keeps none.
        on_epoch: called with the row of each epoch.
        uninterrupted: context in which a step runs.
    """

    options_at = "smallnet"
    advice = ", or a higher smallnet.temperature"

    def __init__(
        self,
        network: ConvNet,
        images: Sequence[Colours],
        parts: Sequence[Mask],
        options: SmallNetOptions | None = None,
        *,
        seed: int = 0,
        directory: Path | str | None = None,
        on_epoch: Callable[[dict[str, float]], None] | None = None,
        uninterrupted: Callable[[], AbstractContextManager[None]] | None = None,
    ) -> None:
        if not images:
            raise InputError("no image of a good part to train on")
        self.options = options or SmallNetOptions()
        self.network = network
        self.images = [as_input(continued(image, part)) for image, part in zip(images, parts, strict=True)]
        self.parts = [torch.from_numpy(part) for part in parts]
        self.generator = torch.Generator().manual_seed(seed)
        made_of = fingerprint(
            sums=[int(image.sum()) for image in images], width=self.options.width, seed=seed
        )
        super().__init__(
            network,
            torch.optim.AdamW(network.parameters(), self.options.learning_rate, weight_decay=0.01),
            self.options,
            order=self.generator,
            checkpoints=None if directory is None else Checkpoints(directory, "m3dm-smallnet", made_of),
            on_epoch=on_epoch,
            uninterrupted=uninterrupted,
        )

    @property
    def num_batches(self) -> int:
        return len(self.images)

    def batches(self, done: int) -> Iterator[int]:
        """The scans in a new order."""
        order = torch.randperm(len(self.images), generator=self.generator).tolist()
        self._draw = int(torch.randint(1 << 40, (1,), generator=self.generator))
        yield from order[done:]

    def step(self, batch: int) -> Tensor:
        # Each step has a generator of its own: a resumed epoch draws what an unbroken one does.
        draws = torch.Generator().manual_seed(self._draw + batch)
        image, part = self.images[batch], self.parts[batch]
        turn = int(torch.randint(4, (1,), generator=draws))
        flip = bool(torch.randint(2, (1,), generator=draws))
        one = self._looked(image, draws, 0, False)
        other = self._looked(image, draws, turn, flip)
        maps = self.network(torch.stack([one, other]))
        back = _unturned(maps[1], turn, flip)
        seen = F.avg_pool2d(part[None, None].float(), 4)[0, 0] > 0.5
        places = seen.flatten().nonzero()[:, 0]
        chosen = places[torch.randperm(len(places), generator=draws)[: self.options.places]]
        if len(chosen) < 2:
            raise InputError("a scan to train on shows hardly any part: fewer than two patches")
        a, b = (
            F.normalize(self.network.head(found.flatten(1)[:, chosen].T), dim=1) for found in (maps[0], back)
        )
        logits = a @ b.T / self.options.temperature
        own = torch.arange(len(chosen))
        loss = (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return loss

    def _looked(self, image: Tensor, draws: torch.Generator, turn: int, flip: bool) -> Tensor:
        """The image in another light, with noise, turned."""
        light, tint = (2 * torch.rand(n, 1, 1, generator=draws) - 1 for n in (1, 3))
        gain = torch.exp(self.options.jitter * (light + tint / 3))
        noisy = image * gain + self.options.noise * torch.randn(image.shape, generator=draws)
        noisy = noisy.clamp_min(0)
        turned = torch.rot90(noisy, turn, (1, 2))
        return turned.flip(2) if flip else turned


def train_smallnet(
    scans: Sequence[Scan], options: SmallNetOptions | None = None, seed: int = 0, **told: Any
) -> tuple[SmallNet, Outcome]:
    """Train the small network on good scans.

    Args:
        scans: prepared and square, of good parts.
        options: how.
        seed: of the weights and of all draws.
        told: what else `SmallNetTrainer` takes.

    Raises:
        InputError: a scan has no image, or shows a defect.
    """
    options = options or SmallNetOptions()
    for scan in scans:
        if scan.rgb is None or scan.defect not in (None, "good"):
            raise InputError(f"{scan.name}: the network is trained on images of good parts")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = ConvNet(options.width)
    images = [scan.rgb for scan in scans if scan.rgb is not None]
    parts = [interior(foreground(scan), MARGIN) for scan in scans]
    pixels = np.concatenate([image[part] for image, part in zip(images, parts, strict=True)])
    network.learn_scale(torch.from_numpy(pixels).float() / 255)
    trainer = SmallNetTrainer(network, images, parts, options, seed=seed, **told)
    outcome = trainer.fit()
    return SmallNet(network.eval(), options.width, len(scans)), outcome


def as_input(rgb: Colours) -> Tensor:
    """(3, H, W) in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(rgb.transpose(2, 0, 1))).float() / 255


def _unturned(features: Tensor, turn: int, flip: bool) -> Tensor:
    """A map of features back to how the image lay."""
    straight = features.flip(2) if flip else features
    return torch.rot90(straight, -turn, (1, 2))
