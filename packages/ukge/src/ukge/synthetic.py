"""Random facts of any size, for timings and tests; nothing is to be learnt from them."""

from __future__ import annotations

import numpy as np

from offprints.errors import InputError

from ukge.facts import Facts


def random_facts(count: int, entities: int = 20, relations: int = 3, seed: int = 0) -> Facts:
    """Distinct facts, uniform over all, with confidences uniform over [0.1, 1].

    Raises:
        InputError: there are not so many facts.
    """
    possible = entities * entities * relations
    if count > possible:
        raise InputError(f"{count} facts asked for, but there are {possible}")
    draw = np.random.default_rng(seed)
    if possible < 4 * count:
        keys = draw.permutation(possible)[:count]
    else:
        # Drawing twice as many leaves enough when repeats are removed, without a list of all that is possible.
        keys = draw.permutation(np.unique(draw.integers(0, possible, 2 * count)))[:count]
    pairs, relation = np.divmod(keys, relations)
    return Facts.of(pairs // entities, relation, pairs % entities, draw.uniform(0.1, 1.0, count))
