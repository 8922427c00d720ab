"""How long strings may be so that a transformer is provably right in a given format and by a given kernel.

Every head of a compiled formula has a raw output within less than 1/4 of 0 or 1, the feed-forward network rounds that to exactly 0 or 1,
and so the next layer starts without error: it is enough to look at each head alone. What a head needs is written down as conditions in
the length n, each with a bound on the error; the certificate is the largest n at which all hold. docs/papers/hard-attention.md proves them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd
import torch

from offprints.errors import InputError

from hard_attention.counting import MARGIN, STEEP
from hard_attention.places import largest_squares, last_place, off_target
from hard_attention.precision import START, Precision, is_power_of_two, ladder, precision_of, rungs, steepness
from hard_attention.program import Head, Program

if TYPE_CHECKING:
    from hard_attention.transformer import FormulaTransformer

LONGEST = 2**40
"""Certificates end here: no string is that long, and some terms of the bounds are evaluated in float64."""
THRESHOLD = 0.25
SOFT_KERNELS = ("dense", "chunked", "sdpa", "scan")


@dataclass(frozen=True)
class Reason:
    """What one head needs.

    Attributes:
        head: the formula that it computes.
        kind: nearest, lookup, count, sign or compare.
        length: the largest n at which all of its conditions hold.
        error: bound on the raw error at that n; must be below 1/4. Of a count, the relative error of the quotient.
        limit: the condition that fails first beyond it.
    """

    head: str
    kind: str
    length: int
    error: float
    limit: str


@dataclass(frozen=True)
class Certificate:
    """A promise: up to `length`, `model(ids, kernel=kernel)` equals the formula at every position of every string.

    Attributes:
        precision: the format of the weights.
        kernel: how attention is evaluated.
        length: the largest n of the promise; 0 promises nothing.
        limit: why it goes no further.
        reasons: one for each head.
        assumptions: what is taken for granted of the machine.
    """

    precision: str
    kernel: str
    length: int
    limit: str
    reasons: tuple[Reason, ...]
    assumptions: tuple[str, ...]

    def table(self) -> pd.DataFrame:
        """The argument, a row for each head."""
        return pd.DataFrame(
            [[r.head, r.kind, r.length, r.error, r.limit] for r in self.reasons],
            columns=["head", "kind", "length", "error", "ends where"],
        )

    def __str__(self) -> str:
        lines = [f"{self.precision}, {self.kernel}: right up to length {self.length:,} ({self.limit})"]
        lines += [
            f"  {r.kind:8} n <= {r.length:<16,} error <= {r.error:<10.3g} {r.head}; ends where {r.limit}"
            for r in self.reasons
        ]
        return "\n".join(lines + [f"  assumes {text}" for text in self.assumptions])


def certify(
    model: FormulaTransformer, precision: str | torch.dtype | None = None, kernel: str = "dense"
) -> Certificate:
    """The largest length at which a compiled transformer is provably exact.

    Args:
        model: as compiled; its weights must not have been trained.
        precision: float64, float32, float16 or bfloat16; None takes that of the weights.
        kernel: dense, chunked, sdpa or scan.

    Returns:
        The certificate, with its argument.

    Raises:
        InputError: the weights are not the compiled ones or not on the CPU, the kernel is no softmax kernel or does not know
            the format, torch may multiply with fewer digits than the format has, or the step of the ladder is no power of
            two or too small for any length.
    """
    if kernel not in SOFT_KERNELS:
        raise InputError(f"kernel={kernel!r} has no certificate: one of {', '.join(SOFT_KERNELS)}")
    form = precision_of(precision if precision is not None else model.letters.weight.dtype)
    if kernel == "scan" and form.bits < 24:
        raise InputError(f"kernel=scan does not work in {form.name}")
    if kernel == "scan" and model.program.normed:
        raise InputError("kernel=scan knows no layer norm")
    _require_full_products(model, form)
    step = model.program.step
    if any(head.kind == "nearest" for head in model.heads):
        if not is_power_of_two(step):
            raise InputError(
                f"step={step:g} is no power of two: the scores are rounded, and nothing is certified"
            )
        if math.exp(-step) >= THRESHOLD:
            raise InputError(
                f"step={step:g}: the error of a head is only bounded by {math.exp(-step):.3f}, not by 1/4"
            )
    check_weights(model)
    assumptions = [
        "arithmetic that rounds to nearest, and an exp within two units in the last place",
        f"sums of products taken in {str(form.accumulator).removeprefix('torch.')}, in any order",
    ]
    if kernel == "sdpa":
        assumptions.append(
            "weights rounded to the format before they meet the values, normalised before or after"
        )
    reasons = [_reason(head, form, kernel, model.program) for head in model.heads]
    shortest = min(reasons, key=lambda reason: reason.length, default=None)
    if shortest is None:
        return Certificate(form.name, kernel, LONGEST, "there is no head", (), tuple(assumptions))
    limit = f"{shortest.kind} of {shortest.head}: {shortest.limit}"
    return Certificate(form.name, kernel, shortest.length, limit, tuple(reasons), tuple(assumptions))


def _require_full_products(model: FormulaTransformer, form: Precision) -> None:
    """Refuse a machine whose products are not known to be those of the format: TF32, for one, drops 13 of float32's digits."""
    device = model.letters.weight.device
    if device.type != "cpu":
        raise InputError(f"certificates are of CPU kernels, and this model is on {device}")
    if form.name == "float32" and torch.get_float32_matmul_precision() != "highest":
        raise InputError(
            f"float32_matmul_precision is {torch.get_float32_matmul_precision()!r}, which allows products of fewer digits: "
            "torch.set_float32_matmul_precision('highest') before anything is certified"
        )


