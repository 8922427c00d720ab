"""What a PLY or PCD file says of itself, looked at before open3d reads it.

open3d believes a header: it takes memory for as many points as one names and ends the process where there is none, and a word longer than its
buffers ends it, too.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

from offprints.errors import CorruptFile

_HEADER = 1 << 14  # bytes that a header may have
_NUMBER = 64  # characters that a number in a body of text may have
_TYPE = rb"(?:char|uchar|short|ushort|int|uint|float|double|u?int(?:8|16|32)|float(?:32|64))"
_PLY_LINE = re.compile(
    rb"ply|format (?:ascii|binary_little_endian|binary_big_endian) 1\.0|(?:comment|obj_info)(?: [ -~]{0,200})?"
    rb"|element \w{1,32} \d{1,9}|property " + _TYPE + rb" \w{1,64}"
)
_PCD_LINE = re.compile(
    rb"#[ -~]{0,200}|VERSION [\d.]{1,8}|FIELDS(?: \w{1,32}){1,16}|SIZE(?: [1248]){1,16}|TYPE(?: [IUF]){1,16}"
    rb"|COUNT(?: 1){1,16}|(?:WIDTH|HEIGHT|POINTS) \d{1,9}|VIEWPOINT(?: [-+.eE\d]{1,24}){7}"
)


def declared_points(path: Path) -> int:
    """How many points a file says that it has, after a look at the whole header and at what stands behind it.

    Args:
        path: .ply without lists, or .pcd.

    Raises:
        CorruptFile: the header has a line that is none, or the file is shorter than it says.
    """
    content = path.read_bytes()
    ply = path.suffix.lower() == ".ply"
    ending = re.compile(rb"^(?:end_header|DATA (\w+))\r?\n", re.MULTILINE).search(content, 0, _HEADER)
    if ending is None:
        raise CorruptFile(f"{path} has no header of a cloud")
    lines = [line.removesuffix(b"\r") for line in content[: ending.start()].split(b"\n")[:-1]]
    for number, line in enumerate(lines, 1):
        if not (_PLY_LINE if ply else _PCD_LINE).fullmatch(line):
            raise CorruptFile(
                f"{path}, line {number} of the header: {line[:60]!r} is not what a cloud has there"
            )
    told = dict(line.split(b" ", 1) for line in lines if b" " in line and not line.startswith(b"#"))
    points, size, text = (_ply if ply else _pcd)(path, lines, told, ending[1])
    body = memoryview(content)[ending.end() :]
    if text and max(map(len, bytes(body).split()), default=0) > _NUMBER:
        raise CorruptFile(f"{path} holds a number of more than {_NUMBER} characters")
    if len(body) < size:
        raise CorruptFile(
            f"{path} ends early: {points} points take {size:,} bytes, and there are {len(body):,}"
        )
    return points


def _ply(
    path: Path, lines: list[bytes], told: dict[bytes, bytes], data: bytes | None
) -> tuple[int, int, bool]:
    elements = [line.split() for line in lines if line.startswith(b"element")]
    if lines[:1] != [b"ply"] or b"format" not in told or len(elements) != 1 or elements[0][1] != b"vertex":
        raise CorruptFile(f"{path} is no PLY file of points alone: one element, vertex, was expected")
    points = int(elements[0][2])
    width = sum(_width(line.split()[1]) for line in lines if line.startswith(b"property"))
    text = told[b"format"].startswith(b"ascii")
    return points, points * (0 if text else width), text


def _width(kind: bytes) -> int:
    """Bytes of a number of a type of PLY."""
    if found := re.search(rb"\d+", kind):
        return int(found[0]) // 8
    return {b"char": 1, b"uchar": 1, b"short": 2, b"ushort": 2, b"double": 8}.get(kind, 4)


def _pcd(
    path: Path, lines: list[bytes], told: dict[bytes, bytes], data: bytes | None
) -> tuple[int, int, bool]:
    names = (b"FIELDS", b"SIZE", b"TYPE", b"WIDTH", b"HEIGHT", b"POINTS")
    if data not in (b"ascii", b"binary") or any(name not in told for name in names):
        raise CorruptFile(f"{path} is no PCD file of data ascii or binary with {b', '.join(names).decode()}")
    columns = {len(told[name].split()) for name in (*names[:3], *({b"COUNT"} & told.keys()))}
    points = int(told[b"POINTS"])
    if (
        len(columns) != 1
        or len(lines) != len({line.split()[0] for line in lines if line})
        or math.prod((int(told[b"WIDTH"]), int(told[b"HEIGHT"]))) != points
    ):
        raise CorruptFile(f"{path}: fields, sizes, types and points of its header do not fit together")
    width = sum(map(int, told[b"SIZE"].split()))
    return points, points * (width if data == b"binary" else 0), data == b"ascii"
