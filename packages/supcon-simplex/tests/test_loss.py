"""The loss: the sum that it is defined as, the same in every form, and right in the corners."""

from __future__ import annotations

import itertools
import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from offprints.errors import InputError

from supcon_simplex import SupConLoss, class_mean_cross_entropy, compiled_tiles, rows, supcon_loss, tiles
from supcon_simplex.loss import unit
from supcon_simplex.pairs import pairs_of_labels
from supcon_simplex.plain import plain_terms
from supcon_simplex.rows import row_terms
from supcon_simplex.symmetric import symmetric_terms

DOUBLE = torch.float64


def drawn(
    n: int, d: int = 5, classes: int = 3, seed: int = 0, dtype: torch.dtype = DOUBLE
) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, d, dtype=dtype, generator=generator)
    return x, torch.randint(classes, (n,), generator=generator)


def defined(z: np.ndarray, y: np.ndarray, tau: float, weight: float, inside: bool) -> np.ndarray:
    """Three loops over anchor, positive and key, as the paper writes the loss."""
    found = np.zeros(len(z))
    for i in range(len(z)):
        positives = [p for p in range(len(z)) if p != i and y[p] == y[i]]
        if not positives:
            continue
        denominator = 0.0
        for k in range(len(z)):
            if k != i:
                denominator += (weight if y[k] == y[i] else 1.0) * math.exp(z[i] @ z[k] / tau)
        ratios = [math.exp(z[i] @ z[p] / tau) / denominator for p in positives]
        found[i] = -math.log(np.mean(ratios)) if inside else -np.mean(np.log(ratios))
    return found


@given(
    st.integers(2, 30),
    st.integers(1, 6),
    st.integers(0, 10**6),
    st.sampled_from([0.07, 0.5, 1.0]),
    st.sampled_from([1.0, 0.5, 3.0]),
    st.booleans(),
)
def test_every_form_is_the_definition(
    n: int, classes: int, seed: int, tau: float, weight: float, inside: bool
) -> None:
    x, y = drawn(n, classes=classes, seed=seed)
    z, pairs = unit(x), pairs_of_labels(y)
    expected = defined(z.numpy(), y.numpy(), tau, weight, inside)
    for found in (
        plain_terms(z, z, pairs, tau, weight, inside),
        row_terms(z, z, pairs, tau, weight, inside),
        symmetric_terms(x, pairs, tau, weight, inside, True),
        symmetric_terms(z, pairs, tau, weight, inside, False),
    ):
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("n", [2, 127, 128, 129, 513, 700, 1025])
@pytest.mark.parametrize("kept", [0, 100_000, tiles.KEPT])
@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
def test_tiles_of_any_remainder_find_what_the_whole_matrix_does(
    monkeypatch, n: int, kept: int, dtype: torch.dtype
) -> None:
    for module in (tiles, compiled_tiles):
        monkeypatch.setattr(module, "KEPT", kept)
    x, y = drawn(n, 16, 7, dtype=dtype)
    upstream = torch.rand(n, dtype=dtype, generator=torch.Generator().manual_seed(3))
    found = []
    for form in ("plain", "tiles"):
        free = x.clone().requires_grad_()
        z, pairs = unit(free), pairs_of_labels(y)
        args = (pairs, 0.1, 1.0, False)
        terms = plain_terms(z, z, *args) if form == "plain" else symmetric_terms(free, *args, True)
        (terms * upstream).sum().backward()
        found.append((terms.detach(), free.grad))
    close = {"rtol": 2e-5, "atol": 2e-5} if dtype == torch.float32 else {"rtol": 1e-10, "atol": 1e-11}
    torch.testing.assert_close(found[1][0], found[0][0], **close)
    torch.testing.assert_close(found[1][1], found[0][1], **close)


