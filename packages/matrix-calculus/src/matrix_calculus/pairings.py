"""What simplifies where Kronecker products are summed over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import combinations

from matrix_calculus.expression import Label, Labelled, Pairing


def unpaired(
    factors: list[Labelled], deltas: list[tuple[Label, Label]], out: Sequence[Label], live: set[Label]
) -> list[Labelled]:
    """Factors without the pairings that are summed over: one alone is 1 everywhere, two that meet are unit tensors between what is left.

    Args:
        factors: of a product, with a label for each axis.
        deltas: unit tensors of the product; new ones are added.
        out: labels that are not summed over.
        live: labels that the product has; what a pairing was summed over is taken out.
    """
    uses = Counter(label for _, labels in factors for label in labels)
    uses.update(label for pair in deltas for label in pair)
    for at, (node, labels) in enumerate(factors):
        if isinstance(node, Pairing):
            lone = [uses[label] == 1 and label not in out for label in labels]
            if lone[0] or (lone[1] and lone[2]):
                live.difference_update(labels[:1] if lone[0] else labels[1:])
                return unpaired([*factors[:at], *factors[at + 1 :]], deltas, out, live)
    paired = [at for at, (node, _) in enumerate(factors) if isinstance(node, Pairing)]
    for one, other in combinations(paired, 2):
        (node, first), (beside, second) = factors[one], factors[other]
        alone = [uses[label] == 2 and label not in out for label in first]
        if node.key != beside.key:
            continue
        if first[0] == second[0] and alone[0]:
            gone, left = first[:1], zip(first[1:], second[1:], strict=True)
        elif first[1:] == second[1:] and alone[1] and alone[2]:
            gone, left = first[1:], zip(first[:1], second[:1], strict=True)
        else:
            continue
        live.difference_update(gone)
        deltas += [pair for pair in left if pair[0] != pair[1]]
        rest = [part for at, part in enumerate(factors) if at not in (one, other)]
        return unpaired(rest, deltas, out, live)
    return factors
