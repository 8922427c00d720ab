"""Checkpoints are whole or refused, and a killed run loses no saved work."""

from __future__ import annotations

import errno
import os
import pickle
import random
import resource
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from offprints.atomic import atomic_write
from offprints.checkpoint import (
    CheckpointError,
    Checkpoints,
    fingerprint,
    load,
    rng_state,
    save,
    set_rng_state,
)

STATE = {
    "weight": torch.arange(20_000, dtype=torch.float32),
    "step": 3,
    "names": ["a", ("b", None)],
    "rate": 0.1,
}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "last.ckpt"
    save(path, STATE, "demo", "f00d", step=7, metric=0.5)
    return path


def test_what_is_saved_is_what_is_loaded(saved: Path) -> None:
    checkpoint = load(saved, "demo", "f00d")
    assert (checkpoint.step, checkpoint.metric) == (7, 0.5)
    assert torch.equal(checkpoint.state.pop("weight"), STATE["weight"])  # type: ignore[arg-type]
    assert checkpoint.state == {name: value for name, value in STATE.items() if name != "weight"}
    assert [path.name for path in saved.parent.iterdir()] == ["last.ckpt"]


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_refused(saved: Path, share: float) -> None:
    whole = saved.read_bytes()
    saved.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(CheckpointError, match=r"last\.ckpt is truncated"):
        load(saved, "demo", "f00d")


def test_one_flipped_bit_in_the_weights_is_refused(saved: Path) -> None:
    content = bytearray(saved.read_bytes())
    place = content.index(np.float32(10_000).tobytes() + np.float32(10_001).tobytes())
    content[place] ^= 1
    saved.write_bytes(content)
    assert torch.load(saved, weights_only=True)["step"] == 7  # torch itself sees nothing
    with pytest.raises(CheckpointError, match="damaged: the checksum"):
        load(saved, "demo", "f00d")


def test_a_checkpoint_of_another_kind_or_other_data_is_refused(saved: Path) -> None:
    with pytest.raises(CheckpointError, match="checkpoint of 'demo', not of 'other'"):
        load(saved, "other", "f00d")
    with pytest.raises(CheckpointError, match="fingerprint is f00d, this run's is beef"):
        load(saved, "demo", "beef")
    assert load(saved, "demo").step == load(saved, None).step == 7


def test_a_foreign_torch_file_is_refused(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(3)}, tmp_path / "foreign.pt")
    with pytest.raises(CheckpointError, match="not an Offprints checkpoint"):
        load(tmp_path / "foreign.pt", "demo")
    with pytest.raises(FileNotFoundError, match=r"absent\.pt"):
        load(tmp_path / "absent.pt", "demo")


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, ("exploded",))


def test_code_in_a_file_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"offprints_checkpoint": 1, "state": Bomb()}, "bomb.ckpt")
    Path("bomb.pickle").write_bytes(pickle.dumps(Bomb()))
    for name in ("bomb.ckpt", "bomb.pickle"):
        with pytest.raises(CheckpointError):
            load(name, "demo")
    assert not Path("exploded").exists()


@pytest.mark.parametrize(
    "value", [np.float64(1), np.zeros(2), object(), Path("x"), {"deep": [1, np.int64(2)]}]
)
def test_what_could_not_be_loaded_is_not_saved(tmp_path: Path, value: object) -> None:
    with pytest.raises(TypeError, match=r"state\['bad'\]"):
        save(tmp_path / "x.ckpt", {"bad": value}, "demo", "f00d")
    assert list(tmp_path.iterdir()) == []


def test_the_states_of_torchs_own_classes_can_be_saved(tmp_path: Path) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.randn(4, 2)).sum().backward()
    optimizer.step()
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "rate": scheduler.state_dict()}
    save(tmp_path / "x.ckpt", state, "demo", "f00d")
    loaded = load(tmp_path / "x.ckpt", "demo").state
    assert isinstance(loaded["model"], OrderedDict)
    model.load_state_dict(loaded["model"])
    optimizer.load_state_dict(loaded["optimizer"])


