"""The embedded knowledge graph: what the Unicode CLDR knows of the world's territories, as Babel ships it.

Entities are territories, languages, currencies, scripts, time zones, time zone groups (metazones), areas and the groups of
territories whose conventions a locale inherits. Every id is `<kind>:<CLDR code>`, such as `territory:DE` or
`zone:Europe/Berlin`; `labels` has the English names. Facts, as head, relation, tail:

    territory  has_official_language   language    official, or so in fact
    territory  has_regional_language   language    official in a part of the territory
    territory  uses_language           language    spoken or written without official status
    territory  uses_currency           currency    legal tender today
    territory  used_currency           currency    legal tender once
    territory  lies_in                 area        Africa, America, Asia, Europe, ...: the areas of its time zones
    territory  inherits_locale_from    group or territory    Latin American Spanish, European English, ...
    language   is_written_in           script      its likely script, and others that CLDR knows
    zone       is_in                   territory
    zone       keeps_time_of           metazone    the group of zones that share a clock and its name

A fact is worth predicting when it follows from other facts rather than from itself said differently. So no relation is
the inverse of another; the three language relations exclude each other, as do the two of currency, so that a pair of
entities carries one fact only; and facts that are a join of two tables were left out (a territory's script, a language's
home territory, the area of a time zone). CLDR's own table of territory containment is not in Babel; `lies_in` and
`inherits_locale_from` stand for it.

The split is fixed by a hash of the pair, so that a fact stays in its split from one CLDR version to the next as long as
its neighbourhood does. `split_facts` says what it guarantees.

Source: Unicode CLDR, https://cldr.unicode.org, Unicode licence v3, through Babel, https://babel.pocoo.org.
"""

from __future__ import annotations

import functools
import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import babel
import numpy as np
from babel.core import Locale, get_global
from numpy.typing import NDArray

from offprints.triples import KnowledgeGraph, NamedTriple

OFFICIAL_RELATIONS = {
    "official": "has_official_language",
    "de_facto_official": "has_official_language",
    "official_regional": "has_regional_language",
    "": "uses_language",
}
_UNKNOWN_LANGUAGE = (
    "und"  # of uninhabited territories; a placeholder for every script in the table of scripts
)
_PLACEHOLDERS = frozenset(
    {"ZZ", "XA", "XB"}
)  # unknown region, home of Etc/UTC and the like, and two test locales
# The share of pairs proposed for valid and for test; a fifth of them returns to train, which leaves a tenth each.
_PROPOSED = 0.125


@dataclass(frozen=True)
class TerritoryLanguages:
    """Which share of a territory's people uses a language: an uncertain graph, one row a fact.

    Attributes:
        head: (facts,) territory ids.
        tail: (facts,) language ids.
        share: (facts,) float64 in [0, 1], share of the population that uses the language; shares of one territory may add
            up to more than 1, because people use several.
        official: (facts,) "official", "de_facto_official", "official_regional" or "".
    """

    head: tuple[str, ...]
    tail: tuple[str, ...]
    share: NDArray[np.float64]
    official: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.head)


def version() -> str:
    """The versions that the facts come from, such as "Babel 2.18.0, CLDR 47"; counts differ from one to the next."""
    return f"Babel {babel.__version__}, CLDR {get_global('cldr').get('version', 'unknown')}"


@functools.cache
def knowledge_graph() -> KnowledgeGraph:
    """The graph with its fixed split; the same for everybody with the same Babel.

    Returns:
        KnowledgeGraph called "cldr", with English labels; its one checksum is the sha256 of all facts in order.
    """
    everything = facts()
    text = "".join("\t".join(fact) + "\n" for fact in everything)
    train, valid, test = split_facts(everything)
    checksums = {"facts.tsv": hashlib.sha256(text.encode()).hexdigest()}
    return KnowledgeGraph.from_splits("cldr", train, valid, test, labels=labels(), checksums=checksums)


@functools.cache
def facts() -> tuple[NamedTriple, ...]:
    """All facts, sorted; a pair of head and tail stands once."""
    found: dict[tuple[str, str], str] = {}
    for head, relation, tail in _facts():
        found.setdefault((head, tail), relation)
    return tuple(sorted((head, relation, tail) for (head, tail), relation in found.items()))


def split_facts(
    everything: Sequence[NamedTriple], proposed: float = _PROPOSED
) -> tuple[list[NamedTriple], list[NamedTriple], list[NamedTriple]]:
    """Train, valid and test of the given facts, by a hash of each pair of entities.

    What it guarantees, whatever the facts are:
        - no fact is in two splits, and none is lost;
        - all facts of one pair of entities, in either direction and under any relation, are in one split, so that no
          test fact has its reverse or its double in train;
        - every entity and every relation is in train.

    Args:
        proposed: share of the pairs proposed for valid, and for test. A pair returns to train, in the order of the
            hashes, when it would take the last train fact from an entity or a relation.
    """
    pairs: defaultdict[tuple[str, ...], list[NamedTriple]] = defaultdict(list)
    for fact in everything:
        pairs[tuple(sorted((fact[0], fact[2])))].append(fact)
    place = {pair: _unit_hash("\t".join(pair)) for pair in pairs}
    in_train = {
        name for pair in pairs if place[pair] >= 2 * proposed for fact in pairs[pair] for name in fact
    }
    splits: tuple[list[NamedTriple], ...] = ([], [], [])
    for pair in sorted(pairs, key=place.__getitem__):
        names = {name for fact in pairs[pair] for name in fact}
        if place[pair] < 2 * proposed and names <= in_train:
            splits[1 if place[pair] < proposed else 2].extend(pairs[pair])
        else:
            in_train |= names
            splits[0].extend(pairs[pair])
    train, valid, test = (sorted(split) for split in splits)
    return train, valid, test


