"""Which entities a sequence of predicted tags holds: the strict rule, and that of the published program.

On well-formed tags both say the same up to the notation; a tagger that is free to predict ill-formed tags is judged differently.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TypeAlias

from offprints.errors import InputError

from lattice_lstm.tags import Span, split_tag

Found: TypeAlias = "list[Span] | list[str]"


def strict_spans(tags: Sequence[str], scheme: str = "BMES") -> list[Span]:
    """Entities whose tags are whole: B M* E or S of one type, or B I* in BIO; all else is none.

    Equal to seqeval's `mode="strict"` with IOBES and IOB2.

    Args:
        tags: of one sentence, well-formed or not.
        scheme: "BIO", or one with E and S.
    """
    spans: list[Span] = []
    start, inside = 0, ""
    closes = scheme != "BIO"
    for position, tag in enumerate((*tags, "O")):
        prefix, kind = split_tag(tag)
        if inside and prefix in "MIE" and kind == inside:
            if prefix == "E":
                spans.append(Span(start, position + 1, inside))
                inside = ""
            continue
        if inside and not closes:
            spans.append(Span(start, position, inside))
        inside = ""
        if prefix == "S":
            spans.append(Span(position, position + 1, kind))
        elif prefix == "B":
            start, inside = position, kind
    return spans


def published_spans(tags: Sequence[str], scheme: str = "BMES") -> list[str]:
    """Entities as the published program finds and writes them ("compat"): "[start,end]TYPE", end included, or "[start]TYPE".

    The type is that of B alone; M, I and O do not end an entity, an E of any type does; what is still open where the sentence ends is
    written as if it were one character. In BIO an I of another type ends an entity.
    """
    found: list[str] = []
    start, inside = 0, ""

    def close(last: int) -> None:
        if inside:
            found.append(f"[{start},{last}]{inside}")

    for position, tag in enumerate(tags):
        prefix, kind = split_tag(tag)
        if prefix in "BS":
            close(position - 1)
            start, inside = position, kind
            if prefix == "S":
                found.append(f"[{start}]{inside}")
                inside = ""
        elif scheme == "BIO" and (prefix == "O" or kind != inside):
            close(position - 1)
            inside = ""
        elif prefix == "E":
            close(position)
            inside = ""
    if inside:
        found.append(f"[{start}]{inside}")
    return found


RULES: dict[str, Callable[[Sequence[str], str], Sequence[Hashable]]] = {
    "strict": strict_spans,
    "compat": published_spans,
}
"""Name of a rule -> tags and scheme to entities."""


def rule_named(name: str) -> Callable[[Sequence[str], str], Sequence[Hashable]]:
    """A rule of `RULES`.

    Raises:
        InputError: there is no such rule.
    """
    if name not in RULES:
        raise InputError(f"entity rule {name!r} is unknown: one of {', '.join(RULES)}")
    return RULES[name]
