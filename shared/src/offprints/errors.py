"""Errors that are the user's to mend: the command line shows their message, without a traceback, and exits with 2."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class InputError(ValueError):
    """What the user gave is wrong; the message says what, where, and what would be right."""


class DataError(InputError):
    """A data set or one of its files cannot be used."""


class MissingFile(DataError, FileNotFoundError):
    """A file of a data set is not where it was looked for."""


class ChecksumMismatch(DataError):
    """A file's content is not the content that its data set declares."""


class CorruptFile(DataError):
    """A compressed file or archive is truncated or damaged."""


class UnsafeArchive(DataError):
    """An archive holds a member that must not be unpacked: a path that leaves the folder, a link, a device, a bomb."""


class FetchFailed(DataError):
    """No source of a data set could give its files."""


class MalformedLine(DataError):
    """A line of a text file does not read as it should."""

    def __init__(self, path: str | Path, line_number: int, reason: str) -> None:
        super().__init__(
            path, line_number, reason
        )  # kept as arguments, so that it crosses process borders unharmed
        self.path = Path(path)
        self.line_number = line_number
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path}, line {self.line_number}: {self.reason}"


@contextmanager
def naming(place: str | Path) -> Iterator[None]:
    """Put the name of a file before the message of an InputError that does not say where it is.

    Args:
        place: the file.

    Raises:
        InputError: the block raised one.
    """
    try:
        yield
    except InputError as error:
        if str(place) in str(error):
            raise
        raise InputError(f"{place}: {error}") from error
