"""A uniform sample of a stream of labelled rows."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


class Reservoir:
    """Keeps so many rows of a stream, each of its sets alike: those with the smallest of numbers that are drawn for all.

    Two of them merge to the sample of both streams.

    Attributes:
        size: rows to keep.
        seen: rows that came by.
    """

    def __init__(self, size: int, seed: int) -> None:
        self.size = size
        self.seen = 0
        self._generator = torch.Generator().manual_seed(seed)
        self._parts: list[tuple[Tensor, Tensor, Tensor]] = []  # priority, row, label

    def add(self, rows: Tensor, labels: Tensor) -> None:
        """Offer rows; (n, h) and (n,)."""
        self.seen += len(rows)
        if self.size:
            priority = torch.rand(len(rows), generator=self._generator, dtype=torch.float64).to(rows.device)
            self._offer(priority, rows.detach(), labels)

    def merge(self, other: Reservoir) -> None:
        """Offer what another one kept."""
        self.seen += other.seen
        for part in other._parts:
            self._offer(*part)

    def rows(self) -> tuple[Tensor | None, Tensor]:
        """What was kept: (m, h) and (m,); None if nothing was."""
        self._shrink()
        if not self._parts:
            return None, torch.empty(0, dtype=torch.int64)
        return self._parts[0][1], self._parts[0][2]

    def gathered(self, features: int, device: torch.device, gather: Callable[[Tensor], Tensor]) -> Reservoir:
        """The sample of all processes' streams.

        Args:
            features: length of a row.
            device: where processes exchange tensors.
            gather: makes the rows of all processes of those of one.
        """
        self._shrink()
        empty = (
            torch.empty(0, dtype=torch.float64),
            torch.empty(0, features),
            torch.empty(0, dtype=torch.int64),
        )
        found = Reservoir(self.size, 0)
        found.seen = int(gather(torch.tensor([self.seen], device=device)).sum())
        if self.size:
            priority, rows, labels = (self._parts or [empty])[0]
            # In double precision: one that has no rows cannot know the others' precision, and all must send alike.
            priority, rows, labels = (gather(part.to(device)) for part in (priority, rows.double(), labels))
            found._offer(priority, rows, labels)
            found._shrink()
        return found

    def _offer(self, priority: Tensor, rows: Tensor, labels: Tensor) -> None:
        held = sum(len(part[0]) for part in self._parts)
        if len(self._parts) == 1 and held == self.size:
            chosen = priority < self._parts[0][0].max()
            priority, rows, labels = priority[chosen], rows[chosen], labels[chosen]
        self._parts.append((priority, rows.clone(), labels.clone()))
        if held + len(priority) > 2 * self.size:
            self._shrink()

    def _shrink(self) -> None:
        if not self._parts:
            return
        device = self._parts[-1][1].device
        priority, rows, labels = (
            torch.cat([x.to(device) for x in column]) for column in zip(*self._parts, strict=True)
        )
        if len(priority) > self.size:
            kept = priority.topk(self.size, largest=False).indices.sort().values
            priority, rows, labels = priority[kept], rows[kept], labels[kept]
        self._parts = [(priority, rows, labels)]
