"""The harness sees what it is there for: errors that are no refusals, hangs, and memory that a small input claims."""

from __future__ import annotations

import gzip
import io
import random
import zipfile
import zlib

import numpy as np
import pytest

from offprints.errors import InputError
from offprints.fuzzing import mutated, mutated_gzip, mutated_zip, try_damaged

CORPUS = [b"rows 3\n1 2 3\n", b"rows 2\n4 5\n"]


def careful(content: bytes) -> list[int]:
    try:
        first, second = content.decode("ascii").split("\n")[:2]
        count, numbers = first.split()[1], [int(one) for one in second.split()]
    except (ValueError, IndexError) as error:
        raise InputError(f"numbers.txt: {error}") from error
    if count != str(len(numbers)):
        raise InputError(f"numbers.txt: {count} rows announced, {len(numbers)} found")
    return numbers


def test_a_careful_reader_takes_some_and_refuses_some() -> None:
    tally = try_damaged(careful, CORPUS, 500, says="numbers.txt")
    assert tally.inputs == 500
    assert 20 < tally.accepted < 480


def test_another_error_is_a_failure_that_shows_its_input() -> None:
    with pytest.raises(AssertionError, match=r"(?s)\d kinds? of failure.*input \d+: ValueError.*of b'"):
        try_damaged(lambda content: int(content.split()[1]), CORPUS, 200)


def test_a_refusal_without_the_name_of_the_file_is_a_failure() -> None:
    with pytest.raises(AssertionError, match="a message without 'other.txt'"):
        try_damaged(careful, CORPUS, 200, says="other.txt")


def test_a_valid_input_has_to_be_taken() -> None:
    with pytest.raises(InputError, match="numbers.txt"):
        try_damaged(careful, [b"rows 4\n1\n"], 1)


def test_an_input_that_never_ends_is_a_failure() -> None:
    def endless(content: bytes) -> None:
        while content not in CORPUS:
            content += b""

    with pytest.raises(AssertionError, match="more than 1.0 s of processor time"):
        try_damaged(endless, CORPUS, 1)


def test_a_small_input_that_claims_much_memory_is_a_failure() -> None:
    def trusting(content: bytes) -> object:
        return np.ones(300_000_000 if content not in CORPUS else 1)

    with pytest.raises(AssertionError, match="MemoryError"):
        try_damaged(trusting, CORPUS, 5)
    np.ones(40_000_000)  # and the bound is lifted again


def test_the_same_seed_makes_the_same_inputs() -> None:
    made = [[mutated(generator, CORPUS) for _ in range(300)] for generator in map(random.Random, (1, 1, 2))]
    assert made[0] == made[1] != made[2]
    assert len(set(made[0])) > 250


def test_members_of_a_zip_are_damaged_under_a_right_checksum() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("numbers", CORPUS[0])
    generator, changed = random.Random(0), 0
    for _ in range(100):
        content = mutated_zip(generator, [packed.getvalue()])
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                changed += archive.testzip() is None and archive.read("numbers") != CORPUS[0]
        except (zipfile.BadZipFile, KeyError, NotImplementedError, ValueError, EOFError):
            continue
    assert changed > 40


def test_gzip_files_of_damaged_content_can_be_unpacked() -> None:
    generator, unpacked = random.Random(0), 0
    for _ in range(100):
        content = mutated_gzip(generator, [gzip.compress(CORPUS[0])])
        try:
            unpacked += gzip.decompress(content) != CORPUS[0]
        except (OSError, EOFError, zlib.error):
            continue
    assert unpacked > 40
