"""Heads for comparisons of counts, each brought to the question whether an odd whole number D is above 0.

Where all counts of a comparison are taken over the same positions, one uniform head gives D over their number: its values are the
coefficients, the sink's value the constant. The sign of that quotient is right in any format, however small it is, since a sum of whole
numbers and one division do not change signs. A second head weighs the sink against all others by that sign.

Where counts over different positions are mixed, quotients of different denominators have to be put together, and their rounding
matters: `compare` attends to the position itself or to the sink, and its length is bounded by the precision.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hard_attention.formulas import Formula
from hard_attention.linear import Linear
from hard_attention.positions import BOS
from hard_attention.program import Affine, Head, Ready

if TYPE_CHECKING:
    from hard_attention.compiler import _Planner

GROUPS = {"past": {"cl", "pos"}, "future": {"cr"}, "total": {"call", "len"}}
"""Counts that one uniform head can take together, and over what."""
_MASK = {"past": "up to", "future": "from", "total": "all"}
MARGIN, STEEP = 8.0, 32.0
"""Of `compare`: what a difference of 1 weighs, and by how much a position's score falls for each place further back."""


class CountPlanner:
    """Plans the heads of comparisons; one for each compiler run, so that equal counts are taken once."""

    def __init__(self, planner: _Planner) -> None:
        self.planner = planner
        self._told: dict[tuple[object, ...], Ready] = {}
        self._counted: dict[tuple[object, ...], tuple[int, int, float]] = {}

    @staticmethod
    def group(form: Linear) -> str:
        """past, future, total, or mixed."""
        return next((name for name, atoms in GROUPS.items() if form.names <= atoms), "mixed")

    def positive(self, node: Formula, form: Linear) -> Ready:
        """Where it will stand whether D > 0."""
        key = (form.constant, *sorted((id(f), name, k) for (name, f), k in form.atoms.items()))
        if key not in self._told:
            group = self.group(form)
            self._told[key] = self._sign(node, form, group) if group != "mixed" else self._compare(node, form)
        return self._told[key]

    def _sign(self, node: Formula, form: Linear, group: str) -> Ready:
        """D > 0, where D is one sum over one set of positions: the weight that is not on the sink."""
        column, layer, largest = self._count(node, form, group)
        planner = self.planner
        head = Head(
            kind="sign",
            mask=_MASK[group],
            query=(((column, -1.0),), ()),
            key=(((planner.index["sign"], 1.0),), ()),
            value=((planner.here, 1.0),),
            column=planner.column(f"raw {len(planner.columns)}"),
            formula=node,
            linear=form,
            largest=(largest,),
        )
        return planner.rounded(head, layer + 1)

    def _count(self, node: Formula, form: Linear, group: str) -> tuple[int, int, float]:
        """A uniform head for a sum: its column, its layer, and the largest value that it averages."""
        planner = self.planner
        value: dict[int, float] = {planner.index[BOS]: float(form.constant)}
        layer = 0
        for (_, counted), k in form.atoms.items():
            pieces: Affine = ((planner.here, 1.0),)  # pos and len count every position
            if counted is not None:
                ready = planner.of(counted)
                layer = max(layer, ready.layer)
                pieces = planner.form(ready.literal)
            for column, factor in pieces:
                value[column] = value.get(column, 0.0) + k * factor
        form_: Affine = tuple((column, factor) for column, factor in value.items() if factor)
        key = (group, form_)
        if key not in self._counted:
            # At one position the coefficients that apply add up to no more than those of one sign.
            signs = [sum(sign * k for k in form.atoms.values() if sign * k > 0) for sign in (1, -1)]
            largest = float(max(abs(form.constant), *signs))
            column = planner.column(f"count {len(planner.columns)}")
            head = Head(
                kind="count",
                mask=_MASK[group],
                query=((), ()),
                key=((), ()),
                value=form_,
                column=column,
                formula=node,
                linear=form,
                largest=(largest,),
            )
            planner.layer(layer + 1).heads.append(head)
            self._counted[key] = (column, layer + 1, largest)
        return self._counted[key]

    def _compare(self, node: Formula, form: Linear) -> Ready:
        """D > 0, where D mixes counts up to here, counts of the whole string, and places."""
        planner = self.planner
        past: dict[tuple[str, Formula | None], int] = {}
        total: dict[tuple[str, Formula | None], int] = {}
        own: dict[int, float] = {}
        constant, place, layer = float(form.constant), 0, 0
        for (name, counted), k in form.atoms.items():
            if name == "pos":
                place += k
            elif name in ("call", "len"):
                total[(name, counted)] = total.get((name, counted), 0) + k
            else:
                past[("cl", counted)] = past.get(("cl", counted), 0) + (k if name == "cl" else -k)
                if (
                    name == "cr"
                ):  # counts from here on are all, less those up to here, and the one that is here
                    total[("call", counted)] = total.get(("call", counted), 0) + k
                    assert counted is not None
                    ready = planner.of(counted)
                    layer = max(layer, ready.layer)
                    for column, factor in planner.form(ready.literal):
                        own[column] = own.get(column, 0.0) + k * factor
        quotients: list[tuple[Affine, float]] = []
        for group, atoms in (("past", past), ("total", total)):
            kept = Linear(0, {atom: k for atom, k in atoms.items() if k})
            if not kept.atoms:
                quotients.append(((), 0.0))
                continue
            column, ready_after, largest = self._count(node, kept, group)
            layer = max(layer, ready_after)
            quotients.append((((column, MARGIN),), largest))
        (y_past, most_past), (y_total, most_total) = quotients
        steep = STEEP
        while steep < MARGIN * (most_past + abs(place)) + STEEP:
            steep *= 2
        index, here = planner.index, planner.here
        own[here] = own.get(here, 0.0) + constant
        unit_query = {column: MARGIN * factor for column, factor in own.items() if factor}
        head = Head(
            kind="compare",
            mask="up to",
            query=(
                y_past,
                y_total,
                ((here, MARGIN * place + steep),),
                tuple(unit_query.items()),
                ((index["place"], -steep),),
            ),
            key=(
                ((index["place + 1"], 1.0),),
                ((index["length + 1"], 1.0),),
                ((index["place"], 1.0),),
                ((index["unit"], 1.0),),
                ((here, 1.0),),
            ),
            value=((here, 1.0),),
            column=planner.column(f"raw {len(planner.columns)}"),
            formula=node,
            linear=form,
            largest=(
                most_past,
                most_total,
                float(abs(place)),
                steep,
                abs(constant) + sum(map(abs, own.values())),
            ),
        )
        return planner.rounded(head, layer + 1)
