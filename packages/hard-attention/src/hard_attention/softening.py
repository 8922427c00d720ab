"""Any hard-attention transformer's weights, run with softmax: how sharp it has to be, and how far it can be off.

The bound follows the error through the layers: an error in a layer's input moves scores, moved scores move weight off the maxima and
between equal maxima, and a Lipschitz constant carries it through the feed-forward network. This is this package's recursion, in the spirit
of the paper's second version, whose temperature depends on the gap between the largest score and the next.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from offprints.errors import InputError

from hard_attention.alphabet import all_strings
from hard_attention.networks import ExactRun, GivenHead, Network, exact_run, soft_run
from hard_attention.single_heads import mass_bound, weight_shift

Floats = NDArray[np.float64]
MOST_INPUTS = 4096


@dataclass(frozen=True)
class Softened:
    """A softmax transformer that imitates a hard one on given inputs.

    Attributes:
        network: the weights, with a coordinate for the tie term where the hard one is leftmost or rightmost.
        inverse_temperature: beta.
        tie_term: coefficient of j / n in every score; 0 for average-hard networks.
        error: bound on the difference of any output coordinate, on the inputs that were analysed.
        gap: the least gap of all heads, with the tie term.
        uniform_tieless: whether each head is uniform or without ties on these inputs: then no term for ties is needed.
    """

    network: Network
    inverse_temperature: float
    tie_term: float
    error: float
    gap: float
    uniform_tieless: bool

    def __call__(self, x: Floats) -> Floats:
        """The softmax transformer's output, (n, d), on an embedded input (n, d)."""
        return soft_run(self.network, x, self.inverse_temperature, self.tie_term)


def error_recursion(
    network: Network, run: ExactRun, inverse_temperature: float, n: int, start: float = 0.0
) -> float:
    """A bound on the difference between the softmax and the hard transformer's output on one input.

    Args:
        network: the weights.
        run: what the hard transformer does on the input.
        inverse_temperature: beta.
        n: length of the input.
        start: error of the input itself.

    Returns:
        The bound in the largest coordinate; inf where it says nothing.
    """
    error = start
    for number, layer in enumerate(network.layers):
        after = error
        for h, head in enumerate(layer.heads):
            moved = _moved_scores(head, float(run.size[number]), error)
            gap = float(run.gap[number, h])
            off = _off(n, inverse_temperature, gap - 2 * moved) if math.isfinite(gap) else 0.0
            among = weight_shift(inverse_temperature, moved) if bool(run.tied[number, h]) else 0.0
            spread = float(run.value_range[number, h])
            after += _norm(head.value) * error + spread * min(1.0, off + among)
        error = after * (1 + _norm(layer.w2) * _norm(layer.w1))
        if not math.isfinite(error):
            return math.inf
    return error


def soften(
    network: Network, inputs: Sequence[Floats], error: float = 0.25, largest: float = 2.0**60
) -> Softened:
    """Find the inverse temperature at which softmax provably imitates a hard network on given inputs.

    Args:
        network: average-, leftmost- or rightmost-hard.
        inputs: embedded inputs, each (n, d); what is proved is proved for these.
        error: how far any output coordinate may be off.
        largest: no larger inverse temperature is tried.

    Returns:
        The softened network, with the least power-of-two multiple of 1/gap that the bound allows.

    Raises:
        InputError: there is no input, the error is not positive, or the bound stays above it up to the largest temperature.
    """
    if not inputs:
        raise InputError("there is no input to soften the network on")
    if not error > 0:
        raise InputError(f"error={error} must be positive")
    lengths = [len(x) for x in inputs]
    analysed = [exact_run(network, x) for x in inputs]
    tie_term = 0.0
    hard = network
    if network.ties != "average":
        # A tie term smaller than every gap decides ties and nothing else; its own gap is its step from j to j + 1.
        gaps = [float(run.gap.min()) for run in analysed]
        least = min([g for g in gaps if math.isfinite(g)], default=1.0)
        tie_term = least / 2 * (1 if network.ties == "rightmost" else -1)
        hard = replace(network, ties="average")
        analysed = [
            replace(run, gap=np.minimum(run.gap - abs(tie_term), abs(tie_term) / n))
            for run, n in zip(analysed, lengths, strict=True)
        ]
    gap = min(float(run.gap.min()) for run in analysed)
    tieless = all(bool((run.uniform | ~run.tied).all()) for run in analysed)
    beta = 1.0 / gap if math.isfinite(gap) else 1.0
    while True:
        bound = max(
            error_recursion(hard, run, beta, n) + _float_noise(run)
            for run, n in zip(analysed, lengths, strict=True)
        )
        if bound <= error:
            return Softened(hard, beta, tie_term, bound, gap, tieless)
        beta *= 2
        if beta > largest:
            raise InputError(f"the bound is still {bound:.3g} at an inverse temperature of {largest:.3g}")


def every_input(letters: Floats, places: Floats) -> list[Floats]:
    """All embedded strings of a length: `soften` on them has a bound for every input of that length.

    Args:
        letters: (k, d) embeddings.
        places: (n, d) what each position adds.

    Returns:
        k**n arrays (n, d).

    Raises:
        InputError: the shapes do not fit, or there are more than 4,096 strings: each is run in exact fractions.
    """
    if letters.ndim != 2 or places.ndim != 2 or letters.shape[1] != places.shape[1] or not len(places):
        raise InputError(f"letters {letters.shape} and places {places.shape}: (k, d) and (n, d) are needed")
    if len(letters) ** len(places) > MOST_INPUTS:
        raise InputError(
            f"there are {len(letters)}**{len(places)} strings of length {len(places)}: {MOST_INPUTS:,} at most"
        )
    return list(letters[all_strings(len(letters), len(places))] + places)


def decided(exact: float, bound: float, step: float = 1.0) -> bool:
    """Whether rounding to multiples of `step` gives the same for all numbers within the bound.

    An output whose exact value lies nearer to a rounding boundary than the bound is undecided: softmax, being off by ever so
    little to one side, may round to either neighbour.
    """
    place = exact / step - 0.5
    return abs(place - round(place)) * step > bound


def _moved_scores(head: GivenHead, size: float, error: float) -> float:
    form = np.abs(head.query.T @ head.key).sum()
    return float(form) * (2 * size * error + error * error)


def _off(n: int, beta: float, gap: float) -> float:
    if gap <= 0:
        return 1.0
    return mass_bound(n, 1, gap, beta)


def _norm(matrix: Floats) -> float:
    """Largest absolute row sum: what a matrix does to the largest coordinate."""
    return float(np.abs(matrix).sum(1).max(initial=0.0))


def _float_noise(run: ExactRun) -> float:
    """Rounding of the softmax run itself, in float64."""
    return 1e-9 * (1 + float(np.abs(run.output).max()))
