"""A formula becomes a program: a head for each S, each U and each lookup, two or three for each comparison of counts.

S looks for the nearest earlier position where f fails or g holds; f S g holds iff g holds there. Let `gone = f and not g` mark the
positions to be looked past. The key of position j is (rung_j, gone_j), the query of position i is (1, -rung_i), and so the score is
rung_j where the search may end and rung_j - rung_i, below that of the sink, where it may not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from offprints.errors import InputError

from hard_attention.alphabet import Alphabet
from hard_attention.counting import CountPlanner
from hard_attention.formulas import Formula, Node, letters, nodes, predicates
from hard_attention.linear import comparisons, place_of
from hard_attention.places import APART, DIGITS
from hard_attention.positions import BOS, HERE
from hard_attention.program import Affine, Gate, Head, LayerPlan, Literal, Program, Ready, Rounding, affine
from hard_attention.simplification import to_core

WIDEST_GATE = 64
"""More inputs are joined by a tree: sums of so many stay exact in every format."""
MOST_NODES = 200_000


def plan(
    root: Formula, alphabet: Alphabet, *, step: float = 2.0, bounded: bool = False, normed: bool = False
) -> Program:
    """Compile a formula.

    Args:
        root: the formula.
        alphabet: of the strings.
        step: b, the distance of the ladder's rungs; the raw error of a nearest head is at most exp(-b).
        bounded: temperature mode.
        normed: layer norm before each block.

    Raises:
        InputError: the alphabet lacks a letter, the step is not positive, or the formula has more than 200,000 nodes.
    """
    alphabet.check(letters(root))
    if not step > 0:
        raise InputError(
            f"step={step} must be positive: it is the distance of neighbouring positions' scores"
        )
    core = to_core(root)
    order = nodes(core)
    if len(order) > MOST_NODES:
        raise InputError(
            f"the formula has {len(order):,} nodes in the compiler's operators: more than {MOST_NODES:,}"
        )
    return replace(_Planner(root, core, order, alphabet, step, bounded).program(), normed=normed)


class _Planner:
    def __init__(
        self, root: Formula, core: Formula, order: list[Node], alphabet: Alphabet, step: float, bounded: bool
    ) -> None:
        self.root, self.core, self.order = root, core, order
        self.alphabet, self.step, self.bounded = alphabet, step, bounded
        self.positions = _position_columns(order, predicates(core))
        self.columns = [*(f"letter {a}" for a in alphabet.letters), *self.positions]
        self.index = {name: number for number, name in enumerate(self.columns)}
        self.here = self.index[HERE]
        self.layers: list[LayerPlan] = []
        self.ready: dict[int, Ready] = {}
        self.gates: dict[tuple[Literal, ...], Ready] = {}
        self.counts = CountPlanner(self)

    def program(self) -> Program:
        for node in self.order:
            if isinstance(node, Formula):
                self.ready[id(node)] = self._node(node)
        columns, layers = _in_order(self.columns, self.layers, len(self.index))
        old = {name: number for number, name in enumerate(self.columns)}
        new = {old[name]: number for number, name in enumerate(columns)}
        moved = [_moved(layer, new) for layer in layers]
        readout = self.ready[id(self.core)].literal
        return Program(
            formula=self.root,
            core=self.core,
            alphabet=self.alphabet,
            columns=tuple(columns),
            positions=tuple(self.positions),
            layers=tuple(moved),
            readout=Literal(new[readout.column], readout.positive),
            step=self.step,
            bounded=self.bounded,
        )

    def of(self, node: Node) -> Ready:
        """What was planned for a subformula."""
        return self.ready[id(node)]

    def column(self, name: str) -> int:
        """A new column."""
        self.columns.append(name)
        return len(self.columns) - 1

    def layer(self, number: int) -> LayerPlan:
        """The layer after which `number` layers have run."""
        while len(self.layers) < number:
            self.layers.append(LayerPlan())
        return self.layers[number - 1]

    def form(self, literal: Literal) -> Affine:
        return affine(literal, self.here)

    def conjunction(self, inputs: list[Ready]) -> Ready:
        """A gate for literals, or the gate that stands already."""
        known = {ready.literal: ready for ready in inputs}
        if len(known) == 1:
            return inputs[0]
        parts = sorted(known.values(), key=lambda ready: ready.layer)
        while len(parts) > WIDEST_GATE:  # those that are ready first are joined first
            parts = [self.conjunction(parts[:WIDEST_GATE]), *parts[WIDEST_GATE:]]
            parts.sort(key=lambda ready: ready.layer)
        literals = tuple(sorted((r.literal for r in parts), key=lambda x: (x.column, x.positive)))
        if literals not in self.gates:
            at = 1 + max(ready.layer for ready in parts)
            column = self.column(f"gate {len(self.gates)}")
            self.layer(at).gates.append(Gate(literals, column))
            self.gates[literals] = Ready(Literal(column), at)
        return self.gates[literals]

    def rounded(self, head: Head, layer: int) -> Ready:
        """Put a head into a layer, and round what it writes."""
        column = self.column(f"rounded {head.column}")
        self.layer(layer).heads.append(head)
        self.layer(layer).roundings.append(Rounding(head.column, column))
        return Ready(Literal(column), layer)

    def _node(self, node: Formula) -> Ready:
        op = node.op
        if op == "Q":
            return Ready(Literal(self.index[f"letter {node.value}"]), 0)
        if op in ("top", "bot"):
            return Ready(Literal(self.here, op == "top"), 0)
        if op in ("first", "last", "mod", "pred"):
            return Ready(Literal(self.index[_place_name(node)]), 0)
        if op == "not":
            below = self.of(node.args[0])
            return Ready(~below.literal, below.layer)
        if op == "and":
            return self.conjunction([self.of(child) for child in node.args])
        if op == "or":
            parts = [self.of(child) for child in node.args]
            joined = self.conjunction([Ready(~part.literal, part.layer) for part in parts])
            return Ready(~joined.literal, joined.layer)
        if op in ("S", "U"):
            return self._nearest(node)
        if op == "at":
            return self._lookup(node)
        t, u = node.args
        told = [self.counts.positive(node, form) for form in comparisons(op, t, u)]  # type: ignore[arg-type]
        return self.conjunction(told)

    def _nearest(self, node: Formula) -> Ready:
        f, g = (self.of(child) for child in node.args)
        if node.args[0].op == "bot":  # the very next position
            gone: Affine = ()
            layer = g.layer
        else:
            outside = Ready(~g.literal, g.layer)
            looked_past = outside if node.args[0].op == "top" else self.conjunction([f, outside])
            gone, layer = self.form(looked_past.literal), looked_past.layer
        rung = self.index["rung" if node.op == "S" else "rung back"]
        head = Head(
            kind="nearest",
            mask="before" if node.op == "S" else "after",
            query=(((self.here, 1.0),), ((rung, -1.0),)),
            key=(((rung, 1.0),), gone),
            value=self.form(g.literal),
            column=self.column(f"raw {len(self.columns)}"),
            formula=node,
        )
        return self.rounded(head, max(layer, g.layer) + 1)

    def _lookup(self, node: Formula) -> Ready:
        """f at a place: the key with the place's digits is ahead of all others, and the sink's value is 0."""
        f = self.of(node.args[1])
        target = [self.index[name] for name in _targets(node)]
        head = Head(
            kind="lookup",
            mask="all",
            query=(*(((column, 2 * APART),) for column in target), ((self.here, -1.0),)),
            key=(
                *(((self.index[f"digit {k}"], 1.0),) for k in range(DIGITS)),
                ((self.index["squares"], APART),),
            ),
            value=self.form(f.literal),
            column=self.column(f"raw {len(self.columns)}"),
            formula=node,
        )
        return self.rounded(head, f.layer + 1)


def _targets(node: Formula) -> list[str]:
    """The position columns that hold the digits of a lookup's place."""
    numbers = " ".join(map(str, place_of(node.args[0])))  # type: ignore[arg-type]
    return [f"target {k} {numbers}" for k in range(DIGITS)]


