"""Checkpoints that survive a kill at any instant and are never loaded half, or for other data.

A checkpoint is one torch zip file. It is written beside its target and renamed over it, so that the previous one stays until
the new one is whole. On loading, the zip's checksums are verified first and then only plain values and tensors are read
(`weights_only`): a file from elsewhere cannot run code.

    checkpoints = Checkpoints(run.directory / "checkpoints", kind="conve", fingerprint=fingerprint(data=..., model=...))
    last = checkpoints.load_last()
    start = last.step if last else 0
    ...
    checkpoints.save_last({"model": model.state_dict(), "rng": rng_state()}, step=epoch)
    checkpoints.save_best({"model": model.state_dict()}, step=epoch, metric=mrr)
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import random
import shutil
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from offprints.atomic import atomic_write
from offprints.errors import InputError
from offprints.unpack import DAMAGE

FORMAT = 1
_log = logging.getLogger(__name__)


class CheckpointError(InputError):
    """A checkpoint cannot be read, belongs to something else, or cannot be written."""


@dataclass(frozen=True)
class Checkpoint:
    """What was saved, and when.

    Attributes:
        state: tensors and plain values (numbers, strings, lists, tuples, dicts, None).
        step: the step (epoch, update, ...) after which it was saved; pass it to `run.metrics.rewind`.
        metric: the value that made it the best one; None where none was given.
    """

    state: dict[str, Any]
    step: int
    metric: float | None


class Checkpoints:
    """The last and the best checkpoint of one run, in `last.ckpt` and `best.ckpt`.

    Args:
        directory: usually `run.directory / "checkpoints"`; created by the first save.
        kind: what is saved, such as "conve"; a checkpoint of another kind is refused.
        fingerprint: of the data and the shapes, from `fingerprint()`; a checkpoint with another one is refused.
        higher_is_better: the direction of the metric of `save_best`.
    """

    def __init__(
        self, directory: Path | str, kind: str, fingerprint: str, higher_is_better: bool = True
    ) -> None:
        self.directory = Path(directory)
        self.kind = kind
        self.fingerprint = fingerprint
        self.higher_is_better = higher_is_better
        self._best_metric: float | None = None

    @property
    def last(self) -> Path:
        """Where the last checkpoint is, or will be."""
        return self.directory / "last.ckpt"

    @property
    def best(self) -> Path:
        """Where the best checkpoint is, or will be."""
        return self.directory / "best.ckpt"

    def save_last(self, state: Mapping[str, Any], step: int) -> None:
        """Replace the last checkpoint, atomically; see `save`."""
        save(self.last, state, self.kind, self.fingerprint, step)

    def save_best(self, state: Mapping[str, Any], step: int, metric: float) -> bool:
        """Replace the best checkpoint if `metric` beats the one of the best on disk (a tie keeps the older).

        Save the best before the last: a run killed between the two then repeats the step that made the best one.

        Returns:
            Whether it was better and has been saved. A NaN metric is never better.
        """
        best = self.best_metric
        better = metric == metric and (
            best is None or (metric > best if self.higher_is_better else metric < best)
        )
        if better:
            save(self.best, state, self.kind, self.fingerprint, step, metric)
            self._best_metric = float(metric)
        return better

    @property
    def best_metric(self) -> float | None:
        """The metric of the best checkpoint on disk; None if there is none.

        Raises:
            CheckpointError: there is one but it cannot be read.
        """
        if self._best_metric is None:
            best = self.load_best()
            self._best_metric = best.metric if best else None
        return self._best_metric

    def load_last(self) -> Checkpoint | None:
        """The checkpoint to resume from; None if none was saved yet.

        Raises:
            CheckpointError: it is there but unreadable or foreign. It is never passed over in silence: that would start a
                long run from nothing.
        """
        return self._load(self.last, self.best)

    def load_best(self) -> Checkpoint | None:
        """The best checkpoint; None if none was saved yet.

        Raises:
            CheckpointError: it is there but unreadable or foreign.
        """
        return self._load(self.best, self.last)

    def _load(self, path: Path, other: Path) -> Checkpoint | None:
        if not path.exists():
            return None
        try:
            return load(path, self.kind, self.fingerprint)
        except CheckpointError as error:
            if other.exists():
                raise CheckpointError(
                    f"{error}\nTo go on from the other one, copy {other} over it; to start again, remove {path}"
                ) from error
            raise


def save(
    path: Path | str,
    state: Mapping[str, Any],
    kind: str,
    fingerprint: str,
    step: int = 0,
    metric: float | None = None,
) -> None:
    """Save a checkpoint atomically: whatever happens, `path` is the old file or the whole new one.

    Args:
        path: the file; its folder is created.
        state: tensors and plain values; anything else is refused here, because it could not be loaded again.
        kind: what is saved, such as "conve".
        fingerprint: of the data and shapes that it belongs to.
        step: the step after which it is saved.
        metric: the value it was chosen for.

    Raises:
        TypeError: the state holds something that a safe load could not read; names its place.
        CheckpointError: the disk is full; names the folder and the space needed. The previous file stays.
        OSError: the folder cannot be written.
    """
    path = Path(path)
    _require_plain(state, "state")
    payload = {
        "offprints_checkpoint": FORMAT,
        "kind": kind,
        "fingerprint": fingerprint,
        "step": int(step),
        "metric": None if metric is None else float(metric),
        "state": dict(state),
    }
    try:
        with atomic_write(path) as file:
            torch.save(payload, file)
    except (OSError, RuntimeError) as error:
        if not _is_disk_full(error, path.parent, _tensor_bytes(state)):
            raise
        kept = f"The previous {path.name} is unchanged. " if path.exists() else ""
        raise CheckpointError(
            f"no space to save {path.name} in {path.parent}: it needs about {_tensor_bytes(state) / 1e6:.1f} MB, "
            f"{shutil.disk_usage(path.parent).free / 1e6:.1f} MB are free (a quota or size limit may leave less). "
            f"{kept}Free some space and resume the run"
        ) from error


def load(path: Path | str, kind: str | None, fingerprint: str | None = None) -> Checkpoint:
    """Load a checkpoint after checking that it is whole, ours, of this kind and of this data.

    Args:
        path: a file that `save` wrote.
        kind: the kind it must have; None accepts any (for tools that only look).
        fingerprint: the fingerprint it must have; None accepts any.

    Returns:
        The checkpoint, its tensors on the CPU.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: it is truncated, damaged, foreign, of another kind or of other data.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"no checkpoint {path}")
    _verify_zip(path)
    try:
        payload = torch.load(path, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:  # what a damaged program of a pickle may end with is not a short list
        raise CheckpointError(
            f"{path} is not an Offprints checkpoint: it holds more than tensors and plain values, and is not loaded"
        ) from error
    if not isinstance(payload, dict) or "offprints_checkpoint" not in payload:
        raise CheckpointError(f"{path} is a torch file but not an Offprints checkpoint")
    if not _is_complete(payload):
        raise CheckpointError(
            f"{path} is not a whole Offprints checkpoint: a part is missing or of another kind"
        )
    if payload["offprints_checkpoint"] != FORMAT:
        raise CheckpointError(
            f"{path} has checkpoint format {payload['offprints_checkpoint']}; this version reads format {FORMAT}"
        )
    if kind is not None and payload["kind"] != kind:
        raise CheckpointError(f"{path} is a checkpoint of {payload['kind']!r}, not of {kind!r}")
    if fingerprint is not None and payload["fingerprint"] != fingerprint:
        raise CheckpointError(
            f"{path} belongs to other data or another model shape: its fingerprint is {payload['fingerprint']}, "
            f"this run's is {fingerprint}. Use the options of the run that saved it"
        )
    return Checkpoint(payload["state"], payload["step"], payload["metric"])


UNFIT = (ValueError, KeyError, TypeError, AttributeError, IndexError, RuntimeError, OverflowError)
"""What making a model, options or tables stumbles with over content that does not make them."""


@contextmanager
def fitting(path: Path | str) -> Iterator[None]:
    """Say of a file that what it holds does not make what its kind says, whatever stumbles over it first.

    Args:
        path: that was loaded; the block makes a model, options or tables of its content.

    Raises:
        CheckpointError: a part is missing, of another kind or shape.
    """
    try:
        yield
    except CheckpointError:
        raise
    except UNFIT as error:
        reason = f"{type(error).__name__}: {str(error)[:300]}"
        raise CheckpointError(f"{path} does not hold all that it should: {reason}") from error


def fingerprint(**parts: object) -> str:
    """A short digest of what a checkpoint depends on: data checksums, model shape, vocabulary.

    Args:
        **parts: JSON-like values; order of keys does not matter.

    Returns:
        16 hexadecimal digits.
    """
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def rng_state(generators: Sequence[torch.Generator | np.random.Generator] = ()) -> dict[str, Any]:
    """The state of every random number generator, in values that a checkpoint can hold.

    Args:
        generators: your own ones, beside the global ones of python, numpy and torch (CPU and each CUDA device).

    Returns:
        For `set_rng_state`.
    """
    # The global state is what libraries draw from that take no generator.
    name, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)
    return {
        "python": random.getstate(),
        "numpy": (name, torch.from_numpy(np.asarray(keys).astype(np.int64)), position, has_gauss, gauss),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else [],
        "generators": [
            g.get_state() if isinstance(g, torch.Generator) else _plain_numbers(g.bit_generator.state)
            for g in generators
        ],
    }


