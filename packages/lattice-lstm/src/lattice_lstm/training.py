"""Training: batches of sentences of similar length, the epoch chosen on the validation split.

Source: Section 4.1 of the paper: SGD at 0.015, one sentence a step, the rate lowered by a twentieth an epoch, the loss summed over the
batch. Adam with batches comes to the same in a tenth of the epochs and is the default.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed
from torch import Tensor, nn

from offprints.checkpoint import Checkpoints, fingerprint
from offprints.training import EpochLoop, LoopOptions

from lattice_lstm.dictionary import DrawnDictionary
from lattice_lstm.features import Batch, Encoded, choose
from lattice_lstm.model import TaggerModel
from lattice_lstm.tables import SymbolTable, WordTable
from lattice_lstm.trie import Ints

OPTIMIZERS = ("adam", "sgd")
_POOL = 50  # batches whose sentences are sorted by length together


@dataclass
class TrainingOptions(LoopOptions):
    """How to train: passes over the training sentences.

    Attributes:
        batch_size: sentences a step; the loss is their sum.
        optimizer: "adam", whose moments of rows of tables wait while the rows do not occur, or "sgd" as published.
        clip: the gradient's length is cut to this; 0 never cuts.
    """

    epochs: int = 12
    learning_rate: float = 0.002
    schedule: str = "exponential"
    decay: float = 0.95
    evaluate_every: int = 1
    batch_size: int = 16
    optimizer: str = "adam"
    clip: float = 5.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(
            ("batch_size", self.batch_size >= 1, "1 or more"),
            ("optimizer", self.optimizer in OPTIMIZERS, f"one of {', '.join(OPTIMIZERS)}"),
            ("clip", 0 <= self.clip < math.inf, "0 or more"),
        )


class Trainer(EpochLoop[Batch | None]):
    """Trains a tagger; under torch.distributed each process takes its share of every batch.

    Args:
        model: on its device.
        encoded: the training sentences.
        tags: of all their units.
        options: how.
        dictionary: whose names are drawn anew in every epoch, where the words of `encoded` are those of its lexicon; None draws none.
        seed: of the order of the sentences and of dropouts.
        device: of the model.
        validate: metrics on the validation split; None keeps the last epoch.
        select: the metric of `validate` that chooses the epoch; higher is better.
        directory: where checkpoints go; a `fit` in a directory that has some goes on from the last. None keeps none.
        belongs_to: a digest of the data, so that no checkpoint is taken for another one's.
        on_epoch: called with the row of each epoch.
        uninterrupted: context in which one step runs.
    """

    advice = ", or training.clip"

    def __init__(
        self,
        model: TaggerModel,
        encoded: Encoded,
        tags: Ints,
        options: TrainingOptions,
        *,
        dictionary: DrawnDictionary | None = None,
        seed: int = 0,
        device: torch.device | str = "cpu",
        validate: Callable[[], dict[str, float]] | None = None,
        select: str = "f1",
        directory: Path | str | None = None,
        belongs_to: str = "",
        on_epoch: Callable[[dict[str, float]], None] | None = None,
        uninterrupted: Callable[[], AbstractContextManager[None]] | None = None,
    ) -> None:
        self.model, self.encoded, self.tags, self.options = model, encoded, tags, options
        self.device, self.dictionary = torch.device(device), dictionary
        self.order = torch.Generator().manual_seed(seed)
        checkpoints = None
        if directory is not None:
            shapes = {name: list(value.shape) for name, value in model.state_dict().items()}
            made_of = fingerprint(data=belongs_to, shapes=shapes)
            checkpoints = Checkpoints(Path(directory), "lattice-lstm", made_of)
        super().__init__(
            model,
            optimizer_of(model, options),
            options,
            order=self.order,
            seed=seed,
            validate=validate,
            select=select,
            checkpoints=checkpoints,
            on_epoch=on_epoch,
            uninterrupted=uninterrupted,
        )

    @property
    def num_batches(self) -> int:
        return math.ceil(len(self.encoded) / self.options.batch_size)

    def batches(self, done: int) -> Iterator[Batch | None]:
        order, encoded = self._drawn(), self.encoded
        if self.dictionary is not None:
            seed = int(torch.randint(1 << 62, (), generator=self.order))
            encoded = replace(encoded, marks=self.dictionary.draw(seed))
        for chosen in order[done:]:
            own = chosen[self.rank :: self.world]  # neighbours are alike in length, and so are shares
            yield choose(encoded, own, self.tags).to(self.device) if len(own) else None

    def step(self, batch: Batch | None) -> Tensor:
        self.optimizer.zero_grad(set_to_none=True)
        # Of the batch, a process may have no sentence at all.
        loss = torch.zeros((), device=self.device) if batch is None else self.model.loss(batch)
        if batch is not None:
            loss.backward()
        told = torch.stack([loss.detach(), loss.new_tensor(0.0 if batch is None else len(batch))])
        if self.world > 1:
            add_up_gradients(self.model)
            torch.distributed.all_reduce(told)
        if self.options.clip:
            clip_gradients(self.model, self.options.clip)
        self.optimizer.step()
        return told[0] / told[1]

    def _drawn(self) -> list[Ints]:
        """Sentences of each batch: a random pool at a time, sorted by length, its batches in random order."""
        size = self.options.batch_size
        order = torch.randperm(len(self.encoded), generator=self.order).numpy()
        lengths = np.diff(self.encoded.offsets)
        made: list[Ints] = []
        for first in range(0, len(order), size * _POOL):
            pool = order[first : first + size * _POOL]
            pool = pool[np.argsort(lengths[pool], kind="stable")]
            made += [pool[begin : begin + size] for begin in range(0, len(pool), size)]
        return [made[place] for place in torch.randperm(len(made), generator=self.order).tolist()]


class DenseAndSparse(torch.optim.Optimizer):
    """Two optimisers as one: of parameters with dense gradients, and of tables whose gradients name the rows that occur."""

    def __init__(self, *parts: torch.optim.Optimizer) -> None:
        self.parts = parts
        super().__init__(
            [one for part in parts for group in part.param_groups for one in group["params"]], {}
        )
        # The very groups of the parts, so that a learning rate that is set here is theirs.
        self.param_groups = [group for part in parts for group in part.param_groups]

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        for part in self.parts:
            part.step()

    def state_dict(self) -> dict[str, Any]:
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for part, state in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self.param_groups = [group for part in self.parts for group in part.param_groups]


def optimizer_of(model: nn.Module, options: TrainingOptions) -> torch.optim.Optimizer:
    """The optimiser that the options ask for."""
    if options.optimizer == "sgd":
        return torch.optim.SGD(model.parameters(), options.learning_rate)
    tables = _tables(model)
    ids = set(map(id, tables))
    dense = torch.optim.Adam(
        [one for one in model.parameters() if id(one) not in ids], options.learning_rate, fused=True
    )
    return DenseAndSparse(dense, torch.optim.SparseAdam(tables, options.learning_rate))


@torch.no_grad()
def add_up_gradients(model: nn.Module) -> None:
    """Make the gradients of each process the sum over all of them; those of tables name the rows that occur anywhere."""
    tables = set(map(id, _tables(model)))
    for one in model.parameters():
        if not one.requires_grad:
            continue
        grad = one.grad
        if id(one) not in tables:
            one.grad = torch.zeros_like(one) if grad is None else grad
            torch.distributed.all_reduce(one.grad)
            continue
        met = torch.zeros(len(one), device=one.device)
        dense = torch.zeros_like(one)
        if grad is not None:
            grad = grad.coalesce()
            met[grad.indices()[0]] = 1
            dense[grad.indices()[0]] = grad.values()
        torch.distributed.all_reduce(met)
        torch.distributed.all_reduce(dense)
        rows = torch.nonzero(met)[:, 0]
        one.grad = torch.sparse_coo_tensor(rows[None], dense[rows], one.shape, is_coalesced=True)


def clip_gradients(model: nn.Module, longest: float) -> None:
    """Scale all gradients so that together they are no longer than so much; those of tables name rows."""
    grads = [one.grad for one in model.parameters() if one.grad is not None]
    grads = [one.coalesce() if one.is_sparse else one for one in grads]
    values = [one.values() if one.is_sparse else one for one in grads]
    norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(one) for one in values]))
    torch._foreach_mul_(values, (longest / (norm + 1e-6)).clamp(max=1.0))
    with_grad = (one for one in model.parameters() if one.grad is not None)
    for one, grad in zip(with_grad, grads, strict=True):
        one.grad = grad


def _tables(model: nn.Module) -> list[nn.Parameter]:
    found: list[nn.Parameter] = []
    for module in model.modules():
        if isinstance(module, SymbolTable):
            found.append(module.trained)
        elif isinstance(module, WordTable):
            found += list(module.own)
    return found
