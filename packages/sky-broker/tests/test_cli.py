"""The command line: the main job, its files, questions to a catalog, wrong input, and a run that was interrupted."""

from __future__ import annotations

import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from offprints.results import read_result
from offprints.testing import call, data_folder, presets

from sky_broker import Sky, SpotRisk, optimize
from sky_broker.cli import main
from sky_broker.jobs import embedded_job


def run(folder: Path, *options: str):
    return call(main, "sky-broker", folder, "hydra.run.dir=run", "progress=false", *options)


def test_the_main_job_plans_proves_compares_and_draws(tmp_path: Path) -> None:
    ended = run(tmp_path, "experiment=smoke")
    assert ended.code == 0, ended.err
    found = read_result(tmp_path / "run" / "results.json")
    plan = optimize(embedded_job("pipeline"), Sky.embedded())
    assert found.metrics["plan/cost"] == pytest.approx(plan.cost)
    assert found.metrics["plan/gap"] == 0
    assert min(found.metrics[f"only_{cloud}/cost"] for cloud in ("aws", "azure", "gcp")) >= plan.cost
    assert found.metrics["sweep/azure_10000gb_saved"] == pytest.approx(0, abs=1e-9)
    assert found.metrics["sweep/azure_10000gb_saved_peered"] > 0.04
    assert found.metrics["run/tasks_done"] == 3
    assert found.metrics["run/ended_once"] == found.metrics["run/failed_over"] == 1
    content = json.loads((tmp_path / "run" / "plan.json").read_text())
    assert content["cost"] == pytest.approx(plan.cost)
    html = (tmp_path / "run" / "plan.html").read_text()
    assert all(one.offer.location in html for one in plan.placements)
    assert "<script" not in html and "http" not in html.replace("http-equiv", "")
    assert "<h2>Plans to choose from</h2>" in html and "<td>chosen</td>" in html
    assert all(f"<td>{key}</td>" in html for key in ("prepare-1", "train-1", "serve-3"))
    assert re.search(r"<title>serve-1: refused in \S+, [\d.]+ s</title>", html)  # the outage, drawn and told
    assert len(list(yaml.safe_load_all((tmp_path / "run" / "skypilot.yaml").read_text()))) == 4
    for figure in ("plan", "peering"):
        assert (tmp_path / "run" / "figures" / f"{figure}.png").stat().st_size > 5000


def test_bounds_of_the_command_line_bind_the_plan(tmp_path: Path) -> None:
    ended = run(tmp_path, "job.residency=[EU]", "job.clouds=[gcp]", "sweep.gigabytes=[100]")
    assert ended.code == 0, ended.err
    content = json.loads((tmp_path / "run" / "plan.json").read_text())
    assert {task["location"] for task in content["tasks"].values()} <= {
        "gcp:europe-west1",
        "gcp:europe-west4",
    }


def test_a_budget_binds_the_plan_and_not_the_sweep_of_other_sizes_and_homes(tmp_path: Path) -> None:
    plan = optimize(embedded_job("pipeline"), Sky.embedded())
    bounds = (f"job.budget={plan.cost + 1:.2f}", "job.clouds=[aws,azure,gcp]", "sweep.gigabytes=[10000]")
    ended = run(tmp_path, *bounds, "execution.demonstrate=false", "solver.front=0")
    assert ended.code == 0, ended.err
    found = read_result(tmp_path / "run" / "results.json").metrics
    assert found["plan/cost"] <= plan.cost + 1
    assert {name.split("_")[0] for name in found if name.startswith("sweep/")} == {
        "sweep/aws",
        "sweep/azure",
        "sweep/gcp",
    }