def test_a_full_disk_leaves_the_previous_checkpoint_and_says_what_is_needed(saved: Path) -> None:
    before = saved.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # A limit on the size of files fails a write half-way, as a full disk does, and needs no disk of its own.
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    try:
        with pytest.raises(CheckpointError) as caught:
            save(saved, {"weight": torch.zeros(1_000_000)}, "demo", "f00d")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert str(saved.parent) in str(caught.value)
    assert "needs about 4.0 MB" in str(caught.value)
    assert "previous last.ckpt is unchanged" in str(caught.value)
    assert saved.read_bytes() == before
    assert [path.name for path in saved.parent.iterdir()] == ["last.ckpt"]


def test_any_failure_of_a_write_keeps_the_old_content(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    for error in (OSError(errno.EIO, "broken disk"), KeyboardInterrupt()):
        with pytest.raises(type(error)), atomic_write(path) as file:  # noqa: PT012
            file.write(b"half of the new")
            raise error
    assert path.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_best_is_kept_by_the_metric_across_processes(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, "demo", "f00d")
    assert checkpoints.load_best() is None
    assert checkpoints.load_last() is None
    assert checkpoints.save_best({"at": 1}, 1, 0.5)
    assert not checkpoints.save_best({"at": 2}, 2, 0.5)
    assert not checkpoints.save_best({"at": 3}, 3, float("nan"))
    again = Checkpoints(tmp_path, "demo", "f00d")
    assert not again.save_best({"at": 4}, 4, 0.4)
    best = again.load_best()
    assert best is not None
    assert (best.state["at"], best.step, best.metric) == (1, 1, 0.5)
    assert again.save_best({"at": 5}, 5, 0.6)
    assert checkpoints.load_best().state["at"] == 5  # type: ignore[union-attr]


def test_best_can_be_the_lowest(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, "demo", "f00d", higher_is_better=False)
    assert [checkpoints.save_best({}, step, loss) for step, loss in enumerate([2.0, 3.0, 1.0])] == [
        True,
        False,
        True,
    ]


def test_an_unreadable_last_checkpoint_is_not_passed_over(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, "demo", "f00d")
    checkpoints.save_last({"at": 1}, 1)
    checkpoints.save_best({"at": 1}, 1, 0.5)
    checkpoints.last.write_bytes(checkpoints.last.read_bytes()[:100])
    with pytest.raises(CheckpointError, match=r"(?s)last\.ckpt is truncated.*copy .*best\.ckpt over it"):
        checkpoints.load_last()


def test_fingerprints_tell_data_apart_and_not_the_order_of_keys() -> None:
    assert fingerprint(data={"a": "1", "b": "2"}, dim=3) == fingerprint(dim=3, data={"b": "2", "a": "1"})
    assert fingerprint(data={"a": "1"}, dim=3) != fingerprint(data={"a": "1"}, dim=4)


def test_every_generator_goes_on_where_it_was(tmp_path: Path) -> None:
    own = [
        torch.Generator().manual_seed(1),
        np.random.default_rng(2),
        np.random.Generator(np.random.MT19937(3)),
    ]
    own.append(np.random.Generator(np.random.Philox(4)))

    def draw() -> list[float]:
        tensors, arrays = own[0], own[1:]
        return [
            random.random(),
            random.gauss(0, 1),
            float(np.random.standard_normal()),
            torch.rand(()).item(),
            torch.rand((), generator=tensors).item(),
            *(float(generator.random()) for generator in arrays),
        ]

    draw()
    save(tmp_path / "rng.ckpt", rng_state(own), "demo", "f00d")
    first = draw()
    assert draw() != first
    set_rng_state(load(tmp_path / "rng.ckpt", "demo").state, own)
    assert draw() == first
    with pytest.raises(ValueError, match="1 generators given, but 4 were saved"):
        set_rng_state(load(tmp_path / "rng.ckpt", "demo").state, own[:1])
