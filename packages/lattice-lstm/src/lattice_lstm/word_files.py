"""Files of words, read in blocks: a word a line, or the first column of lines such as jieba's and word2vec's.

A list of 700,000 Python strings takes 50 MB and a second; here a word never becomes one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from offprints.content import open_content, unpacking
from offprints.errors import InputError, MalformedLine, MissingFile

from lattice_lstm.compiled import compiled
from lattice_lstm.trie import Codes, Ints

FORMATS = ("auto", "plain", "columns")
_BLOCK = 1 << 22
_LOOKED_AT = 100
_MARK = b"\xef\xbb\xbf"


def read_word_file(path: str | Path, format: str = "auto") -> tuple[Codes, Ints]:
    """The words of a file, plain or as .gz.

    Args:
        path: UTF-8.
        format: "plain", a word a line; "columns", the word is what stands before the first space or tab, as in jieba's dictionaries
            (word, frequency, part of speech) and word2vec's text, whose first line may hold two numbers; "auto" takes "columns"
            where every line of the first hundred has a number in its second column.

    Returns:
        (C,) code points of all words, one word after the other; (n+1,) where each begins.

    Raises:
        InputError: there is no such format.
        MissingFile: there is no such file.
        MalformedLine: a line is no UTF-8.
        CorruptFile: a gzip file is truncated or damaged.
    """
    if format not in FORMATS:
        raise InputError(f"format={format!r} is unknown: one of {', '.join(FORMATS)}")
    path = Path(path)
    if not path.is_file():
        raise MissingFile(f"no file {path}")
    parts, lengths = [np.zeros(0, np.uint32)], [np.zeros(0, np.int64)]
    columns, first = format == "columns", True
    for text in _blocks(path):
        if first:
            lines = text.split("\n", _LOOKED_AT)[:_LOOKED_AT]
            columns = columns or (format == "auto" and _have_columns(lines))
            if columns and _is_header(lines[0]):
                text = text[len(lines[0]) :]
            first = False
        codes = np.frombuffer(text.encode("utf-32-le"), np.uint32)
        words, sizes = np.empty(len(codes), np.uint32), np.empty(text.count("\n") + 1, np.int64)
        filled, count = _take_words(codes, columns, words, sizes)
        parts.append(words[:filled].copy())
        lengths.append(sizes[:count])
    return np.concatenate(parts), np.concatenate([[0], np.cumsum(np.concatenate(lengths))]).astype(np.int64)


def _blocks(path: Path) -> Iterator[str]:
    """The text in blocks of whole lines."""
    rest, line, begun = b"", 1, False
    with unpacking(path), open_content(path, path.name.removesuffix(".gz")) as stream:
        while True:
            read = stream.read(_BLOCK)
            block, newline, after = (rest + read).rpartition(b"\n")
            block, rest = (block + newline, after) if read else (rest, b"")
            if not begun:
                block, begun = block.removeprefix(_MARK), bool(block)
            try:
                text = block.decode()
            except UnicodeDecodeError as error:
                where = line + block.count(b"\n", 0, error.start)
                raise MalformedLine(path, where, f"not UTF-8 ({error.reason})") from None
            line += block.count(b"\n")
            if text:
                yield text
            if not read:
                return


@compiled
def _is_space(code: int) -> bool:
    return code == 32 or code == 9 or code == 13 or code == 10


@compiled
def _take_words(codes: Codes, columns: bool, words: Codes, sizes: Ints) -> tuple[int, int]:
    """Copy the word of every line; returns how many code points and how many words were."""
    filled = count = at = 0
    while at < len(codes):
        while at < len(codes) and _is_space(codes[at]):
            at += 1
        begin = at
        while at < len(codes) and codes[at] != 10 and not (columns and _is_space(codes[at])):
            at += 1
        end = at
        while end > begin and _is_space(codes[end - 1]):
            end -= 1
        if end > begin:
            words[filled : filled + end - begin] = codes[begin:end]
            filled += end - begin
            sizes[count] = end - begin
            count += 1
        while at < len(codes) and codes[at] != 10:
            at += 1
    return filled, count


def _have_columns(lines: list[str]) -> bool:
    rows = [fields for line in lines if (fields := line.split(maxsplit=2))]
    return bool(rows) and all(len(fields) > 1 and _is_number(fields[1]) for fields in rows)


def _is_header(line: str) -> bool:
    """Whether a line says how many words and numbers follow, as word2vec's first one."""
    fields = line.split()
    return len(fields) == 2 and all(field.isdecimal() for field in fields)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
