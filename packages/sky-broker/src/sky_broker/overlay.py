"""The linear and the integer program behind transfers over relays, exact and small.

Flows F_ij in Gbps over edges of an overlay, and N_i virtual machines in each region, from 0 to V:

    sum_j F_ij / T_ij <= N_i,  sum_i F_ij / T_ij <= N_j     T: what one pair of VMs sends over all the connections that a VM may open
    sum_j F_ij <= e_i N_i,     sum_i F_ij <= a_j N_j         e, a: what a VM may send and receive
    inflow = outflow at relays; outflow of the source = R

Skyplane's program also has a variable M_ij for the connections of a pair, F_ij <= T_ij M_ij / 64 with at most 64 N of them at either end.
They cost nothing, so M_ij = 64 F_ij / T_ij without loss, and the first line is what remains of them.

Most edges carry nothing in any good plan. The linear program begins with paths over one relay at most and takes in any further edge whose
reduced cost says that it could help, until none does; its optimum is that of all edges. Reduced costs of the N_i then show relays that no
better plan can use, as even one VM there would cost more than the plan at hand; the integer program has only the others.

Source: Jain et al. 2023, "Skyplane: Optimizing Transfer Cost and Throughput Using Cloud-Aware Overlays", NSDI, Section 5.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, linprog, milp

from sky_broker.skyplane import Floats

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

SOURCE, TARGET = 0, 1
"""The first two nodes of an overlay; the others are relays."""
_SCALE = 1e5  # of costs: the solver stops at a gap of 1e-6, whatever a unit of the cost is
_CLOSE = 1e-9  # relative gap that counts as none


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

    def among(self, keep: Bools) -> Bools:
        """(edges,) whether both ends are kept."""
        both: Bools = keep[self.tail] & keep[self.head]
        return both


@dataclass(frozen=True, eq=False)
class Flow:
    """A solution.

    Attributes:
        cost: in $ for a gigabyte.
        flow: (edges,) F in Gbps.
        vms: (nodes,) N; whole numbers where they were asked for.
        waste: (nodes,) what a first VM would at least add to the cost; 0 where there is one.
    """

    cost: float
    flow: Floats
    vms: Floats
    waste: Floats


def relaxed(overlay: Overlay, rate: float, vm_usd: float, least: Floats | None = None) -> Flow | None:
    """The optimum with any fraction of a VM, which no plan can beat.

    Args:
        overlay: regions and edges.
        rate: R in Gbps.
        vm_usd: of a VM during the transfer of a gigabyte.
        least: (nodes,) VMs that any plan needs; None for 0.

    Returns:
        None where no flow has this rate.
    """
    least = np.zeros(overlay.nodes) if least is None else least
    chosen = (overlay.tail == SOURCE) | (overlay.head == TARGET)
    while True:
        found = _solve(overlay, chosen, rate, vm_usd, least, np.full(overlay.nodes, float(overlay.vm_limit)))
        if found is None and chosen.all():
            return None
        missing = ~chosen if found is None else ~chosen & (found[1] < -1e-9)
        if found is not None and not missing.any():
            return found[0]
        chosen = chosen | missing


def routed(overlay: Overlay, rate: float, vm_usd: float, vms: Floats) -> Flow | None:
    """The cheapest flow with the VMs given; None where they do not carry the rate."""
    used = overlay.among(vms > 0)
    found = _solve(overlay, used, rate, vm_usd, vms, vms)
    return None if found is None else found[0]


def whole(overlay: Overlay, rate: float, vm_usd: float) -> tuple[Flow, Flow] | None:
    """The optimum with whole VMs.

    Args:
        overlay: regions and edges.
        rate: R in Gbps.
        vm_usd: of a VM during the transfer of a gigabyte.

    Returns:
        It and the relaxed optimum; None where no flow has this rate.
    """
    bound = relaxed(overlay, rate, vm_usd)
    if bound is None:
        return None
    least = np.zeros(overlay.nodes)
    out, into = overlay.tail == SOURCE, overlay.head == TARGET
    least[SOURCE] = _up(rate / min(overlay.send[SOURCE], overlay.gbps[out].max()))
    least[TARGET] = _up(rate / min(overlay.receive[TARGET], overlay.gbps[into].max()))
    tighter = relaxed(overlay, rate, vm_usd, least) or bound
    plan = routed(overlay, rate, vm_usd, np.ceil(tighter.vms - 1e-9))
    if plan is not None and plan.cost <= tighter.cost * (1 + _CLOSE):
        return plan, bound
    room = np.inf if plan is None else plan.cost - tighter.cost
    keep = tighter.waste <= room
    keep[[SOURCE, TARGET]] = True
    better = _integer(overlay, overlay.among(keep), rate, vm_usd, least)
    if better is not None and (plan is None or better.cost < plan.cost):
        plan = better
    return None if plan is None else (plan, bound)


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
    every = np.ones(len(overlay.tail), dtype=bool)
    rows, equal = _rows(overlay, every)
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
    return rate, Flow(float("nan"), answer.x[:edges], vms, np.zeros(overlay.nodes))


def _solve(
    overlay: Overlay, chosen: Bools, rate: float, vm_usd: float, least: Floats, most: Floats
) -> tuple[Flow, Floats] | None:
    """The linear program on some edges, and the reduced cost of every edge at its prices."""
    rows, equal = _rows(overlay, chosen)
    edges = int(chosen.sum())
    cost = np.concatenate([overlay.usd_per_gb[chosen] / rate, np.full(overlay.nodes, vm_usd)])
    target = np.zeros(equal.shape[0])
    target[0] = rate
    bounds = np.zeros((len(cost), 2))
    bounds[:edges, 1] = np.inf
    bounds[edges:, 0], bounds[edges:, 1] = least, most
    answer = linprog(
        cost * _SCALE, A_ub=rows, b_ub=np.zeros(rows.shape[0]), A_eq=equal, b_eq=target, bounds=bounds
    )
    if answer.x is None or answer.status != 0:
        return None
    flow = np.zeros(len(overlay.tail))
    flow[chosen] = np.maximum(answer.x[:edges], 0.0)
    vms = np.array(answer.x[edges:])
    reduced = _reduced(overlay, rate, answer.ineqlin.marginals / _SCALE, answer.eqlin.marginals / _SCALE)
    waste = np.where(vms > 1e-9, 0.0, answer.lower.marginals[edges:] / _SCALE)
    return Flow(float(answer.fun) / _SCALE, flow, vms, waste), reduced


def _integer(overlay: Overlay, chosen: Bools, rate: float, vm_usd: float, least: Floats) -> Flow | None:
    """The integer program on some edges, and the cheapest flow with the VMs that it finds."""
    rows, equal = _rows(overlay, chosen)
    edges = int(chosen.sum())
    cost = np.concatenate([overlay.usd_per_gb[chosen] / rate, np.full(overlay.nodes, vm_usd)])
    target = np.zeros(equal.shape[0])
    target[0] = rate
    lower, upper = np.zeros(len(cost)), np.full(len(cost), np.inf)
    lower[edges:], upper[edges:] = least, overlay.vm_limit
    integer = np.zeros(len(cost))
    integer[edges:] = 1
    answer = milp(
        cost * _SCALE,
        constraints=[LinearConstraint(rows, -np.inf, 0.0), LinearConstraint(equal, target, target)],
        bounds=Bounds(lower, upper),
        integrality=integer,
        options={"mip_rel_gap": _CLOSE},
    )
    if answer.x is None:
        return None
    return routed(overlay, rate, vm_usd, np.round(answer.x[edges:]))


def _rows(overlay: Overlay, chosen: Bools) -> tuple[sparse.csr_array, sparse.csr_array]:
    """Rows that stay at 0 or below, four for each node, and those that are equal: the source's outflow, and a row for each relay."""
    tail, head, inverse = overlay.tail[chosen], overlay.head[chosen], 1 / overlay.gbps[chosen]
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


def _reduced(overlay: Overlay, rate: float, below: Floats, equal: Floats) -> Floats:
    """(edges,) what a Gbps on each edge would change the cost by, at the prices of the rows."""
    n, tail, head = overlay.nodes, overlay.tail, overlay.head
    send, receive, out, into = below.reshape(4, n)
    relay = np.concatenate([[0.0, 0.0], equal[1:]])
    leaving = relay[tail] - np.where(tail == SOURCE, equal[0], 0.0)
    price = overlay.usd_per_gb / rate + leaving - relay[head]
    reduced: Floats = price - (send[tail] + receive[head]) / overlay.gbps - out[tail] - into[head]
    return reduced


def _up(vms: float) -> float:
    return float(np.ceil(vms - 1e-9))
