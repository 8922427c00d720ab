"""Answers to JSON over HTTP, from the standard library alone: bounded, without authentication, and nothing of a request is logged.

    listening = json_server("127.0.0.1", 8000, {"/double": lambda asked: {"number": 2 * asked["number"]}}, health={"ready": True})
    listening.serve_forever()

What is wrong is answered with status 400, what is too much with 413, and with 503 who finds too many waiting, each with {"error": a
sentence}. `offprints.together` answers in one pass what came in while the last one ran.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from offprints.errors import InputError
from offprints.together import Busy

Answer = Callable[[dict[str, Any]], dict[str, Any]]
_SECONDS = 10.0  # that a client may take to send its request


@dataclass
class ServeConfig:
    """Options of a task that serves.

    Attributes:
        host: address to listen on.
        port: port; 0 takes a free one.
        waiting: requests that may be under way or wait; one more is answered with status 503.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    waiting: int = 64


class TooMuch(InputError):
    """A request asks for more than its bounds allow."""


def json_server(
    host: str,
    port: int,
    posts: Mapping[str, Answer],
    *,
    health: Mapping[str, Any],
    page: Callable[[], str] | None = None,
    body: int = 1 << 20,
) -> ThreadingHTTPServer:
    """A server that is bound and not yet running; `serve_forever` runs it, `server_port` is its port.

    Args:
        host: address to listen on.
        port: 0 takes a free one.
        posts: path -> what answers the JSON object that is posted there. It raises `InputError` for wrong input, `TooMuch` or `Busy`.
        health: what GET /health answers.
        page: HTML of GET /; None has no page.
        body: bytes of a request, at most.

    Raises:
        InputError: the address cannot be listened on.
    """
    nothing = f"there is {'GET /, ' if page else ''}GET /health, POST {', POST '.join(posts)}"

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = _SECONDS

        def do_GET(self) -> None:
            if self.path == "/" and page is not None:
                self._send(200, page().encode(), "text/html; charset=utf-8")
            elif self.path == "/health":
                self._send_json(200, health)
            else:
                self._send_json(404, {"error": f"no {self.path}; {nothing}"})

        def do_POST(self) -> None:
            answer, length = posts.get(self.path), self.headers.get("Content-Length", "")
            if answer is None:
                self._refuse(404, f"no {self.path}; {nothing}")
            elif not (length.isascii() and length.isdecimal()):
                self._refuse(411, "a request needs its Content-Length")
            elif int(length) > body:
                self._refuse(413, f"the request has {length} bytes, more than {body}")
            else:
                self._send_json(*_answered(answer, self.rfile.read(int(length))))

        def _refuse(self, status: int, why: str) -> None:
            self.close_connection = True  # what it sent was not read, so the connection cannot go on
            self._send_json(status, {"error": why})

        def _send_json(self, status: int, content: Mapping[str, Any]) -> None:
            # Escaped to ASCII, so that half a surrogate pair in a text can be answered, too.
            self._send(status, json.dumps(content, allow_nan=False).encode(), "application/json")

        def _send(self, status: int, content: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            if status == 503:
                self.send_header("Retry-After", "1")
            if self.close_connection:
                self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *arguments: object) -> None:
            """Requests are not logged: what is in them may be private."""

    try:
        return ThreadingHTTPServer((host, port), Handler)
    except (OSError, OverflowError) as error:
        raise InputError(f"cannot listen on {host}:{port}: {error}") from error


def _answered(answer: Answer, body: bytes) -> tuple[int, Mapping[str, Any]]:
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
