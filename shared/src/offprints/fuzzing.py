r"""Damaged inputs for readers of outside data: whatever a file or a request holds, a reader takes it or says what is wrong with it.

    from offprints.fuzzing import fuzz, in_file, pytest_addoption   # in conftest.py; `fuzz` is a fixture

    def test_damaged_triples_are_read_or_refused(fuzz, tmp_path):
        fuzz(in_file(read_columns, tmp_path / "train.txt"), [b"a\tr\tb\n"], says="train.txt")

Inputs are made from valid ones by a seed, so that every run tries the same; `pytest --fuzz 10000` tries so many for each reader. A reader
fails with an error that is not one of its own, with more than a second of processor time, or with more memory than its bound. The
second is of the process and not of the clock: a busy machine makes no hang.
"""

from __future__ import annotations

import gzip
import io
import json
import logging
import random
import re
import resource
import signal
import time
import traceback
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.server import HTTPServer
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from offprints.data import DataFile, Dataset
from offprints.errors import InputError

Reader = Callable[[bytes], object]
Mutation = Callable[[random.Random, Sequence[bytes]], bytes]
SECONDS = 1.0  # of processor time, for one input
MEGABYTES = 256  # that one input may take beside what the process has
log = logging.getLogger(__name__)

HOSTILE = (
    *(b"", b"0", b"-1", b"1e999", b"-1e999", b"nan", b"inf", b"-Infinity", b"NaN", b"1e-320", b"0x10", b"1_0", b"+1"),
    *(b"99999999999999999999", b"2147483648", b"-9223372036854775809", b"1" * 5000, b"0.5", b"1.", b"None", b"null"),
    *(b"true", b"[]", b"{}", b'""', b'"x"', b"'", b'"', b"\\", b"\0", b"\r", b"\r\n", b"\n\n", b"\t", b"\t\t", b",", b" "),
    *(b"\xef\xbb\xbf", b"\xff\xfe", b"\x80", b"\xed\xa0\x80", "\u0663".encode(), "²".encode(), "\u2028".encode()),
    *("\u00a0".encode(), "\x85".encode(), "\u202e".encode(), "é".encode("utf-16"), "𝔘".encode(), b"\x1b[2J", b"..", b"/"),
    *(b"[" * 2000, b"(" * 2000, b"{" * 300, b'{"a":' * 2000, b"-" * 2000, b"x" * 20_000, b"a " * 3000, b"#", b":", b"&a *a"),
)  # fmt: skip
"""What readers stumble over: no numbers, too large ones, blanks and digits of Unicode, wrong encodings, deep nesting, long lines."""
_TOKEN = re.compile(rb'"[^"\n]*"|[\w.+-]+')


class Hung(BaseException):
    """An input took more than its second; no reader may catch it."""


@dataclass
class Tally:
    """What came of the inputs of one reader.

    Attributes:
        inputs: that were tried.
        accepted: that the reader took.
        slowest: seconds of processor time of the slowest.
    """

    inputs: int = 0
    accepted: int = 0
    slowest: float = 0.0


def pytest_addoption(parser: pytest.Parser) -> None:
    """The option --fuzz; the conftest.py of a package imports it, or calls it in its own."""
    try:
        parser.addoption(
            "--fuzz", type=int, default=200, help="damaged inputs for each reader of outside data"
        )
    except ValueError:  # the conftest.py of another package has added it
        return


@pytest.fixture
def fuzz(request: pytest.FixtureRequest) -> Callable[..., Tally]:
    """`try_damaged` with the number of inputs that --fuzz asks for."""
    count = int(request.config.getoption("--fuzz", default=200))

    def run(reader: Reader, corpus: Sequence[bytes], **options: Any) -> Tally:
        return try_damaged(reader, corpus, count, **options)

    return run


def try_damaged(
    reader: Reader,
    corpus: Sequence[bytes],
    inputs: int,
    *,
    allowed: tuple[type[Exception], ...] = (InputError,),
    says: str = "",
    mutation: Mutation | None = None,
    megabytes: int = MEGABYTES,
    seed: int = 0,
) -> Tally:
    """Give a reader valid inputs, which it has to take, and then damaged ones.

    Args:
        reader: takes the content of a file or request; what it returns is not looked at, but an AssertionError of its own fails.
        corpus: valid inputs.
        inputs: how many damaged ones.
        allowed: the errors that it may refuse an input with.
        says: what the message of each refusal has to contain, such as the name of the file.
        mutation: makes a damaged input of the corpus; None is `mutated`.
        megabytes: that one input may take beside what the process has, address space included.
        seed: of the damage.

    Raises:
        AssertionError: a valid input is refused, or a damaged one ends in another error, a hang, or more memory than that; shows
            one input of each kind of failure.
    """
    __tracebackhide__ = True
    for valid in corpus:
        reader(valid)  # also imports and compiles what has to be, which is no hang
    generator = random.Random(seed)
    made, tally, failures = mutation or mutated, Tally(), dict[tuple[str, str], str]()
    for number in range(inputs):
        content = made(generator, corpus)
        begun = time.process_time()
        try:
            with _bounds(megabytes):
                reader(content)
            tally.accepted += 1
        except allowed as error:
            if _out_of_memory(error):
                _note(failures, error, content, number, f"more than {megabytes} MB: {error}")
            elif says not in str(error) or not str(error):
                _note(failures, error, content, number, f"a message without {says!r}: {error}")
        except (Exception, Hung) as error:  # noqa: BLE001 - whatever it is, it is the finding
            _note(failures, error, content, number, repr(error)[:500])
        spent = time.process_time() - begun
        tally.slowest = max(tally.slowest, spent)
        tally.inputs += 1
        if spent > SECONDS:
            _note(failures, Hung(), content, number, f"{spent:.1f} s of processor time")
    log.info("%d inputs, %d accepted, slowest %.3f s", tally.inputs, tally.accepted, tally.slowest)
    assert not failures, "\n\n".join([f"{len(failures)} kinds of failure", *failures.values()])
    return tally


