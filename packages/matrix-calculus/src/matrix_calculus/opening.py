"""The factors of a product before they are simplified: products inside it opened, unit tensors taken out of it."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from itertools import count

from matrix_calculus.exact import exact
from matrix_calculus.expression import Identity, Label, Labelled, Product
from matrix_calculus.shapes import Size

# A product inside a product is opened while it is short. Longer ones stay shared: a network of depth d keeps O(d) nodes.
_MOST_OPENED = 8


def opened(
    factors: Iterable[Labelled], known: dict[Label, Size], scale: Fraction
) -> tuple[list[Labelled], list[tuple[Label, Label]], set[Label], Fraction]:
    """Factors that are no short products, the unit tensors apart, all labels, and the coefficient."""
    found: list[Labelled] = []
    deltas: list[tuple[Label, Label]] = []
    live: set[Label] = set()
    waiting = list(factors)[::-1]
    fresh = (("inner", n) for n in count())
    while waiting:
        node, labels = waiting.pop()
        live.update(labels)
        for label, size in zip(labels, node.shape, strict=True):
            known.setdefault(label, size)
        if isinstance(node, Identity):
            deltas.append((labels[0], labels[1]))
        elif isinstance(node, Product) and len(node.factors) <= _MOST_OPENED:
            scale = exact(scale * node.coefficient)
            names: list[Label] = list(labels)
            for size in node.sizes[node.rank :]:
                names.append(next(label for label in fresh if label not in known))
                known[names[-1]] = size
                live.add(names[-1])
            waiting.extend((one, tuple(names[i] for i in indices)) for one, indices in node.factors[::-1])
        else:
            found.append((node, labels))
    return found, deltas, live, scale


def without_deltas(
    factors: list[Labelled], deltas: list[tuple[Label, Label]], out: list[Label], live: set[Label]
) -> tuple[list[Labelled], list[tuple[Label, Label]], set[Label]]:
    """Rename what a unit tensor makes equal; those between two axes of the result stay."""
    parent: dict[Label, Label] = {}
    place = {label: at for at, label in enumerate(out)}
    last = len(out)

    def find(label: Label) -> Label:
        while label in parent:
            label = parent[label]
        return label

    for pair in deltas:
        one, other = sorted(map(find, pair), key=lambda label: place.get(label, last))
        if one != other:
            parent[other] = one
    kept = [(find(label), label) for label in out if label in parent]
    renamed = [(node, tuple(map(find, labels))) for node, labels in factors]
    return renamed, kept, {find(label) for label in live}