def set_rng_state(
    state: Mapping[str, Any], generators: Sequence[torch.Generator | np.random.Generator] = ()
) -> None:
    """Put every generator back to where `rng_state` found it.

    Args:
        state: from `rng_state`.
        generators: the same ones in the same order.

    Raises:
        ValueError: another number of generators than was saved.
    """
    if len(generators) != len(state["generators"]):
        raise ValueError(
            f"{len(generators)} generators given, but {len(state['generators'])} were saved; pass the same ones"
        )
    random.setstate(state["python"])
    name, keys, position, has_gauss, gauss = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), position, has_gauss, gauss))
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.is_available() and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
    for generator, saved in zip(generators, state["generators"], strict=True):
        if isinstance(generator, torch.Generator):
            generator.set_state(saved)
        else:
            generator.bit_generator.state = _numpy_numbers(saved)


def _is_complete(payload: Mapping[str, Any]) -> bool:
    kinds: dict[str, type | tuple[type, ...]] = {
        "kind": str,
        "fingerprint": str,
        "step": int,
        "metric": (float, type(None)),
        "state": dict,
    }
    return all(name in payload and isinstance(payload[name], kind) for name, kind in kinds.items())


def _verify_zip(path: Path) -> None:
    # torch.load maps tensors without looking at the checksums, so a flipped byte would go into the weights unseen.
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except (*DAMAGE, RuntimeError, NotImplementedError, OSError, ValueError) as error:
        raise CheckpointError(f"{path} is truncated, damaged or not a checkpoint ({error})") from error
    if damaged is not None:
        raise CheckpointError(f"{path} is damaged: the checksum of its part {damaged!r} does not match")