@functools.cache
def territory_languages() -> TerritoryLanguages:
    """The share of each territory's people that uses a language, and the language's standing there."""
    rows = sorted(
        (f"territory:{territory}", f"language:{language}", entry)
        for territory, languages in get_global("territory_languages").items()
        for language, entry in languages.items()
        if language != _UNKNOWN_LANGUAGE
    )
    return TerritoryLanguages(
        tuple(head for head, _, _ in rows),
        tuple(tail for _, tail, _ in rows),
        np.array([entry["population_percent"] for _, _, entry in rows], np.float64) / 100,
        tuple(entry["official_status"] or "" for _, _, entry in rows),
    )


@functools.cache
def labels() -> dict[str, str]:
    """English display names of every entity and relation; a code stands for itself where CLDR has no English name."""
    names: dict[str, str] = {}
    for head, relation, tail in facts():
        names |= {head: _english(head), tail: _english(tail), relation: relation.replace("_", " ")}
    return names


def counts() -> dict[str, Counter[str]]:
    """How many facts each relation has, for "all" and for each split."""
    splits = dict(zip(("all", "train", "valid", "test"), (facts(), *split_facts(facts())), strict=True))
    return {name: Counter(relation for _, relation, _ in split) for name, split in splits.items()}


def _facts() -> Iterator[NamedTriple]:
    yield from _language_facts()
    yield from _currency_facts()
    yield from _zone_facts()
    yield from _locale_facts()


def _language_facts() -> Iterator[NamedTriple]:
    table = territory_languages()
    for head, tail, official in zip(table.head, table.tail, table.official, strict=True):
        yield head, OFFICIAL_RELATIONS[official], tail
    languages = {tail.removeprefix("language:") for tail in table.tail}
    for tag in languages:
        if "_" in tag:  # az_Arab names a script of its own, and one more of az
            language, script = tag.split("_")
            for name in {tag, language} & languages:
                yield f"language:{name}", "is_written_in", f"script:{script}"
    for tag, full in get_global("likely_subtags").items():
        # az -> az_Latn_AZ gives its likely script, az_IR -> az_Arab_IR another.
        language, script = tag.split("_")[0], full.split("_")[1]
        if language in languages:
            yield f"language:{language}", "is_written_in", f"script:{script}"


def _currency_facts() -> Iterator[NamedTriple]:
    territories = _territories()
    for territory, currencies in get_global("territory_currencies").items():
        if territory not in territories:
            continue
        # Today's first: where a currency went and came back, the pair says that it is used.
        for code, _start, end, is_tender in sorted(currencies, key=lambda row: row[2] is not None):
            if is_tender:
                relation = "used_currency" if end is not None else "uses_currency"
                yield f"territory:{territory}", relation, f"currency:{code}"


def _zone_facts() -> Iterator[NamedTriple]:
    territories = _territories()
    for zone, territory in get_global("zone_territories").items():
        if territory in territories:
            yield f"zone:{zone}", "is_in", f"territory:{territory}"
            yield f"territory:{territory}", "lies_in", f"area:{zone.split('/')[0]}"
    today = get_global("zone_aliases")
    for zone, metazone in get_global("meta_zones").items():
        yield f"zone:{today.get(zone, zone)}", "keeps_time_of", f"metazone:{metazone}"


def _locale_facts() -> Iterator[NamedTriple]:
    territories = _territories()
    for locale, parent in get_global("parent_exceptions").items():
        child, source = locale.split("_")[-1], parent.split("_")[-1]
        if child not in territories or child == source:
            continue
        if source in territories:
            yield f"territory:{child}", "inherits_locale_from", f"territory:{source}"
        elif source.isdigit():
            yield f"territory:{child}", "inherits_locale_from", f"group:{source}"


@functools.cache
def _territories() -> frozenset[str]:
    """Codes of the territories of today: two letters and an English name."""
    named = (code for code in map(str, _locale().territories) if len(code) == 2 and code.isalpha())
    return frozenset(named) - _PLACEHOLDERS


@functools.cache
def _locale() -> Locale:
    return Locale("en")


def _unit_hash(text: str) -> float:
    """A number in [0, 1) that is the same in every process, on every machine."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big") / 2**48


def _english(entity: str) -> str:
    kind, code = entity.split(":", 1)
    locale = _locale()
    if kind in ("territory", "group"):
        return str(locale.territories.get(code, code))
    if kind == "language":
        language, _, script = code.partition("_")
        name = locale.languages.get(code) or locale.languages.get(language, language)
        written = script and code not in locale.languages
        return f"{name} ({locale.scripts.get(script, script)} script)" if written else name
    if kind == "currency":
        return str(locale.currencies.get(code, code))
    if kind == "script":
        return f"{locale.scripts.get(code, code)} script"
    if kind == "metazone":
        return _metazone_name(locale, code)
    if kind == "zone":
        city = locale.time_zones.get(code, {}).get("city", code.split("/")[-1].replace("_", " "))
        return f"{city} time zone"
    return f"{code} (area)"


def _metazone_name(locale: Locale, code: str) -> str:
    names = locale.meta_zones.get(code, {}).get("long", {})
    return names.get("generic") or names.get("standard") or f"{code.replace('_', ' ')} Time"
