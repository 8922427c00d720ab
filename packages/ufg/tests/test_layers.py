"""Convolution, shrinkage, pooling and networks: the recorded numbers, identities, derivatives."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from offprints.errors import InputError

from ufg import (
    FILTERS,
    ConstantMatrix,
    FrameletTransform,
    GraphOperator,
    UFGConv,
    UFGGraphNet,
    UFGNet,
    UFGPool,
    Universal,
    load_published,
    median_deviation,
    parameter_groups,
    shrink,
    sure_threshold,
)
from ufg.baselines import PlainPool
from ufg.layers import POOLS
from ufg.networks import published_gain
from ufg.shrink import RULES, shrunk

Parity = Callable[[str], dict[str, np.ndarray]]
NAMES = tuple(FILTERS)
DOUBLE = torch.float64


def tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.array(array))


def small_batch(dtype: torch.dtype = DOUBLE) -> GraphOperator:
    return GraphOperator.from_edges(
        [[0, 1], [1, 2], [2, 0], [3, 4]],
        7,
        [1.0, 2.0, 0.5, 1.0],
        sizes=[3, 3, 1],
        lambda_max=[2.0, 2.2, 1.1],
        dtype=dtype,
    )


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=DOUBLE, generator=torch.Generator().manual_seed(seed))


def test_gains_begin_where_each_level_is_told_to() -> None:
    transform = FrameletTransform("linear", levels=2)
    layer = UFGConv(2, 2, transform, gain="node", num_nodes=400, gain_init=(2.0, 0.5, -1.0))
    torch.testing.assert_close(
        layer.gain.mean(1), torch.tensor([2.0, 0.5, -1.0, 0.5, -1.0]), rtol=0.02, atol=0
    )
    assert layer.gain[0].min() >= 1.8 and layer.gain[0].max() <= 2.2
    with pytest.raises(InputError, match="2 levels"):
        UFGConv(2, 2, transform, gain_init=(1.0, 0.5, 0.4, 0.3))


# Recorded numbers


@pytest.mark.parity
@pytest.mark.parametrize("mode", ["linear", "soft", "hard", "ufgs_soft", "ufgs_hard"])
@pytest.mark.parametrize("case", ["c0", "c1"])
def test_convolution_and_its_gradients_are_the_published_ones(parity: Parity, case: str, mode: str) -> None:
    recorded = parity("conv")
    index, terms, scale, levels, sigma, threshold, lambda_max = recorded[f"{case}_meta"].tolist()
    of = {
        key: tensor(recorded[f"{case}_{mode}_{key}"])
        for key in ("weight", "filter", "bias", "out", "gx", "gW", "gb")
    }
    op = GraphOperator.from_edges(
        recorded["edges"], int(recorded["num_nodes"]), lambda_max=lambda_max, dtype=DOUBLE
    )
    transform = FrameletTransform(NAMES[int(index)], int(levels), scale, int(terms))
    rule = None if mode in ("linear", "soft", "hard") else mode.removeprefix("ufgs_")
    conv = UFGConv(
        5, 4, transform, gain="node", num_nodes=op.num_nodes, shrinkage=rule, threshold=Universal(sigma)
    ).double()
    with torch.no_grad():
        conv.weight.copy_(of["weight"])
        conv.gain.copy_(published_gain(conv, of["filter"]))
        conv.bias.copy_(of["bias"])
    x = tensor(recorded[f"{case}_x"]).requires_grad_()
    if mode in ("soft", "hard"):
        # A mode that the layer does not offer, of its parts: a fixed threshold on all blocks, before the gains.
        blocks = shrunk(transform.analyze(op, x @ conv.weight), threshold, mode) * conv.gain.unsqueeze(-1)
        out = transform.synthesize(op, blocks) + conv.bias
    else:
        out = conv(op, x)
    torch.testing.assert_close(out, of["out"], rtol=1e-10, atol=1e-10)
    (out * torch.linspace(-1, 1, out.numel(), dtype=DOUBLE).reshape(out.shape)).sum().backward()
    expected = published_gain(conv, tensor(recorded[f"{case}_{mode}_gfilter"]))
    for found, wanted in (
        (x.grad, of["gx"]),
        (conv.weight.grad, of["gW"]),
        (conv.gain.grad, expected),
        (conv.bias.grad, of["gb"]),
    ):
        torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-10)


@pytest.mark.parity
@pytest.mark.parametrize("case", ["c0", "c1"])
def test_the_intended_multiscale_rule(parity: Parity, case: str) -> None:
    recorded = parity("conv")
    index, terms, scale, levels, sigma, _, lambda_max = recorded[f"{case}_meta"].tolist()
    op = GraphOperator.from_edges(
        recorded["edges"], int(recorded["num_nodes"]), lambda_max=lambda_max, dtype=DOUBLE
    )
    transform = FrameletTransform(NAMES[int(index)], int(levels), scale, int(terms))
    conv = UFGConv(
        5,
        4,
        transform,
        gain="node",
        num_nodes=12,
        shrinkage="soft",
        threshold=Universal(sigma, multiscale=True),
    ).double()
    with torch.no_grad():
        conv.weight.copy_(tensor(recorded[f"{case}_ufgs_hard_weight"]))
        conv.gain.copy_(published_gain(conv, tensor(recorded[f"{case}_ufgs_hard_filter"])))
        conv.bias.copy_(tensor(recorded[f"{case}_ufgs_hard_bias"]))
        out = conv(op, tensor(recorded[f"{case}_x"]))
    torch.testing.assert_close(out, tensor(recorded[f"{case}_multiscale_soft_out"]), rtol=1e-10, atol=1e-10)


@pytest.mark.parity
@pytest.mark.parametrize("mode", ["relu", "shrink"])
def test_five_steps_of_the_networks_are_the_published_ones(parity: Parity, mode: str) -> None:
    recorded = parity("net")
    op = GraphOperator.from_edges(
        recorded["edges"], int(recorded["num_nodes"]), lambda_max=float(recorded["lambda_max"]), dtype=DOUBLE
    )
    of = {
        name.removeprefix(f"{mode}_"): tensor(value)
        for name, value in recorded.items()
        if name.startswith(mode)
    }
    net = UFGNet(
        5, 4, 3, dropout=0.0, transform=FrameletTransform(terms=2), gain="node", num_nodes=op.num_nodes,
        shrinkage="soft" if mode == "shrink" else None,
    ).double()  # fmt: skip
    load_published(
        net, {name.removeprefix("init_"): value for name, value in of.items() if name.startswith("init_")}
    )
    x, labels, train = of["x"], of["y"], of["train"]
    torch.testing.assert_close(net(op, x).log_softmax(1), of["logp0"], rtol=1e-10, atol=1e-10)
    optimizer = torch.optim.Adam(parameter_groups(net, 0.01, 0.01, 0.01), lr=0.01)
    for step in range(5):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(net(op, x)[train], labels[train])
        loss.backward()
        if step == 0:
            for number, conv in enumerate(net.convolutions, 1):
                torch.testing.assert_close(
                    conv.weight.grad, of[f"grad0_GConv{number}.weight"], rtol=1e-10, atol=1e-10
                )
                expected = published_gain(conv, of[f"grad0_GConv{number}.filter"])
                torch.testing.assert_close(conv.gain.grad, expected, rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(loss.detach(), of["losses"][step], rtol=1e-8, atol=1e-8)
        optimizer.step()
    for number, conv in enumerate(net.convolutions, 1):
        torch.testing.assert_close(
            conv.weight.detach(), of[f"after5_GConv{number}.weight"], rtol=1e-8, atol=1e-8
        )
        expected = published_gain(conv, of[f"after5_GConv{number}.filter"])
        torch.testing.assert_close(conv.gain.detach(), expected, rtol=1e-8, atol=1e-8)
        torch.testing.assert_close(conv.bias.detach(), of[f"after5_GConv{number}.bias"], rtol=1e-8, atol=1e-8)


@pytest.mark.parity
@pytest.mark.parametrize("mode", POOLS)
def test_pooling_is_the_published_one(parity: Parity, mode: str) -> None:
    recorded = parity("pool")
    index, terms, scale, levels = recorded["meta"].tolist()
    sizes = np.bincount(recorded["batch"])
    op = GraphOperator.from_edges(
        recorded["edges"],
        len(recorded["batch"]),
        sizes=sizes,
        lambda_max=recorded["lambda_max"],
        dtype=DOUBLE,
    )
    pool = UFGPool(FrameletTransform(NAMES[int(index)], int(levels), scale, int(terms)), mode)
    expected = tensor(recorded["out_avg" if mode == "mean" else f"out_{mode}"])
    torch.testing.assert_close(pool(op, tensor(recorded["x"])), expected, rtol=1e-10, atol=1e-10)


# Identities


def test_an_exact_frame_with_gains_of_one_is_the_identity(op: GraphOperator) -> None:
    """Why the published initialisation makes an MLP of the network as soon as the frame is one."""
    conv = UFGConv(6, 4, FrameletTransform(terms=8), gain="node", num_nodes=op.num_nodes).double()
    x = noise(op.num_nodes, 6)
    with torch.no_grad():
        conv.gain.fill_(1)
        plain = x @ conv.weight
        assert float((conv(op, x) - plain).norm() / plain.norm()) <= 1e-6
        published = UFGConv(6, 4, FrameletTransform(terms=2), gain="node", num_nodes=op.num_nodes).double()
        published.load_state_dict(conv.state_dict())
        published.gain.fill_(1)
        assert float((published(op, x) - plain).norm() / plain.norm()) > 0.1


@pytest.mark.parametrize("gain", ["band", "band-channel"])
def test_convolution_moves_with_the_nodes_and_knows_other_graphs(op: GraphOperator, gain: str) -> None:
    conv = UFGConv(3, 2, FrameletTransform(terms=4), gain=gain, shrinkage="soft").double()
    order = torch.randperm(op.num_nodes, generator=torch.Generator().manual_seed(3))
    moved = GraphOperator.from_scipy(op.adjacency.to_dense()[order][:, order].numpy(), dtype=DOUBLE)
    x = noise(op.num_nodes, 3)
    torch.testing.assert_close(conv(moved, x[order]), conv(op, x)[order], rtol=0, atol=1e-12)
    assert conv(small_batch(), noise(7, 3)).shape == (7, 2)


@pytest.mark.parametrize("mode", POOLS)
def test_pooling_does_not_see_the_order_of_nodes(op: GraphOperator, mode: str) -> None:
    order = torch.randperm(op.num_nodes, generator=torch.Generator().manual_seed(3))
    moved = GraphOperator.from_scipy(op.adjacency.to_dense()[order][:, order].numpy(), dtype=DOUBLE)
    x = noise(op.num_nodes, 3)
    pool = UFGPool(FrameletTransform(terms=4), mode)
    torch.testing.assert_close(pool(moved, x[order]), pool(op, x), rtol=0, atol=1e-11)


@pytest.mark.parametrize("mode", POOLS)
def test_pooling_a_batch_is_pooling_each_graph_by_its_blocks(mode: str) -> None:
    batch, x = small_batch(), noise(7, 2)
    pool = UFGPool(FrameletTransform("linear", levels=2, terms=5), mode)
    found = pool(batch, x)
    for graph, (piece, row) in enumerate(zip(x.split([3, 3, 1]), found, strict=True)):
        blocks = pool.transform.analyze(batch.subset(torch.tensor([graph])), piece)
        expected = {
            "sum": blocks.sum(1),
            "mean": blocks.mean(1),
            "max": blocks.amax(1),
            "spectrum": blocks.square().sum(1),
        }[mode]
        torch.testing.assert_close(row, expected.flatten(), rtol=0, atol=1e-12)


def test_the_spectrum_conserves_energy() -> None:
    batch, x = small_batch(), noise(7, 3)
    pooled = UFGPool(FrameletTransform(terms=8), "spectrum")(batch, x)
    energy = batch.sum_over_graphs(x.square())
    torch.testing.assert_close(pooled.reshape(3, -1, 3).sum(1), energy, rtol=1e-6, atol=0)


def test_high_pass_sums_of_a_regular_graph_vanish() -> None:
    ring = GraphOperator.from_edges([[i, (i + 1) % 6] for i in range(6)], 6, dtype=DOUBLE)
    pooled = UFGPool(FrameletTransform(terms=14), "sum")(ring, noise(6, 2)).reshape(3, 2)
    assert pooled[1:].abs().max() < 1e-10
    assert pooled[0].abs().min() > 1e-3


@pytest.mark.parametrize("rule", RULES)
def test_no_threshold_is_the_identity_and_a_huge_one_leaves_the_low_pass(
    op: GraphOperator, rule: str
) -> None:
    blocks = noise(4, op.num_nodes, 2)
    torch.testing.assert_close(shrink(blocks, Universal(0.0).of(op, blocks), rule), blocks)
    huge = shrink(blocks, 1e9, rule)
    assert torch.equal(huge[0], blocks[0])
    assert not huge[1:].any()


@pytest.mark.parametrize("rule", ["soft", "firm", "garrote"])
def test_shrinkage_of_these_rules_is_continuous_and_goes_towards_zero(rule: str) -> None:
    c = torch.linspace(-4, 4, 8001, dtype=DOUBLE)
    y = shrunk(c, 1.0, rule)
    assert float(y.diff().abs().max()) < 0.0025
    assert bool((y.abs() <= c.abs()).all())
    assert bool((y * c >= 0).all())
    assert not y[c.abs() < 1].any()


def test_soft_denoising_with_a_fixed_threshold_does_not_expand(op: GraphOperator) -> None:
    transform = FrameletTransform(terms=14)
    for seed in range(5):
        x, y = noise(op.num_nodes, 1, seed=seed), noise(op.num_nodes, 1, seed=seed + 50)
        a, b = (transform.synthesize(op, shrink(transform.analyze(op, z), 0.3)) for z in (x, y))
        assert float((a - b).norm()) <= float((x - y).norm()) * (1 + 1e-9)


def test_the_sure_threshold_has_the_least_estimated_risk() -> None:
    c = noise(40, 3) * 1.5
    found = sure_threshold(c)
    for column in range(3):
        x = c[:, column].abs()
        risks = torch.stack([(40 - 2 * (x <= t).sum() + torch.minimum(x, t).square().sum()) / 40 for t in x])
        torch.testing.assert_close(found[0, column], x[risks.argmin()])
    torch.testing.assert_close(sure_threshold(3 * c, 3.0), 3 * found)


def test_the_median_finds_the_noise_beside_large_coefficients() -> None:
    c = 0.5 * noise(20001, 1)
    c[:2000] += 100
    assert float(median_deviation(c)) == pytest.approx(0.5, rel=0.15)


def test_several_copies_are_several_networks() -> None:
    """One product serves all seeds, and each gets what it would alone."""
    batch, x = small_batch(), noise(7, 5)
    for gain in ("band", "node", "band-channel"):
        for rule in (None, "soft"):
            options = {
                "gain": gain, "num_nodes": 7, "shrinkage": rule, "threshold": Universal(0.3, multiscale=True),
            }  # fmt: skip
            many = UFGNet(5, 4, 3, dropout=0.0, copies=2, **options).double()
            found = many(batch, x)
            assert found.shape == (7, 2, 3)
            for copy in range(2):
                alone = UFGNet(5, 4, 3, dropout=0.0, **options).double()
                with torch.no_grad():
                    for one, all_of_them in zip(alone.convolutions, many.convolutions, strict=True):
                        one.weight.copy_(all_of_them.weight[copy])
                        one.bias.copy_(all_of_them.bias[copy])
                        one.gain.copy_(
                            all_of_them.gain[..., copy] if gain == "node" else all_of_them.gain[:, copy]
                        )
                torch.testing.assert_close(found[:, copy], alone(batch, x), rtol=0, atol=1e-12)


def test_sparse_features_give_what_dense_ones_do(op: GraphOperator) -> None:
    dense = noise(op.num_nodes, 9) * (noise(op.num_nodes, 9, seed=1) > 0.8)
    conv = UFGConv(9, 4, FrameletTransform(terms=3)).double()
    expected = torch.autograd.grad(conv(op, dense).sin().sum(), list(conv.parameters()))
    found = torch.autograd.grad(
        conv(op, ConstantMatrix.of(dense.numpy(), DOUBLE)).sin().sum(), list(conv.parameters())
    )
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


def test_a_training_step_keeps_one_set_of_blocks(op: GraphOperator) -> None:
    conv = UFGConv(5, 4, FrameletTransform(terms=8), gain="node", num_nodes=op.num_nodes).double()
    x = noise(op.num_nodes, 5)
    kept: list[torch.Size] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.shape) or t, lambda t: t):
        conv(op, x)
    assert [shape for shape in kept if len(shape) == 3 and shape[-1] > 1] == [(3, op.num_nodes, 4)]


# Derivatives


@pytest.mark.parametrize("rule", [None, *RULES])
@pytest.mark.parametrize("gain", ["node", "band", "band-channel"])
def test_derivatives_of_the_convolution(gain: str, rule: str | None) -> None:
    batch = small_batch()
    conv = UFGConv(
        3, 2, FrameletTransform(terms=3), gain=gain, num_nodes=7, gain_init=(1, 1), shrinkage=rule,
        threshold=Universal(0.05, multiscale=rule is not None), generator=torch.Generator().manual_seed(0),
    ).double()  # fmt: skip
    x = noise(7, 3).requires_grad_()
    parameters = dict(conv.named_parameters())

    def forward(x: torch.Tensor, *values: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(conv, dict(zip(parameters, values, strict=True)), (batch, x))

    assert torch.autograd.gradcheck(forward, (x, *parameters.values()), eps=1e-7, atol=1e-5, fast_mode=True)


def test_the_derivative_of_a_maximum_does_not_see_what_memory_held_before() -> None:
    """The same maxima, in memory that was freed, would count as ties."""
    op = GraphOperator.batch([small_batch()] * 40)
    pools = [UFGPool(FrameletTransform(terms=3), "max"), PlainPool(4, "max")]
    x = noise(op.num_nodes, 4).requires_grad_()
    for pool in pools:
        found = [torch.autograd.grad(pool(op, x).sum(), x)[0] for _ in range(20)]
        assert all(torch.equal(found[0], other) for other in found)


@pytest.mark.parametrize("mode", POOLS)
def test_derivatives_of_pooling(mode: str) -> None:
    pool = UFGPool(FrameletTransform("linear", terms=4), mode)
    # A lone edge gives both of its ends the same smooth coefficient, and a tie has no derivative.
    batch = small_batch().subset([0, 2]) if mode == "max" else small_batch()
    x = noise(batch.num_nodes, 2).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: pool(batch, x), x)


def test_the_graph_network_gives_each_graph_what_it_gets_alone() -> None:
    torch.manual_seed(0)
    batch, x = small_batch(), noise(7, 3)
    net = UFGGraphNet.of(3, 4, 2, UFGPool(FrameletTransform(), "spectrum"), dropout=0.0).double()
    found = net(batch, x)
    alone = [net(batch.subset(torch.tensor([g])), piece) for g, piece in enumerate(x.split([3, 3, 1]))]
    torch.testing.assert_close(found, torch.cat(alone), rtol=0, atol=1e-12)
    assert float((found[0] - found[1]).detach().abs().max()) > 1e-4


def test_decay_is_told_apart_for_matrices_gains_and_biases() -> None:
    groups = parameter_groups(UFGNet(5, 4, 3), 0.1, 0.2, 0.3)
    assert {group["weight_decay"]: len(group["params"]) for group in groups} == {0.1: 2, 0.2: 2, 0.3: 2}


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda: UFGConv(3, 2, gain="nodes"), "band-channel"),
        (lambda: UFGConv(3, 2, gain="node"), "num_nodes"),
        (lambda: UFGConv(3, 2, shrinkage="sofd"), "garrote"),
        (
            lambda: UFGConv(3, 2, gain="node", num_nodes=5)(small_batch(torch.float32), torch.ones(7, 3)),
            "gain='band'",
        ),
        (
            lambda: UFGConv(3, 2)(small_batch(torch.float32), torch.ones(6, 3)),
            "6 nodes do not fit a graph of 7",
        ),
        (lambda: UFGPool(mode="median"), "spectrum"),
        (lambda: UFGPool()(small_batch(torch.float32), torch.ones(6, 3)), "7 nodes"),
        (lambda: Universal(-1.0), "sigma"),
        (lambda: UFGNet(3, 2, 2, dropout=1.0), "dropout"),
        (lambda: UFGNet(3, 2, 2, layers=0), "layers"),
        (lambda: shrink(torch.ones(2, 3, 1), 0.1, "none"), "garrote"),
    ],
)
def test_options_that_do_not_fit_are_refused(use, message: str) -> None:
    with pytest.raises(InputError, match=message):
        use()
