"""Programs of JAX are run, jitted and mapped: run by `nox -s "tests_with(matrix-calculus-jax)"`, beside JAX itself."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from offprints.errors import InputError

from matrix_calculus import derive
from matrix_calculus.rules import RULES
from matrix_calculus.sampling import SYMBOLS, Sampler
from matrix_calculus.verify import draws, lengths, relative

jax.config.update("jax_enable_x64", True)


def both(found, seed=0):
    """Values of the derivative by the programs of JAX and of numpy at one random point."""
    values = next(draws(found.reading, found.value, seed, lengths(found.reading)))
    given = [values[one.name] for one in found.inputs]
    return np.asarray(found.function("jax")(*map(jnp.asarray, given))), np.asarray(
        found.function("numpy")(*given)
    )


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_each_formula_of_the_paper(rule):
    assert relative(*both(rule.derive())) < 1e-12


def test_random_expressions():
    generator = np.random.default_rng(7)
    compared = 0
    for number in range(60):
        text = Sampler(generator).expression(int(generator.integers(1, 5)))
        for wrt in ("x", "A", "s"):
            try:
                found = derive(text, wrt, SYMBOLS)
                ours, theirs = both(found, number)
            except InputError:  # it is long, or nowhere defined
                continue
            assert relative(ours, theirs) < 1e-9, (text, wrt)
            compared += 1
    assert compared > 60


def test_a_program_is_jitted_and_mapped_over_a_batch():
    found = derive(
        "log(1 + exp(-y*(w·x + b)))", "w", {"w": "vector(n)", "x": "vector(n)", "y": "scalar", "b": "scalar"}
    )
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(8, 3)), generator.choice([-1.0, 1.0], 8)
    w, b = generator.normal(size=3), 0.3
    order = {one.name: at for at, one in enumerate(found.inputs)}
    given = [{"w": w, "x": x, "y": y, "b": b}[name] for name in order]
    axes = [{"w": None, "x": 0, "y": 0, "b": None}[name] for name in order]
    ours = jax.jit(jax.vmap(found.function("jax"), in_axes=axes))(*given)
    theirs = jax.vmap(jax.grad(lambda w, x, y: jnp.logaddexp(0.0, -y * (w @ x + b))), (None, 0, 0))(w, x, y)
    assert relative(np.asarray(ours), np.asarray(theirs)) < 1e-12


def test_a_hessian_is_that_of_jax():
    found = derive(
        "sum(softplus(-y .* (X*w)))",
        "w",
        {"X": "matrix(N, n)", "w": "vector(n)", "y": "vector(N)"},
        kind="hessian",
    )
    generator = np.random.default_rng(1)
    values = {
        "X": generator.normal(size=(7, 4)),
        "w": generator.normal(size=4),
        "y": generator.choice([-1.0, 1.0], 7),
    }
    ours = found.function("jax")(*(values[one.name] for one in found.inputs))
    theirs = jax.hessian(lambda w: jax.nn.softplus(-values["y"] * (values["X"] @ w)).sum())(values["w"])
    assert relative(np.asarray(ours), np.asarray(theirs)) < 1e-12