def mutated(generator: random.Random, corpus: Sequence[bytes]) -> bytes:
    """One input of the corpus with one to four places damaged: bits, bytes, fields, lines, or its end."""
    content = generator.choice(corpus)
    for _ in range(generator.choice((1, 1, 1, 2, 4))):
        content = generator.choice(_DAMAGES)(generator, content, corpus)
    return content


def mutated_gzip(generator: random.Random, corpus: Sequence[bytes]) -> bytes:
    """A gzip file of damaged content, or a damaged gzip file."""
    if generator.random() < 0.3:
        return mutated(generator, corpus)
    return gzip.compress(mutated(generator, [gzip.decompress(one) for one in corpus]), 1, mtime=0)


def mutated_zip(generator: random.Random, corpus: Sequence[bytes]) -> bytes:
    """A zip file with a damaged member under a right checksum, without a member or with one twice; or a damaged zip file."""
    if generator.random() < 0.3:
        return mutated(generator, corpus)
    with zipfile.ZipFile(io.BytesIO(generator.choice(corpus))) as archive:
        members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    chosen = generator.randrange(len(members))
    name, content = members[chosen]
    others = [one for _, one in members]
    what = generator.random()
    if what < 0.05:
        del members[chosen]
    elif what < 0.1:
        members[chosen] = name, generator.choice(others)
    else:
        members[chosen] = name, mutated(generator, [content, *others] if what < 0.2 else [content])
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content)
    return made.getvalue()


def in_file(reader: Callable[[Path], object], path: Path) -> Reader:
    """A reader of files as one of their content, which is written to the path first."""

    def read(content: bytes) -> object:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return reader(path)

    return read


def as_text(reader: Callable[[str], object]) -> Reader:
    """A reader of what a person types as one of bytes; those that are no UTF-8 become halves of surrogate pairs, as in JSON."""
    return lambda content: reader(content.decode("utf-8", "surrogateescape"))


def unpinned(dataset: Dataset) -> Dataset:
    """A data set that takes any content, as if its checksums had been declared for the damaged one."""
    return replace(dataset, files=tuple(DataFile(file.name) for file in dataset.files))


def posted(server: HTTPServer, path: str) -> Reader:
    """What is posted to a server, without a socket; fails where the answer is not JSON, or neither a success nor a refusal.

    Args:
        server: of `offprints.serving`, bound; it need not run.
        path: that is asked.
    """

    def read(body: bytes) -> None:
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        client = Client(head.encode() + body)
        server.RequestHandlerClass(client, ("127.0.0.1", 1), server)
        head_sent, _, content = client.answer.partition(b"\r\n\r\n")
        status, answer = head_sent[:12], json.loads(content)
        assert status == b"HTTP/1.1 200" or (status in _REFUSALS and answer["error"]), client.answer[:300]

    return read


_REFUSALS = (b"HTTP/1.1 400", b"HTTP/1.1 413", b"HTTP/1.1 503")


class Client:
    """The socket that a request handler reads from and writes to, without a network.

    Args:
        sent: what the client sends, all of it.

    Attributes:
        answer: what it is answered.
    """

    def __init__(self, sent: bytes) -> None:
        self.sent, self.answer = io.BytesIO(sent), b""

    def makefile(self, mode: str, buffering: int = -1) -> io.BytesIO:
        """What was sent, as a file."""
        return self.sent

    def recv_into(self, buffer: Any) -> int:
        """The next bytes of what was sent; 0 at its end."""
        return self.sent.readinto(buffer)

    def sendall(self, content: bytes) -> None:
        """Keep a part of the answer."""
        self.answer += bytes(content)

    def settimeout(self, seconds: float) -> None:
        """All of it is there."""


