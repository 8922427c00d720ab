"""Carrying plans out: faults, fail-over, kills, checked copies, and one broker at a time."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sqlite3
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from offprints.errors import InputError

from sky_broker import Job, NoPlan, Output, Resources, Sky, Task, TimeSpec, optimize
from sky_broker.broker import Broker, Patience, TaskFailed
from sky_broker.engine import Fault, LocalEngine
from sky_broker.kill_task import carry, faults_of, job_that_counts, kill_and_resume
from sky_broker.places import allows
from sky_broker.replan import replan
from sky_broker.state import Attempt, RunState, StateLocked, StoredObject
from sky_broker.stores import CorruptObject, Residency, Store

QUICK = Patience(refusals=2, errors=2, first=0.01)


@pytest.fixture(scope="module")
def sky() -> Sky:
    return Sky.embedded()


def broker(tmp_path: Path, sky: Sky, job: Job, *faults: Fault) -> Broker:
    engine = LocalEngine(tmp_path / "regions", faults)
    return Broker(job, sky, engine, tmp_path / "run.sqlite", tmp_path / "stores", QUICK)


def counted(tmp_path: Path) -> Job:
    return job_that_counts(tmp_path / "ended.log")


def test_a_plan_is_carried_out_where_it_says_and_each_task_ends_once(tmp_path: Path, sky: Sky) -> None:
    job = counted(tmp_path)
    plan = optimize(job, sky)
    with broker(tmp_path, sky, job) as run:
        began = time.time()
        objects = run.run()
        attempts = {one.task: one for one in run.state.attempts()}
    assert faults_of(tmp_path) == []
    for edge in job.edges:  # what the timeline of a run is drawn from
        before, after = attempts[edge.source], attempts[edge.target]
        assert began <= before.began < before.ended <= after.began < after.ended <= time.time()
    for one in plan.placements:
        assert objects[f"{one.task}.out"].location == one.offer.location
    first = objects["split.out"]
    store = Store(first.location, str(tmp_path / "stores" / first.location.replace(":", "_")))
    assert store.sha256("split.out") == first.sha256


def test_what_a_task_reads_is_what_the_task_before_wrote(tmp_path: Path, sky: Sky) -> None:
    tasks = (
        Task("a", time=TimeSpec.fixed(1), outputs={"x": Output(1.0)}, run='echo from a > "$SKY_OUTPUTS/x"'),
        Task(
            "b",
            time=TimeSpec.fixed(1),
            inputs=("a.x",),
            outputs={"y": Output(1.0)},
            run='cat "$SKY_INPUTS/a.x" > "$SKY_OUTPUTS/y"',
        ),
    )
    with broker(tmp_path, sky, Job("j", tasks)) as run:
        objects = run.run()
    found = objects["b.y"]
    assert (
        Store(found.location, str(tmp_path / "stores" / found.location.replace(":", "_"))).get("b.y")
        == b"from a\n"
    )


def test_an_outage_is_survived_by_placing_what_is_left_elsewhere(tmp_path: Path, sky: Sky) -> None:
    job = counted(tmp_path)
    place = optimize(job, sky).placement("join").offer.location
    with broker(tmp_path, sky, job, Fault("outage", place, after="join")) as run:
        objects = run.run()
        events = run.state.events("failed over")
        assert run.state.blocked() == [place]
    assert len(events) == 1
    assert objects["join.out"].location != place
    assert objects["report.out"].location != place
    assert objects["split.out"].location == place  # what had ended there stays
    assert faults_of(tmp_path) == []


def test_a_preempted_task_is_tried_again_and_ends_once(tmp_path: Path, sky: Sky) -> None:
    with broker(
        tmp_path, sky, counted(tmp_path), Fault("preempted", task="left"), Fault("refused", task="right")
    ) as run:
        run.run()
        statuses = Counter((one.task, one.status) for one in run.state.attempts())
    assert statuses["left", "lost"] == 1
    assert statuses["right", "refused"] == 1
    assert faults_of(tmp_path) == []


def test_when_every_place_fails_the_reason_is_said(tmp_path: Path, sky: Sky) -> None:
    job = Job(
        "j",
        (Task("t", (Resources("V100:4", clouds=("aws",), regions=("aws:us-east-1",)),), TimeSpec.fixed(1)),),
    )
    with (
        broker(tmp_path, sky, job, Fault("outage", "aws:us-east-1")) as run,
        pytest.raises(NoPlan, match="task t"),
    ):
        run.run()


def test_a_task_with_an_error_of_its_own_ends_the_run_with_what_it_said(tmp_path: Path, sky: Sky) -> None:
    job = Job("j", (Task("t", time=TimeSpec.fixed(1), run="echo no such model >&2; exit 3"),))
    with (
        broker(tmp_path, sky, job) as run,
        pytest.raises(TaskFailed, match=r"failed 2 times.*exit code 3: no such model"),
    ):
        run.run()
    silent = Job("k", (Task("t", time=TimeSpec.fixed(1), outputs={"x": Output(1.0)}, run="true"),))
    with broker(tmp_path / "k", sky, silent) as run, pytest.raises(TaskFailed, match="did not write"):
        run.run()


def test_a_killed_broker_is_survived_with_each_task_ended_once(tmp_path: Path) -> None:
    rng, kills = random.Random(3), 0
    for number in range(2):  # `experiment=kill_resume` does it fifty times
        kills += kill_and_resume(tmp_path / str(number), rng, 0.5, growth=1.7)
        assert faults_of(tmp_path / str(number)) == []
    assert kills >= 2


def test_a_task_that_outlives_its_broker_is_taken_over_and_not_run_again(tmp_path: Path, sky: Sky) -> None:
    log = tmp_path / "log"
    job = Job(
        "j",
        (
            Task(
                "slow", time=TimeSpec.fixed(1), run=f'echo begun >> "{log}"; sleep 1.5; echo ended >> "{log}"'
            ),
        ),
    )
    first = broker(tmp_path, sky, job)
    first._start("slow")
    first.state.close()  # as a kill would: the lock goes with the process
    while not log.exists():
        time.sleep(0.01)
    with broker(tmp_path, sky, job) as again:
        again.run()
        assert [one.status for one in again.state.attempts()] == ["done"]
    assert log.read_text().split() == ["begun", "ended"]


def test_an_attempt_that_was_written_down_and_never_begun_counts_against_nobody(
    tmp_path: Path, sky: Sky
) -> None:
    job = Job("j", (Task("t", time=TimeSpec.fixed(1), run="true"),))
    first = broker(tmp_path, sky, job)
    for number in (1, 2, 3):
        first.state.begin(Attempt(f"t-{number}", "t", "aws:us-east-1", "begun"))
        first.state.set_status("t", "running")
        assert first._look_after("t")
    first.run()
    assert [one.status for one in first.state.attempts()] == ["unstarted"] * 3 + ["done"]
    assert first.state.blocked() == []
    first.state.close()


def test_a_worker_that_comes_late_to_a_lost_key_does_nothing(tmp_path: Path) -> None:
    engine = LocalEngine(tmp_path)
    assert engine.report("t-1").status == "unstarted"
    engine.start("t-1", "t", "aws:us-east-1", f'echo ran >> "{tmp_path / "log"}"', {})
    engine._processes["t-1"].wait()
    assert engine.report("t-1").status == "lost"
    assert not (tmp_path / "log").exists()


def test_a_second_broker_on_one_state_is_told_that_the_first_has_it(tmp_path: Path, sky: Sky) -> None:
    with (
        broker(tmp_path, sky, counted(tmp_path)),
        pytest.raises(StateLocked, match="another broker works on"),
    ):
        broker(tmp_path, sky, counted(tmp_path))
    broker(tmp_path, sky, counted(tmp_path)).state.close()


def test_a_state_belongs_to_its_job_and_has_to_be_one(tmp_path: Path, sky: Sky) -> None:
    broker(tmp_path, sky, counted(tmp_path)).state.close()
    with pytest.raises(InputError, match="state of another job"):
        broker(tmp_path, sky, Job("other", (Task("t"),)))
    (tmp_path / "no.sqlite").write_text("this is no database, and long enough to be read as one" * 40)
    with pytest.raises(InputError, match="no state of a run"):
        RunState(tmp_path / "no.sqlite")


def test_a_damaged_state_is_let_go_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run.sqlite"
    path.write_bytes(b"no state of a run" * 100)
    connect, opened = sqlite3.connect, []

    def noted(*rest: object, **options: object) -> sqlite3.Connection:
        opened.append(connect(*rest, **options))  # type: ignore[call-overload]
        return opened[-1]

    monkeypatch.setattr(sqlite3, "connect", noted)
    with pytest.raises(InputError, match="no state of a run"):
        RunState(path)
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        opened[0].execute("SELECT 1")
    path.unlink()
    RunState(path).close()  # the lock is free again


def test_a_transaction_leaves_all_or_nothing(tmp_path: Path) -> None:
    with RunState(tmp_path / "s.sqlite") as state:

        def half() -> None:
            with state.transaction():
                state.put("a", 1)
                state.block("aws:us-east-1", "x")
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            half()
        assert state.get("a") is None and state.blocked() == []
        state.place({"t": ('{"x": 1}', 1.0)})
        state.set_status("t", "done")
        state.set_status("t", "waiting")
        state.place({"t": ('{"x": 2}', 1.0)})
        assert state.tasks() == {"t": ("done", {"x": 1}, 1.0)}  # what is done stays as it is


def test_a_damaged_object_is_found_and_nothing_of_it_kept(tmp_path: Path, sky: Sky) -> None:
    source, target = (
        Store("aws:us-east-1", str(tmp_path / "a")),
        Store("gcp:us-central1", str(tmp_path / "b")),
    )
    content = os.urandom(3_000_000)
    source.put("x", content)
    sha = source.sha256("x")
    assert target.copy_from(source, "x", sha) == len(content)
    assert target.copy_from(source, "x", sha) == 0
    source.put("x", content[:-1] + bytes([content[-1] ^ 1]))
    assert target.copy_from(source, "x", sha) == 0  # the copy here is right
    target.put("x", b"rotten")
    with pytest.raises(CorruptObject, match="x at aws:us-east-1 is damaged"):
        target.copy_from(source, "x", sha)
    assert target.size("x.part") is None


def test_a_run_stops_at_a_damaged_object(tmp_path: Path, sky: Sky) -> None:
    job = counted(tmp_path)
    with broker(tmp_path, sky, job) as run:
        run._make("azure:eastus").put("raw", b"something else")
        with pytest.raises(CorruptObject, match="raw"):
            run.run()
    assert not (tmp_path / "ended.log").exists()


def test_what_was_stopped_while_it_was_put_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store("aws:us-east-1", str(tmp_path))
    opened = store._fs.open

    def torn(path: str, mode: str) -> object:
        with opened(path, mode) as file:
            file.write(b"half of it")
        raise KeyboardInterrupt

    monkeypatch.setattr(store._fs, "open", torn)
    with pytest.raises(KeyboardInterrupt):
        store.put("raw", bytes(100))
    monkeypatch.setattr(store._fs, "open", opened)
    assert store.size("raw") is None  # a broker that comes back puts it anew
    store.put("raw", bytes(100))
    assert store.get("raw") == bytes(100)


def test_a_copy_goes_on_where_it_stopped(tmp_path: Path) -> None:
    source, target = (
        Store("aws:us-east-1", str(tmp_path / "a")),
        Store("gcp:us-central1", str(tmp_path / "b")),
    )
    content = os.urandom(5 << 20)
    source.put("x", content)
    sha = source.sha256("x")

    def stop(here: int) -> None:
        if here >= 2 << 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        target.copy_from(source, "x", sha, progress=stop)
    here = target.size("x.part")
    assert here is not None and 0 < here < len(content) and target.size("x") is None
    assert target.copy_from(source, "x", sha) == len(content) - here
    assert target.get("x") == content
    # A part that is of something else is not trusted.
    target.put("y.part", b"z" * 1000)
    source.put("y", content)
    with pytest.raises(CorruptObject):
        target.copy_from(source, "y", sha)
    assert target.copy_from(source, "y", sha) == len(content)


def test_residency_is_looked_at_before_the_first_byte(tmp_path: Path) -> None:
    source, target = Store("aws:eu-west-1", str(tmp_path / "a")), Store("aws:us-east-1", str(tmp_path / "b"))
    source.put("x", b"private")
    with pytest.raises(Residency, match="must not be copied to aws:us-east-1"):
        target.copy_from(source, "x", source.sha256("x"), frozenset({"EU"}))
    assert not (tmp_path / "b").exists()


def test_a_new_plan_leaves_what_has_run_and_keeps_all_constraints(sky: Sky, tmp_path: Path) -> None:
    job = counted(tmp_path)
    job = replace(
        job,
        constraints=replace(job.constraints, residency=frozenset({"EU", "US"}), apart=(("left", "right"),)),
    )
    plan = optimize(job, sky)
    fixed = {name: plan.placement(name).offer for name in ("split", "left")}
    barred = plan.placement("join").offer.location
    again = replan(job, sky, fixed, [barred])
    for name, offer in fixed.items():
        assert again.placement(name).offer.location == offer.location
        assert again.placement(name).offer.usd_per_hour == offer.usd_per_hour
    moved = [again.placement(name).offer.location for name in ("right", "join", "report")]
    assert barred not in moved
    assert again.placement("left").offer.location != again.placement("right").offer.location
    assert all(allows(frozenset({"EU", "US"}), place) for place in moved)


def test_a_lock_goes_with_a_killed_process(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    process = multiprocessing.get_context("forkserver").Process(target=carry, args=(str(folder),))
    process.start()
    while not (folder / "ended.log").exists():
        time.sleep(0.01)
    with pytest.raises(StateLocked):
        RunState(folder / "run.sqlite")
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    carry(str(folder))
    assert faults_of(folder) == []


def test_objects_are_written_down_once(tmp_path: Path) -> None:
    with RunState(tmp_path / "s.sqlite") as state:
        state.add_object(StoredObject("x", "aws:us-east-1", "abc", 3))
        state.add_object(StoredObject("x", "gcp:us-central1", "def", 4))
        assert state.objects()["x"].location == "aws:us-east-1"