def check_weights(model: FormulaTransformer) -> None:
    """Refuse weights that are not the compiled formula's.

    Raises:
        InputError: names the first tensor that differs, or is not finite.
    """
    compiled = type(model)(model.program, model.positions.predicates)
    expected = compiled.state_dict()
    for name, weight in model.state_dict().items():
        if not bool(torch.isfinite(weight).all()):
            raise InputError(f"{name} holds numbers that are not finite: nothing is certified")
        if not torch.equal(weight.double().cpu(), expected[name]):
            raise InputError(
                f"{name} is not as compiled (trained, or too large for the format): nothing is certified"
            )


@dataclass(frozen=True)
class _Bound:
    """A head at one n: its error, or why there is none.

    Attributes:
        error: of the raw output; relative, of a count.
        broken: the condition that fails; "" if none does.
    """

    error: float
    broken: str = ""


def _reason(head: Head, form: Precision, kernel: str, program: Program) -> Reason:
    bound = _BOUNDS[head.kind]

    def at(n: int) -> _Bound:
        found = bound(head, n, form, kernel, program.step, _temperature(program, n, form))
        if not found.broken and not found.error < THRESHOLD:
            return _Bound(found.error, f"the bound on the error, {found.error:.3g}, is no longer below 1/4")
        return found

    # Every condition is monotone in n: if it fails at n it fails beyond.
    low, high = 0, 1
    if not at(LONGEST).broken:
        return Reason(_shown(head), head.kind, LONGEST, at(LONGEST).error, "certificates end")
    while high < LONGEST and not at(high).broken:
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if not at(middle).broken else (low, middle)
    if low == 0:
        return Reason(_shown(head), head.kind, 0, math.inf, at(1).broken)
    return Reason(_shown(head), head.kind, low, at(low).error, at(low + 1).broken)


