"""The embedded alignment task: the CLDR graph twice, once in English and once in Chinese, with different facts missing.

Every fact is kept in each copy with a given probability, independently of the other copy, so that no copy contains the
other. Names play no part in the alignment; they are for people to read what was found.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from babel.core import Locale

from offprints import cldr
from offprints.errors import InputError
from offprints.triples import KnowledgeGraph, NamedTriple

from ke_gcn.pairs import AlignmentData

_RELATIONS = {
    "has_official_language": "官方语言",
    "has_regional_language": "地区官方语言",
    "uses_language": "使用语言",
    "uses_currency": "使用货币",
    "used_currency": "曾用货币",
    "lies_in": "地处",
    "inherits_locale_from": "区域设置继承自",
    "is_written_in": "书写文字",
    "is_in": "位于",
    "keeps_time_of": "遵循时间",
}


def cldr_twins(keep: float = 0.9, seed: int = 0) -> AlignmentData:
    """Two copies of the CLDR graph; entities and relations that both have are the pairs.

    Args:
        keep: probability that a copy has a fact.
        seed: of what is missing.

    Raises:
        InputError: `keep` is not in (0, 1].
    """
    if not 0 < keep <= 1:
        raise InputError(f"keep={keep} must be in (0, 1]")
    rng = np.random.default_rng(seed)
    facts = cldr.facts()
    copies: list[list[NamedTriple]] = []
    for language in ("en", "zh"):
        kept = rng.random(len(facts)) < keep
        # Ids must not give the other copy away: they are those of a shuffled list of facts.
        chosen = [facts[i] for i in rng.permutation(np.flatnonzero(kept))]
        copies.append([tuple(f"{language}:{name}" for name in fact) for fact in chosen])  # type: ignore[misc]
    english, chinese = (
        KnowledgeGraph.from_splits(f"cldr-{language}", copy, labels=labels)
        for language, copy, labels in zip(("en", "zh"), copies, (_english(), _chinese()), strict=True)
    )
    pairs = [
        [(f"en:{name}", f"zh:{name}") for name in names if f"zh:{name}" in there]
        for names, there in (
            (sorted(n[3:] for n in english.entities.names), chinese.entities),
            (sorted(n[3:] for n in english.relations.names), chinese.relations),
        )
    ]
    checksums = cldr.knowledge_graph().checksums
    return AlignmentData.merge("cldr-twins", english, chinese, pairs[0], pairs[1], checksums=checksums)


def _english() -> dict[str, str]:
    return {f"en:{name}": label for name, label in cldr.labels().items()}


def _chinese() -> dict[str, str]:
    """Chinese names where CLDR has one, the English one elsewhere."""
    locale = Locale("zh")
    tables: dict[str, Mapping[str, str]] = {
        "territory": locale.territories,
        "group": locale.territories,
        "language": locale.languages,
        "currency": locale.currencies,
        "script": locale.scripts,
    }
    labels = {}
    for name, english in cldr.labels().items():
        kind, _, code = name.partition(":")
        if kind == "zone":
            found = locale.time_zones.get(code, {}).get("city")
        elif kind == "metazone":
            found = locale.meta_zones.get(code, {}).get("long", {}).get("standard")
        else:
            found = tables.get(kind, {}).get(code)
        labels[f"zh:{name}"] = str(found or _RELATIONS.get(name) or english)
    return labels
