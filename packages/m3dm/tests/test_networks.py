"""The pretrained networks: the published layout of their files, the recorded outputs, and what a file may lack."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from offprints.errors import CorruptFile, InputError, MissingFile

from m3dm.point_transformer import PointFeatures, PointTransformer, load_point_transformer
from m3dm.scan import Scan, ScanError
from m3dm.vit import ViT8, ViTFeatures, load_vit
from m3dm.weights import WeightsError


def by_formula(network: nn.Module) -> dict[str, torch.Tensor]:
    """Weights that stand for themselves: tensor number i and place j give the value."""
    norms = {
        f"{name}."
        for name, module in network.named_modules()
        if isinstance(module, (nn.LayerNorm, nn.BatchNorm1d))
    }
    state = network.state_dict()
    names = list(state)
    if isinstance(network, PointTransformer):
        # In its file a block's norms come first, its attention last.
        parts = ["norm1", "norm2", "mlp.fc1", "mlp.fc2", "attn.qkv", "attn.proj"]
        ranks = {f"blocks.blocks.{b}.{part}": (b, k) for b in range(12) for k, part in enumerate(parts)}
        inner = [name for name in names if name.startswith("blocks.")]
        first = names.index(inner[0])
        inner.sort(key=lambda name: ranks[name.rsplit(".", 1)[0]])
        names[first : first + len(inner)] = inner
    for i, name in enumerate(names):
        value = state[name]
        if name.endswith("num_batches_tracked"):
            continue
        j = torch.arange(value.numel(), dtype=torch.float64)
        x = torch.sin(12.9898 * j + 78.233 * i) * 43758.5453
        u = (x - torch.floor(x) - 0.5).reshape(value.shape)
        if name.endswith("weight") and value.ndim >= 2:
            u = 2 * u / np.sqrt(np.prod(value.shape[1:]))
        elif name.endswith("weight") and f"{name.removesuffix('weight')}" in norms:
            u = 1 + 0.2 * u
        elif name.endswith("running_var"):
            u = 1 + 0.5 * u.abs()
        elif name.endswith("running_mean"):
            u = 0.05 * u
        else:
            u = 0.1 * u
        state[name] = u.to(torch.float32)
    return state


@pytest.fixture(scope="module")
def vit_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("vit") / "dino.pth"
    torch.save(by_formula(ViT8()), path)
    return path


@pytest.fixture(scope="module")
def mae_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As Point-MAE's file: under base_model, the encoder of a larger network whose rest is of no use here."""
    path = tmp_path_factory.mktemp("mae") / "pointmae_pretrain.pth"
    state = by_formula(PointTransformer())
    tensors = {f"module.MAE_encoder.{name}": value for name, value in state.items()}
    tensors |= {
        "module.mask_token": torch.zeros(1, 1, 384),
        "module.MAE_decoder.norm.weight": torch.ones(384),
    }
    torch.save({"base_model": tensors, "epoch": 300}, path)
    return path