def _temperature(program: Program, n: int, form: Precision) -> float:
    """At least the inverse temperature at a length."""
    if not program.bounded:
        return 1.0
    largest = float(n + 2)
    if {"rung", "rung back"} & set(program.positions):
        place = torch.tensor([min(n, rungs(form, program.step)) if is_power_of_two(program.step) else n])
        largest = max(largest, float(ladder(place, form, program.step)))
    if "squares" in program.positions:
        largest = max(largest, float(largest_squares(form)))
    return max(largest, _steepness(n, form)) if "sign" in program.positions else largest


def _steepness(n: int, form: Precision) -> float:
    """The entry of the position column "sign" at the sink."""
    return float(steepness(torch.tensor(n), form))


def _shown(head: Head) -> str:
    try:
        text = str(head.formula)
    except InputError:
        return "a long formula"
    return text if len(text) <= 80 else text[:77] + "..."


def _nearest(head: Head, n: int, form: Precision, kernel: str, step: float, temperature: float) -> _Bound:
    """S and U: distinct rungs, the geometric series of the deficits, and the rounding of its sums."""
    u = form.accumulator_unit
    far = (n + 1) * math.exp(-step * (START + 1))  # the sink and what is looked past, against the first rung
    if n > rungs(form, step):
        if head.formula.args[0].op == "top" and kernel != "sdpa":
            # Wherever the search may end the value is 1: it does not matter on which of these places the weight lies.
            return _Bound(far + 2 * (n + 2) * u * (1 + far) + 8 * u + form.unit)
        return _Bound(1.0, f"the ladder of {form.name} has no more rungs")
    ideal = math.exp(-step) + far
    # Of the terms of a sum only those above u can round it; there are few, since they fall like exp(-step k).
    heavy = 2 + math.log(1 / u) / step
    sums = 2 * (heavy * u + (2 * u + 2 * far) * (1 + 2 * n * u))
    exps = (16 if kernel == "scan" else 8) * u  # a scan multiplies them up from step to step
    return _Bound(ideal + sums + exps + form.unit * (2 if kernel == "sdpa" else 1))


def _lookup(head: Head, n: int, form: Precision, kernel: str, step: float, temperature: float) -> _Bound:
    """The key at the place looked for is ahead by 64: its score and those of its neighbours are whole numbers of the format."""
    if n > last_place(form):
        return _Bound(1.0, f"four digits of {form.name} reach no further place")
    u, off = form.accumulator_unit, off_target(n)
    # All weights but one are below exp(-64), and so is the rounding of their sums; 1 and they add up to 1 and little more.
    sums = 2 * u + 2 * off * (1 + 2 * n * u)
    exps = 8 * u
    return _Bound(off + sums + exps + form.unit * (2 if kernel == "sdpa" else 1))


def _count(head: Head, n: int, form: Precision, kernel: str, step: float, temperature: float) -> _Bound:
    """D / (number of keys): whole numbers, one division."""
    (largest,) = head.largest
    for _, factor in head.value:
        if not form.holds(factor):
            return _Bound(1.0, f"the coefficient {factor:g} is no number of {form.name}")
    if largest > 2**form.bits:
        return _Bound(1.0, f"values reach beyond the whole numbers of {form.name}")
    relative = form.unit + form.accumulator_unit
    if kernel == "sdpa":
        # Equal weights, each rounded alike, whose products with whole numbers are summed with rounding.
        relative += form.unit + 2 * largest * (n + 1) ** 2 * form.accumulator_unit
    elif largest * (n + 1) > 2**form.accumulator_bits:
        return _Bound(1.0, f"sums reach beyond the whole numbers of {str(form.accumulator)[6:]}")
    return _Bound(relative)


