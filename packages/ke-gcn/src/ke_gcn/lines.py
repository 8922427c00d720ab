"""Lines of UTF-8 text: what ends in a newline, and not in one of the other breaks that str.splitlines sees inside names."""

from __future__ import annotations

from pathlib import Path

from offprints.data import MalformedLine


def utf8_lines(raw: bytes, path: str | Path) -> list[str]:
    r"""The lines of a file's content, which end in \n or \r\n.

    Args:
        raw: the content.
        path: of the file, for the message.

    Raises:
        MalformedLine: a line is not UTF-8.
    """
    try:
        text = raw.decode("utf-8").replace("\r\n", "\n").removesuffix("\n")
    except UnicodeDecodeError as error:
        number = raw.count(b"\n", 0, error.start) + 1
        raise MalformedLine(path, number, f"not UTF-8 at byte {error.start}") from None
    return text.split("\n") if text else []
