"""Sentences with tags, and the files they are read from: a character and its tag a line, a blank line between sentences."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from offprints.content import open_content, unpacking
from offprints.errors import DataError, InputError, MalformedLine, MissingFile

from lattice_lstm.tags import (
    Span,
    TagError,
    detect_scheme,
    ill_formed,
    lenient_spans,
    split_tag,
    tags_of_spans,
)

_ILL_FORMED = ("refuse", "drop", "runs")
_SPACE_OR_TAB = re.compile(r"[ \t]")


@dataclass(frozen=True)
class Sentence:
    """A tagged sentence.

    Attributes:
        characters: (n,) usually of one code point each.
        tags: (n,) in BMES.
        segments: (n,) B, M, E or S of an automatic word segmentation that the file brings; None without one.
    """

    characters: tuple[str, ...]
    tags: tuple[str, ...]
    segments: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.characters)

    @property
    def text(self) -> str:
        return "".join(self.characters)

    @property
    def spans(self) -> list[Span]:
        return lenient_spans(self.tags)


@dataclass(frozen=True)
class Corpus:
    """Sentences in three splits.

    Attributes:
        name: for tables and results.
        train: to learn from.
        valid: to choose the epoch by.
        test: to measure once.
        checksums: file -> sha256 of its content.
    """

    name: str
    train: tuple[Sentence, ...]
    valid: tuple[Sentence, ...]
    test: tuple[Sentence, ...]
    checksums: dict[str, str] = field(default_factory=dict)

    def split(self, name: str) -> tuple[Sentence, ...]:
        """The sentences of "train", "valid" or "test".

        Raises:
            InputError: there is no such split.
        """
        if name not in ("train", "valid", "test"):
            raise InputError(f"there is no split {name!r}: train, valid or test")
        found: tuple[Sentence, ...] = getattr(self, name)
        return found

    @property
    def tags(self) -> tuple[str, ...]:
        """Every tag that well-formed sentences with the types of train can have: O, and B, M, E, S of each type."""
        types = sorted({span.type for sentence in self.train for span in sentence.spans})
        return ("O", *(f"{prefix}-{kind}" for kind in types for prefix in "BMES"))


def entity_counts(sentences: Iterable[Sentence]) -> dict[str, int]:
    """Number of entities of each type."""
    counts = Counter(span.type for sentence in sentences for span in sentence.spans)
    return dict(sorted(counts.items()))


def read_conll(
    path: str | Path,
    *,
    scheme: str | None = None,
    segment_digits: bool = False,
    ill_formed_tags: str = "refuse",
    undecodable: str = "strict",
) -> list[Sentence]:
    """Read a file of characters and tags, plain or as .gz.

    Args:
        path: UTF-8, a character, a tab or space, and a tag a line; the last sentence needs no blank line after it.
        scheme: "BIO", "BMES" or "BIOES"; None tells by the tags of the file.
        segment_digits: each character has a number after it, its place in an automatic word from 0, as in the revised Weibo files.
        ill_formed_tags: what to do with tags that break the scheme: "refuse" them; "drop" those that go on without a beginning, as the
            published program does; "runs" takes every run of one type for an entity.
        undecodable: what to do with bytes that are no UTF-8: "strict" refuses, "replace" puts U+FFFD.

    Returns:
        Sentences in BMES.

    Raises:
        MissingFile: there is no such file.
        CorruptFile: a gzip file is truncated or damaged.
        MalformedLine: with the line, and what is wrong with it.
        DataError: the file holds no sentence.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFile(f"no file {path}")
    with unpacking(path), open_content(path, path.name.removesuffix(".gz")) as stream:
        raw = stream.read()
    return parse_conll(
        raw,
        str(path),
        scheme=scheme,
        segment_digits=segment_digits,
        ill_formed_tags=ill_formed_tags,
        undecodable=undecodable,
    )


