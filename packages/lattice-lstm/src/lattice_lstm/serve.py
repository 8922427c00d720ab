"""A tagger over HTTP, from the standard library alone: JSON for programs, and a page for people.

    GET  /                              a page: type a sentence, see its entities and its lattice
    GET  /health                        {"encoder": "lattice", "types": ["LOC", ...], "words": 349045}
    POST /entities {"texts": [...]}     {"entities": [[{"start": 0, "end": 3, "type": "LOC", "text": ..., "score": 0.98}, ...], ...]}
    POST /explain  {"text": ...}        {"entities": [...], "words": [[0, 2, "南京", 0.41, 0.22], ...], "html": ...}

What comes in while a pass runs waits and shares the next one, which tags sentences of similar length together. Bodies, texts and what
waits are bounded: too much is answered with status 413 or 503, wrong input with 400, and each with a sentence that says why. There is no
authentication; it listens on this machine unless told otherwise.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from offprints.errors import InputError

from lattice_lstm.page import asking_page, lattice_table, marked
from lattice_lstm.tagger import Entity, Explanation, Tagger

_SECONDS = 10.0  # that a client may take to send its request


@dataclass(frozen=True)
class Bounds:
    """What may be asked at most.

    Attributes:
        body: bytes of a request.
        texts: of one request.
        characters: of all texts of one request.
        explained: characters of a sentence whose lattice is shown.
        waiting: requests that are under way or wait for the next pass.
    """

    body: int = 1 << 20
    texts: int = 1000
    characters: int = 100_000
    explained: int = 500
    waiting: int = 64


class TooMuch(InputError):
    """More than the bounds allow."""


class Busy(RuntimeError):
    """No further request may wait."""


class Passes:
    """Tags for many threads: whoever comes first makes a pass for all that wait.

    Args:
        tagger: that is asked.
        waiting: how many may be under way or wait.
    """

    def __init__(self, tagger: Tagger, waiting: int) -> None:
        self.tagger, self.waiting = tagger, waiting
        self._places, self._running, self._guard = (
            threading.Semaphore(waiting),
            threading.Lock(),
            threading.Lock(),
        )
        self._queue: list[tuple[Sequence[str], Future[list[list[Entity]]]]] = []

    def entities(self, texts: Sequence[str]) -> list[list[Entity]]:
        """Of each text.

        Raises:
            Busy: too many wait already.
        """
        mine: Future[list[list[Entity]]] = Future()
        with self._place():
            with self._guard:
                self._queue.append((texts, mine))
            with self._running:
                if not mine.done():
                    self._run()
            return mine.result()

    def explanation(self, text: str) -> Explanation:
        """Of one text, in a pass of its own.

        Raises:
            Busy: too many wait already.
        """
        with self._place(), self._running:
            return self.tagger.explain(text)

    @contextmanager
    def _place(self) -> Iterator[None]:
        if not self._places.acquire(blocking=False):
            raise Busy(f"{self.waiting} requests wait already; ask again later")
        try:
            yield
        finally:
            self._places.release()

    def _run(self) -> None:
        with self._guard:
            taken, self._queue = self._queue, []
        try:
            found = iter(self.tagger.predict([text for texts, _ in taken for text in texts]))
            answers = [[next(found) for _ in texts] for texts, _ in taken]
        except BaseException as error:
            for _, future in taken:  # none may wait for ever
                future.set_exception(error)
            raise
        for (_, future), answer in zip(taken, answers, strict=True):
            future.set_result(answer)


def server(
    tagger: Tagger, host: str = "127.0.0.1", port: int = 8000, bounds: Bounds | None = None
) -> ThreadingHTTPServer:
    """A server that is bound and not yet running; `serve_forever` runs it, `server_port` is its port.

    Args:
        tagger: fitted.
        host: address to listen on.
        port: 0 takes a free one.
        bounds: of what may be asked.

    Raises:
        InputError: the address cannot be listened on, or the tagger is not fitted.
    """
    limits = bounds or Bounds()
    passes = Passes(tagger, limits.waiting)
    health = {"encoder": tagger.options.encoder, "types": tagger.types, "words": len(tagger.lexicon)}
    answers: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
        "/entities": lambda asked: _entities(passes, asked, limits),
        "/explain": lambda asked: _explanation(passes, asked, limits),
    }
    nothing = f"there is GET /, GET /health, POST {', POST '.join(answers)}"

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = _SECONDS

        def do_GET(self) -> None:
            if self.path == "/":
                self._send(200, asking_page().encode(), "text/html; charset=utf-8")
            elif self.path == "/health":
                self._send_json(200, health)
            else:
                self._send_json(404, {"error": f"no {self.path}; {nothing}"})

        def do_POST(self) -> None:
            answer, length = answers.get(self.path), self.headers.get("Content-Length", "")
            if answer is None:
                self._refuse(404, f"no {self.path}; {nothing}")
            elif not length.isdecimal():
                self._refuse(411, "a request needs its Content-Length")
            elif int(length) > limits.body:
                self._refuse(413, f"the request has {length} bytes, more than {limits.body}")
            else:
                self._send_json(*_answered(answer, self.rfile.read(int(length))))

        def _refuse(self, status: int, why: str) -> None:
            self.close_connection = True  # what it sent is still there, and no request
            self._send_json(status, {"error": why})

        def _send_json(self, status: int, content: dict[str, Any]) -> None:
            # Escaped to ASCII, so that half a surrogate pair in a text can be answered, too.
            self._send(status, json.dumps(content, allow_nan=False).encode(), "application/json")

        def _send(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            if status == 503:
                self.send_header("Retry-After", "1")
            if self.close_connection:
                self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            """Texts may be private: requests are not logged."""

    try:
        return ThreadingHTTPServer((host, port), Handler)
    except (OSError, OverflowError) as error:
        raise InputError(f"cannot listen on {host}:{port}: {error}") from error


def _answered(answer: Callable[[dict[str, Any]], dict[str, Any]], body: bytes) -> tuple[int, dict[str, Any]]:
    """Status and content for the body of a request."""
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError) as error:
        return 400, {"error": f"the body is not JSON: {error}"}
    if not isinstance(asked, dict):
        return 400, {"error": "the body must be a JSON object"}
    try:
        return 200, answer(asked)
    except TooMuch as error:
        return 413, {"error": str(error)}
    except InputError as error:
        return 400, {"error": str(error)}
    except Busy as error:
        return 503, {"error": str(error)}


def _entities(passes: Passes, asked: dict[str, Any], limits: Bounds) -> dict[str, Any]:
    texts = asked.get("texts")
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise InputError('expected {"texts": [text, ...]}')
    if len(texts) > limits.texts:
        raise TooMuch(f"{len(texts)} texts in one request, more than {limits.texts}")
    if (characters := sum(map(len, texts))) > limits.characters:
        raise TooMuch(f"{characters} characters in one request, more than {limits.characters}")
    return {"entities": [[one._asdict() for one in found] for found in passes.entities(texts)]}


def _explanation(passes: Passes, asked: dict[str, Any], limits: Bounds) -> dict[str, Any]:
    text = asked.get("text")
    if not isinstance(text, str) or not text:
        raise InputError('expected {"text": text}, and not an empty one')
    if len(text) > limits.explained:
        raise TooMuch(f"{len(text)} characters to explain, more than {limits.explained}")
    if passes.tagger.options.encoder != "lattice":
        (entities,) = passes.entities([text])
        words, html = [], f"<p>{marked(text, entities)}</p>"
    else:
        found = passes.explanation(text)
        entities = found.entities
        shares = found.shares.tolist()
        words = [[*word, *both] for word, both in zip(found.words, shares, strict=True)]
        html = f"<p>{marked(text, entities)}</p>{lattice_table(found)}"
    return {"entities": [one._asdict() for one in entities], "words": words, "html": html}
