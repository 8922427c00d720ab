"""The tasks transfer, spot and objects of the command line, called in this process."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from offprints.results import RunRecord, read_result
from offprints.testing import Ended, call, data_folder

from sky_broker import spot_task
from sky_broker.cli import main
from sky_broker.network import NetworkGrid
from sky_broker.transfer import plan_transfer

QUICK_SPOT = ("task=spot", "spot.starts=6", "spot.work_hours=10", "spot.deadline_hours=[13]")


def run(folder: Path, *options: str) -> Ended:
    return call(main, "sky-broker", folder, "hydra.run.dir=out", *options)


def results(folder: Path, *options: str) -> RunRecord:
    ended = run(folder, *options)
    assert ended.code == 0, ended.err
    return read_result(folder / "out" / "results.json")


def test_a_transfer_is_what_the_api_returns(tmp_path: Path) -> None:
    found = results(tmp_path, "task=transfer")
    plan = plan_transfer(
        NetworkGrid.embedded(), "azure:canadacentral", "gcp:asia-northeast1", 50, rate_gbps=12
    )
    assert found.metrics["overlay/usd_per_gb"] == pytest.approx(plan.usd_per_gb)
    assert found.details["vms"] == dict(plan.vms)
    assert {path.name for path in (tmp_path / "out" / "figures").iterdir()} == {"paths.png", "rates.png"}


def test_copies_of_objects_and_users_of_a_market_pay_the_egress_of_the_network(tmp_path: Path) -> None:
    free = "network.peering=[aws,azure,gcp]"
    (tmp_path / "objects").mkdir()
    found = results(tmp_path / "objects", "task=objects", "objects.objects=5", free).metrics
    # Without egress a copy saves nothing, so that only those that leave none cost the least.
    assert found["test/cost_always_evict"] == pytest.approx(found["test/cost_optimum"])
    small = ("market.users=40", "market.rounds=1", "market.sweep_gigabytes=[10]", "market.entrant_egress=0")
    (tmp_path / "market").mkdir()
    metrics = results(tmp_path / "market", "task=market", *small, free).metrics
    assert metrics["test/saving_brokered"] == pytest.approx(metrics["test/saving_brokered_peering"])


def test_peering_makes_the_same_transfer_free_of_egress(tmp_path: Path) -> None:
    found = results(tmp_path, "task=transfer", "network.peering=[azure,gcp]")
    assert found.metrics["overlay/usd_per_gb"] < 0.001


@pytest.mark.real_data
def test_pairs_of_skyplanes_grid(tmp_path: Path) -> None:
    data_folder("skyplane-profiles")
    found = results(tmp_path, "experiment=skyplane_pairs", "transfer.pairs=4")
    assert found.metrics["test/pairs"] == 4
    assert found.metrics["test/overlay_gain_median"] >= 1 - 2e-6
    assert found.dataset is not None and set(found.dataset.sha256) == {"cost.csv", "throughput.csv"}
    assert all(row["overlay_price_ratio"] <= 1.25 + 1e-6 for row in found.details["pairs"])


def test_spot_policies_side_by_side(tmp_path: Path) -> None:
    found = results(tmp_path, *QUICK_SPOT).metrics
    assert found["test/deadline_misses"] == 0
    assert (
        found["test/cost_optimum"] <= found["test/cost_learnt_spells"] <= found["test/cost_on_demand"] * 1.02
    )
    assert found["test/cost_on_demand"] == pytest.approx(61 / 6 * 3.06)
    assert (tmp_path / "out" / "figures" / "timeline.png").exists()


@pytest.mark.real_data
def test_a_released_trace_by_name_is_recorded(tmp_path: Path) -> None:
    data_folder("spot-traces")
    found = results(tmp_path, "experiment=cant_be_late_anchor", "spot.starts=5")
    assert found.dataset is not None
    assert list(found.dataset.sha256) == ["availability/1-node/aws-10-26-2022/us-west-2a_v100_1.json"]
    assert found.metrics["test/cost_on_demand"] == pytest.approx(147.39)


def test_a_run_that_was_stopped_goes_on_to_the_same_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = (*QUICK_SPOT, "spot.overhead_minutes=[3,6,10]")
    whole = tmp_path / "whole"
    broken = tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    expected = results(whole, *options).details["cells"]
    measure, done = spot_task._measure, []

    def stop(*rest: object) -> object:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(1)
        return measure(*rest)  # type: ignore[arg-type]

    monkeypatch.setattr(spot_task, "_measure", stop)
    assert run(broken, *options).code == 130
    assert len(json.loads((broken / "out" / "cells.json").read_text())) == 2
    monkeypatch.setattr(spot_task, "_measure", lambda *rest: measure(*rest))
    assert call(main, "sky-broker", broken, "resume=out").code == 0
    assert read_result(broken / "out" / "results.json").details["cells"] == expected


def test_a_trace_of_your_own(tmp_path: Path) -> None:
    data = np.random.default_rng(0).integers(0, 2, 400).tolist()
    (tmp_path / "mine.json").write_text(json.dumps({"metadata": {"gap_seconds": 600}, "data": data}))
    here = results(tmp_path, *QUICK_SPOT, f"spot.file={tmp_path / 'mine.json'}")
    assert "mine.json" in here.details["cells"][0]["cell"]


def test_objects_on_a_trace_of_your_own(tmp_path: Path) -> None:
    lines = ["seconds,kind,region,name,gigabytes", "0,put,aws:us-east-1,a,100"]
    lines += [f"{day * 86400},get,gcp:us-central1,a,100" for day in (1, 2, 400)]
    (tmp_path / "trace.csv").write_text("\n".join(lines))
    found = results(tmp_path, "task=objects", f"objects.file={tmp_path / 'trace.csv'}").metrics
    stored = 100 * 400 / 30 * 0.023
    assert found["test/cost_always_evict"] == pytest.approx(stored + 3 * 100 * 0.09, abs=1e-4)
    assert found["test/cost_optimum"] == pytest.approx(stored + 2 * 9 + 100 / 30 * 0.02, abs=1e-3)


def test_made_up_objects_repeat_themselves(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    small = ("task=objects", "objects.objects=5", "seed=3")
    assert results(tmp_path / "a", *small).metrics == results(tmp_path / "b", *small).metrics


@pytest.mark.parametrize(
    "options, said",
    [
        (("task=transfer", "transfer.target=gcp:asia-northeast9"), "asia-northeast1"),
        (("task=transfer", "transfer.rate_gbps=90"), "the most is"),
        (("task=transfer", "transfer.rate_gbps=null"), "rate to reach"),
        (("task=transfer", "network.peering=[oracle]"), "oracle"),
        (("task=transfer", "network.egress=tiered"), "is for task=optimize"),
        (("task=run", "network.egress=tiered"), "is for task=optimize"),
        (("task=objects", "network.egress=steep"), "flat or tiered"),
        (("task=transfer", "network.source=/nowhere"), "cost.csv"),
        (("task=spot", "spot.traces=[us-west-9]"), "us-west-9"),
        (("task=spot", "spot.starts=0"), "spot.starts=0"),
        (("task=spot", "spot.deadline_hours=[]"), "one number or more"),
        (("task=placement", "brute.instances=0"), "brute.instances=0"),
        (("task=placement", "brute.states=1"), "brute.states=1"),
        (("task=spot", "spot.deadline_hours=[48]"), "even on demand"),
        (("task=spot", "spot.file=none.json"), "none.json"),
        (("task=objects", "objects.file=none.csv"), "none.csv"),
        (("task=objects", "objects.objects=0"), "1 object or more"),
    ],
)
def test_wrong_input_ends_with_status_2_and_says_what_is_wrong(
    tmp_path: Path, options: tuple[str, ...], said: str
) -> None:
    ended = run(tmp_path, *options)
    assert ended.code == 2
    assert said in ended.err and "Traceback" not in ended.err


def test_a_market_at_real_prices(tmp_path: Path) -> None:
    found = results(
        tmp_path, "task=market", "market.users=60", "market.rounds=4", "market.sweep_gigabytes=[1,100000]"
    )
    metrics = found.metrics
    assert metrics["test/entrant_share_locked_in"] == 0 < metrics["test/entrant_share_brokered"]
    assert metrics["test/saving_locked_in"] == 0 < metrics["test/saving_brokered"]
    assert metrics["test/saving_brokered"] <= metrics["test/saving_brokered_peering"]
    small, large = found.details["sweep"]["saving brokered"]
    assert large < small
    small, large = found.details["sweep"]["saving brokered, peering"]
    assert large == pytest.approx(small)  # without egress the size of data holds nobody
    assert {path.name for path in (tmp_path / "out" / "figures").iterdir()} == {
        "shares.png",
        "sweep.png",
        "prices.png",
    }


@pytest.mark.parametrize(
    "options, said",
    [
        (("market.entrant=lambda:us-east-9",), "lambda:us-east-9"),
        (("market.homes=[aws:us-east-1]",), "home_shares"),
        (("market.homes=[aws:us-east-1,aws:us-west-2,gcp:us-central1]",), "one location for each cloud"),
        (("market.users=0",), "1 user or more"),
        (("market.price_steps=[0]",), "above 0"),
        (("market.hours=[1,2]",), "hours of 3 stages"),
    ],
)
def test_markets_that_cannot_be(tmp_path: Path, options: tuple[str, ...], said: str) -> None:
    ended = run(tmp_path, "task=market", *options)
    assert ended.code == 2
    assert said in ended.err and "Traceback" not in ended.err
