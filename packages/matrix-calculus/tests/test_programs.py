"""How programs are written: the order of contraction, and common factors taken out of sums."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matrix_calculus import derive
from matrix_calculus.contraction import _cost, _greedy, contraction_tree
from matrix_calculus.evaluate import by_einsum
from matrix_calculus.expression import Product, Sum, Symbol, order
from matrix_calculus.factoring import factored
from matrix_calculus.products import add, product
from matrix_calculus.verify import relative

NET = {"X": "matrix(N, n)", "W": "matrix(n, h)", "V": "matrix(h, c)", "Y": "matrix(N, c)"}
LOSS = "sum(logsumexp(relu(X*W)*V, 2)) - sum(Y .* (relu(X*W)*V))"

networks = st.lists(st.frozensets(st.integers(0, 5), min_size=1, max_size=3), min_size=2, max_size=5)


def cost_of(tree, factors, free, length):
    """Of a whole tree, and the indices that are left of it, by walking it."""

    def walk(branch, outside):
        if isinstance(branch, int):
            return 0, factors[branch]
        beside = [leaves(part) for part in branch[::-1]]
        parts = [walk(part, outside | other) for part, other in zip(branch, beside, strict=True)]
        kept = (parts[0][1] | parts[1][1]) & outside
        return parts[0][0] + parts[1][0] + _cost(
            parts[0][1] & (outside | beside[0]), parts[1][1] & (outside | beside[1]), kept, length
        ), kept

    def leaves(branch):
        return factors[branch] if isinstance(branch, int) else leaves(branch[0]) | leaves(branch[1])

    return walk(tree, free)[0]


def every_tree(places):
    if len(places) == 1:
        yield places[0]
        return
    first, *rest = places
    for mask in range(1 << len(rest)):
        left = [first, *(one for at, one in enumerate(rest) if mask >> at & 1)]
        right = [one for at, one in enumerate(rest) if not mask >> at & 1]
        if right:
            for one in every_tree(left):
                for other in every_tree(right):
                    yield one, other


@given(networks, st.frozensets(st.integers(0, 5)), st.lists(st.integers(1, 40), min_size=6, max_size=6))
def test_no_order_of_a_few_factors_costs_less(factors, free, length):
    # What stands in one factor alone is summed before the order is chosen.
    factors = [
        frozenset(
            i for i in one if i in free or any(i in other for k, other in enumerate(factors) if k != at)
        )
        for at, one in enumerate(factors)
    ]
    ours = cost_of(contraction_tree(factors, free, length), factors, free, length)
    least = min(cost_of(tree, factors, free, length) for tree in every_tree(list(range(len(factors)))))
    assert ours == least


def test_many_factors_are_taken_pair_by_pair():
    factors = [frozenset([at, at + 1]) for at in range(30)]
    tree = contraction_tree(factors, frozenset([0, 30]), [7] * 31)
    assert cost_of(tree, factors, frozenset([0, 30]), [7] * 31) == 29 * (7**3 + 16 * 7**2)
    assert tree == _greedy(factors, frozenset([0, 30]), [7] * 31)


def symbols(*shapes):
    return [Symbol(f"a{at}", shape) for at, shape in enumerate(shapes)]


def test_a_common_factor_is_taken_out_and_the_rest_keeps_only_its_axes():
    x, p, q = symbols(("m", "n"), ("m",), ("m",))
    terms = [product([(x, (0, 1)), (one, (0,))], (0, 1)) for one in (p, q)]
    (found,) = factored([add([(1, terms[0]), (Fraction(-3), terms[1])], ("m", "n"))])
    assert isinstance(found, Product)
    (rest,) = [one for one, _ in found.factors if isinstance(one, Sum)]
    assert rest.shape == ("m",) and found.shape == ("m", "n")


@pytest.mark.parametrize("kind", ["derivative", "hessian"])
def test_values_stay_as_they_were(kind):
    found = derive(LOSS, "W", NET, kind=kind)
    (ours,) = factored([found.plain])
    generator = np.random.default_rng(0)
    sizes = {"N": 4, "n": 3, "h": 2, "c": 3}
    values = {one.name: generator.normal(size=[sizes[size] for size in one.shape]) for one in found.inputs}
    theirs = np.asarray(by_einsum(found.plain, values, sizes), float)
    assert relative(np.asarray(by_einsum(ours, values, sizes), float), theirs) < 1e-12
    assert found.check(1, digits=0).holds


def test_the_hessian_of_a_net_is_one_product_of_what_its_inputs_and_its_weights_give():
    """X ⊗ X and the part of the weights are made apart: N n² h² multiplications, where one product of all takes c times as many."""
    sizes = {"N": 400, "n": 20, "h": 20, "c": 5}
    found = derive(LOSS, "W", NET, kind="hessian", layout="denominator")
    parts = order(factored([found.tensor]))
    assert not any(isinstance(one, Sum) and one.rank > 3 for one in parts)
    lines = [line for line in found.code("torch", sizes=sizes).splitlines() if "einsum" in line]
    assert "'abc,dec->daeb'" in lines[-1]  # summed over N alone
