"""False facts to measure with, drawn as those of the published test files are.

The paper calls them random. Counted, the files keep the relation and the tail of a fact and take the head from the ends of all facts, so
that an entity with many facts comes often: on CN15k the mean of log(1 + degree) is 3.98 over their heads, 3.98 over the ends of the training
facts and 2.85 over the entities. Uniform heads are easier to tell, and validation with them chooses models that do worse on test.
"""

from __future__ import annotations

import numpy as np

from ukge.facts import Facts, Keys, contained


def false_facts(
    facts: Facts, train: Facts, known: Keys, num_entities: int, seed: int, rounds: int = 20
) -> Facts:
    """As many false facts, with an end of a training fact as their head and confidence 0.

    Args:
        facts: to corrupt; relation and tail stay.
        train: whose heads and tails are drawn from, each as often as it stands there.
        known: (m,) int64, sorted; keys that no negative may have. A draw that has one is repeated.
        num_entities: N.
        seed: of the draws.
        rounds: draws at most; what still is a known fact then is left out.
    """
    draw = np.random.default_rng(seed)
    ends = np.concatenate([train.head, train.tail])
    made = Facts(facts.head.copy(), facts.relation, facts.tail, np.zeros(len(facts)))
    wrong = np.ones(len(facts), bool)
    for _ in range(rounds):
        made.head[wrong] = draw.choice(ends, int(wrong.sum()))
        wrong = contained(made.keys(num_entities), known)
        if not wrong.any():
            break
    return made[~wrong]
