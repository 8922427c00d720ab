"""Jobs in the embedded sky: plans, constraints, reasons, fronts, explanations."""

from __future__ import annotations

import itertools
import json
import math
import warnings
from dataclasses import replace

import pytest
import yaml

from offprints.errors import InputError

from sky_broker import (
    Constraints,
    DataItem,
    Job,
    NoPlan,
    Output,
    Resources,
    Sky,
    Task,
    TimeSpec,
    conflicting,
    from_skypilot,
    optimize,
    pareto,
    runners_up,
    sensitivity,
)
from sky_broker.baselines import cost_of, greedy, in_order, local_search, one_place, per_cloud_egress
from sky_broker.jobs import embedded_job, scaled
from sky_broker.model import build
from sky_broker.optimize import within
from sky_broker.places import allows


@pytest.fixture(scope="module")
def sky() -> Sky:
    return Sky.embedded()


@pytest.fixture
def pipeline() -> Job:
    return embedded_job("pipeline")


def with_rules(job: Job, **rules: object) -> Job:
    return replace(job, constraints=replace(job.constraints, **rules))


def test_the_pipeline_of_three_stages_has_a_proven_plan(sky: Sky, pipeline: Job) -> None:
    plan = optimize(pipeline, sky)
    assert plan.certificate.proven
    assert plan.cost == pytest.approx(plan.compute + plan.egress)
    assert plan.cost == pytest.approx(plan.certificate.value)
    starts = {one.task: one.start for one in plan.placements}
    assert starts["prepare"] < starts["train"] < starts["serve"]
    assert plan.makespan >= 20 + 60 + 400
    for cloud in ("aws", "azure", "gcp"):
        assert optimize(within(pipeline, (cloud,)), sky).cost >= plan.cost * (1 - 1e-9)


def test_a_broker_saves_on_little_data_and_stays_at_home_with_much_unless_clouds_peer(
    sky: Sky, pipeline: Job
) -> None:
    home = {gb: optimize(within(scaled(pipeline, gb), ("azure",)), sky).cost for gb in (0.0, 100.0, 10_000.0)}
    free = {gb: optimize(scaled(pipeline, gb), sky) for gb in home}
    peered = replace(sky, grid=sky.grid.with_peering(("aws", "azure", "gcp")))
    together = {gb: optimize(scaled(pipeline, gb), peered) for gb in home}
    assert free[0.0].cost < home[0.0] * 0.96
    assert free[10_000.0].cost == pytest.approx(home[10_000.0])
    assert free[10_000.0].clouds == ["azure"]
    assert all(plan.cost == pytest.approx(free[0.0].cost) for plan in together.values())
    assert all(plan.egress == 0 for plan in together.values())


def test_each_stage_of_the_specialised_job_is_where_its_hardware_is(sky: Sky) -> None:
    plan = optimize(embedded_job("specialised"), sky)
    assert [one.offer.cloud for one in plan.placements] == ["azure", "gcp", "aws"]
    assert plan.placement("anonymise").offer.location == "azure:westeurope"


def test_residency_holds_for_every_task_and_every_copy(sky: Sky, pipeline: Job) -> None:
    eu = frozenset({"EU"})
    plan = optimize(with_rules(pipeline, residency=eu), sky)
    assert all(allows(eu, one.offer.location) for one in plan.placements)
    kept = replace(pipeline, datasets={"raw": DataItem("gcp:europe-west1", 100.0, frozenset({"BE"}))})
    assert optimize(kept, sky).placement("prepare").offer.location == "gcp:europe-west1"
    tasks = [
        replace(task, outputs={"clean": Output(100.0, eu)}) if task.name == "prepare" else task
        for task in pipeline.tasks
    ]
    plan = optimize(replace(pipeline, tasks=tuple(tasks)), sky)
    assert allows(eu, plan.placement("prepare").offer.location)
    assert allows(eu, plan.placement("train").offer.location)
    moved = next(one for one in plan.movements if one.task == "train")
    assert moved.residency == eu


