"""The position embedding: a table of named columns for each length, with the beginning-of-string sign at position 0.

Weights never depend on the length; what does is this table, and in temperature mode one number, the inverse temperature. In that mode
the columns that make scores are divided by a power of two that grows with the length, which keeps them below 2, and the scores are
multiplied by it again: the same scores, to the bit, from a bounded embedding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from hard_attention.definition import Predicate
from hard_attention.places import digits, wanted
from hard_attention.precision import Precision, exponent_of, ladder, power_of_two, steepness

HERE, BOS = "here", "bos"
SCORE_COLUMNS = ("rung", "rung back", "sign", "unit", "place", "place + 1", "length + 1", "squares")
"""The columns that temperature mode divides, and with them the digits of what is looked for; those of keys are bounded as they are."""


class Positions:
    """The table of a model.

    Args:
        names: the columns, "here" and "bos" among them.
        step: of the ladder.
        bounded: temperature mode.
        predicates: name -> meaning, for columns "pred <name>".
    """

    def __init__(
        self, names: Sequence[str], step: float, bounded: bool, predicates: Mapping[str, Predicate]
    ) -> None:
        self.names = tuple(names)
        self.step = step
        self.bounded = bounded
        self.predicates = dict(predicates)

    def table(
        self, lengths: torch.Tensor, longest: int, precision: Precision
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The table, and the inverse temperature.

        Args:
            lengths: (B,) int64, each at most `longest`.
            longest: n.
            precision: the format of the model.

        Returns:
            (B, n + 1, columns) and (B,), float64: positions behind a string's end hold whatever follows from the formulas.
        """
        place = torch.arange(longest + 1, device=lengths.device)[None, :].expand(len(lengths), -1)
        n = lengths[:, None]
        columns = [self._column(name, place, n, precision) for name in self.names]
        table = torch.stack([column.double().expand(place.shape) for column in columns], -1)
        beta = torch.ones_like(lengths, dtype=torch.float64)
        scored = [
            index
            for index, name in enumerate(self.names)
            if name in SCORE_COLUMNS or name.startswith("target ")
        ]
        if self.bounded and scored:
            inside = place <= n
            largest = (
                torch.where(inside[..., None], table[..., scored].abs(), 0.0).amax((1, 2)).clamp(min=1.0)
            )
            exponent = exponent_of(largest)
            beta = power_of_two(exponent)
            shrink = torch.ones(len(self.names), dtype=torch.float64, device=table.device)
            factor = shrink.repeat(len(lengths), 1)
            factor[:, scored] = power_of_two(-exponent)[:, None]
            table = table * factor[:, None, :]
        return table, beta

    def _column(self, name: str, place: torch.Tensor, n: torch.Tensor, precision: Precision) -> torch.Tensor:
        here = place > 0
        if name in (HERE, "unit"):
            return here
        if name == BOS:
            return ~here
        if name == "rung":
            return ladder(place, precision, self.step)
        if name == "rung back":
            return torch.where(here, ladder((n + 1 - place).clamp(min=0), precision, self.step), 0.0)
        if name == "sign":
            # A count over n + 1 is told from 0 by a score of (n + 1) times ln(16 (n + 1)): see certificate.py.
            return torch.where(here, 0.0, steepness(n, precision))
        if name == "place":
            return place
        if name == "place + 1":
            return torch.where(here, place + 1, 0)
        if name == "length + 1":
            return torch.where(here, n + 1, 0)
        if name == "squares":
            return digits(place, precision).square().sum(-1)
        if name == "first":
            return place == 1
        if name == "last":
            return place == n
        kind, _, rest = name.partition(" ")
        if kind == "digit":
            return digits(place, precision)[..., int(rest)]
        if kind == "target":
            k, constant, of_place, of_length = map(int, rest.split())
            found = digits(wanted(place, n, (constant, of_place, of_length)), precision)[..., k]
            return torch.where(here, found, 0)  # the sink asks for nothing
        if kind == "mod":
            r, m = map(int, rest.split())
            return here & (place % m == r)
        known = self.predicates[rest]
        rows = [
            [0 < i <= length and bool(known(i, length)) for i in range(place.shape[1])]
            for length in n[:, 0].tolist()
        ]
        return torch.tensor(rows, device=place.device)