def parse_conll(
    raw: bytes,
    name: str,
    *,
    scheme: str | None = None,
    segment_digits: bool = False,
    ill_formed_tags: str = "refuse",
    undecodable: str = "strict",
) -> list[Sentence]:
    """`read_conll` for content that is read already; `name` is what messages call it."""
    if ill_formed_tags not in _ILL_FORMED:
        raise InputError(f"ill_formed_tags={ill_formed_tags!r} is unknown: one of {', '.join(_ILL_FORMED)}")
    blocks = list(_blocks(raw, name, segment_digits, undecodable))
    if not blocks:
        raise DataError(f"{name} holds no sentence")
    scheme = scheme or detect_scheme({tag for block in blocks for tag in block.tags})
    sentences = []
    for block in blocks:
        wrong = next(ill_formed(block.tags, scheme), None) if ill_formed_tags == "refuse" else None
        if wrong is not None:
            reason = f'{wrong[1]} ({scheme}); ill_formed_tags="drop" or "runs" would read it'
            raise MalformedLine(name, block.lines[wrong[0]], reason)
        spans = lenient_spans(block.tags, runs=ill_formed_tags == "runs")
        segments = tuple(_segments(block.places)) if segment_digits else None
        tags = tuple(tags_of_spans(spans, len(block.tags)))
        sentences.append(Sentence(tuple(block.characters), tags, segments))
    return sentences


def write_conll(sentences: Iterable[Sequence[tuple[str, str]]]) -> str:
    """Characters and tags as text that `read_conll` reads."""
    return "".join("".join(f"{char}\t{tag}\n" for char, tag in sentence) + "\n" for sentence in sentences)


def only_types(sentences: Iterable[Sentence], ending: str) -> tuple[Sentence, ...]:
    """The same sentences with the entities alone whose type ends so, such as ".NAM" of Weibo."""
    return tuple(
        replace(
            one,
            tags=tuple(tags_of_spans([span for span in one.spans if span.type.endswith(ending)], len(one))),
        )
        for one in sentences
    )


@dataclass
class _Block:
    """The lines of one sentence."""

    characters: list[str] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)


def _blocks(raw: bytes, name: str, segment_digits: bool, undecodable: str) -> Iterator[_Block]:
    block = _Block()
    # Split at line feeds alone: a character of the text may be another kind of line end.
    for number, line in enumerate(raw.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        try:
            text = line.decode("utf-8", undecodable).removesuffix("\r")
        except UnicodeDecodeError as error:
            raise MalformedLine(name, number, f"not UTF-8 ({error.reason})") from None
        if not text.strip(" \t"):
            if block.tags:
                yield block
                block = _Block()
            continue
        _add(block, text, name, number, segment_digits)
    if block.tags:
        yield block


def _add(block: _Block, text: str, name: str, number: int, segment_digits: bool) -> None:
    cut = max(text.rfind(" "), text.rfind("\t"))
    char, tag = text[: max(cut, 0)], text[cut + 1 :]
    if not char or not tag:
        raise MalformedLine(name, number, f"expected a character, a tab or space, and a tag; found {text!r}")
    if len(char) > 1 and _SPACE_OR_TAB.search(char):
        raise MalformedLine(name, number, f"expected two columns, found more: {text!r}")
    if segment_digits:
        after = block.places[-1] + 1 if block.places else 0
        # After the tenth character of a segment the place has two digits: "e10" is an e, "10" a 1 that begins a segment.
        fitting = [place for place in (after, 0) if char.endswith(str(place)) and char != str(place)]
        if not fitting and len(char) == 2 and char[-1] in "123456789" and int(char[-1]) > after:
            fitting = [int(char[-1])]  # a character of the segment is missing, as once in the published files
        if not fitting:
            raise MalformedLine(
                name, number, f"{char!r} is not a character and its place {after} or 0 in a segment"
            )
        block.places.append(fitting[0])
        char = char.removesuffix(str(fitting[0]))
    try:
        split_tag(tag)
    except TagError as error:
        raise MalformedLine(name, number, str(error)) from None
    block.characters.append(char)
    block.tags.append(tag)
    block.lines.append(number)


def _segments(places: Sequence[int]) -> Iterator[str]:
    """Positions within words as B, M, E, S; a word begins at each 0."""
    for here, after in zip(places, [*places[1:], 0], strict=True):
        first, last = here == 0, after == 0
        yield "S" if first and last else "B" if first else "E" if last else "M"
