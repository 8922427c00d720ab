"""Answers to JSON over HTTP, from the standard library alone: bounded, without authentication, and nothing of a request is logged.

It listens on this machine alone unless it is told otherwise. A request is bounded in its body, in its header and in the time that all of
it may take; the connections at once are bounded too. No path of a request names a file: there are the page, /health and what is posted to.
A server on the loopback address answers to loopback names alone, so that no page of the web can reach it under a name of its own ("DNS
rebinding"), and to no script of another origin.

    listening = json_server("127.0.0.1", 8000, {"/double": lambda asked: {"number": 2 * asked["number"]}}, health={"ready": True})
    listening.serve_forever()

What is wrong is answered with status 400, what is too much with 413, and with 503 who finds too many waiting, each with {"error": a
sentence}. `offprints.together` answers in one pass what came in while the last one ran.
"""

from __future__ import annotations

import io
import json
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from offprints.errors import InputError
from offprints.together import Busy

Answer = Callable[[dict[str, Any]], dict[str, Any]]
_SECONDS = 10.0  # that a client may take to send all of its request, or to take all of the answer
_CONNECTIONS = 256  # at once; each has a thread
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


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

        def setup(self) -> None:
            super().setup()
            self.sent = _Sent(self.connection)
            self.rfile = io.BufferedReader(self.sent)

        def handle_one_request(self) -> None:
            self.sent.end = time.monotonic() + _SECONDS
            super().handle_one_request()

        def do_GET(self) -> None:
            if not self._is_ours():
                self._refuse(
                    403, "this server answers to the name of this machine alone, and to no other site"
                )
            elif self.path == "/" and page is not None:
                self._send(200, page().encode(), "text/html; charset=utf-8")
            elif self.path == "/health":
                self._send_json(200, health)
            else:
                self._send_json(404, {"error": f"no {self.path}; {nothing}"})

        def do_POST(self) -> None:
            answer, length = posts.get(self.path), self.headers.get("Content-Length", "")
            if not self._is_ours():
                self._refuse(
                    403, "this server answers to the name of this machine alone, and to no other site"
                )
            elif answer is None:
                self._refuse(404, f"no {self.path}; {nothing}")
            elif "Transfer-Encoding" in self.headers or not (length.isascii() and length.isdecimal()):
                self._refuse(411, "a request needs its Content-Length")
            elif len(length) > 18 or int(length) > body:  # thousands of digits are no int to Python
                self._refuse(413, f"the request has {length[:18]} bytes, more than {body}")
            else:
                self._send_json(*_answered(answer, self.rfile.read(int(length))))

        def _is_ours(self) -> bool:
            """Whether Host and Origin, where they are sent, name this machine; away from loopback, whoever set the address knows the names."""
            names = [f"//{name}" for name in self.headers.get_all("Host", [])] + self.headers.get_all(
                "Origin", []
            )
            return host not in _LOOPBACK or all(_name(one) in _LOOPBACK for one in names)

        def _refuse(self, status: int, why: str) -> None:
            self.close_connection = True  # what it sent was not read, so the connection cannot go on
            self._send_json(status, {"error": why})

        def _send_json(self, status: int, content: Mapping[str, Any]) -> None:
            # Escaped to ASCII, so that half a surrogate pair in a text can be answered, too.
            self._send(status, json.dumps(content, allow_nan=False).encode(), "application/json")

        def _send(self, status: int, content: bytes, kind: str) -> None:
            self.connection.settimeout(_SECONDS)
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
        return _Server((host, port), Handler)
    except (OSError, OverflowError) as error:
        raise InputError(f"cannot listen on {host}:{port}: {error}") from error


class _Server(ThreadingHTTPServer):
    """Closes what comes in while as many connections as are allowed are open."""

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self.free = threading.BoundedSemaphore(_CONNECTIONS)
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self.free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.free.release()


class _Sent(io.RawIOBase):
    """What a client sends, until the end of its time: a timeout of the socket alone would begin anew with every byte."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection, self.end = connection, 0.0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left = self.end - time.monotonic()
        if left <= 0:
            raise TimeoutError("the request took too long")
        self.connection.settimeout(left)
        return self.connection.recv_into(buffer)


def _name(address: str) -> str | None:
    """The host of an address, in lower case and without its port; None where there is none."""
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None


def _no_number(name: str) -> float:
    """NaN and Infinity, which Python reads and JSON does not have."""
    raise ValueError(f"{name} is no number")


def _answered(answer: Answer, body: bytes) -> tuple[int, Mapping[str, Any]]:
    """Status and content for the body of a request."""
    try:
        asked = json.loads(body, parse_constant=_no_number)
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