def test_a_size_too_large_for_a_deadline_has_no_saving(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text(
        "name: far\ndatasets: {raw: {location: 'aws:us-east-1', size: 1 GB}}\nconstraints: {deadline: 3 h}\ntasks:\n"
        "  here: {inputs: raw, time: 1 h, outputs: {x: 1 GB}, resources: {regions: ['aws:us-east-1']}}\n"
        "  there: {inputs: here.x, time: 1 h, resources: {regions: ['aws:us-west-2']}}\n"
    )
    ended = run(tmp_path, "job.file=job.yaml", "sweep.gigabytes=[1,100000]", "solver.front=0")
    assert ended.code == 0, ended.err
    found = read_result(tmp_path / "run" / "results.json").metrics
    assert found["sweep/aws_1gb_saved"] == pytest.approx(0)
    assert math.isnan(found["sweep/aws_100000gb_saved"])


def test_a_job_that_no_cloud_does_alone_is_planned_without_a_sweep(tmp_path: Path) -> None:
    ended = run(tmp_path, "experiment=specialised", "execution.demonstrate=false", "solver.front=0")
    assert ended.code == 0, ended.err
    found = read_result(tmp_path / "run" / "results.json").metrics
    assert found["plan/gap"] == 0 and not any(name.startswith("sweep/") for name in found)
    (tmp_path / "sweep").mkdir()
    ended = run(tmp_path / "sweep", "task=peering", "job.file=specialised")
    assert ended.code == 2 and "no cloud alone" in ended.err and "Traceback" not in ended.err


def test_the_front_of_a_job_of_ones_own_is_written(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text(
        "tasks:\n"
        "  train:\n"
        '    resources: {accelerators: "V100:1, V100:4"}\n'
        '    time: {"V100:1": 40 h, "V100:4": 11 h}\n'
    )
    ended = run(tmp_path, "task=pareto", "job.file=job.yaml")
    assert ended.code == 0, ended.err
    found = read_result(tmp_path / "run" / "results.json")
    assert found.metrics["front/complete"] == 1
    assert found.metrics["front/points"] >= 2
    assert found.metrics["front/time_min"] == pytest.approx(11.0)


def test_egress_by_tiers_is_set_beside_the_plan_of_flat_prices(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text(
        "name: heavy\ndatasets: {raw: {location: 'aws:us-east-1', size: 20 TB}}\n"
        "tasks: {train: {inputs: raw, time: 835 h, resources: {accelerators: V100:4}}}\n"
    )
    ended = run(tmp_path, "job.file=job.yaml", "network.egress=tiered")
    assert ended.code == 0, ended.err
    found = read_result(tmp_path / "run" / "results.json").metrics
    assert found["plan/cost"] < found["flat_plan/cost"] <= found["flat_plan/flat_cost"]
    assert found["plan/egress"] == pytest.approx(10_240 * 0.09 + 9_760 * 0.085)
    assert found["discount/aws"] == pytest.approx(found["plan/egress"] / 1800) and found["plan/gap"] < 1e-5


def test_spot_is_planned_with_the_interruptions_that_are_expected(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text(
        "name: j\ntasks: {train: {time: 10 h, checkpoint: 30 min, resources: {accelerators: V100:1, spot: required}}}\n"
    )
    options = ("job.file=job.yaml", "catalog.interruptions=0.2", "catalog.restart_minutes=6")
    ended = run(tmp_path, *options)
    assert ended.code == 0, ended.err
    found = read_result(tmp_path / "run" / "results.json").metrics
    assert found["plan/makespan"] == pytest.approx(SpotRisk(0.2, 0.1).hours(10, "x:y", checkpoint=0.5))


def test_launching_without_skypilot_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sky", None)  # as if it were not installed
    ended = run(tmp_path, "task=launch")
    assert ended.code == 2
    assert "offprints-sky-broker[skypilot]" in ended.err and len(ended.err.splitlines()) == 1
    assert (tmp_path / "run" / "skypilot.yaml").is_file()


def test_a_question_to_a_catalog_and_a_difference(tmp_path: Path) -> None:
    catalog = [
        "task=catalog",
        "catalog.accelerators=V100:4",
        "catalog.residency=[EU]",
        "catalog.spot=allowed",
    ]
    ended = run(tmp_path, *catalog, "catalog.other=embedded")
    assert ended.code == 0, ended.err
    found = read_result(tmp_path / "run" / "results.json")
    assert found.metrics["query/offers"] > 0
    assert found.metrics["diff/changed"] == found.metrics["diff/added"] == 0
    assert found.metrics["diff/same"] == found.metrics["catalog/offers"]


def test_every_small_problem_is_solved_to_its_optimum(tmp_path: Path) -> None:
    ended = run(tmp_path, "experiment=placement", "brute.instances=20")
    assert ended.code == 0, ended.err
    found = read_result(tmp_path / "run" / "results.json")
    assert found.metrics["test/optimal"] == 1
    assert found.metrics["test/solved"] == 20 * 8


def test_every_preset_is_one_that_the_command_reads() -> None:
    from sky_broker.config import Config

    assert presets("sky_broker", Config)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["job.file=pipelin"], "pipeline, specialised"),
        (["job.residency=[EUX]"], "'EUX' is no jurisdiction"),
        (["job.budget=5"], "budget \\$5.00 cannot be kept: the least budget is"),
        (["solver.objective=speed"], "objective=speed"),
        (["network.peering=[awz]"], "awz"),
        (["catalog.source=nowhere"], "nowhere"),
        (["jb.file=x"], "jb"),
        (["task=plan"], "there is no such task"),
        (["network.egress=steep"], "flat or tiered"),
        (["network.egress=tiered", "solver.objective=time"], "for the least cost"),
    ],
)
def test_wrong_input_ends_with_status_2_and_one_message(
    tmp_path: Path, options: list[str], message: str
) -> None:
    import re

    ended = run(tmp_path, *options)
    assert ended.code == 2
    assert re.search(message, ended.err.replace("\n", " ")), ended.err
    assert "Traceback" not in ended.err


def test_an_outage_of_the_command_line_is_survived(tmp_path: Path) -> None:
    ended = run(tmp_path, "experiment=outage")
    assert ended.code == 0, ended.err
    found = read_result(tmp_path / "run" / "results.json")
    assert found.metrics["run/tasks_done"] == 3
    assert found.metrics["run/ended_once"] == 1
    assert found.metrics["run/failed_over"] == 1
    assert found.metrics["run/cost_in_the_end"] >= found.metrics["run/cost"]
    assert "failed over" in ended.out
    html = (
        tmp_path / "run" / "plan.html"
    ).read_text()  # of the plan as it stood in the end, with what was tried
    assert len(re.findall("<title>", html)) == 1 + found.metrics["run/attempts"]
    assert re.search("<title>[^<]+: refused in", html)


def test_a_plan_is_carried_out_by_the_objective_that_was_asked_for(tmp_path: Path) -> None:
    job, sky = embedded_job("pipeline"), Sky.embedded()
    quickest = optimize(job, sky, "time")
    assert quickest.cost > optimize(job, sky).cost
    ended = run(tmp_path, "task=run", "solver.objective=time", "execution.outage=null")
    assert ended.code == 0, ended.err
    found = read_result(tmp_path / "run" / "results.json").metrics
    assert found["run/cost"] == pytest.approx(quickest.cost)
    assert found["run/cost_in_the_end"] == pytest.approx(quickest.cost)


def test_kills_of_the_command_line_are_counted_and_survived(tmp_path: Path) -> None:
    ended = run(tmp_path, "experiment=kill_resume", "kills.kills=2")
    assert ended.code == 0, ended.err
    found = read_result(tmp_path / "run" / "results.json")
    assert found.metrics["test/kills_survived"] == found.metrics["test/kills"] >= 2
    assert found.metrics["test/tasks_not_once"] == 0


def test_help_lists_the_tasks_and_the_experiments(tmp_path: Path) -> None:
    ended = call(main, "sky-broker", tmp_path, "--help")
    assert ended.code == 0
    for word in ("optimize", "pareto", "peering", "catalog", "placement", "job.deadline", "smoke"):
        assert word in ended.out


def test_a_killed_run_goes_on_to_the_same_numbers(tmp_path: Path) -> None:
    options = ["experiment=placement", "brute.instances=60", "brute.tasks=2", "progress=false"]
    command = [sys.executable, "-m", "sky_broker", "hydra.run.dir=cut", *options]
    started = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    checked = tmp_path / "cut" / "checked.json"
    for _ in range(1200):
        if checked.exists() or started.poll() is not None:
            break
        time.sleep(0.05)
    assert started.poll() is None, "the run ended before it could be killed"
    os.kill(started.pid, signal.SIGKILL)
    started.wait()
    assert not (tmp_path / "cut" / "results.json").exists()
    assert json.loads(checked.read_text())["next"] < 60
    assert call(main, "sky-broker", tmp_path, "resume=cut").code == 0
    assert call(main, "sky-broker", tmp_path, "hydra.run.dir=whole", *options).code == 0
    cut, whole = (read_result(tmp_path / name / "results.json") for name in ("cut", "whole"))
    assert cut.metrics == whole.metrics
    assert cut.details == whole.details


def test_the_real_catalogs_and_grid_are_planned_on(tmp_path: Path) -> None:
    data_folder("sky-catalog"), data_folder("skyplane-profiles")
    options = [
        "catalog.source=snapshot",
        "network.source=skyplane",
        "catalog.cache=cache",
        "sweep.gigabytes=[1000]",
    ]
    ended = run(tmp_path, *options)
    assert ended.code == 0, ended.err
    found = read_result(tmp_path / "run" / "results.json")
    assert found.metrics["plan/gap"] == 0
    assert found.dataset is not None and len(found.dataset.sha256) == 7
