"""Placement as pairwise energies: min over x of sum_t U_t(x_t) + sum_uv P_uv(x_u, x_v), on the graph of tasks that data or a rule join."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sky_broker.problem import Floats, Ints, Problem


@dataclass(frozen=True)
class Energies:
    """Costs of states and of pairs of states.

    Attributes:
        unary: of each task (k_t,).
        pairs: (u, v) with u < v -> (k_u, k_v); infinity where the two must not be.
    """

    unary: list[Floats]
    pairs: dict[tuple[int, int], Floats]

    def of(self, chosen: Sequence[int]) -> float:
        """The energy of a choice."""
        own = sum(float(unary[state]) for unary, state in zip(self.unary, chosen, strict=True))
        return own + sum(float(pair[chosen[u], chosen[v]]) for (u, v), pair in self.pairs.items())

    def restricted(self, kept: Sequence[Ints]) -> Energies:
        """The same with some states of each task only, given by their indices."""
        return Energies(
            [unary[rows] for unary, rows in zip(self.unary, kept, strict=True)],
            {(u, v): pair[np.ix_(kept[u], kept[v])] for (u, v), pair in self.pairs.items()},
        )


def energies(problem: Problem, usd: float, kg: float) -> Energies:
    """The energies of a weighted sum of money and carbon; time is no sum over edges and has no place here.

    Args:
        problem: its rules for pairs become infinite energies, its limits are left out.
        usd: weight of a dollar.
        kg: weight of a kilogram.
    """
    unary = []
    for states in problem.states:
        own = usd * states.usd
        unary.append(own + kg * states.kg if kg else own)
    per_gb = _weighted(problem.usd_per_gb, usd) + _weighted(problem.kg_per_gb, kg)
    pairs: dict[tuple[int, int], Floats] = {}

    def add(u: int, v: int, matrix: Floats) -> None:
        pairs[u, v] = pairs[u, v] + matrix if (u, v) in pairs else matrix

    for flow in problem.flows:
        if flow.gb > 0:
            rows, columns = problem.states[flow.source].location, problem.states[flow.target].location
            add(flow.source, flow.target, flow.gb * per_gb[np.ix_(rows, columns)])
    for pair in problem.pairs:
        rows, columns = problem.states[pair.one].location, problem.states[pair.other].location
        add(pair.one, pair.other, np.where(pair.allowed[np.ix_(rows, columns)], 0.0, np.inf))
    return Energies(unary, pairs)


def _weighted(matrix: Floats, weight: float) -> Floats:
    """A matrix times a weight, where 0 times infinity stays forbidden."""
    return np.where(np.isinf(matrix), np.inf, matrix * weight)
