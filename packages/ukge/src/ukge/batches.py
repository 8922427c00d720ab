"""Batches of facts, their negatives and rule atoms, drawn so that a run can be taken up again in the middle."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ukge.atoms import Atoms
from ukge.facts import Facts
from ukge.loss import Targets
from ukge.step import Batch


class Batches:
    """The batches of an epoch.

    The relation is never corrupted. Only training facts are known here, so that filtering tells the model nothing of the other
    splits.

    Args:
        facts: to learn from, n of them.
        atoms: heads of ground rules; may be empty.
        num_entities: N.
        num_relations: M.
        size: facts a batch, B.
        negatives: K corrupted heads and K corrupted tails for each fact, or for all facts of a batch if `shared`; 0 for none.
        draw: "uniform" draws negatives from all entities, "degree" from the ends of the facts, so that an entity comes as often as
            it stands in them.
        shared: draw one set of negatives for the batch.
        filtered: leave out negatives that are training facts.
        psl_batch: S rule atoms a batch, drawn with replacement.
        drop_last: leave out the incomplete last batch of an epoch, as the published program does.
        seed: of the order and the draws.
        device: where the batches are.
    """

    def __init__(
        self,
        facts: Facts,
        atoms: Atoms,
        num_entities: int,
        num_relations: int,
        *,
        size: int = 1024,
        negatives: int = 10,
        draw: str = "uniform",
        shared: bool = False,
        filtered: bool = False,
        psl_batch: int = 256,
        drop_last: bool = False,
        seed: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        self.size = min(size, len(facts))
        self.num_entities, self.negatives, self.shared, self.filtered = (
            num_entities,
            negatives,
            shared,
            filtered,
        )
        self.psl_batch = psl_batch if len(atoms) else 0
        self.drop_last = drop_last
        self.device = torch.device(device)
        self.order_generator = torch.Generator().manual_seed(seed)
        self.draws = torch.Generator().manual_seed(seed + 1)
        self.atoms_per_fact = len(atoms) / len(facts)

        def column(values: NDArray[np.generic], kind: torch.dtype = torch.int64) -> Tensor:
            # A copy: columns that pandas made may not be written to, and torch would have to trust that nobody does.
            return torch.from_numpy(np.array(values)).to(self.device, kind)

        self.head, self.relation, self.tail = map(column, (facts.head, facts.relation, facts.tail))
        self.confidence = column(facts.confidence, torch.float32)
        self.atom_head, self.atom_relation, self.atom_tail = map(
            column, (atoms.head, atoms.relation, atoms.tail)
        )
        self.bound, self.atom_weight = column(atoms.bound, torch.float32), column(atoms.weight, torch.float32)
        self.ends = torch.cat([self.head, self.tail]) if draw == "degree" else None
        self.known = column(facts.keys(num_entities)).unique() if filtered else None

    def __len__(self) -> int:
        """Batches of an epoch."""
        whole, rest = divmod(len(self.head), self.size)
        return whole if self.drop_last or not rest else whole + 1

    def order(self) -> Tensor:
        """A new order of the facts, (n,) int64."""
        return torch.randperm(len(self.head), generator=self.order_generator).to(self.device)

    def of(self, order: Tensor, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from the one numbered `start` on."""
        for number in range(start, len(self)):
            yield self.batch(order[number * self.size : (number + 1) * self.size])

    def batch(self, rows: Tensor) -> Batch:
        """The facts of some rows, with fresh negatives and atoms."""
        head, relation, tail = self.head[rows], self.relation[rows], self.tail[rows]
        shape = (self.negatives,) if self.shared else (len(rows), self.negatives)
        heads, tails = self._entities(shape), self._entities(shape)
        atom = self._draw(max(1, len(self.atom_head)), (self.psl_batch,))
        targets = Targets(
            self.confidence[rows],
            self.bound[atom],
            self.atom_weight[atom],
            self._new(heads, relation, tail.unsqueeze(1), "head"),
            self._new(tails, relation, head.unsqueeze(1), "tail"),
            self.atoms_per_fact,
        )
        if len(atom):
            head = torch.cat([head, self.atom_head[atom]])
            relation = torch.cat([relation, self.atom_relation[atom]])
            tail = torch.cat([tail, self.atom_tail[atom]])
        return Batch(head, relation, tail, heads, tails, targets)

    def _entities(self, shape: tuple[int, ...]) -> Tensor:
        if self.ends is None:
            return self._draw(self.num_entities, shape)
        return self.ends[self._draw(len(self.ends), shape)]

    def _draw(self, below: int, shape: tuple[int, ...]) -> Tensor:
        return torch.randint(below, shape, generator=self.draws).to(self.device)

    def _new(self, drawn: Tensor, relation: Tensor, other: Tensor, side: str) -> Tensor | None:
        """1 where a negative is no training fact, (B, K); None if nobody asks."""
        if self.known is None:
            return None
        head, tail = (drawn, other) if side == "head" else (other, drawn)
        keys = (relation.unsqueeze(1) * self.num_entities + head) * self.num_entities + tail
        place = torch.searchsorted(self.known, keys).clamp(max=len(self.known) - 1)
        new: Tensor = self.known[place] != keys
        return new.to(torch.float32)