def test_clouds_quotas_and_rules_for_pairs_are_kept(sky: Sky, pipeline: Job) -> None:
    assert optimize(with_rules(pipeline, clouds=("gcp",)), sky).clouds == ["gcp"]
    assert "gcp" not in optimize(with_rules(pipeline, forbidden_clouds=("gcp",)), sky).clouds
    apart = optimize(with_rules(pipeline, apart_clouds=(("prepare", "train"), ("train", "serve"))), sky)
    clouds = [one.offer.cloud for one in apart.placements]
    assert clouds[0] != clouds[1] != clouds[2]
    together = optimize(with_rules(pipeline, together=(("prepare", "train"), ("prepare", "serve"))), sky)
    assert len({one.offer.location for one in together.placements}) == 1
    home = together.placements[0].offer.location
    spread = optimize(with_rules(pipeline, quota={home: 0}), sky)
    assert home not in {one.offer.location for one in spread.placements}


def test_spot_is_used_only_where_it_is_allowed(sky: Sky, pipeline: Job) -> None:
    free = [
        replace(task, resources=tuple(replace(one, spot="allowed") for one in task.resources))
        for task in pipeline.tasks
    ]
    plan = optimize(replace(pipeline, tasks=tuple(free)), sky)
    assert plan.cost < optimize(pipeline, sky).cost
    assert any(one.offer.spot for one in plan.placements)
    assert not any(one.offer.spot for one in optimize(pipeline, sky).placements)


def test_time_carbon_and_weights_are_minimised(sky: Sky, pipeline: Job) -> None:
    tasks = [
        replace(
            task,
            resources=(Resources("V100:4"), Resources("T4:1")),
            time=TimeSpec({"V100": 60.0, "T4": 400.0}),
        )
        if task.name == "train"
        else task
        for task in pipeline.tasks
    ]
    job = replace(pipeline, tasks=tuple(tasks))
    cheap, fast = optimize(job, sky, "cost"), optimize(job, sky, "time")
    assert cheap.placement("train").offer.accelerator == "T4"
    assert fast.placement("train").offer.accelerator == "V100"
    assert fast.makespan < cheap.makespan and fast.cost > cheap.cost
    clean = optimize(job, sky, "carbon")
    assert clean.carbon <= optimize(job, sky, {"carbon": 1e-6, "cost": 1}).carbon
    assert optimize(job, sky, {"cost": 1, "time": 100}).makespan == pytest.approx(fast.makespan, rel=1e-3)
    middle = (cheap.makespan + fast.makespan) / 2
    assert optimize(with_rules(job, deadline=middle), sky).cost == pytest.approx(fast.cost, rel=0.2)


def test_the_front_of_a_job_goes_from_the_cheapest_to_the_quickest(sky: Sky, pipeline: Job) -> None:
    front = pareto(pipeline, sky)
    assert front.complete
    assert front.plans[0].cost == pytest.approx(optimize(pipeline, sky).cost)
    assert front.plans[-1].makespan == pytest.approx(optimize(pipeline, sky, "time").makespan)
    points = front.points
    assert all(a[0] < b[0] and a[1] > b[1] for a, b in itertools.pairwise(points))
    for plan, (cost, hours) in zip(front.plans, points, strict=True):
        again = optimize(with_rules(pipeline, deadline=hours * (1 + 1e-7)), sky)
        assert again.cost == pytest.approx(cost, rel=1e-5)
        assert plan.cost == pytest.approx(cost)
    assert front.knee() in front.plans
    with pytest.raises(InputError, match="two or three"):
        pareto(pipeline, sky, ("cost", "joy"))


