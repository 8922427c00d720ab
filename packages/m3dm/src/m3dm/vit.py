"""ViT with patches of 8 pixels, by the names that DINO's files and timm use.

Source: Dosovitskiy et al. 2021; Caron et al. 2021 (DINO). The paper takes the patch tokens of ViT-B/8 behind the last norm.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from offprints.errors import InputError

from m3dm.features import PatchFeatures, foreground, pooled
from m3dm.resize import normalise_rgb
from m3dm.scan import Scan, ScanError
from m3dm.weights import Loaded, fit_weights, read_weights


class Attention(nn.Module):
    """Self-attention over all tokens."""

    def __init__(self, dim: int, heads: int, bias: bool = True) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim, bias=bias)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, dim = x.shape
        q, k, v = (
            self.qkv(x).view(batch, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        )  # (B, heads, T, D/heads)
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(batch, tokens, dim)
        found: Tensor = self.proj(mixed)
        return found


class MLP(nn.Module):
    """Two linear maps with GELU between."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return found


class Block(nn.Module):
    """Attention and MLP, each behind a norm and beside a shortcut.

    Args:
        dim: of a token.
        heads: of the attention.
        bias: of queries, keys and values.
        eps: of the norms.
        drop: probability with which a shortcut goes alone during training (stochastic depth), for a whole scan.
    """

    def __init__(self, dim: int, heads: int, bias: bool = True, eps: float = 1e-6, drop: float = 0.0) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps)
        self.attn = Attention(dim, heads, bias)
        self.norm2 = nn.LayerNorm(dim, eps)
        self.mlp = MLP(dim, 4 * dim)
        self.drop = drop

    def forward(self, x: Tensor) -> Tensor:
        x = x + self._kept(self.attn(self.norm1(x)))
        return x + self._kept(self.mlp(self.norm2(x)))

    def _kept(self, branch: Tensor) -> Tensor:
        if not self.training or self.drop == 0:
            return branch
        keep = torch.rand(len(branch), *[1] * (branch.ndim - 1), device=branch.device) >= self.drop
        return branch * keep / (1 - self.drop)


class ViT8(nn.Module):
    """A vision transformer over patches of 8 x 8 pixels.

    Args:
        dim: 768 (ViT-B) or 384 (ViT-S).
        depth: blocks.
        heads: of the attention.
        side: pixels that the position embedding is for.
    """

    def __init__(self, dim: int = 768, depth: int = 12, heads: int = 12, side: int = 224) -> None:
        super().__init__()
        self.dim, self.grid = dim, side // 8
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, self.grid**2 + 1, dim))
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, dim, 8, 8)})
        self.blocks = nn.ModuleList(Block(dim, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(dim, 1e-6)

    def forward(self, images: Tensor) -> Tensor:
        """Patch tokens behind the last norm.

        Args:
            images: (B, 3, H, W), normalised; H and W are multiples of 8.

        Returns:
            (B, dim, H/8, W/8).
        """
        patches = self.patch_embed["proj"](images)  # (B, dim, h, w)
        rows, columns = patches.shape[2:]
        tokens = patches.flatten(2).transpose(1, 2)
        tokens = torch.cat([self.cls_token.expand(len(tokens), -1, -1), tokens], 1) + self._positions(
            rows, columns
        )
        for block in self.blocks:
            tokens = block(tokens)
        found: Tensor = self.norm(tokens)[:, 1:].transpose(1, 2).unflatten(2, (rows, columns))
        return found

    def _positions(self, rows: int, columns: int) -> Tensor:
        """The position embedding, bicubically stretched for an image of another size."""
        if (rows, columns) == (self.grid, self.grid):
            return self.pos_embed
        square = self.pos_embed[:, 1:].transpose(1, 2).unflatten(2, (self.grid, self.grid))
        stretched = F.interpolate(square, (rows, columns), mode="bicubic", align_corners=False)
        return torch.cat([self.pos_embed[:, :1], stretched.flatten(2).transpose(1, 2)], 1)


SIZES = {768: (12, 12), 384: (12, 6)}
"""Width -> depth and heads, of ViT-B and ViT-S."""


def load_vit(path: Path | str) -> tuple[ViT8, Loaded]:
    """ViT-B/8 or ViT-S/8 from a file of weights: DINO's dino_vitbase8_pretrain.pth, or timm's.

    Args:
        path: the file.

    Raises:
        InputError: it is missing or damaged, or a tensor is missing or of another shape.
    """
    tensors = read_weights(path)
    width = tensors["cls_token"].shape[-1] if "cls_token" in tensors else 768
    if width not in SIZES:
        raise InputError(f"{path} is a transformer of width {width}; 768 (ViT-B) and 384 (ViT-S) are known")
    network = ViT8(width, *SIZES[width])
    return network, fit_weights(network, tensors, path)


@dataclass(frozen=True, eq=False)
class ViTFeatures:
    """The paper's features of colours: patch tokens of a pretrained ViT.

    Attributes:
        network: with its weights, in eval mode.
        source: the file they come from.
        device: where it runs.
    """

    network: ViT8
    source: Loaded
    device: torch.device = torch.device("cpu")  # noqa: RUF009 - a device is a plain value

    modality = "rgb"
    standardise = False

    @classmethod
    def from_file(cls, path: Path | str, device: torch.device | str = "cpu") -> ViTFeatures:
        """From a file of weights; see `load_vit`."""
        network, source = load_vit(path)
        return cls(network.to(device), source, torch.device(device))

    @torch.inference_mode()
    def __call__(self, scan: Scan) -> PatchFeatures:
        """Features of a prepared scan.

        Raises:
            ScanError: it has no image, or its side is no multiple of 8.
        """
        if scan.rgb is None:
            raise ScanError(f"{scan.name}: no rgb; a vision transformer looks at images")
        if scan.size[0] % 8 or scan.size[1] % 8:
            raise ScanError(
                f"{scan.name}: {scan.size[0]} x {scan.size[1]} pixels are no multiple of 8: prepare it first"
            )
        image = torch.from_numpy(normalise_rgb(scan.rgb)).to(self.device)
        found = self.network(image[None])[0]
        grid = (found.shape[1], found.shape[2])
        return PatchFeatures(found.flatten(1).T.cpu().numpy(), grid, pooled(foreground(scan), grid))

    def describe(self) -> dict[str, object]:
        return {"kind": "vit", "path": str(self.source.path), "sha256": self.source.sha256}