@pytest.mark.parametrize("weight", [1.0, 0.0, 0.5])
@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("normalize", [False, True])
def test_gradients_are_those_of_finite_differences(
    monkeypatch, weight: float, inside: bool, normalize: bool
) -> None:
    monkeypatch.setitem(rows.BLOCK, "cpu", 20)  # blocks of two rows
    x, y = drawn(9, classes=3)
    y[0] = 77  # an anchor without a positive
    pairs = pairs_of_labels(y)
    x.requires_grad_()
    args = (pairs, 0.4, weight, inside)
    assert torch.autograd.gradcheck(lambda x: symmetric_terms(x, *args, normalize), x)
    keys = x.detach().clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda a, k: row_terms(a, k, *args), (x, keys))
    some = pairs_of_labels(y, torch.tensor([1, 4, 5]))
    assert torch.autograd.gradcheck(lambda k: row_terms(k[some.own], k, some, *args[1:]), keys)
    assert torch.autograd.gradcheck(lambda k: plain_terms(k[some.own], k, some, *args[1:]), keys)


def test_gradients_of_the_tiles_can_be_asked_for_twice() -> None:
    x, y = drawn(40, dtype=torch.float32)
    x.requires_grad_()
    loss = supcon_loss(x, y)
    first, second = (torch.autograd.grad(loss, x, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, second)


def test_order_names_and_rotation_do_not_matter() -> None:
    x, y = drawn(30)
    expected = supcon_loss(x, y)
    order = torch.randperm(30, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(supcon_loss(x[order], y[order]), expected)
    torch.testing.assert_close(supcon_loss(x, torch.tensor([5, -1, 10**12])[y]), expected)
    torch.testing.assert_close(supcon_loss(x, y.double() / 3), expected)
    torch.testing.assert_close(supcon_loss(x, y[:, None]), expected)
    rotation = torch.linalg.qr(torch.randn(5, 5, dtype=DOUBLE, generator=torch.Generator().manual_seed(2)))[0]
    torch.testing.assert_close(supcon_loss(x @ rotation, y), expected)
    torch.testing.assert_close(supcon_loss(x * torch.rand(30, 1, dtype=DOUBLE).add(0.1), y), expected)


def test_a_radius_is_a_temperature() -> None:
    x, y = drawn(20)
    expected = supcon_loss(x, y, temperature=0.25)
    torch.testing.assert_close(supcon_loss(2 * unit(x), y, temperature=1.0, normalize=False), expected)


def test_reductions_count_as_they_say() -> None:
    x, _ = drawn(12)
    y = torch.tensor([50, 51, 52, 0, 0, 0, 1, 1, 1, 2, 2, 2])
    each = supcon_loss(x, y, reduction="none")
    assert each.shape == (12,) and (each[:3] == 0).all() and (each[3:] > 0).all()
    torch.testing.assert_close(supcon_loss(x, y, reduction="sum"), each.sum())
    torch.testing.assert_close(supcon_loss(x, y), each.sum() / 12)
    torch.testing.assert_close(supcon_loss(x, y, reduction="mean_positive"), each.sum() / 9)
    torch.testing.assert_close(supcon_loss(x, y, reduction="mean_nonzero"), each.sum() / 9)
    assert SupConLoss(reduction="sum", scale=2.5)(x, y) == pytest.approx(float(2.5 * each.sum()))
    same = torch.zeros(12)
    assert supcon_loss(x, same, reduction="mean_nonzero") == 0  # as pytorch-metric-learning has it
    assert supcon_loss(x, same, reduction="mean_positive") > 0


@pytest.mark.parametrize("anchors", ["all", "first"])
@pytest.mark.parametrize("variant", ["out", "in"])
def test_views_are_rows_of_the_same_label(anchors: str, variant: str) -> None:
    z = torch.randn(6, 3, 4, dtype=DOUBLE, generator=torch.Generator().manual_seed(0))
    y = torch.tensor([0, 0, 1, 1, 2, 3])
    options = {"variant": variant, "reduction": "none"}
    each = supcon_loss(z, y, anchors=anchors, **options)
    flat = supcon_loss(z.flatten(0, 1), y.repeat_interleave(3), **options).view(6, 3)
    torch.testing.assert_close(each, flat if anchors == "all" else flat[:, 0])
    torch.testing.assert_close(
        supcon_loss(z, anchors=anchors, **options),
        supcon_loss(z, torch.arange(6), anchors=anchors, **options),
    )
    mask = y[:, None] == y
    torch.testing.assert_close(supcon_loss(z, mask=mask, anchors=anchors, **options), each)


def test_a_mask_need_not_be_symmetric() -> None:
    x, _ = drawn(4)
    mask = torch.zeros(4, 4)
    mask[0, 1] = mask[2, 0] = mask[2, 3] = mask[2, 2] = 1  # a row is never its own positive
    each = supcon_loss(x, mask=mask, reduction="none", temperature=1.0)
    s = unit(x) @ unit(x).T
    others = [[k for k in range(4) if k != i] for i in range(4)]
    lse = [s[i, others[i]].logsumexp(0) for i in range(4)]
    expected = torch.stack(
        [lse[0] - s[0, 1], s.new_tensor(0), lse[2] - (s[2, 0] + s[2, 3]) / 2, s.new_tensor(0)]
    )
    torch.testing.assert_close(each, expected)


@pytest.mark.parametrize("reduction", ["mean", "mean_positive", "mean_nonzero", "sum", "none"])
@pytest.mark.parametrize("labels", [[4], [1, 2, 3]])
def test_without_positives_the_loss_is_0_and_says_so(reduction: str, labels: list[int]) -> None:
    x = torch.randn(len(labels), 3, requires_grad=True)
    with pytest.warns(UserWarning, match="no row has a positive"):
        loss = supcon_loss(x, torch.tensor(labels), reduction=reduction)
    loss.sum().backward()
    assert (loss == 0).all() and (x.grad == 0).all()


def test_a_batch_of_one_class_pulls_together() -> None:
    x, _ = drawn(20)
    x.requires_grad_()
    loss = supcon_loss(x, torch.zeros(20))
    assert loss > math.log(19)
    loss.backward()
    with torch.no_grad():
        closer = supcon_loss(x - 0.1 * x.grad, torch.zeros(20))
    assert closer < loss
    together = torch.ones(20, 3, dtype=DOUBLE)
    assert supcon_loss(together, torch.zeros(20)) == pytest.approx(math.log(19))
    assert supcon_loss(x, torch.zeros(20), positive_weight=0.0) == -torch.inf


def test_two_equal_labels_alone_cost_nothing() -> None:
    x, _ = drawn(2)
    assert supcon_loss(x, torch.zeros(2)) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("temperature", [0.1, 0.02, 0.005, 0.001])
@pytest.mark.parametrize("variant", ["out", "in"])
def test_collapsed_features_are_finite_at_any_temperature(temperature: float, variant: str) -> None:
    """At the simplex the loss is ln(n - 1) to single precision, however cold."""
    vertices = torch.tensor([[1.0, 0.0], [-0.5, 3**0.5 / 2], [-0.5, -(3**0.5) / 2]])
    x = vertices.repeat(4, 1).requires_grad_()
    loss = supcon_loss(x, torch.arange(12) % 3, temperature, variant=variant)
    loss.backward()
    expected = math.log(3 + 8 * math.exp(-1.5 / temperature))
    assert float(loss.detach()) == pytest.approx(expected, abs=3e-7 / temperature)
    assert torch.isfinite(x.grad).all()


@pytest.mark.parametrize("temperature", [0.1, 0.02, 0.005])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_single(temperature: float, dtype: torch.dtype) -> None:
    x, y = drawn(40, dtype=torch.float32)
    half = x.to(dtype).requires_grad_()
    single = half.detach().float().requires_grad_()
    loss, expected = supcon_loss(half, y, temperature), supcon_loss(single, y, temperature)
    loss.backward()
    expected.backward()
    assert loss.dtype == torch.float32 and torch.equal(loss, expected)
    assert half.grad.dtype == dtype
    torch.testing.assert_close(half.grad, single.grad.to(dtype))


@pytest.mark.parametrize("options", [{}, {"temperature": 0.005}, {"mask": True}, {"normalize": False}])
def test_autocast_changes_nothing(options: dict) -> None:
    x, y = drawn(40, dtype=torch.float32)
    labels = {"mask": y[:, None] == y} if options.pop("mask", False) else {"labels": y}
    free = [x.clone().requires_grad_() for _ in range(2)]
    plain = supcon_loss(free[0], **labels, **options)
    with torch.autocast("cpu", torch.bfloat16):
        cast = supcon_loss(free[1], **labels, **options)
    plain.backward()
    cast.backward()
    assert torch.equal(cast, plain) and torch.equal(free[0].grad, free[1].grad)


@pytest.mark.parametrize("temperature", [0.1, 0.005])
def test_a_row_of_norm_0_has_no_direction_and_no_gradient(temperature: float) -> None:
    x, y = drawn(10, dtype=torch.float32)
    x[4] = 0
    x.requires_grad_()
    loss = supcon_loss(x, y, temperature)
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(x.grad).all()
    assert (x.grad[4] == 0).all() and (x.grad[3] != 0).any()


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("n", [1, 3, 300])
@pytest.mark.parametrize("temperature", [0.1, 0.005])
def test_what_is_not_a_number_is_not_hidden(value: float, n: int, temperature: float) -> None:
    x, y = drawn(n, dtype=torch.float32)
    x[n // 2, 2] = value
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for variant, reduction in itertools.product(("out", "in"), ("mean", "sum", "mean_positive")):
            assert supcon_loss(x, y, temperature, variant=variant, reduction=reduction).isnan()


def test_features_of_any_norm() -> None:
    """Similarities of thousands: no shift would do, a maximum for each row does."""
    x, y = drawn(30, dtype=torch.float32)
    large = supcon_loss(30 * x, y, normalize=False)
    exact = supcon_loss(30 * x.double(), y, normalize=False)
    assert float(large) == pytest.approx(float(exact), rel=1e-5)


def test_losses_of_other_programs_by_name() -> None:
    x, y = drawn(12)
    assert SupConLoss.like("hobbitlong")(unit(x), y) == pytest.approx(float(supcon_loss(x, y, 0.07)))
    assert SupConLoss.like("hobbitlong", 0.1)(unit(x), y) == pytest.approx(
        float(supcon_loss(x, y, 0.1)) / 0.7
    )
    assert "temperature=0.1, reduction='mean_nonzero'" in repr(SupConLoss.like("pml"))
    with pytest.raises(InputError, match="program='lightly' is unknown"):
        SupConLoss.like("lightly")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": 0.0}, "temperature must be above 0"),
        ({"temperature": -1.0}, "temperature must be above 0"),
        ({"temperature": math.nan}, "temperature must be above 0"),
        ({"positive_weight": -0.1}, "positive_weight must be 0 or more"),
        ({"reduction": "average"}, "reduction='average' is unknown"),
        ({"variant": "between"}, "variant='between' is unknown"),
        ({"anchors": "last"}, "anchors='last' is unknown"),
        ({"labels": torch.zeros(5)}, "5 labels for 6 samples"),
        ({"labels": torch.zeros(6, 2)}, r"labels must be \(B,\)"),
        ({"labels": torch.tensor([0, 0, 1, 1, 2, math.nan])}, "a label is NaN"),
        ({"labels": torch.zeros(6, dtype=torch.complex64)}, "complex"),
        ({"labels": None}, "without labels or a mask"),
        ({"mask": torch.ones(6, 6)}, "not both"),
        ({"labels": None, "mask": torch.ones(6, 5)}, r"mask must be \(6, 6\)"),
        ({"z": torch.randn(6)}, "features must be"),
        ({"z": torch.zeros(6, 3, dtype=torch.int64)}, "floating type"),
        ({"z": torch.zeros(0, 3)}, "nothing to compare"),
    ],
)
def test_bad_input_is_named(options: dict, message: str) -> None:
    given = {"z": torch.randn(6, 3), "labels": torch.tensor([0, 0, 1, 1, 2, 2]), **options}
    with pytest.raises(InputError, match=message):
        supcon_loss(**given)


def test_the_tracking_loss_is_that_of_the_batchs_class_means(parity) -> None:
    given = parity("supcon.npz")
    for name in ("plain", "balanced", "dup"):
        x, y = torch.tensor(given[f"{name}_x"]), torch.tensor(given[f"{name}_y"])
        expected = float(given[f"{name}_ce_tracking"])
        assert float(class_mean_cross_entropy(x, y)) == pytest.approx(expected, rel=1e-12)
    with pytest.raises(InputError, match="features must be"):
        class_mean_cross_entropy(x, y[1:])