def test_the_layouts_are_the_published_ones() -> None:
    vit, points, bert = ViT8(), PointTransformer(), PointTransformer(bert=True)
    names = list(vit.state_dict())
    assert len(names) == 150
    assert names[:4] == ["cls_token", "pos_embed", "patch_embed.proj.weight", "patch_embed.proj.bias"]
    assert names[4:16] == [
        f"blocks.0.{part}.{kind}"
        for part in ("norm1", "attn.qkv", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2")
        for kind in ("weight", "bias")
    ]
    assert tuple(vit.pos_embed.shape) == (1, 785, 768)
    assert len(points.state_dict()) == 156
    assert sum(value.numel() for value in points.parameters()) == pytest.approx(21.8e6, rel=0.02)
    assert "blocks.blocks.0.attn.qkv.bias" not in points.state_dict()
    assert {"reduce_dim.weight", "cls_token", "cls_pos"} <= set(bert.state_dict())


@pytest.mark.parity
def test_vit_gives_the_recorded_features(parity, vit_file: Path) -> None:
    case = parity("vit_dino.npz")
    network, source = load_vit(vit_file)
    assert source.ignored == ()
    y, x = np.mgrid[:224, :224].astype(np.float64)
    seed = float(case["seed"]) if "seed" in case else 1.0
    image = np.stack(
        [np.sin(0.03 * seed * x + 0.02 * c * y) + 0.3 * np.cos(0.11 * y * (c + 1)) for c in range(3)]
    )
    with torch.inference_mode():
        found = network(torch.from_numpy(image).float()[None])[0].numpy()
    np.testing.assert_allclose(found[:64, 10:18, 10:18], case["feat_block"], rtol=0, atol=2e-3)
    np.testing.assert_allclose(found.mean((1, 2)), case["feat_channel_mean"], rtol=0, atol=2e-3)
    np.testing.assert_allclose(np.linalg.norm(found, axis=0), case["feat_pixel_norm"], rtol=1e-4, atol=2e-3)


@pytest.mark.parity
def test_the_point_transformer_gives_the_recorded_features(parity, mae_file: Path) -> None:
    case = parity("point_transformer.npz")
    features = PointFeatures.from_file(mae_file, groups=int(case["num_group"]), size=int(case["group_size"]))
    assert set(features.source.ignored) == {"mask_token", "MAE_decoder.norm.weight"}
    points = case["points"].astype(np.float32)
    centres, found = features.of_groups(points)
    assert centres.tolist() == case["center_index"].ravel().tolist()
    np.testing.assert_allclose(found.T, case["features"].reshape(1152, -1), rtol=0, atol=2e-3)


def test_a_scan_goes_through_both_networks_to_patches(
    vit_file: Path, mae_file: Path, good_scans: list[Scan]
) -> None:
    rgb = ViTFeatures.from_file(vit_file)(good_scans[0])
    assert rgb.values.shape == (784, 768) and rgb.grid == (28, 28)
    assert 0 < rgb.valid.mean() < 0.6
    points = PointFeatures.from_file(mae_file, groups=64, size=32)
    xyz = points(good_scans[0])
    assert xyz.values.shape == (3136, 1152)
    assert not xyz.values[~xyz.valid].any() and xyz.values[xyz.valid].any(1).all()
    points(good_scans[1])
    assert (points(good_scans[0]).values == xyz.values).all()  # whatever was seen in between
    with pytest.raises(ScanError, match="cannot have 99999 groups"):
        PointFeatures.from_file(mae_file, groups=99999)(good_scans[0])


def test_in_training_mode_as_published_features_are_random(mae_file: Path, good_scans: list[Scan]) -> None:
    points = good_scans[0].xyz[good_scans[0].points]
    reference = PointFeatures.from_file(mae_file, groups=32, size=16, stochastic_reference=True)
    torch.manual_seed(0)
    looks = [reference.of_groups(points)[1] for _ in range(4)]
    assert any(not np.allclose(looks[0], look, atol=1e-3) for look in looks[1:])
    still = PointFeatures.from_file(mae_file, groups=32, size=16)
    assert (still.of_groups(points)[1] == still.of_groups(points)[1]).all()


def test_point_bert_has_its_class_token_left_out(tmp_path: Path) -> None:
    state = by_formula(PointTransformer(bert=True))
    tensors = {f"module.transformer_q.{name}": value for name, value in state.items()}
    tensors |= {
        "module.transformer_q.cls_head.0.weight": torch.zeros(2, 2),
        "module.transformer_k.cls_token": torch.zeros(1),
    }
    torch.save({"base_model": tensors}, tmp_path / "bert.pth")
    network, source = load_point_transformer(tmp_path / "bert.pth")
    assert network.bert
    assert set(source.ignored) == {"cls_head.0.weight", "transformer_k.cls_token"}
    rng = np.random.default_rng(0)
    groups, centres = (
        torch.from_numpy(rng.normal(size=size).astype(np.float32)) for size in ((9, 8, 3), (9, 3))
    )
    with torch.inference_mode():
        assert network(groups, centres).shape == (9, 1152)


def test_positions_are_stretched_for_an_image_of_another_size() -> None:
    network = ViT8(dim=48, depth=1, heads=2)
    with torch.no_grad():
        network.pos_embed.normal_()
        assert network(torch.zeros(1, 3, 160, 240)).shape == (1, 48, 20, 30)
        assert (network._positions(28, 28) == network.pos_embed).all()


def test_a_file_that_does_not_fit_is_refused_by_the_name_of_the_tensor(
    tmp_path: Path, vit_file: Path, mae_file: Path
) -> None:
    whole = torch.load(vit_file, weights_only=True)

    def with_change(**change: torch.Tensor | None) -> Path:
        found = {**whole, **{name.replace("__", "."): value for name, value in change.items()}}
        torch.save({name: value for name, value in found.items() if value is not None}, tmp_path / "x.pth")
        return tmp_path / "x.pth"

    with pytest.raises(WeightsError, match=r"lacks 1 of 150 tensors: blocks\.3\.attn\.qkv\.weight"):
        load_vit(with_change(blocks__3__attn__qkv__weight=None))
    with pytest.raises(WeightsError, match=r"norm\.bias is \(7,\), not \(768,\)"):
        load_vit(with_change(norm__bias=torch.zeros(7)))
    with pytest.raises(WeightsError, match=r"not finite in norm\.bias"):
        load_vit(with_change(norm__bias=torch.full((768,), torch.nan)))
    with pytest.raises(InputError, match="width 100"):
        load_vit(with_change(cls_token=torch.zeros(1, 1, 100)))
    with pytest.raises(WeightsError, match="no key 'base_model'"):
        load_point_transformer(vit_file)
    (tmp_path / "cut.pth").write_bytes(vit_file.read_bytes()[:100_000])
    with pytest.raises(CorruptFile, match=r"cut\.pth"):
        load_vit(tmp_path / "cut.pth")
    with pytest.raises(MissingFile):
        load_vit(tmp_path / "none.pth")


def test_a_file_that_would_run_code_is_not_loaded(tmp_path: Path) -> None:
    class Bad:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (tmp_path / "ran",)

    torch.save({"cls_token": Bad()}, tmp_path / "bad.pth")
    with pytest.raises(CorruptFile):
        load_vit(tmp_path / "bad.pth")
    assert not (tmp_path / "ran").exists()
