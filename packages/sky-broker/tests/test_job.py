"""Job files: what they say, and what is said about wrong ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from offprints.errors import InputError

from sky_broker import Constraints, DataItem, Job, Output, Resources, Task, TimeSpec, from_skypilot
from sky_broker.job_yaml import job_of

WHOLE = """
name: whole
defaults: {time: 2 h, nodes: 2}
datasets:
  raw: {location: "aws:eu-west-1", size: 1 TB, residency: [EU]}
tasks:
  clean:
    inputs: raw
    resources: {cpus: 8+, memory: 64+, clouds: [aws, gcp]}
    outputs: {table: 200 GB, log: {size: 1 GB, residency: DE}}
    run: make table
    envs: {LEVEL: 3}
  train:
    inputs: [clean.table, clean.log]
    nodes: 1
    requires: {interfaces: [kubernetes, s3-api]}
    resources:
      spot: allowed
      any_of:
        - {accelerators: "V100:4"}
        - {accelerators: {A100: 2, H100: 1}, regions: "gcp:us-central1"}
    time: {V100: 4 h, A100: 90 min, H100: 1 h}
    checkpoint: 10 min
    deadline: 30 h
  score:
    inputs: train
    time: {work: 7200, unit: tokens/s, rates: {T4: 1, V100: 4}}
constraints:
  budget: 300 USD
  deadline: 36 h
  carbon: 50 kg
  residency: [EU, US]
  quota: {"aws:eu-west-1": 3}
  apart: [[clean, train]]
  together: [clean, score]
objective: time
"""


def whole() -> Job:
    return job_of(WHOLE.replace("inputs: train\n", "inputs: raw\n"))


def test_a_job_file_says_all_that_the_api_can() -> None:
    job = whole()
    clean, train, score = (job.by_name[name] for name in ("clean", "train", "score"))
    assert job.name == "whole" and job.objective == "time"
    assert job.datasets["raw"] == DataItem("aws:eu-west-1", 1000.0, frozenset({"EU"}))
    assert clean.resources == (Resources(cpus="8+", memory="64+", clouds=("aws", "gcp")),)
    assert clean.outputs == {"table": Output(200.0), "log": Output(1.0, frozenset({"DE"}))}
    assert (clean.nodes, train.nodes) == (2, 1)
    assert clean.time == TimeSpec.fixed(2.0)
    assert clean.envs == {"LEVEL": "3"}
    assert train.resources == (
        Resources("V100:4", spot="allowed"),
        Resources("A100:2, H100:1", regions=("gcp:us-central1",), spot="allowed"),
    )
    assert train.time.hours == {"V100": 4.0, "A100": 1.5, "H100": 1.0}
    assert (train.checkpoint, train.deadline) == (pytest.approx(1 / 6), 30.0)
    assert train.interfaces == {"kubernetes", "s3-api"}
    assert score.time.hours == {"T4": pytest.approx(2.0), "V100": pytest.approx(0.5)}
    assert job.constraints == Constraints(
        budget=300.0,
        deadline=36.0,
        carbon=50.0,
        residency=frozenset({"EU", "US"}),
        quota={"aws:eu-west-1": 3},
        apart=(("clean", "train"),),
        together=(("clean", "score"),),
    )


def test_data_between_two_tasks_are_one_edge_with_what_both_allow() -> None:
    job = whole()
    assert [(edge.source, edge.target, edge.gb) for edge in job.edges] == [("clean", "train", 201.0)]
    assert job.edges[0].residency == {"DE"}
    assert job.order.index("clean") < job.order.index("train")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "  clean:\n",
            "  clean:\n    dedline: 5\n",
            r"line 8, column 5: tasks.clean: there is no key 'dedline'.*did you mean",
        ),
        ("size: 1 TB", "size: 1000", r"line 5, column \d+: datasets.raw.size: .*no unit"),
        ("size: 1 TB", "size: -1 TB", "negative"),
        ("cpus: 8+", "cpus: 8-", "8\\+ for at least 8"),
        ("cpus: 8+", "cpu: 8+", "did you mean cpus"),
        ("nodes: 1", "nodes: 1.5", "whole number"),
        ("nodes: 1", "nodes: 0", "0 nodes"),
        ("clean.log]", "clean.lock]", "did you mean clean.log"),
        ("inputs: raw\n    resources", "inputs: train.x\n    resources", "there is no input 'train.x'"),
        ("spot: allowed", "spot: often", "never, allowed, required"),
        ("residency: [EU, US]", "residency: [EUR]", "'EUR' is no jurisdiction"),
        ("objective: time", "objective: fun", "there is no objective 'fun'"),
        ("budget: 300 USD", "budget: 300", "no unit"),
        ("budget: 300 USD", "bugdet: 300 USD", "did you mean budget"),
        ("apart: [[clean, train]]", "apart: [[clean, trian]]", "did you mean train"),
        ("apart: [[clean, train]]", "apart: [[clean]]", "two tasks or more"),
        ("apart: [[clean, train]]", "apart: [[clean, clean]]", "paired with itself"),
        ("V100: 4 h, A100", "V100: 0 h, A100", "more than 0"),
        ("T4: 1, V100: 4}", "T4: 0, V100: 4}", "rate of T4"),
        ("unit: tokens/s", "unit: tokens/blink", "unit"),
        ("  clean:\n", "  score:\n    time: 1 h\n  clean:\n", "'score' is there twice"),
        ("name: whole", "name: [whole", "no YAML"),
        ('location: "aws:eu-west-1"', "location: aws", "no location"),
        ('accelerators: "V100:4"', 'accelerators: "V100:x"', "V100:4"),
        ("defaults: {time: 2 h, nodes: 2}", "defaults: {nodes: 2}", "needs its time"),
    ],
)
def test_a_wrong_job_file_says_where_and_what_would_be_right(old: str, new: str, message: str) -> None:
    text = WHOLE.replace("inputs: train\n", "inputs: raw\n")
    assert old in text
    with pytest.raises(InputError, match=message) as refused:
        job_of(text.replace(old, new, 1))
    assert str(refused.value).startswith("job.yaml, line ")


def test_tasks_that_wait_for_each_other_are_named() -> None:
    out = {"o": Output(1.0)}
    with pytest.raises(InputError, match="a -> b -> a|b -> a -> b"):
        Job(
            "j", (Task("a", inputs=("b.o",), outputs=out), Task("b", inputs=("a.o",), outputs=out), Task("c"))
        )


def test_names_stand_once() -> None:
    with pytest.raises(InputError, match="twice: a"):
        Job("j", (Task("a"), Task("a")))
    with pytest.raises(InputError, match="both a task and a dataset"):
        Job("j", (Task("a"),), {"a": DataItem("aws:us-east-1", 1.0)})
    with pytest.raises(InputError, match="no tasks"):
        Job("j", ())
    with pytest.raises(InputError, match="a point"):
        Task("a.b")


def test_the_most_precise_class_of_machines_gives_the_time() -> None:
    time = TimeSpec({"*": 9.0, "V100": 4.0, "V100:4": 1.5, "p3.8xlarge": 1.0, "cpu": 7.0})
    assert time.lookup("p3.8xlarge", "V100", 4) == 1.0
    assert time.lookup("other", "V100", 4) == 1.5
    assert time.lookup("other", "V100", 8) == 4.0
    assert time.lookup("other", "T4", 1) == 9.0
    assert time.lookup("m6i", "", 0) == 7.0


def test_a_chain_of_skypilot_tasks_is_read_as_a_job() -> None:
    text = """
