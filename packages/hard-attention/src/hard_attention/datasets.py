"""Strings with labels: generated corpora, and two recorded ones.

`generated_corpus` needs no file. `formal-languages` holds labelled strings of 28 languages up to length 192; `alternating-blocks` the strings
and labels of every prefix that a study of depth in C-RASP (arXiv 2506.16055) published.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from offprints.content import csv_rows, decoded, open_content, parse_json
from offprints.data import DataFile, Dataset
from offprints.errors import DataError, InputError, MalformedLine, naming

from hard_attention.languages import language, languages
from hard_attention.samplers import blocks

BLOCKS = (3, 4, 5, 6, 8, 10, 12)


@dataclass(frozen=True)
class Part:
    """Strings of one language.

    Attributes:
        language: its name.
        alphabet: its letters.
        formula: prefix text.
        strings: of any lengths, none empty.
        last: for each string whether it is a member; None where `every` is there.
        every: for each string the label of each prefix; None where `last` is there.
    """

    language: str
    alphabet: str
    formula: str
    strings: tuple[str, ...]
    last: tuple[bool, ...] | None = None
    every: tuple[tuple[bool, ...], ...] | None = None


@dataclass(frozen=True)
class Corpus:
    """Parts, and where they come from.

    Attributes:
        name: of the data set.
        checksums: file -> sha256; empty for what is generated.
        parts: one for each language.
    """

    name: str
    checksums: Mapping[str, str]
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class FormalLanguages(Dataset):
    """20,354 labelled strings of 28 languages."""

    def corpus(self, root: str | Path | None = None) -> Corpus:
        """Read and check it.

        Args:
            root: folder of data sets; None takes $OFFPRINTS_DATA, else the user's cache.

        Raises:
            MissingFile: a file is not there.
            ChecksumMismatch: a file is not the recorded one.
            DataError: a line or an entry does not read as it should.
        """
        paths = self.locate(root)
        described = _described(_content(paths, "languages.json"), paths["languages.json"])
        rows: dict[str, list[tuple[str, bool]]] = {name: [] for name in described}
        path = paths["languages.tsv"]
        lines = csv_rows(decoded(_content(paths, "languages.tsv"), path), path, "\t")
        next(lines, None)  # the names of the columns
        for number, row in lines:
            whole = len(row) == 4 and row[0] in rows and row[1] == str(len(row[2]))
            if not whole or row[3] not in ("0", "1"):
                raise MalformedLine(path, number, "not language, length, string and label")
            rows[row[0]].append((row[2], row[3] == "1"))
        parts = [
            Part(name, alphabet, formula, tuple(s for s, _ in rows[name]), tuple(y for _, y in rows[name]))
            for name, (alphabet, formula) in described.items()
        ]
        return Corpus(self.name, _checksums(self), tuple(parts))


@dataclass(frozen=True)
class AlternatingBlocks(Dataset):
    """Strings of k alternating blocks, each with the label of every prefix."""

    def corpus(self, root: str | Path | None = None, most: int | None = None) -> Corpus:
        """Read and check it.

        Args:
            root: folder of data sets; None takes $OFFPRINTS_DATA, else the user's cache.
            most: strings of each file, the first ones, 1 or more; None takes all 2,000.

        Raises:
            InputError: `most` is not positive.
            MissingFile: a file is not there.
            ChecksumMismatch: a file is not the published one.
            DataError: a line does not read as it should.
        """
        if most is not None and most < 1:
            raise InputError(f"most={most}: 1 string of each file or more is needed")
        paths = self.locate(root)
        parts = []
        for name in sorted(file.name for file in self.files if file.name.endswith("_src.txt")):
            sources, targets = (
                decoded(_content(paths, file), paths[file]).splitlines()
                for file in (name, name.replace("_src", "_tgt"))
            )
            if len(sources) != len(targets):
                raise DataError(f"{paths[name]}: {len(sources)} strings and {len(targets)} rows of labels")
            for number, (string, labels) in enumerate(zip(sources, targets, strict=True), 1):
                if not string or len(string) != len(labels) or set(labels) - set("01"):
                    raise MalformedLine(paths[name], number, "not a string with a label for each letter")
            k = int(name[1 : name.index("_")])
            kept = slice(most)
            every = tuple(tuple(label == "1" for label in row) for row in targets[kept])
            parts.append(
                Part(name.removesuffix("_src.txt"), "ab", blocks(k)[0], tuple(sources[kept]), None, every)
            )
        return Corpus(self.name, _checksums(self), tuple(parts))


def generated_corpus(
    seed: int,
    lengths: Sequence[int] = (6, 12, 24, 48, 96),
    count: int = 10,
    names: Sequence[str] | None = None,
) -> Corpus:
    """Members, near misses and random strings of every language, labelled by direct tests.

    Args:
        seed: of the strings.
        lengths: 1 or more each.
        count: most of each kind, language and length.
        names: languages; None takes all.

    Raises:
        InputError: a language is unknown, or a length or count is not positive.
    """
    if count < 1 or any(n < 1 for n in lengths) or not lengths:
        raise InputError(f"count={count} and lengths={list(lengths)} must be positive")
    rng = np.random.default_rng(seed)
    parts = []
    for found in languages(names):
        strings = [s for n in lengths for s in found.strings(rng, n, count)]
        labels = tuple(found.member(s) for s in strings)
        parts.append(Part(found.name, found.alphabet, found.formula, tuple(strings), labels))
    return Corpus("generated", {}, tuple(parts))


def _described(text: bytes, path: Path) -> dict[str, tuple[str, str]]:
    """Name -> alphabet and formula; five languages were recorded without one, and this package has its own for them."""
    entries = parse_json(text, path)
    try:
        with naming(path):
            found = {
                str(e["name"]): (str(e["sigma"]), e["formula"] or language(e["name"]).formula)
                for e in entries
            }
        if wrong := [name for name, (_, formula) in found.items() if not isinstance(formula, str)]:
            raise TypeError(f"the formula of {wrong[0]} is no text")
        return found
    except (KeyError, TypeError) as error:
        raise DataError(f"{path} is not a list of languages: {type(error).__name__}: {error}") from error


def _content(paths: Mapping[str, Path], name: str) -> bytes:
    with open_content(paths[name], name) as file:
        return file.read()


def _checksums(data: Dataset) -> dict[str, str]:
    return {file.name: file.sha256 for file in data.files if file.sha256}


FORMAL_LANGUAGES = FormalLanguages(
    name="formal-languages",
    title="Labelled strings of 28 formal languages",
    licence="CC0-1.0",
    citation="generated for Offprints; labels by direct tests of the strings",
    files=(
        DataFile("languages.json", sha256="1a16f87d5334c01fd3a0ff1aee86045d368ca79a5d916d985c62d6eaced3a949"),
        DataFile("languages.tsv", sha256="1a2f438445bf621a017083be9bfdffcd16b8e77372b2040df76a855bd3af4d7a"),
    ),
)
_BLOCK_FILES = {
    "L10_0_to_50_src.txt": "ad6bbf97592b80c6a5a2be5fafd216ceeaaee6ebb0b1b2a5ac2b571a5896e798",
    "L10_0_to_50_tgt.txt": "424e0187fa69d3f00c9a4d5d019775f3cd33742a0d14d5c1e2644bdb886c45b9",
    "L12_0_to_50_src.txt": "5eabd595000b7babff4645ead7e23a7b864ab16c2bdd3b2122b1a9bcbbbf2a43",
    "L12_0_to_50_tgt.txt": "bb24113cbe7c2fe595559956429ea461a1a03420014e0e2a3009c659e9466157",
    "L12_250_to_300_src.txt": "ee97856b5718c1dedd7ce35617357a4185492ba4e7af72fd3cd612812307416c",
    "L12_250_to_300_tgt.txt": "1f628c77b6076984086d2517a847fa0ed0520e27525a29a766d669bd1a057a8c",
    "L3_0_to_50_src.txt": "2698190f6c90761135f4c5e7de2e7833e00c953b11719eecc9a343716b722437",
    "L3_0_to_50_tgt.txt": "3477261a540d72fe153561c9a3b3e86e1076c4e5cb1cba85d1909a943208cdb0",
    "L3_250_to_300_src.txt": "07375b9268926cef44f5744f2767ae3d420a46aa48945fa1a3c43612b956fb5a",
    "L3_250_to_300_tgt.txt": "bd23dad79a01fcb63c0c42e8ae5770ad9b35a9465383d9225e433b17a186762f",
    "L4_0_to_50_src.txt": "70cd3d09b4e2f14207bc7ff7455a4326102258d9be017383a2ac08b56effc7f3",
    "L4_0_to_50_tgt.txt": "5309ff913bc88d888a50d2b494cd9762623d1b059ff3b74b1d28904e100744fb",
    "L5_0_to_50_src.txt": "9c0e62e5dea5c26a14dd825588d798f51f8cbe795a6ceb56724ae5f2590197ec",
    "L5_0_to_50_tgt.txt": "1d9032dcbbe185f9d7f23a7d4a72e40cfbb34eefae74ecd762223358fd5d04a9",
    "L6_0_to_50_src.txt": "05a9b00c40f7d7539215eeb61a3a364c12af62c14932f92dae0693f841357560",
    "L6_0_to_50_tgt.txt": "31e8edfa2d7715318acec4c3a6dae490a003ba32df08101eaa1e684a817b51b5",
    "L6_250_to_300_src.txt": "ad95c9e64c56b8d0679c12100501cb6069d18d1c1dfe48f689780b38b96fe1df",
    "L6_250_to_300_tgt.txt": "19b1b5a69429b02c5377b014278e6fd1bfdd0ce1330b972170c497c9c672e4a0",
    "L8_0_to_50_src.txt": "4bdda805959ce01e4ad3e27018c1e41f325a0f74f8a481797f11951e7ac998c8",
    "L8_0_to_50_tgt.txt": "43ecb179e23f82064631501ecda18b95cf3f277b30fd14c5001f5d635e573973",
}
ALTERNATING_BLOCKS = AlternatingBlocks(
    name="alternating-blocks",
    title="Alternating blocks with prefix labels",
    licence="not stated",
    citation="the depth study of C-RASP, arXiv 2506.16055; repository pentagonalize/CRASP_depth, folder data/",
    files=tuple(DataFile(name, sha256=digest) for name, digest in _BLOCK_FILES.items()),
)
DATASETS = (FORMAL_LANGUAGES, ALTERNATING_BLOCKS)