def test_a_runner_up_is_the_best_plan_without_the_place_or_the_cloud(sky: Sky, pipeline: Job) -> None:
    plan = optimize(pipeline, sky)
    for one in runners_up(plan, "cloud"):
        own = plan.placement(one.task).offer.cloud
        others = tuple(cloud for cloud in sky.catalog.clouds if cloud != own)
        tasks = [
            replace(task, resources=tuple(replace(need, clouds=others) for need in task.resources))
            if task.name == one.task
            else task
            for task in pipeline.tasks
        ]
        away = optimize(replace(pipeline, tasks=tuple(tasks)), sky)
        assert away.cost == pytest.approx(plan.cost + one.usd)
        assert away.egress == pytest.approx(plan.egress + one.egress)
    for one in runners_up(plan):
        assert one.usd >= -1e-9 and one.other != one.chosen
    said = plan.explain()
    assert "by $" in said and "egress" in said and "proven optimal" in said
    with pytest.raises(ValueError, match="location or cloud"):
        runners_up(plan, "street")


def test_a_plan_stays_the_best_just_inside_its_room_and_not_just_outside(sky: Sky, pipeline: Job) -> None:
    plan = optimize(pipeline, sky)
    rooms = {room.what: room for room in sensitivity(plan)}
    assert {"egress", "V100", "T4"} <= set(rooms)
    room = rooms["egress"]
    checked = 0
    for factor, outside in ((room.falls_to, 0.999), (room.rises_to, 1.001)):
        if 0 < factor < math.inf:
            grid = replace(sky.grid, usd_per_gb=sky.grid.usd_per_gb * (factor * outside))
            best = optimize(pipeline, replace(sky, grid=grid))
            ours = plan.compute + plan.egress * factor * outside
            assert best.cost < ours - 1e-9
            inside = replace(sky.grid, usd_per_gb=sky.grid.usd_per_gb * (factor / outside))
            assert optimize(pipeline, replace(sky, grid=inside)).cost == pytest.approx(
                plan.compute + plan.egress * factor / outside
            )
            checked += 1
    assert checked


