"""Sums over all pairs of rows, and their gradient, by tiles of the symmetric matrix of similarities, each made once.

A tile on or above the diagonal serves twice: its sums along the columns belong to its rows, and those along the rows to its columns.
The gradient runs over the same tiles again; those that fit `KEPT` are still there, the others are made again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

KEPT = 1 << 20
"""Exponentials that are kept for the gradient."""


class Tile(NamedTuple):
    """A piece of the matrix of similarities.

    Attributes:
        rows: of it.
        columns: of it; none is left of the rows.
        beyond: the columns that are right of the rows.
        square: how many columns are the rows themselves: all of them or 0.
    """

    rows: slice
    columns: slice
    beyond: slice
    square: int

    @property
    def size(self) -> int:
        height: int = self.rows.stop - self.rows.start
        width: int = self.columns.stop - self.columns.start
        return height * width


def tiles(rows: int, height: int, width: int) -> Iterator[Tile]:
    """The tiles on and above the diagonal, of at most this height and width."""
    for first in range(0, rows, height):
        last = min(first + height, rows)
        for start in range(first, rows, max(height, width)):
            stop = min(start + max(height, width), rows)
            square = last - first if start == first else 0
            yield Tile(slice(first, last), slice(start, stop), slice(start + square, stop), square)


class TorchTiles:
    """By torch, on any device and in any precision.

    `scaled` are rows whose products are base-2 logarithms of the terms, (N, d).
    """

    def __init__(self, group: Tensor, apart: bool) -> None:
        """Prepare for a batch.

        Args:
            group: (N,) int64, number of each row's label.
            apart: positives count otherwise than other pairs.
        """
        self._group, self._apart = group, apart
        size = (2048, 8192) if group.device.type == "cuda" else (256, 1024)
        self._tiles = list(tiles(len(group), *size))
        self._kept: list[Tensor] = []

    def sums(self, scaled: Tensor, keep: bool) -> tuple[Tensor, Tensor]:
        """Sums of 2^<i, k> over the others k of each row i: without positives and over them if they are apart, else of all.

        Args:
            scaled: the rows.
            keep: exponentials for a gradient.

        Returns:
            (N,) and (N,) or (0,).
        """
        total = scaled.new_zeros(len(scaled))
        positive = scaled.new_zeros(len(scaled) if self._apart else 0)
        room = KEPT if keep else 0
        for tile in self._tiles:
            e = _exponentials(scaled, tile)
            if self._apart:
                same = e * self._same(tile)
                _add(positive, same, tile)
                _add(total, e - same, tile)
            else:
                _add(total, e, tile)
            room -= tile.size
            if room >= 0:
                self._kept.append(e)
        return total, positive

    def add_gradient(self, to: Tensor, scaled: Tensor, share: Tensor, positive_share: Tensor) -> None:
        """Add the sum over k of 2^<i, k> (s_i + s_k) times row k, for each row i.

        Args:
            to: (N, d).
            scaled: the rows.
            share: (N,), s for pairs of different labels, or of all.
            positive_share: (N,), s for positives if they are apart.
        """
        for number, tile in enumerate(self._tiles):
            e = self._kept[number] if number < len(self._kept) else _exponentials(scaled, tile)
            g = share[tile.rows, None] + share[tile.columns]
            if self._apart:
                same = positive_share[tile.rows, None] + positive_share[tile.columns]
                g = torch.where(self._same(tile), same, g)
            g *= e
            to[tile.rows].addmm_(g, scaled[tile.columns])
            if tile.beyond.start < tile.beyond.stop:
                to[tile.beyond].addmm_(g[:, tile.square :].T, scaled[tile.rows])

    def _same(self, tile: Tile) -> Tensor:
        return self._group[tile.rows, None] == self._group[tile.columns]


class Runs:
    """`TorchTiles` for rows that are the batches of several runs, one after the other, and are compared within their run only."""

    def __init__(self, group: Tensor, apart: bool, runs: int) -> None:
        """Prepare for a batch.

        Args:
            group: (R B,) int64, number of each row's label.
            apart: positives count otherwise than other pairs.
            runs: R.
        """
        group = group.view(runs, -1)
        self._runs = runs
        self._same = group[:, :, None] == group[:, None] if apart else None
        self._e = torch.empty(0)

    def sums(self, scaled: Tensor, keep: bool) -> tuple[Tensor, Tensor]:
        z = scaled.view(self._runs, -1, scaled.shape[1])
        e = torch.bmm(z, z.transpose(1, 2)).exp2_()
        e.diagonal(dim1=1, dim2=2).zero_()
        if keep:
            self._e = e
        if self._same is None:
            return e.sum(2).flatten(), scaled[:0, 0]
        same = e * self._same
        return (e - same).sum(2).flatten(), same.sum(2).flatten()

    def add_gradient(self, to: Tensor, scaled: Tensor, share: Tensor, positive_share: Tensor) -> None:
        z = scaled.view(self._runs, -1, scaled.shape[1])
        s = share.view(self._runs, -1)
        g = s[:, :, None] + s[:, None]
        if self._same is not None:
            s = positive_share.view(self._runs, -1)
            g = torch.where(self._same, s[:, :, None] + s[:, None], g)
        to.view_as(z).baddbmm_(g.mul_(self._e), z)


def _exponentials(scaled: Tensor, tile: Tile) -> Tensor:
    """2^<i, k> of a tile, 0 where a row meets itself."""
    e = torch.mm(scaled[tile.rows], scaled[tile.columns].T).exp2_()
    if tile.square:
        e[:, : tile.square].fill_diagonal_(0)
    return e


def _add(to: Tensor, e: Tensor, tile: Tile) -> None:
    to[tile.rows] += e.sum(1)
    if tile.beyond.start < tile.beyond.stop:
        to[tile.beyond] += e[:, tile.square :].sum(0)