_PLAIN = (int, float, str, bool, bytes, type(None), torch.Size, torch.dtype)


def _require_plain(value: object, place: str) -> None:
    """Refuse at saving what a weights_only load would refuse: a checkpoint that cannot be read is a lost run."""
    if isinstance(value, torch.Tensor) or type(value) in _PLAIN:
        return
    if type(value) in (dict, OrderedDict):
        for key, item in value.items():  # type: ignore[attr-defined]
            if type(key) not in (int, str, tuple):
                raise TypeError(f"{place}: key {key!r} is a {type(key).__name__}; use a str or int")
            _require_plain(item, f"{place}[{key!r}]")
    elif type(value) in (list, tuple, set):
        for index, item in enumerate(value):  # type: ignore[arg-type]
            _require_plain(item, f"{place}[{index}]")
    else:
        raise TypeError(
            f"{place} is a {type(value).__module__}.{type(value).__qualname__}; "
            "a checkpoint holds tensors, numbers, strings, lists, tuples, sets and dicts"
        )


def _tensor_bytes(value: object) -> int:
    if isinstance(value, torch.Tensor):
        return value.numel() * value.element_size()
    if isinstance(value, Mapping):
        return sum(_tensor_bytes(item) for item in value.values())
    if isinstance(value, (list, tuple)):
        return sum(_tensor_bytes(item) for item in value)
    return 0


def _is_disk_full(error: BaseException, folder: Path, needed: int) -> bool:
    # torch's writer, closing the file that could not be written, hides the OSError behind a RuntimeError of its own.
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, OSError):
            return link.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        link = link.__cause__ or link.__context__
    return folder.exists() and shutil.disk_usage(folder).free < needed


def _plain_numbers(state: Any) -> Any:
    """A bit generator's state with its numpy arrays as tensors (Philox, MT19937)."""
    if isinstance(state, Mapping):
        return {key: _plain_numbers(item) for key, item in state.items()}
    if isinstance(state, np.ndarray):
        return (str(state.dtype), torch.from_numpy(state.astype(np.uint64).view(np.int64)))
    return state.item() if isinstance(state, np.generic) else state


def _numpy_numbers(state: Any) -> Any:
    if isinstance(state, Mapping):
        return {key: _numpy_numbers(item) for key, item in state.items()}
    if isinstance(state, tuple):
        return state[1].numpy().view(np.uint64).astype(state[0])
    return state