name: chain
execution: serial
---
name: prepare
num_nodes: 2
resources: {cloud: aws, region: us-east-1, cpus: 8+, memory: 64GB+}
setup: pip install x
run: python prepare.py
envs: {A: b}
---
name: train
resources:
  use_spot: true
  any_of:
    - {infra: gcp/us-central1, accelerators: "A100:1"}
    - {infra: aws, accelerators: {V100: 4}}
file_mounts: {/data: s3://bucket}
run: python train.py
"""
    job = from_skypilot(text, {"prepare": 2.0, "train": 5.0}, {"prepare": 50.0})
    prepare, train = (job.by_name[name] for name in ("prepare", "train"))
    assert job.name == "chain"
    assert prepare.resources == (
        Resources(cpus="8+", memory="64+", clouds=("aws",), regions=("aws:us-east-1",)),
    )
    assert (prepare.nodes, prepare.setup, prepare.envs) == (2, "pip install x", {"A": "b"})
    assert train.resources == (
        Resources("A100:1", clouds=("gcp",), regions=("gcp:us-central1",), spot="required"),
        Resources("V100:4", clouds=("aws",), spot="required"),
    )
    assert [(edge.source, edge.target, edge.gb) for edge in job.edges] == [("prepare", "train", 50.0)]


def test_a_skypilot_task_without_a_time_or_with_a_wrong_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "task.yaml"
    path.write_text("name: train\nrun: x\n")
    with pytest.raises(InputError, match=r"task.yaml, line 1.*how long"):
        from_skypilot(path, {})
    path.write_text("name: train\nresorces: {cpus: 8}\n")
    with pytest.raises(InputError, match="did you mean resources"):
        from_skypilot(path, 1.0)
    with pytest.raises(InputError, match="no task 'other'"):
        from_skypilot("name: train\nrun: x\n", 1.0, {"other": 5})