def test_the_room_of_egress_where_some_ways_are_closed(sky: Sky, pipeline: Job) -> None:
    usd = sky.grid.usd_per_gb.copy()
    usd[0, 1] = math.inf
    plan = optimize(pipeline, replace(sky, grid=replace(sky.grid, usd_per_gb=usd)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rooms = {room.what: room for room in sensitivity(plan)}
    assert 0 <= rooms["egress"].falls_to <= 1 <= rooms["egress"].rises_to


def test_a_requirement_that_leaves_a_task_without_an_offer_is_named(sky: Sky, pipeline: Job) -> None:
    tasks = (
        replace(pipeline.tasks[0], resources=(Resources(cpus="32+", memory="9000+"),)),
        *pipeline.tasks[1:],
    )
    with pytest.raises(NoPlan, match=r"task prepare: no offer is left after 'memory 9000\+'"):
        optimize(replace(pipeline, tasks=tasks), sky)


def test_constraints_in_conflict_are_named_and_none_can_be_left_out(sky: Sky, pipeline: Job) -> None:
    hard = with_rules(
        pipeline, deadline=481.0, residency=frozenset({"EU"}), budget=5000.0, forbidden_clouds=("lambda",)
    )
    plan = optimize(hard, sky)
    tight = with_rules(hard, budget=plan.cost * 0.9)
    found = conflicting(tight, sky)
    assert "budget" in found
    with pytest.raises(NoPlan, match="budget") as refused:
        optimize(tight, sky)
    assert "$" in str(refused.value)
    for rule in found:
        assert optimize(with_rules(tight, **{rule: getattr(Constraints(), rule)}), sky).certificate.proven
    assert conflicting(pipeline, sky) == []


def test_a_residency_that_data_and_rules_disagree_about_is_a_conflict(sky: Sky, pipeline: Job) -> None:
    job = replace(pipeline, datasets={"raw": DataItem("aws:us-east-1", 100.0, frozenset({"US"}))})
    job = with_rules(job, residency=frozenset({"EU"}))
    assert conflicting(job, sky) == ["residency", "residency of dataset raw"]
    with pytest.raises(NoPlan, match="residency EU and residency of dataset raw cannot all be kept"):
        optimize(job, sky)


def test_unknown_places_are_errors_and_never_free(sky: Sky, pipeline: Job) -> None:
    job = replace(pipeline, datasets={"raw": DataItem("aws:us-esat-1", 100.0)})
    with pytest.raises(InputError, match="aws:us-east-1"):
        optimize(job, sky)
    lonely = Job("lonely", (Task("train", (Resources("H100:8"),), TimeSpec.fixed(1.0)),))
    assert optimize(lonely, sky).placements[0].offer.cloud == "lambda"
    # Data have to be able to get there, and nobody has measured the way to that cloud.
    fed = replace(
        lonely,
        tasks=(replace(lonely.tasks[0], inputs=("d",)),),
        datasets={"d": DataItem("aws:us-east-1", 1.0)},
    )
    assert optimize(fed, sky).placements[0].offer.cloud != "lambda"


def test_a_task_without_a_time_for_any_offer_says_so(sky: Sky) -> None:
    job = Job("j", (Task("t", (Resources("V100:1"),), TimeSpec({"T4": 1.0})),))
    with pytest.raises(NoPlan, match="a known time"):
        optimize(job, sky)
    wrong = Job("j", (Task("t", (Resources("V100:1"),), TimeSpec({"V10": 1.0})),))
    with pytest.raises(InputError, match="'V10'"):
        optimize(wrong, sky)


def test_time_may_be_a_function_of_the_offer(sky: Sky) -> None:
    time = TimeSpec(of=lambda offer: 100 / offer.vcpus)
    plan = optimize(Job("j", (Task("t", (Resources(cpus="4+"),), time),)), sky, "time")
    assert plan.placements[0].hours == pytest.approx(
        100 / max(o.vcpus for o in sky.catalog.offers() if o.vcpus > 0)
    )


def test_exact_plans_are_never_dearer_than_simpler_ways_to_choose(sky: Sky, pipeline: Job) -> None:
    for job in (pipeline, scaled(pipeline, 500.0), scaled(pipeline, 5000.0)):
        problem = build(job, sky).problem
        best = optimize(job, sky).cost
        ways = {
            "greedy": greedy(problem),
            "in order": in_order(problem),
            "one cloud": one_place(problem, "cloud"),
            "one place": one_place(problem),
            "local search": local_search(problem, greedy(problem)),
            "per cloud": per_cloud_egress(problem),
        }
        for name, chosen in ways.items():
            assert cost_of(problem, chosen) >= best * (1 - 1e-9), name
    assert cost_of(problem, greedy(problem)) > best  # egress was added afterwards


def test_a_plan_for_skypilot_is_read_back_to_the_same_machines(sky: Sky, pipeline: Job) -> None:
    plan = optimize(pipeline, sky)
    text = plan.to_skypilot()
    heading, *documents = yaml.safe_load_all(text)
    assert heading == {"name": "pipeline", "execution": "serial"}
    assert [one["name"] for one in documents] == ["prepare", "train", "serve"]
    again = from_skypilot(text, {one.task: one.hours for one in plan.placements})
    for placement in plan.placements:
        need = again.by_name[placement.task].resources[0]
        assert need.instance_type == placement.offer.instance_type
        assert need.regions == (placement.offer.location,)
        found = sky.catalog.offers(
            need.any_accelerator, instance_type=need.instance_type, regions=need.regions, spot=need.spot
        )
        assert placement.offer.usd_per_hour in [offer.usd_per_hour for offer in found]


def test_a_plan_is_plain_values_for_json(sky: Sky, pipeline: Job) -> None:
    content = json.loads(json.dumps(optimize(pipeline, sky).to_dict()))
    assert content["cost"] == pytest.approx(
        sum(task["usd"] for task in content["tasks"].values()) + content["egress"]
    )
    assert content["carbon"] is None


def test_a_wrong_objective_is_refused(sky: Sky, pipeline: Job) -> None:
    for wrong in ("speed", {"cost": 0.0}, {"cost": -1.0}, {"joy": 1.0}):
        with pytest.raises(InputError, match="objective"):
            optimize(pipeline, sky, wrong)
