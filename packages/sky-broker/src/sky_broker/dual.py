"""A lower bound and a good plan for pairwise energies of any graph, by passing messages; what cannot be part of an optimum is struck out.

The energies are reparametrised: costs move between a task and the pairs that it is in so that every plan keeps its energy while the sum of all
minima, which no plan can go below, rises. With

    collect     U_t += min over the other end of P_e,  P_e -= the same       for all pairs e of t
    hand on     P_e += U_t / max(pairs before, pairs after)                   for the pairs to tasks that come later

from the first task to the last and back the bound never falls. States whose bound is above the best plan are struck out, and what is left is
small enough for exact elimination, or goes to the solver.

Source: sequential tree-reweighted message passing, Kolmogorov 2006 and 2015; striking out by reduced costs is standard.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sky_broker.energy import Energies
from sky_broker.problem import Floats, Ints


@dataclass(frozen=True)
class Dual:
    """What the messages came to.

    Attributes:
        bound: no plan has less energy.
        value: energy of the best plan that was seen; infinite if none kept the rules.
        chosen: that plan.
        kept: of each task, the states that an optimum may have; all of them while no plan is known.
        sweeps: there and back.
    """

    bound: float
    value: float
    chosen: list[int]
    kept: list[Ints]
    sweeps: int


def ascend(energies: Energies, sweeps: int = 200, patience: int = 12, enough: float = 1e-9) -> Dual:
    """Raise the bound until it meets the best plan, or stops to rise.

    Args:
        energies: of states and pairs.
        sweeps: at most so many.
        patience: stop after so many sweeps that raised the bound by less than a millionth of the gap.
        enough: relative gap that ends the work.
    """
    passing = _Passing(energies)
    bound, value, chosen, still = -np.inf, np.inf, [0] * len(energies.unary), 0
    done = 0
    for _ in range(sweeps):
        done += 1
        for forward in (True, False):
            plan = passing.sweep(forward)
            plan = passing.improved(plan)
            energy = energies.of(plan)
            if energy < value:
                value, chosen = energy, plan
        new = passing.bound()
        gap = value - new
        still = still + 1 if new - bound < 1e-4 * max(gap, 0.0) else 0
        bound = max(bound, new)
        if gap <= enough * max(1.0, abs(value)) or still >= patience:
            break
    return Dual(bound, value, chosen, passing.kept(value), done)


class _Passing:
    def __init__(self, energies: Energies) -> None:
        self.energies = energies
        self.unary = [unary.copy() for unary in energies.unary]
        big = _beyond(energies)
        # A pair that must not be gets an energy that no plan worth having comes to, so that sums stay finite.
        self.pairs = {ends: np.where(np.isinf(pair), big, pair) for ends, pair in energies.pairs.items()}
        self.flat = {ends: pair.copy() for ends, pair in self.pairs.items()}
        n = len(self.unary)
        self.before: list[list[int]] = [[] for _ in range(n)]
        self.after: list[list[int]] = [[] for _ in range(n)]
        for u, v in self.pairs:
            self.after[u].append(v)
            self.before[v].append(u)

    def bound(self) -> float:
        """Recomputed from the energies and what has moved, not kept along the way."""
        own = sum(float(unary.min()) for unary in self.unary)
        return own + sum(float(pair.min()) for pair in self.pairs.values())

    def sweep(self, forward: bool) -> list[int]:
        """One way through all tasks; the plan that is read off on the way."""
        n = len(self.unary)
        plan = [0] * n
        for task in range(n) if forward else range(n - 1, -1, -1):
            back, ahead = (
                (self.before[task], self.after[task]) if forward else (self.after[task], self.before[task])
            )
            reading = self.unary[task].copy()
            for other in back:
                reading += self._row(task, other, plan[other])
            least = {other: self._least(task, other) for other in (*back, *ahead)}
            for other in ahead:
                reading += least[other]
            plan[task] = int(reading.argmin())
            unary = self.unary[task]
            for other, moved in least.items():
                unary += moved
                self._add(task, other, -moved)
            if ahead:
                share = unary / max(len(back), len(ahead))
                for other in ahead:
                    self._add(task, other, share)
                self.unary[task] = unary - len(ahead) * share
        return plan

    def improved(self, plan: list[int], rounds: int = 5) -> list[int]:
        """A plan that no change of a single task makes better, or close to it."""
        plan = list(plan)
        for _ in range(rounds):
            changed = False
            for task, unary in enumerate(self.energies.unary):
                total = unary.copy()
                for other in self.before[task]:
                    total += self.flat[other, task][plan[other]]
                for other in self.after[task]:
                    total += self.flat[task, other][:, plan[other]]
                best = int(total.argmin())
                if total[best] < total[plan[task]]:
                    plan[task], changed = best, True
            if not changed:
                break
        return plan

    def kept(self, value: float) -> list[Ints]:
        """The states whose own bound is not above a value."""
        bound = self.bound()
        slack = 1e-9 * max(1.0, abs(value))
        kept = []
        for task, unary in enumerate(self.unary):
            lift = unary - unary.min()
            for other in (*self.before[task], *self.after[task]):
                least = self._least(task, other)
                lift = lift + (least - least.min())
            kept.append(np.flatnonzero(bound + lift <= value + slack))
        return kept

    def _least(self, task: int, other: int) -> Floats:
        if task < other:
            found: Floats = self.pairs[task, other].min(axis=1)
        else:
            found = self.pairs[other, task].min(axis=0)
        return found

    def _row(self, task: int, other: int, state: int) -> Floats:
        return self.pairs[task, other][:, state] if task < other else self.pairs[other, task][state]

    def _add(self, task: int, other: int, moved: Floats) -> None:
        if task < other:
            self.pairs[task, other] += moved[:, None]
        else:
            self.pairs[other, task] += moved


def _beyond(energies: Energies) -> float:
    """More than any plan without a forbidden pair comes to, above the least that any plan comes to."""
    tables: Sequence[Floats] = [*energies.unary, *energies.pairs.values()]
    finite = [table[np.isfinite(table)] for table in tables]
    return (
        1.0
        + float(sum(table.max() - table.min() for table in finite if table.size))
        + max((float(np.abs(table).max()) for table in finite if table.size), default=0.0)
    )
