"""Numbers that other programs, or independent loops in float64, gave."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from supcon_simplex import (
    CollapseMetrics,
    SupConLoss,
    angular_similarity,
    ce_bound,
    ce_l2_optimum,
    sc_batch_value,
    sc_bound,
    sc_total_bound,
    supcon_loss,
)

pytestmark = pytest.mark.parity
EXACT = {"rtol": 1e-9, "atol": 1e-12}
SINGLE = {"rtol": 2e-5, "atol": 1e-6}


def case(arrays: dict[str, np.ndarray], name: str) -> dict[str, torch.Tensor]:
    prefix = f"{name}_"
    own = {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
    return {k: torch.tensor(v) for k, v in own.items() if v.dtype.kind != "U"}


CASES = ["plain", "balanced", "singletons", "allsame", "dup"]


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_published_program(parity, name: str, dtype: torch.dtype) -> None:
    given = case(parity("supcon.npz"), name)
    x = given["x"].to(dtype).requires_grad_()
    loss = SupConLoss.like("reference", float(given["tau"]))(x, given["y"])
    loss.backward()
    close = EXACT if dtype == torch.float64 else SINGLE
    torch.testing.assert_close(loss.detach(), given["loss_mean_all"].to(dtype), **close)
    largest = float(given["grad_x"].abs().max())
    share = 1e-9 if dtype == torch.float64 else 1e-4
    torch.testing.assert_close(x.grad, given["grad_x"].to(dtype), rtol=0, atol=share * largest)
    each = supcon_loss(x.detach(), given["y"], float(given["tau"]), reduction="none")
    torch.testing.assert_close(each, given["per_anchor"].to(dtype), **close)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("weight", ["0.0", "0.5", "2.0"])
def test_the_published_program_with_weighted_positives(parity, name: str, weight: str) -> None:
    given = case(parity("supcon.npz"), name)
    loss = supcon_loss(given["x"], given["y"], float(given["tau"]), positive_weight=float(weight))
    torch.testing.assert_close(loss, given[f"weighted_{weight}"], **EXACT)


@pytest.mark.parametrize("name", [name for name in CASES if name != "allsame"])
def test_pytorch_metric_learning(parity, name: str) -> None:
    given = case(parity("supcon.npz"), name)
    x = given["x"].requires_grad_()
    loss = SupConLoss.like("pml", float(given["tau"]))(x, given["y"])
    loss.backward()
    torch.testing.assert_close(loss.detach(), given["pml_loss"], **EXACT)
    torch.testing.assert_close(x.grad, given["pml_grad_x"], **EXACT)


@pytest.mark.parametrize("name", CASES)
def test_hobbitlong_with_one_view(parity, name: str) -> None:
    given = case(parity("supcon.npz"), name)
    tau = float(given["tau"])
    loss = SupConLoss.like("hobbitlong", tau, base_temperature=tau)
    unit = torch.nn.functional.normalize(given["x"], dim=1)
    torch.testing.assert_close(loss(unit[:, None], given["y"]), given["hobbit_loss_unitscale"], **EXACT)


@pytest.mark.parametrize("name", ["all2", "one2", "simclr"])
def test_hobbitlong_with_two_views(parity, name: str) -> None:
    given = case(parity("views.npz"), name)
    f = given["f"].requires_grad_()
    loss = SupConLoss.like("hobbitlong", float(given["tau"]), float(given["base"]))
    loss.anchors = "first" if parity("views.npz")[f"{name}_mode"] == "one" else "all"
    found = loss(torch.nn.functional.normalize(f, dim=-1), given.get("y"))
    found.backward()
    torch.testing.assert_close(found.detach(), given["loss"], **EXACT)
    torch.testing.assert_close(f.grad, given["grad_f"], **EXACT)


def test_bounds(parity) -> None:
    given = parity("bounds.npz")
    for row, multiset, subset in zip(
        given["sc_total_in"], given["sc_total_multiset"], given["sc_total_subset"], strict=True
    ):
        k, n, b = (int(x) for x in row[:3])
        assert sc_total_bound(k, n, b, row[3]) == pytest.approx(multiset, rel=1e-11)
        if not math.isnan(subset):
            assert sc_total_bound(k, n, b, row[3], "subset") == pytest.approx(subset, rel=1e-11)
    for (k, b, tau), value in zip(given["sc_iid_in"], given["sc_iid_mean"], strict=True):
        assert sc_bound(int(k), tau, int(b)) == pytest.approx(value, rel=1e-11)
    for counts, tau, value in zip(
        given["sc_batch_counts"], given["sc_batch_tau"], given["sc_batch_simplex_value"], strict=True
    ):
        assert sc_batch_value(counts.tolist(), tau) == pytest.approx(value, rel=1e-12)
    for (k, rho, w), frobenius, norm in zip(
        given["ce_in"], given["ce_frobenius"], given["ce_rownorm"], strict=True
    ):
        assert ce_bound(int(k), rho, frobenius=w) == pytest.approx(frobenius, rel=1e-12)
        assert ce_bound(int(k), rho, weight_norm=w) == pytest.approx(norm, rel=1e-12)
    for (k, rho, penalty), norm, value in zip(
        given["reg_in"], given["reg_rW"], given["reg_value"], strict=True
    ):
        assert ce_l2_optimum(int(k), rho, penalty) == pytest.approx((norm, value), rel=1e-12)


@pytest.mark.parametrize("name", ["bal", "imb"])
def test_metrics_of_collapse(parity, name: str) -> None:
    given = case(parity("nc.npz"), name)
    metrics = CollapseMetrics(*given["W"].shape)
    for z, y in zip(given["H"].split(17), given["y"].split(17), strict=True):
        metrics.update(z, y)
    about_classes = metrics.compute(given["W"], given["b"])
    about_rows = metrics.compute(given["W"], given["b"], centre="sample")
    pairs = {
        "nc1_pinv_classmean": about_classes.nc1_pinv,
        "nc1_pinv_samplemean": about_rows.nc1_pinv,
        "nc1_quotient_classmean": about_classes.nc1_quotient,
        "nc2_etf_means_classmean": about_classes.nc2_etf,
        "nc2_etf_weights": about_classes.weight_etf,
        "nc3_selfdual_classmean": about_classes.nc3_self_dual,
        "nc3_selfdual_samplemean": about_rows.nc3_self_dual,
        "wh_b": about_classes.bias_plane,
        "nc4_agree": about_classes.nc4_agreement,
        "equinorm_means": about_rows.nc2_equinorm,
        "equinorm_weights": about_classes.weight_equinorm,
        "cdnv_mean": about_classes.cdnv,
    }
    for key, found in pairs.items():
        assert found == pytest.approx(float(given[key]), rel=1e-9), key
    torch.testing.assert_close(about_classes.cosine_across_means, given["cos_across_means"], **EXACT)
    torch.testing.assert_close(
        angular_similarity(about_classes.cosine_across_means), given["ang_across_means"], **EXACT
    )
    torch.testing.assert_close(about_classes.cosine_across_weights, given["cos_across_weights"], **EXACT)
    torch.testing.assert_close(about_classes.cosine_to_mean, given["cos_to_mean"], **EXACT)
