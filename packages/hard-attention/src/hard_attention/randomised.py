"""Random formulas, for exhaustive checks and benchmarks."""

from __future__ import annotations

import numpy as np

from offprints.errors import InputError

from hard_attention.formulas import Formula, Term, formula, integer, letter, term

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

    Raises:
        InputError: the depth is negative.
    """
    if depth < 0:
        raise InputError(f"depth={depth}: 0 or more is needed")
    if depth == 0 or rng.random() < 0.1:
        return _leaf(rng, letters, modular)
    options = {"past": past, "future": future, "modular": modular, "counting": counting}
    names = ["not", "and", "or", *(PAST if past else ()), *(FUTURE if future else ())]
    names += ["le", "lt", "eq"] * counting

    def below() -> Formula:
        return random_formula(rng, depth - 1, letters, **options)

    op = str(rng.choice(names))
    if op in ("le", "lt", "eq"):
        return formula(op, _term(rng, below()), _term(rng, below()))
    arguments = 1 if op in ("not", "Y", "P", "O", "H", "X", "Fs", "F", "G") else 2
    if op in ("and", "or"):
        arguments = int(rng.integers(2, 4))
    return formula(op, *(below() for _ in range(arguments)))


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