def _place_name(node: Node) -> str:
    if node.op == "mod":
        assert isinstance(node.value, tuple)
        return f"mod {node.value[0]} {node.value[1]}"
    return f"pred {node.value}" if node.op == "pred" else node.op


def _position_columns(order: list[Node], named: set[str]) -> list[str]:
    """The position columns that a formula needs, and no other: what is not needed costs memory in every layer."""
    ops = {node.op for node in order}
    found = [HERE, BOS]
    found += ["rung"] * ("S" in ops) + ["rung back"] * ("U" in ops)
    groups: set[str] = set()
    for node in order:
        if node.op in ("le", "lt", "eq"):
            t, u = node.args
            groups |= {CountPlanner.group(form) for form in comparisons(node.op, t, u)}  # type: ignore[arg-type]
    found += ["sign"] * bool(groups - {"mixed"})
    if "mixed" in groups:
        found += ["unit", "place", "place + 1", "length + 1"]
    if "at" in ops:
        looked_up = [name for node in order if node.op == "at" for name in _targets(node)]  # type: ignore[arg-type]
        found += [*(f"digit {k}" for k in range(DIGITS)), "squares", *dict.fromkeys(looked_up)]
    places = [_place_name(node) for node in order if node.op in ("first", "last", "mod", "pred")]
    return found + sorted(set(places))


def _in_order(columns: list[str], layers: list[LayerPlan], given: int) -> tuple[list[str], list[LayerPlan]]:
    """Columns in the order in which layers write them, so that every layer writes slices."""
    ordered = columns[:given]
    for layer in layers:
        ordered += [columns[head.column] for head in layer.heads]
        ordered += [columns[rounding.column] for rounding in layer.roundings]
        ordered += [columns[gate.column] for gate in layer.gates]
    return ordered, layers


def _moved(layer: LayerPlan, new: Mapping[int, int]) -> LayerPlan:
    def form(old: Affine) -> Affine:
        return tuple((new[column], factor) for column, factor in old)

    heads = [
        Head(
            kind=head.kind,
            mask=head.mask,
            query=tuple(map(form, head.query)),
            key=tuple(map(form, head.key)),
            value=form(head.value),
            column=new[head.column],
            formula=head.formula,
            linear=head.linear,
            largest=head.largest,
        )
        for head in layer.heads
    ]
    roundings = [Rounding(new[r.raw], new[r.column]) for r in layer.roundings]
    gates = [
        Gate(tuple(Literal(new[x.column], x.positive) for x in gate.inputs), new[gate.column])
        for gate in layer.gates
    ]
    return LayerPlan(heads, roundings, gates)
