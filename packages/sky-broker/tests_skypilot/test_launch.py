"""Plans in the hands of SkyPilot itself, up to what its server is asked for: run by `nox -s "tests_with(sky-broker-skypilot)"`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import sky as skypilot
from sky import JobStatus
from sky.exceptions import ResourcesUnavailableError
from sky.utils import dag_utils

from offprints.errors import InputError
from offprints.results import read_result
from offprints.testing import call

from sky_broker import Job, Output, Plan, Resources, Sky, Task, TimeSpec, optimize
from sky_broker.cli import main
from sky_broker.jobs import embedded_job
from sky_broker.launch import LaunchFailed, dag_of, launch
from sky_broker.plan import Placement
from sky_broker.skypilot import task_document

if TYPE_CHECKING:
    from conftest import RecordingServer

QUICK = 0.001  # seconds between two looks


@pytest.fixture(scope="module")
def sky() -> Sky:
    return Sky.embedded()


@pytest.fixture(scope="module")
def diamond(sky: Sky) -> Plan:
    """One task that two read from, and one that reads from both: spot, several nodes, an image, variables, GPUs and a TPU."""
    hours = TimeSpec.fixed(2.0)
    cut = Task(
        "cut",
        (Resources(cpus="32+"),),
        hours,
        nodes=3,
        outputs={"parts": Output(10.0)},
        setup="pip list",
        run="echo $WHO",
        envs={"WHO": "me"},
        image="python:3.11",
    )
    gpu = Task(
        "gpu",
        (Resources("V100:1", spot="required"),),
        hours,
        inputs=("cut.parts",),
        outputs={"a": Output(1.0)},
    )
    tpu = Task("tpu", (Resources("tpu-v3-8:1"),), hours, inputs=("cut.parts",), outputs={"b": Output(1.0)})
    join = Task("join", (Resources(cpus="4+", clouds=("azure",)),), hours, inputs=("gpu.a", "tpu.b"))
    return optimize(Job("diamond", (cut, gpu, tpu, join)), sky)


def read(task: skypilot.Task) -> tuple[object, ...]:
    """All that SkyPilot could still choose; what a machine costs there too."""
    (found,) = task.resources
    kind = dict(found.accelerators or {})
    place = str(found.cloud).lower(), found.region, found.zone
    return (*place, found.instance_type, kind, found.use_spot, task.num_nodes, found.get_cost(3600))


def planned(one: Placement) -> tuple[object, ...]:
    cloud, _, region = one.offer.location.partition(":")
    kind = {one.offer.accelerator: one.offer.count} if one.offer.accelerator else {}
    place = cloud, region, one.offer.zone or None
    price = pytest.approx(one.offer.usd_per_hour, rel=1e-4)
    return (*place, one.offer.instance_type, kind, one.offer.spot, one.nodes, price)


def test_a_dag_has_the_tasks_the_edges_and_the_machines_of_its_plan(diamond: Plan) -> None:
    dag = dag_of(diamond)
    dag.validate()
    assert {task.name: read(task) for task in dag.tasks} == {
        one.task: planned(one) for one in diamond.placements
    }
    assert {(u.name, v.name) for u, v in dag.get_graph().edges} == {
        ("cut", "gpu"), ("cut", "tpu"), ("gpu", "join"), ("tpu", "join"),
    }  # fmt: skip
    cut = dag.tasks[0]
    assert (cut.setup, cut.run, cut.envs["WHO"]) == ("pip list", "echo $WHO", "me")
    assert next(iter(cut.resources)).extract_docker_image() == "python:3.11"
    assert diamond.placement("gpu").offer.spot and diamond.placement("tpu").offer.accelerator == "tpu-v3-8"


@pytest.mark.parametrize("name", ["pipeline", "specialised"])
def test_the_task_files_of_a_plan_are_read_by_skypilot_to_the_same_machines(sky: Sky, name: str) -> None:
    plan = optimize(embedded_job(name), sky)
    chain = dag_utils.load_chain_dag_from_yaml_str(plan.to_skypilot())
    assert chain.name == plan.job.name and chain.is_chain()
    assert [task.name for task in chain.tasks] == [one.task for one in plan.placements]
    assert [read(task) for task in chain.tasks] == [planned(one) for one in plan.placements]


def test_every_offer_of_the_catalog_is_read_as_itself_and_at_its_price(sky: Sky) -> None:
    task = Task("one", (Resources(),), TimeSpec.fixed(1.0))
    offers = sky.catalog.offers(spot="allowed")
    assert len(offers) > 300
    for offer in offers:
        one = Placement("one", offer, 1, 1.0, 0.0, 0.0, 0.0)
        assert read(skypilot.Task.from_yaml_config(task_document(task, one))) == planned(one)


def test_a_dry_run_asks_for_every_task_and_rents_nothing(diamond: Plan, server: RecordingServer) -> None:
    ended = launch(diamond)
    assert [one.status for one in ended] == ["checked"] * 4
    assert [kind for kind, _ in server.asked] == ["dry run"] * 4
    assert server.tasks("dry run") == [one.task for one in diamond.placements]
    asked = {task.name: read(task) for _, task in server.launched.values()}
    assert asked == {one.task: planned(one) for one in diamond.placements}


def test_a_task_begins_when_all_that_it_reads_from_has_succeeded(
    diamond: Plan, server: RecordingServer
) -> None:
    server.statuses["gpu"] = [JobStatus.SETTING_UP, *[JobStatus.RUNNING] * 4, JobStatus.SUCCEEDED]
    seen: list[int] = []
    ended = launch(diamond, diamond.cost, wait_seconds=QUICK, tick=lambda so_far: seen.append(len(so_far)))
    assert [one.task for one in ended] == ["cut", "tpu", "gpu", "join"] and seen == [1, 2, 3, 4]
    assert {one.status for one in ended} == {"SUCCEEDED"}
    assert server.tasks("launch") == ["cut", "gpu", "tpu", "join"]
    assert server.tasks("down") == ["cut", "tpu", "gpu", "join"]
    order = [(kind, server.launched[cluster][1].name) for kind, cluster in server.asked]
    assert order.index(("launch", "gpu")) > order.index(("down", "cut"))
    assert order.index(("launch", "join")) > order.index(("down", "gpu"))
    assert not any(body.dryrun for body, _ in server.launched.values())
    assert len({one.cluster for one in ended}) == 4
    for _, task in server.launched.values():  # in case that this process does not live to take it down
        assert (found := next(iter(task.resources)).autostop_config).down and found.idle_minutes == 10
    assert {task.name: read(task) for _, task in server.launched.values()} == {
        one.task: planned(one) for one in diamond.placements
    }


def test_a_task_that_fails_ends_the_launch_and_takes_all_clusters_down(
    diamond: Plan, server: RecordingServer
) -> None:
    server.statuses["tpu"] = [JobStatus.RUNNING, JobStatus.FAILED]
    server.statuses["gpu"] = [JobStatus.RUNNING]
    with pytest.raises(LaunchFailed, match="task tpu ended as FAILED on sky-"):
        launch(diamond, diamond.cost, wait_seconds=QUICK)
    assert server.tasks("launch") == ["cut", "gpu", "tpu"]
    assert server.tasks("down") == ["cut", "gpu", "tpu"]


def test_what_a_cloud_refuses_is_said_with_the_task(
    diamond: Plan, server: RecordingServer, gone: Exception
) -> None:
    server.errors["launch", "gpu"] = [ResourcesUnavailableError("no V100 on spot today")]
    server.errors["down", "gpu"] = [gone]
    with pytest.raises(
        LaunchFailed, match="could not do task gpu: ResourcesUnavailableError: no V100 on spot"
    ):
        launch(diamond, diamond.cost, wait_seconds=QUICK)
    # tpu was asked for in the same breath and may have its machine already.
    assert server.tasks("down") == ["cut", "gpu", "tpu"]


def test_a_cluster_that_stays_up_is_named(diamond: Plan, server: RecordingServer) -> None:
    server.statuses["cut"] = [JobStatus.FAILED_SETUP]
    server.errors["down", "cut"] = [RuntimeError("the cloud does not answer")]
    with pytest.raises(
        LaunchFailed, match=r"ended as FAILED_SETUP .*could not take down (sky-\S+): .*`sky down \1`"
    ):
        launch(diamond, diamond.cost, wait_seconds=QUICK)


def test_a_network_that_fails_for_a_while_costs_no_work(diamond: Plan, server: RecordingServer) -> None:
    server.errors["job_status", "cut"] = [ConnectionError("away")] * 4
    assert len(launch(diamond, diamond.cost, wait_seconds=QUICK)) == 4
    server.clear()
    server.errors["job_status", "cut"] = [ConnectionError("away")] * 5
    with pytest.raises(LaunchFailed, match="could not do task cut: ConnectionError: away"):
        launch(diamond, diamond.cost, wait_seconds=QUICK)
    assert server.tasks("down") == ["cut"]


def test_a_plan_that_costs_more_than_was_agreed_to_is_not_launched(
    diamond: Plan, server: RecordingServer
) -> None:
    for pay in (diamond.cost * 0.999, float("nan")):
        with pytest.raises(InputError, match=r"more than pay=.*nothing was launched"):
            launch(diamond, pay)
    with pytest.raises(InputError, match="idle_minutes=0"):
        launch(diamond, diamond.cost, idle_minutes=0)
    assert server.asked == []


def test_what_skypilot_does_not_know_or_reads_otherwise_is_not_launched(
    diamond: Plan, server: RecordingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, *rest = diamond.placements
    unknown = replace(
        diamond, placements=(replace(first, offer=replace(first.offer, instance_type="n9")), *rest)
    )
    with pytest.raises(LaunchFailed, match="does not take task cut: .*n9"):
        launch(unknown)

    def elsewhere(task: Task, one: Placement) -> dict[str, object]:
        document = task_document(task, one)
        document["resources"]["use_spot"] = not one.offer.spot
        document["num_nodes"] = 7
        return document

    monkeypatch.setattr("sky_broker.launch.task_document", elsewhere)
    with pytest.raises(
        LaunchFailed, match="task cut otherwise than it is planned: spot True instead of False, nodes 7"
    ):
        launch(diamond)
    assert server.asked == []


def test_a_dry_run_of_the_command_line(tmp_path: Path, server: RecordingServer) -> None:
    ended = call(main, "sky-broker", tmp_path, "hydra.run.dir=run", "progress=false", "task=launch")
    assert ended.code == 0, ended.err
    found = read_result(tmp_path / "run" / "results.json")
    assert (found.metrics["launch/tasks"], found.metrics["launch/rented"]) == (3, 0)
    assert [kind for kind, _ in server.asked] == ["dry run"] * 3
    assert (tmp_path / "run" / "plan.html").is_file()