def _sign(head: Head, n: int, form: Precision, kernel: str, step: float, temperature: float) -> _Bound:
    """The sink against n others, by (n + 1) ln(16 (n + 1)) times a quotient of at least 1 / (n + 1)."""
    (largest,) = head.largest
    wanted = (n + 1) * math.log(16 * (n + 1))
    if _steepness(n, form) * largest * 1.01 > form.largest:
        return _Bound(1.0, f"scores reach beyond the largest number of {form.name}")
    relative = _count(head, n, form, kernel, step, temperature)
    if relative.broken:
        return relative
    if relative.error >= 0.5:
        return _Bound(1.0, "the rounding of the quotient outweighs the quotient")
    weakest = wanted / (n + 1) * (1 - relative.error) * (1 - 2 * form.unit)
    u = form.accumulator_unit
    off = (n + 1) * math.exp(-weakest) * (1 + 2 * (n + 1) * u)
    if kernel != "scan" and n + 2 > 2**form.accumulator_bits:
        return _Bound(1.0, f"the number of keys is beyond the whole numbers of {str(form.accumulator)[6:]}")
    sums = 8 * u + (2 * (n + 1) * u if kernel == "sdpa" else 0.0)
    return _Bound(off + sums + 2 * form.unit)


def _compare(head: Head, n: int, form: Precision, kernel: str, step: float, temperature: float) -> _Bound:
    """Quotients of two denominators put together: their rounding, times n, must stay below what a difference of 1 weighs."""
    most_past, most_total, place, steep, own = head.largest
    if n + 2 > 2**form.bits:
        return _Bound(1.0, f"positions are beyond the whole numbers of {form.name}")
    # Coefficients are multiples of the margin, a power of two, and so are their sums.
    if max(place + steep / MARGIN, own, most_past, most_total) > 2**form.bits:
        return _Bound(1.0, f"coefficients reach beyond the whole numbers of {form.name}")
    if (MARGIN * max(place, own, 1.0) + steep) * temperature > form.largest:
        return _Bound(
            1.0, f"queries times the inverse temperature reach beyond the largest number of {form.name}"
        )
    u, v = form.accumulator_unit, form.unit
    if kernel != "sdpa" and max(most_past, most_total) * (n + 1) > 2**form.accumulator_bits:
        return _Bound(1.0, f"sums reach beyond the whole numbers of {str(form.accumulator)[6:]}")
    # Terms of one sign; no partial sum, in whatever order, is larger, and neither is a score.
    counts = MARGIN * (most_past + most_total) * (n + 1)
    size = counts + (MARGIN * place + steep) * n + MARGIN * own
    if size * (1 + v) > form.largest:
        return _Bound(1.0, f"scores reach beyond the largest number of {form.name}")
    # query = margin * quotient is exact; five products and four sums round.
    off = MARGIN * (n + 1) * sum(_quotient_error(m, n, form, kernel) for m in (most_past, most_total))
    off += 6 * u * size
    weakest = (MARGIN - off) * (1 - v)
    if weakest <= 0:
        return _Bound(1.0, "rounding outweighs a difference of 1")
    behind = sum(math.exp(-min(max(STEEP * k * (1 - v) - 2 * off, 0.0), 700.0)) for k in range(1, 9))
    if STEEP * 8 * (1 - v) <= 2 * off + 8:
        return _Bound(1.0, "rounding outweighs the fall of the score")
    ideal = math.exp(-weakest) * (1 + behind) + behind
    return _Bound(ideal + 16 * u + (2 * (n + 1) * u if kernel == "sdpa" else 0.0) + 2 * v)


def _quotient_error(most: float, n: int, form: Precision, kernel: str) -> float:
    """How far a quotient below `most` is off: half the distance of floats there, and what its division rounds."""
    if not most:
        return 0.0
    u = form.accumulator_unit
    error = math.ldexp(form.unit, math.ceil(math.log2(most)) - 1) + 2 * most * u
    if (
        kernel == "sdpa"
    ):  # weights may be rounded, too, and a sum of n rounded ones errs by n units of their sum
        error += most * (form.unit + 2 * (n + 1) * u)
    return error


_BOUNDS: dict[str, Callable[[Head, int, Precision, str, float, float], _Bound]] = {
    "nearest": _nearest,
    "lookup": _lookup,
    "count": _count,
    "sign": _sign,
    "compare": _compare,
}
