"""Random formulas and random hard networks, for exhaustive checks, surveys and benchmarks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from offprints.errors import InputError

from hard_attention.formulas import Formula, Term, formula, integer, letter, term
from hard_attention.networks import GivenHead, GivenLayer, Network

PAST = ("S", "Sn", "Y", "P", "O", "H")
FUTURE = ("U", "Un", "X", "Fs", "F", "G")


def random_formula(
    rng: np.random.Generator,
    depth: int,
    letters: str,
    *,
    past: bool = True,
    future: bool = True,
    modular: bool = True,
    counting: bool = False,
    lookups: bool = False,
) -> Formula:
    """A formula whose operators are nested at most `depth` deep.

    Args:
        rng: the randomness.
        depth: 0 gives a letter, a place or a constant.
        letters: of the alphabet.
        past: use operators of the past.
        future: use operators of the future.
        modular: use (mod r m), first and last.
        counting: use comparisons of counts.
        lookups: use `at`.

    Raises:
        InputError: the depth is negative.
    """
    if depth < 0:
        raise InputError(f"depth={depth}: 0 or more is needed")
    if depth == 0 or rng.random() < 0.1:
        return _leaf(rng, letters, modular)
    options = {
        "past": past,
        "future": future,
        "modular": modular,
        "counting": counting,
        "lookups": lookups,
    }
    names = ["not", "and", "or", *(PAST if past else ()), *(FUTURE if future else ())]
    names += ["le", "lt", "eq"] * counting + ["at"] * 2 * lookups

    def below() -> Formula:
        return random_formula(rng, depth - 1, letters, **options)

    op = str(rng.choice(names))
    if op in ("le", "lt", "eq"):
        return formula(op, _term(rng, below()), _term(rng, below()))
    if op == "at":
        place = term("pos") * int(rng.integers(-1, 3)) + term("len") * int(rng.integers(2))
        return formula("at", place + integer(int(rng.integers(-2, 3))), below())
    arguments = 1 if op in ("not", "Y", "P", "O", "H", "X", "Fs", "F", "G") else 2
    if op in ("and", "or"):
        arguments = int(rng.integers(2, 4))
    return formula(op, *(below() for _ in range(arguments)))


def random_network(
    rng: np.random.Generator, ties: str = "average", layers: int = 2, mask: str = "none"
) -> Network:
    """A hard network of width 4 with two heads a layer and small whole or half weights, so that scores tie now and then.

    Args:
        rng: the randomness.
        ties: average, leftmost or rightmost.
        layers: how many.
        mask: of all heads.
    """

    def whole(*shape: int) -> NDArray[np.float64]:
        return rng.integers(-2, 3, shape).astype(float)

    made = []
    for _ in range(layers):
        heads = tuple(GivenHead(whole(2, 4), whole(2, 4), whole(4, 4) / 2, mask) for _ in range(2))
        made.append(GivenLayer(heads, whole(3, 4) / 4, whole(3), whole(4, 3) / 4, whole(4) / 2))
    return Network(tuple(made), ties)


def _leaf(rng: np.random.Generator, letters: str, modular: bool) -> Formula:
    kind = rng.random()
    if modular and kind < 0.2:
        modulus = int(rng.integers(2, 4))
        places = [
            formula("first"),
            formula("last"),
            formula("mod", value=(int(rng.integers(modulus)), modulus)),
        ]
        return places[int(rng.integers(3))]
    if kind > 0.95:
        return formula("top" if rng.random() < 0.5 else "bot")
    return letter(str(rng.choice(list(letters))))


def _term(rng: np.random.Generator, counted: Formula) -> Term:
    kind = int(rng.integers(6))
    if kind < 3:
        base = term(("cl", "cr", "call")[kind], counted)
    else:
        base = (term("pos"), term("len"), integer(int(rng.integers(-2, 5))))[kind - 3]
    if rng.random() < 0.3:
        base = base * int(rng.integers(-2, 4))
    if rng.random() < 0.3:
        base = base + term("call", counted)
    return base