def _out_of_memory(error: BaseException) -> bool:
    """Whether a refusal hides that memory ran out: torch says so in a RuntimeError, which a reader may take for damage."""
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, MemoryError) or "allocate memory" in str(link):
            return True
        link = link.__cause__ or link.__context__
    return False


def _note(
    failures: dict[tuple[str, str], str], error: BaseException, content: bytes, number: int, what: str
) -> None:
    """Keep one input for each kind of failure: the error and the line that raised it."""
    trace = traceback.extract_tb(error.__traceback__)
    where = [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in trace[1:]]
    key = type(error).__name__, "" if isinstance(error, Hung) or not where else where[-1]
    shown = content if len(content) < 600 else content[:400] + b" ... " + content[-200:]
    failures.setdefault(key, f"input {number}: {what}\n  at {' < '.join(where[:-7:-1])}\n  of {shown!r}")


@contextmanager
def _bounds(megabytes: int) -> Iterator[None]:
    """Raise Hung after a second of processor time, and MemoryError for more than so many megabytes."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    now = pages * resource.getpagesize()
    earlier = signal.signal(signal.SIGPROF, _hung)
    resource.setrlimit(resource.RLIMIT_AS, (now + megabytes * 2**20, before[1]))
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        resource.setrlimit(resource.RLIMIT_AS, before)
        signal.signal(signal.SIGPROF, earlier)


def _hung(signum: int, frame: FrameType | None) -> None:
    raise Hung(f"more than {SECONDS} s of processor time")


# Each damage takes the generator, the content and the corpus, and gives the damaged content.


def _flip(generator: random.Random, content: bytes, corpus: Sequence[bytes]) -> bytes:
    if not content:
        return content
    place = generator.randrange(len(content))
    return content[:place] + bytes([content[place] ^ 1 << generator.randrange(8)]) + content[place + 1 :]


def _overwrite(generator: random.Random, content: bytes, corpus: Sequence[bytes]) -> bytes:
    """A number of a binary header made 0, -1, or the largest; or random bytes."""
    width = generator.choice((1, 2, 4, 8))
    number = generator.choice((0, 1, 2 ** (8 * width) - 1, 2 ** (8 * width - 1) - 1, 2 ** (8 * width - 1)))
    new = number.to_bytes(width, generator.choice(("big", "little")))
    if generator.random() < 0.3:
        new = generator.randbytes(width)
    place = generator.randrange(min(len(content), 256) + 1 if generator.random() < 0.5 else len(content) + 1)
    return content[:place] + new + content[place + width :]


def _truncate(generator: random.Random, content: bytes, corpus: Sequence[bytes]) -> bytes:
    return content[: generator.randrange(len(content) + 1)]


def _cut(generator: random.Random, content: bytes, corpus: Sequence[bytes]) -> bytes:
    start = generator.randrange(len(content) + 1)
    return content[:start] + content[start + generator.choice((1, 1, 2, 5, 40)) :]


def _insert(generator: random.Random, content: bytes, corpus: Sequence[bytes]) -> bytes:
    place = generator.randrange(len(content) + 1)
    return content[:place] + generator.choice(HOSTILE) + content[place:]


def _splice(generator: random.Random, content: bytes, corpus: Sequence[bytes]) -> bytes:
    other = generator.choice(corpus)
    return content[: generator.randrange(len(content) + 1)] + other[generator.randrange(len(other) + 1) :]


def _field(generator: random.Random, content: bytes, corpus: Sequence[bytes]) -> bytes:
    """A word, number or quoted text replaced by a hostile one or by another one of the corpus."""
    spans = [match.span() for match in _TOKEN.finditer(content, 0, 100_000)]
    if not spans:
        return content
    start, end = generator.choice(spans)
    other: list[bytes] = _TOKEN.findall(generator.choice(corpus), 0, 100_000)
    hostile = generator.random() < 0.6 or not other
    new: bytes = generator.choice(HOSTILE if hostile else other)
    return content[:start] + new + content[end:]


def _lines(generator: random.Random, content: bytes, corpus: Sequence[bytes]) -> bytes:
    """A line left out, doubled, moved, or ended in another way."""
    lines = content.split(b"\n")
    place, what = generator.randrange(len(lines)), generator.randrange(4)
    if what == 0:
        del lines[place]
    elif what == 1:
        lines.insert(generator.randrange(len(lines) + 1), lines[place])
    elif what == 2:
        lines.insert(generator.randrange(len(lines)), lines.pop(place))
    return (b"\r\n" if what == 3 else b"\n").join(lines)


def _encode(generator: random.Random, content: bytes, corpus: Sequence[bytes]) -> bytes:
    """The text in an encoding that it does not say."""
    return content.decode("utf-8", "replace").encode(
        generator.choice(("utf-16", "utf-8-sig", "latin-1", "gb18030")), "replace"
    )


_DAMAGES = (
    *(_flip, _overwrite, _truncate, _cut, _insert, _insert, _splice, _lines),
    *(_field, _field, _field, _field, _encode),
)
