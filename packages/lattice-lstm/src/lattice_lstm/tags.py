"""Tag schemes, entities as spans, and the way between them.

    BIO      B-PER I-PER O
    BMES     B-PER M-PER E-PER S-LOC O      (an I reads as M)
    BIOES    the same with I in the place of M

Inside the package every sentence is in BMES, as in the paper.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from offprints.errors import InputError

SCHEMES = ("BIO", "BMES", "BIOES")
OUTSIDE = "O"
_PREFIXES = {"BIO": "BI", "BMES": "BMIES", "BIOES": "BIES"}


class TagError(InputError):
    """A tag, or the place where it stands, does not fit the scheme."""


class Span(NamedTuple):
    """An entity.

    Attributes:
        start: position of its first character.
        end: position after its last one.
        type: such as "PER".
    """

    start: int
    end: int
    type: str


def split_tag(tag: str) -> tuple[str, str]:
    """Prefix and type of a tag; "O" has no type.

    Raises:
        TagError: it is neither O nor a letter, a hyphen and a type.
    """
    if tag == OUTSIDE:
        return OUTSIDE, ""
    prefix, hyphen, kind = tag.partition("-")
    if not (hyphen and kind and prefix in ("B", "M", "I", "E", "S")):
        raise TagError(f"tag {tag!r} is neither O nor one of B-, I-, M-, E-, S- and a type")
    return prefix, kind


def detect_scheme(tags: Iterable[str]) -> str:
    """The scheme that a set of tags is of; a set that would do for several is BIO.

    Raises:
        TagError: a tag is none.
    """
    prefixes = {split_tag(tag)[0] for tag in tags}
    if "M" in prefixes:
        return "BMES"
    if prefixes & {"E", "S"}:
        return "BIOES" if "I" in prefixes else "BMES"
    return "BIO"


def spans_of_tags(tags: Sequence[str], scheme: str) -> list[Span]:
    """The entities of well-formed tags.

    Args:
        tags: of one sentence.
        scheme: one of `SCHEMES`.

    Raises:
        TagError: a tag does not fit the scheme, or what stands before it; names its position, from 1.
    """
    if (wrong := next(ill_formed(tags, scheme), None)) is not None:
        raise TagError(f"position {wrong[0] + 1}: {wrong[1]}")
    return lenient_spans(tags)


def ill_formed(tags: Sequence[str], scheme: str) -> Iterator[tuple[int, str]]:
    """Every position, from 0, where tags break their scheme, and what is wrong there.

    Raises:
        InputError: there is no such scheme.
    """
    if scheme not in SCHEMES:
        raise InputError(f"tag scheme {scheme!r} is unknown: one of {', '.join(SCHEMES)}")
    known, closes = _PREFIXES[scheme], scheme != "BIO"
    inside = ""  # the type of the entity that is open
    for position, tag in enumerate((*tags, OUTSIDE)):
        try:
            prefix, kind = split_tag(tag)
        except TagError as error:
            yield position, str(error)
            inside = ""
            continue
        goes_on = prefix in "MIE"
        at_end = position == len(tags)
        if prefix != OUTSIDE and prefix not in known:
            yield position, f"tag {tag!r} does not belong to {scheme}"
        elif goes_on and kind != inside:
            yield position, f"tag {tag!r} follows no B-{kind}"
        elif closes and inside and not goes_on:
            what = "the sentence ends" if at_end else f"tag {tag!r} stands"
            yield position - at_end, f"{what} before the E-{inside} of an entity that is open"
        inside = kind if prefix in "BMI" else ""


def lenient_spans(tags: Sequence[str], runs: bool = False) -> list[Span]:
    """The entities of any tags: one ends where none of its type goes on.

    Args:
        tags: of one sentence; well-formed ones give what they say.
        runs: an M, I or E begins an entity where nothing of its type is open, so that every run of a type is one; without, only B and S
            begin one and such a tag counts as O, as the published program counts.
    """
    begins = "BSMIE" if runs else "BS"
    spans: list[Span] = []
    start, inside = 0, ""
    for position, tag in enumerate((*tags, OUTSIDE)):
        prefix, kind = split_tag(tag)
        if inside and (prefix not in "MIE" or kind != inside):
            spans.append(Span(start, position, inside))
            inside = ""
        if prefix in begins and not inside:
            start, inside = position, kind
        if inside and prefix in "ES":
            spans.append(Span(start, position + 1, inside))
            inside = ""
    return spans


def tags_of_spans(spans: Iterable[Span], length: int, scheme: str = "BMES") -> list[str]:
    """Tags of a sentence of so many characters.

    Raises:
        InputError: spans overlap, or lie outside the sentence, or there is no such scheme.
    """
    if scheme not in SCHEMES:
        raise InputError(f"tag scheme {scheme!r} is unknown: one of {', '.join(SCHEMES)}")
    tags = [OUTSIDE] * length
    for start, end, kind in spans:
        if not 0 <= start < end <= length:
            raise InputError(
                f"entity {kind} at {start}:{end} does not lie in a sentence of {length} characters"
            )
        if any(tag != OUTSIDE for tag in tags[start:end]):
            raise InputError(f"entity {kind} at {start}:{end} overlaps another one")
        if end - start == 1 and scheme != "BIO":
            tags[start] = f"S-{kind}"
            continue
        middle = "M" if scheme == "BMES" else "I"
        tags[start:end] = [f"B-{kind}", *[f"{middle}-{kind}"] * (end - start - 1)]
        if scheme != "BIO":
            tags[end - 1] = f"E-{kind}"
    return tags


def allowed_transitions(names: Sequence[str]) -> tuple[list[list[bool]], list[bool], list[bool]]:
    """What may follow what in well-formed BMES.

    Args:
        names: the K tags.

    Returns:
        (K, K) from row to column; (K,) may begin a sentence; (K,) may end one.
    """
    parts = [split_tag(name) for name in names]
    opens = [prefix in "BMI" for prefix, _ in parts]
    goes_on = [prefix in "MIE" for prefix, _ in parts]
    between = [
        [opens[a] == goes_on[b] and (not opens[a] or parts[a][1] == parts[b][1]) for b in range(len(parts))]
        for a in range(len(parts))
    ]
    return between, [not one for one in goes_on], [not one for one in opens]
