"""The embedded uncertain graph: which share of a territory's people uses a language.

CLDR states these shares itself, so the confidence of (Switzerland, has official language, French) is a measured quantity and
not the output of another model. What else CLDR knows of territories and languages (areas, scripts, currencies, locales)
joins the training facts with confidence 1, and says which territories and languages are alike.
"""

from __future__ import annotations

import functools
import hashlib

import numpy as np

from offprints import cldr
from offprints.triples import Vocabulary

from ukge.facts import Facts
from ukge.graph import UncertainGraph

CONTEXT = ("lies_in", "is_written_in", "uses_currency", "inherits_locale_from")
_STRONG = 0.5  # of the people, at least


@functools.cache
def language_shares() -> UncertainGraph:
    """The graph with its fixed split: a tenth of the pairs of territory and language each for valid and test.

    Returns:
        UncertainGraph called "cldr"; its one checksum is the sha256 of all facts and shares in order.

    Source: Unicode CLDR through Babel; see `offprints.cldr`.
    """
    table = cldr.territory_languages()
    shares = {
        (head, cldr.OFFICIAL_RELATIONS[official], tail): float(np.clip(share, 0, 1))
        for head, tail, share, official in zip(
            table.head, table.tail, table.share, table.official, strict=True
        )
    }
    context = [fact for fact in cldr.facts() if fact[1] in CONTEXT]
    train, valid, test = cldr.split_facts(sorted(shares))
    rows = [[*((*fact, 1.0) for fact in context), *((*fact, shares[fact]) for fact in train)]]
    rows += [[(*fact, shares[fact]) for fact in split] for split in (valid, test)]
    names = {name: None for split in rows for head, _, tail, _ in split for name in (head, tail)}
    entities = Vocabulary("entity", tuple(names))
    relations = Vocabulary(
        "relation", tuple({relation: None for split in rows for _, relation, _, _ in split})
    )
    train_facts, valid_facts, test_facts = (
        Facts.of(
            entities.ids([row[0] for row in split]),
            relations.ids([row[1] for row in split]),
            entities.ids([row[2] for row in split]),
            [row[3] for row in split],
        )
        for split in rows
    )
    text = "".join(f"{h}\t{r}\t{t}\t{s:.6f}\n" for split in rows for h, r, t, s in split)
    return UncertainGraph(
        "cldr",
        entities,
        relations,
        train_facts,
        valid_facts,
        test_facts,
        strong=_STRONG,
        labels=cldr.labels(),
        checksums={"shares.tsv": hashlib.sha256(text.encode()).hexdigest()},
    )
