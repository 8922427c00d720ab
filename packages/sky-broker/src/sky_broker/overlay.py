"""The program behind transfers over relays, exact and small.

Flows F_ij in Gbps over edges of an overlay, and N_i virtual machines in each region, from 0 to V:

    sum_j F_ij / T_ij <= N_i,  sum_i F_ij / T_ij <= N_j     T: what one pair of VMs sends over all the connections that a VM may open
    sum_j F_ij <= e_i N_i,     sum_i F_ij <= a_j N_j         e, a: what a VM may send and receive
    inflow = outflow at relays; outflow of the source = R

Skyplane's program also has a variable M_ij for the connections of a pair, F_ij <= T_ij M_ij / 64 with at most 64 N of them at either end.
They cost nothing, so M_ij = 64 F_ij / T_ij without loss, and the first line is what remains of them.

Most edges carry nothing in any good plan. The linear program begins with paths over one relay at most and takes in any further edge whose
reduced cost says that it could help, until none does; its optimum is that of all edges. Whole VMs are found by branching on the N_i: rounding
them up is a plan, and a branch whose own optimum is no cheaper than the best plan is closed.

Source: Jain et al. 2023, "Skyplane: Optimizing Transfer Cost and Throughput Using Cloud-Aware Overlays", NSDI, Section 5.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Any

import highspy
import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, milp

from sky_broker.skyplane import Floats

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

SOURCE, TARGET = 0, 1
"""The first two nodes of an overlay; the others are relays."""
_SCALE = 1e5  # of costs: solvers have absolute tolerances, whatever a unit of the cost is
_CLOSE = 1e-9  # relative gap that counts as none
_WHOLE = 1e-7  # of a VM
_RATE = 1e-7  # of a rate: less is missing by tolerance


@dataclass(frozen=True, eq=False)
class Overlay:
    """Regions and the edges that a transfer may take.

    Attributes:
        tail: (edges,) node that an edge leaves; 0 is the source, 1 the target, the others are relays.
        head: (edges,) node that it enters.
        gbps: (edges,) T.
        usd_per_gb: (edges,) price of egress.
        send: (nodes,) e, Gbps that a VM may send.
        receive: (nodes,) a, Gbps that a VM may receive.
        vm_limit: V.
    """

    tail: Ints
    head: Ints
    gbps: Floats
    usd_per_gb: Floats
    send: Floats
    receive: Floats
    vm_limit: int

    @property
    def nodes(self) -> int:
        return len(self.send)


@dataclass(frozen=True, eq=False)
class Flow:
    """A solution.

    Attributes:
        cost: in $ for a gigabyte.
        flow: (edges,) F in Gbps.
        vms: (nodes,) N; whole numbers where they were asked for.
    """

    cost: float
    flow: Floats
    vms: Floats


def cheapest(overlay: Overlay, rate: float, vm_usd: float) -> tuple[Flow, float] | None:
    """The cheapest flow with whole VMs.

    Args:
        overlay: regions and edges.
        rate: R in Gbps.
        vm_usd: of a VM during the transfer of a gigabyte.

    Returns:
        It, and the cost with any fraction of a VM, which no plan can beat; None where no flow has this rate.
    """
    program = _Program(overlay, rate, vm_usd)
    least, most = np.zeros(overlay.nodes), np.full(overlay.nodes, float(overlay.vm_limit))
    bound = program.solve(least, most)
    if bound is None:
        return None
    out, into = overlay.tail == SOURCE, overlay.head == TARGET
    least[SOURCE] = _up(rate / min(overlay.send[SOURCE], overlay.gbps[out].max()))
    least[TARGET] = _up(rate / min(overlay.receive[TARGET], overlay.gbps[into].max()))
    vms = _branch(program, least, most)
    if vms is None:
        return None
    plan = program.solve(vms, vms)
    return None if plan is None else (plan, bound.cost)


def _branch(program: _Program, least: Floats, most: Floats) -> Floats | None:
    """Whole VMs of the cheapest plan; the branch with the lowest bound goes first."""
    root = program.solve(least, most)
    best, best_vms = np.inf, None
    waiting = [] if root is None else [(root.cost, 0, root, least, most)]
    opened = 0
    while waiting:
        bound, _, found, low, high = heapq.heappop(waiting)
        if bound >= best * (1 - _CLOSE):
            break
        rounded = np.ceil(found.vms - _WHOLE)
        cost = found.cost + program.vm_usd * float((rounded - found.vms).sum())
        if cost < best:  # caps only grow with VMs, so that the flow stays possible
            best, best_vms = cost, rounded
        part = found.vms - np.floor(found.vms + _WHOLE)
        node = int(np.abs(part - 0.5).argmin())
        if part[node] <= _WHOLE:
            continue
        for up in (False, True):
            lower, upper = low.copy(), high.copy()
            if up:
                lower[node] = np.ceil(found.vms[node])
            else:
                upper[node] = np.floor(found.vms[node])
            child = program.solve(lower, upper)
            if child is not None and child.cost < best * (1 - _CLOSE):
                opened += 1
                heapq.heappush(waiting, (child.cost, opened, child, lower, upper))
    return best_vms


def fastest(overlay: Overlay, vm_usd_hour: float, ceiling: float) -> tuple[float, Flow] | None:
    """The highest rate whose cost stays under a ceiling, with whole VMs.

    Cost times rate is linear in flows and VMs, so that this is one integer program and no search over rates.

    Args:
        overlay: regions and edges.
        vm_usd_hour: of a VM for an hour.
        ceiling: $ for a gigabyte, egress and VMs together; infinity for the highest rate there is.

    Returns:
        The rate in Gbps and the flow; None where nothing goes for that little.
    """
    rows, equal = _rows(overlay)
    edges = len(overlay.tail)
    columns = edges + overlay.nodes + 1  # the last one is the rate
    rows = sparse.hstack([rows, sparse.csr_array((rows.shape[0], 1))], format="csr")
    rate_column = np.zeros((equal.shape[0], 1))
    rate_column[0, 0] = -1.0
    equal = sparse.hstack([equal, sparse.csr_array(rate_column)], format="csr")
    constraints = [LinearConstraint(rows, -np.inf, 0.0), LinearConstraint(equal, 0.0, 0.0)]
    if np.isfinite(ceiling):
        vm = 8 * vm_usd_hour / 3600
        spent = np.concatenate([overlay.usd_per_gb, np.full(overlay.nodes, vm), [-ceiling]])
        constraints.append(LinearConstraint(spent[None], -np.inf, 0.0))
    upper = np.full(columns, np.inf)
    upper[edges:-1] = overlay.vm_limit
    goal = np.zeros(columns)
    goal[-1] = -1.0
    integer = np.zeros(columns)
    integer[edges:-1] = 1 if np.isfinite(ceiling) else 0  # without a ceiling all VMs may run
    answer = milp(goal, constraints=constraints, bounds=Bounds(0.0, upper), integrality=integer)
    if answer.x is None or answer.x[-1] <= 1e-9:
        return None
    rate = float(answer.x[-1])
    vms = np.round(answer.x[edges:-1]) if np.isfinite(ceiling) else np.full(overlay.nodes, overlay.vm_limit)
    return rate, Flow(float("nan"), answer.x[:edges], vms)


class _Program:
    """The linear program at a rate, which grows by edges and changes its bounds, so that each solution begins at the one before.

    Columns are the N, then a flow that comes from nowhere at a high price, then the edges taken in so far. Rows are four of each node,
    in the order of the module's first lines, then the source's outflow, and the balance of each relay.
    """

    def __init__(self, overlay: Overlay, rate: float, vm_usd: float) -> None:
        self.overlay, self.rate, self.vm_usd = overlay, rate, vm_usd
        n = overlay.nodes
        self._price = overlay.usd_per_gb / rate
        self._columns: Ints = np.zeros(0, dtype=np.int64)  # edges, in the order of their columns
        self._taken = np.zeros(len(overlay.tail), dtype=bool)
        self._solver: Any = highspy.Highs()  # type: ignore[no-untyped-call]
        self._solver.setOptionValue("output_flag", False)
        self._solver.setOptionValue("threads", 1)
        infinity = highspy.kHighsInf
        none = np.zeros(0)
        right = np.zeros(5 * n - 1)
        right[4 * n] = rate
        lower = np.concatenate([np.full(4 * n, -infinity), right[4 * n :]])
        self._solver.addRows(
            5 * n - 1, lower, right, 0, np.zeros(5 * n - 1, dtype=np.int32), none.astype(np.int32), none
        )
        node = np.arange(n, dtype=np.int32)
        rows = np.stack([node, n + node, 2 * n + node, 3 * n + node], axis=1)
        values = np.stack([-np.ones(n), -np.ones(n), -overlay.send, -overlay.receive], axis=1)
        self._add(
            np.full(n, vm_usd * _SCALE),
            np.full(n, float(overlay.vm_limit)),
            rows,
            values,
            np.ones((n, 4), dtype=bool),
        )
        self._factor = 1.0
        self._forbidding = 2 * n * (self._price.max() + 2 * vm_usd / overlay.gbps.min()) * _SCALE + 1.0
        row = np.full((1, 1), 4 * n, dtype=np.int32)
        self._add(
            np.array([self._forbidding]),
            np.array([infinity]),
            row,
            np.ones((1, 1)),
            np.ones((1, 1), dtype=bool),
        )
        self._take(np.nonzero((overlay.tail == SOURCE) | (overlay.head == TARGET))[0])

    def solve(self, least: Floats, most: Floats) -> Flow | None:
        """The optimum over all edges with VMs between bounds; None where no flow has the rate."""
        n = self.overlay.nodes
        self._solver.changeColsBounds(n, np.arange(n, dtype=np.int32), least, most)
        values = self._optimum()
        if values is not None and values[n] > 0:
            # What comes from nowhere may be no dearer than the last of a flow that has to be crowded in. So it is made the only cost, and
            # if that shows a flow without it, forbidden.
            self._charge(0.0)
            values = self._optimum()
            possible = values is not None and values[n] <= _RATE * self.rate
            self._charge(1.0)
            if not possible:
                return None
            self._forbid(True)
            values = self._optimum()
            self._forbid(False)
        if values is None or values[n] > _RATE * self.rate:
            return None
        flow = np.zeros(len(self.overlay.tail))
        flow[self._columns] = np.maximum(values[n + 1 :], 0.0)
        vms = values[:n]
        return Flow(float((self._price * flow).sum() + self.vm_usd * vms.sum()), flow, vms)

    def _optimum(self) -> Floats | None:
        """Values of all columns at the optimum, after edges that help were taken in; None where there is no optimum."""
        while True:
            self._solver.run()
            if self._solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
                return None
            solution = self._solver.getSolution()
            helps = (self._reduced(np.array(solution.row_dual) / _SCALE) < -1e-10) & ~self._taken
            if not helps.any():
                return np.array(solution.col_value)
            self._take(np.nonzero(helps)[0])

    def _charge(self, factor: float) -> None:
        """Multiply what flows and VMs cost."""
        n = self.overlay.nodes
        self._factor = factor
        cost = np.concatenate([np.full(n, self.vm_usd), [0.0], self._price[self._columns]]) * factor * _SCALE
        cost[n] = self._forbidding
        self._solver.changeColsCost(len(cost), np.arange(len(cost), dtype=np.int32), cost)

    def _forbid(self, closed: bool) -> None:
        """Let nothing come from nowhere, or let it again."""
        upper = 0.0 if closed else highspy.kHighsInf
        self._solver.changeColBounds(self.overlay.nodes, 0.0, upper)

    def _take(self, edges: Ints) -> None:
        """Take edges in."""
        n = self.overlay.nodes
        tail, head = self.overlay.tail[edges].astype(np.int32), self.overlay.head[edges].astype(np.int32)
        inverse, one = 1 / self.overlay.gbps[edges], np.ones(len(edges))
        leaving = np.where(tail == SOURCE, 4 * n, 4 * n + tail - 1)
        sign = np.where(tail == SOURCE, 1.0, -1.0)
        rows = np.stack([tail, n + head, 2 * n + tail, 3 * n + head, leaving, 4 * n + head - 1], axis=1)
        values = np.stack([inverse, inverse, one, one, sign, one], axis=1)
        present = np.ones(rows.shape, dtype=bool)
        present[head == TARGET, 5] = False
        limit = np.full(len(edges), highspy.kHighsInf)
        self._add(self._price[edges] * self._factor * _SCALE, limit, rows.astype(np.int32), values, present)
        self._columns = np.concatenate([self._columns, edges])
        self._taken[edges] = True

    def _add(
        self, cost: Floats, upper: Floats, rows: NDArray[np.int32], values: Floats, present: Bools
    ) -> None:
        starts = np.concatenate([[0], np.cumsum(present.sum(axis=1))[:-1]]).astype(np.int32)
        entries = int(present.sum())
        self._solver.addCols(
            len(cost), cost, np.zeros(len(cost)), upper, entries, starts, rows[present], values[present]
        )

    def _reduced(self, dual: Floats) -> Floats:
        """(edges,) what a Gbps on each edge would change the cost by, at the prices of the rows."""
        n, tail, head = self.overlay.nodes, self.overlay.tail, self.overlay.head
        send, receive, out, into = dual[: 4 * n].reshape(4, n)
        balance = np.concatenate([[0.0, 0.0], dual[4 * n + 1 :]])
        leaving = balance[tail] - np.where(tail == SOURCE, dual[4 * n], 0.0)
        price = self._factor * self._price + leaving - balance[head]
        reduced: Floats = price - (send[tail] + receive[head]) / self.overlay.gbps - out[tail] - into[head]
        return reduced


def _rows(overlay: Overlay) -> tuple[sparse.csr_array, sparse.csr_array]:
    """Rows that stay at 0 or below, four for each node, and those that are equal: the source's outflow, and a row for each relay."""
    tail, head, inverse = overlay.tail, overlay.head, 1 / overlay.gbps
    n, edges = overlay.nodes, len(tail)
    column, node, one = np.arange(edges), np.arange(n), np.ones(edges)
    row = np.concatenate(
        [tail, n + head, 2 * n + tail, 3 * n + head, *(block * n + node for block in range(4))]
    )
    place = np.concatenate([np.tile(column, 4), np.tile(edges + node, 4)])
    value = np.concatenate([inverse, inverse, one, one, -np.ones(2 * n), -overlay.send, -overlay.receive])
    rows = sparse.csr_array((value, (row, place)), shape=(4 * n, edges + n))
    # Row 0 is the source; row i - 1 that of relay i, which begins at 2.
    leaving, entering = tail != TARGET, head >= 2
    row = np.concatenate([np.maximum(tail[leaving] - 1, 0), head[entering] - 1])
    place = np.concatenate([column[leaving], column[entering]])
    sign = np.where(tail[leaving] == SOURCE, 1.0, -1.0)
    value = np.concatenate([sign, np.ones(int(entering.sum()))])
    return rows, sparse.csr_array((value, (row, place)), shape=(n - 1, edges + n))


def _up(vms: float) -> float:
    return float(np.ceil(vms - 1e-9))
