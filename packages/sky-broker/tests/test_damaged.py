"""Whatever a catalog, a grid, a trace, a job file or a state holds, it is read, or refused with a message that names it.

`pytest packages/sky-broker/tests/test_damaged.py --fuzz 10000` is the full size.
"""

from __future__ import annotations

import gzip
import json
import logging
import math
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from offprints.fuzzing import as_text, in_file, mutated_gzip

from sky_broker import units
from sky_broker.broker import kept_offer
from sky_broker.catalog import Catalog, Offer, parse_accelerators, parse_at_least
from sky_broker.catalog_build import build_table, report_of
from sky_broker.catalog_cache import cached
from sky_broker.catalog_csv import read_csv
from sky_broker.compatibility import CompatibilitySet
from sky_broker.job import Job
from sky_broker.network import NetworkGrid
from sky_broker.object_traces import read_requests
from sky_broker.skypilot import from_skypilot
from sky_broker.state import Attempt, RunState, StoredObject
from sky_broker.traces import read_trace

EMBEDDED = resources.files("sky_broker") / "embedded"


def rows(name: str, count: int = 12) -> bytes:
    """The first lines of an embedded file."""
    return b"\n".join((EMBEDDED / name).read_bytes().split(b"\n")[:count]) + b"\n"


CATALOGS = [rows(f"catalog/{cloud}.csv") for cloud in ("aws", "gcp", "lambda")]


def offers(path: Path) -> None:
    catalog = Catalog(build_table({"gcp": read_csv(path)}, {}))
    assert (catalog.column("usd") > 0).all()
    assert not (catalog.column("spot_usd") <= 0).any()
    assert len(catalog.offers()) >= report_of(catalog.table).offers == len(catalog.table)
    for row in range(min(len(catalog.table), 3)):
        catalog.offer(row)


def test_catalogs(fuzz, tmp_path):
    fuzz(in_file(offers, tmp_path / "vms.csv"), CATALOGS, says="vms.csv")


def test_compressed_catalogs(fuzz, tmp_path):
    packed = [gzip.compress(one, mtime=0) for one in CATALOGS]
    fuzz(in_file(offers, tmp_path / "vms.csv.gz"), packed, says="vms.csv.gz", mutation=mutated_gzip)


def test_kept_catalogs(fuzz, tmp_path, caplog):
    """A damaged table of the cache is made anew from the files."""
    caplog.set_level(logging.ERROR)  # each is warned of
    files = {"aws": tmp_path / "vms.csv"}
    files["aws"].write_bytes(CATALOGS[0])
    wanted = cached(files, {}, tmp_path / "cache")
    kept = next((tmp_path / "cache").glob("*.arrow"))

    def read(path: Path) -> None:
        table = cached(files, {}, tmp_path / "cache")
        assert table.schema.names == wanted.schema.names and len(table) == len(wanted)

    fuzz(in_file(read, kept), [kept.read_bytes()], allowed=())


PRICES = b"src,dest,src_tier,dest_tier,cost\n" + b"".join(
    b"aws:a%d,gcp:b%d,PREMIUM,PREMIUM,0.%d\n" % (n, n, n) for n in range(4)
)
RATES = b"src_region,dst_region,src_tier,dst_tier,throughput_sent\n" + b"".join(
    b"aws:a%d,gcp:b%d,PREMIUM,PREMIUM,%d.5e9\n" % (n, n, n) for n in range(4)
)


@pytest.mark.parametrize("damaged", ["cost.csv", "throughput.csv", "cost.csv.gz"])
def test_grids(fuzz, tmp_path, damaged):
    content = {"cost.csv": PRICES, "throughput.csv": RATES}
    for name, text in content.items():
        (tmp_path / name).write_bytes(text)
    name, packed = damaged.removesuffix(".gz"), damaged.endswith(".gz")
    if packed:
        (tmp_path / name).unlink()

    def read(path: Path) -> None:
        grid = NetworkGrid.from_skyplane(path.parent)
        assert grid.usd_per_gb.shape == grid.gbps.shape == (len(grid.locations),) * 2
        assert (np.isnan(grid.usd_per_gb) | (grid.usd_per_gb >= 0)).all()

    valid = gzip.compress(content[name], mtime=0) if packed else content[name]
    mutation = mutated_gzip if packed else None
    fuzz(in_file(read, tmp_path / damaged), [valid], says=damaged, mutation=mutation)


TRACES = [
    b'{"metadata": {"gap_seconds": 600}, "data": [0, 1, 1, 0, 1]}',
    b'{"metadata": {"gap_seconds": 60.5}, "data": [1]}',
]


@pytest.mark.parametrize("name", ["trace.json", "trace.json.gz"])
def test_spot_traces(fuzz, tmp_path, name):
    def read(path: Path) -> None:
        trace = read_trace(path, "available")
        assert 0 < trace.gap_seconds < math.inf
        assert len(trace.nodes) and trace.nodes.min() >= 0

    packed = name.endswith(".gz")
    corpus = [gzip.compress(one, mtime=0) for one in TRACES] if packed else TRACES
    fuzz(in_file(read, tmp_path / name), corpus, says="trace.json", mutation=mutated_gzip if packed else None)


