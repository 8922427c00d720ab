"""Stores on S3, against moto's server on loopback: run by `nox -s "tests_with(sky-broker-s3)"`."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import s3fs
from moto import server

from sky_broker.stores import CorruptObject, Residency, Store

MakeStore = Callable[[str, str], Store]


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeStore]:
    """Location and path in a bucket of a server of its own -> the store."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "made-up")
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    running.start()
    host, port = running.get_host_and_port()
    url = f"http://{host}:{port}"
    name = f"bucket-{uuid.uuid4()}"  # servers of one process share what they hold
    s3fs.S3FileSystem(endpoint_url=url, skip_instance_cache=True).mkdir(name)
    yield lambda location, path: Store(location, f"s3://{name}/{path}", endpoint_url=url)
    running.stop()


def test_objects_go_between_buckets_and_folders_unchanged(bucket: MakeStore, tmp_path: Path) -> None:
    content = os.urandom(7_000_000)
    one, two = bucket("aws:us-east-1", "one"), bucket("aws:eu-west-1", "two")
    folder = Store("azure:eastus", str(tmp_path))
    one.put("x", content)
    sha = one.sha256("x")
    assert two.copy_from(one, "x", sha) == folder.copy_from(two, "x", sha) == len(content)
    assert two.get("x") == folder.get("x") == content
    assert two.copy_from(one, "x", sha) == 0
    assert two.size("x.part") is None
    assert bucket("aws:us-west-2", "three").copy_from(folder, "x", sha) == len(content)


def test_a_damaged_object_of_a_bucket_is_found_and_nothing_of_it_kept(bucket: MakeStore) -> None:
    one, two = bucket("aws:us-east-1", "one"), bucket("aws:eu-west-1", "two")
    one.put("x", b"what was put there")
    sha = one.sha256("x")
    one.put("x", b"what is there now.")
    with pytest.raises(CorruptObject, match="x at aws:us-east-1 is damaged"):
        two.copy_from(one, "x", sha)
    assert two.size("x") is None and two.size("x.part") is None


def test_a_copy_to_a_bucket_that_was_stopped_begins_anew_and_comes_out_right(
    bucket: MakeStore, tmp_path: Path
) -> None:
    content = os.urandom(12_000_000)
    folder, two = Store("azure:eastus", str(tmp_path)), bucket("aws:eu-west-1", "two")
    folder.put("x", content)
    sha = folder.sha256("x")

    def stop(here: int) -> None:
        if here > 6_000_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        two.copy_from(folder, "x", sha, progress=stop)
    assert two.size("x") is None
    assert two.copy_from(folder, "x", sha) == len(content)
    assert two.get("x") == content


def test_residency_holds_for_buckets_before_the_first_byte(bucket: MakeStore) -> None:
    one, two = bucket("aws:eu-west-1", "one"), bucket("aws:us-east-1", "two")
    one.put("x", b"private")
    with pytest.raises(Residency):
        two.copy_from(one, "x", one.sha256("x"), frozenset({"EU"}))
    assert two.size("x.part") is None
