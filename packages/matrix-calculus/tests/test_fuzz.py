"""Thousands of random expressions: their derivatives are those of torch.func, and their text reads back.

`pytest packages/matrix-calculus/tests/test_fuzz.py --expressions 10000` is the full size: 10,000 Jacobians and 1,000 Hessians.
"""

from __future__ import annotations

import numpy as np
import pytest

from offprints.errors import InputError

from matrix_calculus import derive, parse, printing
from matrix_calculus.codegen import function
from matrix_calculus.differentiate import MODES
from matrix_calculus.inference import read
from matrix_calculus.lowering import lower
from matrix_calculus.sampling import SYMBOLS, Sampler
from matrix_calculus.verify import autograd, draws, lengths, relative

TOLERANCE = 1e-9


def drawn_point(found, seed):
    """Values of all symbols, or None where the expression is nowhere defined."""
    sizes = lengths(found.reading)
    try:
        return next(draws(found.reading, found.value, seed, sizes)), sizes
    except InputError:
        return None, sizes


def holds(found, seed):
    values, sizes = drawn_point(found, seed)
    if values is None:
        return None
    ours = function({"d": found.plain}, found.inputs)(*(values[one.name] for one in found.inputs))
    theirs = autograd(found, values, sizes)
    assert np.shape(ours) == theirs.shape
    return relative(np.asarray(ours), theirs)


def some_symbol(text, generator):
    names = [
        name for name in SYMBOLS if name in {term.value for term in parse(text).walk() if term.op == "name"}
    ]
    return names[int(generator.integers(len(names)))] if names else None


def test_jacobians_of_random_expressions_are_those_of_autograd(expressions):
    generator = np.random.default_rng(1)
    tried = 0
    for number in range(expressions):
        text = Sampler(generator).expression(int(generator.integers(1, 7)))
        if len(text) > 4_000 or (wrt := some_symbol(text, generator)) is None:
            continue
        found = derive(text, wrt, SYMBOLS, mode=MODES[number % 3])
        error = holds(found, number)
        assert error is None or error < TOLERANCE, (text, wrt, found.mode, error)
        tried += error is not None
    assert tried > 0.7 * expressions


def test_hessians_of_random_scalars_are_those_of_autograd(expressions):
    generator = np.random.default_rng(2)
    tried, wanted = 0, expressions // 10
    while tried < wanted:
        text = Sampler(generator).scalar(int(generator.integers(1, 5)))
        if len(text) > 4_000 or (wrt := some_symbol(text, generator)) is None:
            continue
        error = holds(derive(text, wrt, SYMBOLS, kind="hessian"), tried)
        assert error is None or error < TOLERANCE, (text, wrt, error)
        tried += error is not None


def test_formulas_and_expressions_read_back(expressions):
    """parse(text(e)) is e, and the derivative's formula, read again, has the derivative's values."""
    generator = np.random.default_rng(3)
    compared = 0
    for number in range(expressions // 2):
        text = Sampler(generator).expression(int(generator.integers(1, 5)))
        if len(text) > 4_000 or (wrt := some_symbol(text, generator)) is None:
            continue
        tree = parse(text)
        assert parse(printing.text(tree)) == tree, text
        found = derive(text, wrt, SYMBOLS)
        if found.term is None or len(found.formula) > 4_000:
            continue
        assert parse(found.formula) == parse(printing.text(parse(found.formula)))
        again = read(found.formula, SYMBOLS)
        values, _ = drawn_point(found, number)
        if values is None:
            continue
        ours = function({"a": found.tensor}, found.inputs)(*(values[one.name] for one in found.inputs))
        theirs = function({"b": lower(again)}, found.inputs)(*(values[one.name] for one in found.inputs))
        assert relative(np.asarray(ours), np.asarray(theirs)) < TOLERANCE, (text, wrt, found.formula)
        compared += 1
    assert compared > 0.2 * (expressions // 2)


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_programs_of_both_libraries_agree_with_sums_over_all_indices(backend):
    import mpmath
    import torch

    from matrix_calculus.evaluate import by_einsum

    generator = np.random.default_rng(4)
    for number in range(25):
        text = Sampler(generator).expression(3)
        if (wrt := some_symbol(text, generator)) is None:
            continue
        found = derive(text, wrt, SYMBOLS)
        values, sizes = drawn_point(found, number)
        if values is None:
            continue
        given = [
            values[one.name] if backend == "numpy" else torch.from_numpy(np.asarray(values[one.name]))
            for one in found.inputs
        ]
        ours = np.asarray(found.function(backend)(*given))
        exact = {name: np.vectorize(mpmath.mpf, otypes=[object])(value) for name, value in values.items()}
        theirs = by_einsum(found.tensor, exact, sizes).astype(float)
        assert relative(ours, theirs) < TOLERANCE, text