def test_traces_of_objects(fuzz, tmp_path):
    def read(path: Path) -> None:
        requests, sizes = read_requests(path)
        assert all(0 <= size < math.inf for size in sizes.values())
        assert all(0 <= request.seconds < math.inf and request.kind in ("get", "put") for request in requests)

    lines = b"seconds,kind,region,name,gigabytes\n0,put,aws:us-east-1,a,1.5\n60.5,get,gcp:us-central1,a,\n"
    other = b"name,kind,region,seconds,gigabytes\nb,put,azure:eastus,0,2\n"
    fuzz(
        in_file(read, tmp_path / "requests.csv"),
        [lines.replace(b"a,\n", b"a,1.5\n"), other],
        says="requests.csv",
    )


def test_compatibility_tables(fuzz, tmp_path):
    def read(path: Path) -> None:
        found = CompatibilitySet.from_csv(path)
        assert found.coverage(["aws:us-east-1"]).keys() == set(found.interfaces)

    fuzz(in_file(read, tmp_path / "compatibility.csv"), [rows("compatibility.csv")], says="compatibility.csv")


JOBS = [(EMBEDDED / "jobs" / f"{name}.yaml").read_bytes() for name in ("pipeline", "specialised")]
JOBS.append(
    b"""
defaults: {nodes: 2, residency: [EU]}
datasets: {d: {location: "aws:eu-west-1", size: 1 TiB, residency: EU}}
tasks:
  a: {time: {"V100:4": 3 h, cpu: 1 d}, inputs: [d], outputs: {x: {size: 5 GB, residency: EU}}, envs: {K: v}}
  b: {time: {work: 1e6, unit: images/s, rates: {V100: 300}}, inputs: [a.x], deadline: 9 h, checkpoint: 10 min,
      resources: {any_of: [{accelerators: {V100: 4, A100: 1}}, {cpus: 8+}], spot: allowed}, setup: s, image: i}
constraints: {budget: 300 USD, deadline: 2 d, carbon: 50 kg, clouds: [aws, gcp], quota: {"aws:eu-west-1": 3}, apart: [a, b]}
objective: time
"""
)


def test_job_files(fuzz, tmp_path):
    def read(path: Path) -> None:
        job = Job.from_yaml(path)
        assert sorted(job.order) == sorted(task.name for task in job.tasks)
        assert all(0 <= edge.gb < math.inf for edge in job.edges)
        assert all(0 < hours < math.inf for task in job.tasks for hours in task.time.hours.values())

    fuzz(in_file(read, tmp_path / "job.yaml"), JOBS, says="job.yaml")


def test_task_files_of_skypilot(fuzz, tmp_path):
    corpus = [
        b"---\nname: chain\nexecution: serial\n---\nname: a\nnum_nodes: 2\nresources: {infra: aws/us-east-1, accelerators: V100:4}\n"
        b"run: |\n  python a.py\n---\nname: b\nresources: {cpus: 8+, memory: 64GB+, use_spot: true}\nenvs: {A: b}\n",
        b"resources:\n  any_of:\n  - {cloud: gcp, region: us-central1, accelerators: {A100: 1}}\n  - {infra: aws}\nsetup: pip\n",
    ]
    reader = in_file(lambda path: from_skypilot(path, 2.0), tmp_path / "task.yaml")
    fuzz(reader, corpus, says="task.yaml")


@pytest.mark.parametrize(
    "reader, corpus",
    [
        (units.gigabytes, [b"500 GB", b"1_000 MiB", b"1.5e3 TB"]),
        (units.hours, [b"36 h", b"10 min", b"2 days"]),
        (units.dollars, [b"300 USD", b"$ 12.5"]),
        (units.kilograms, [b"50 kg", b"2t"]),
        (parse_accelerators, [b"V100:4", b"V100:4, A100"]),
        (parse_at_least, [b"8", b"8.5+"]),
    ],
    ids=["gigabytes", "hours", "dollars", "kilograms", "accelerators", "at least"],
)
def test_amounts(fuzz, reader, corpus):
    def read(text: str) -> None:
        found = reader(text)
        numbers = (
            [found]
            if isinstance(found, float)
            else [found[0]]
            if reader is parse_at_least
            else [n for _, n in found]
        )
        assert all(0 <= number < math.inf for number in numbers)

    fuzz(as_text(read), corpus)


def test_states_of_runs(fuzz, tmp_path):
    original = tmp_path / "original.sqlite"
    offer = Offer("aws:us-east-1", "", "m5.large", "", 0.0, 2.0, 8.0, 0.1, False)
    with RunState(original) as state, state.transaction():
        state.put("job", "0" * 16)
        state.place({"a": (json.dumps(offer.__dict__), 2.0)})
        state.begin(Attempt("a-1", "a", "aws:us-east-1", "begun"))
        state.add_object(StoredObject("d", "aws:us-east-1", "0" * 64, 100))
        state.block("gcp:us-central1", "refused")
        state.event("planned", "", "$1.00")

    def read(path: Path) -> None:
        for ending in ("-wal", "-shm"):
            path.with_name(path.name + ending).unlink(missing_ok=True)
        with RunState(path) as state:
            assert state.get("job") is None or isinstance(state.get("job"), str)
            for _, kept, hours in state.tasks().values():
                kept_offer(kept, path)
                assert isinstance(hours, float)
            assert all(isinstance(one.status, str) for one in state.attempts())
            assert all(isinstance(one.bytes, int) for one in state.objects().values())
            state.blocked()
            state.events()

    fuzz(in_file(read, tmp_path / "state.sqlite"), [original.read_bytes()], says="state.sqlite")
