"""Requests are answered, refused with a reason, or answered together; only so many may wait."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import ThreadingHTTPServer
from typing import Any

import pytest

from offprints import serving
from offprints.errors import InputError
from offprints.serving import TooMuch, json_server
from offprints.testing import PATIENCE, until
from offprints.testing import listening as running
from offprints.together import Busy, Together


class Held:
    """Doubles numbers once it is let go."""

    def __init__(self) -> None:
        self.passes: list[list[int]] = []
        self.begun, self.go = threading.Event(), threading.Event()

    def __call__(self, asked: list[int]) -> list[int]:
        self.passes.append(asked)
        self.begun.set()
        assert self.go.wait(PATIENCE)
        return [2 * number for number in asked]


def test_what_comes_in_during_a_pass_is_one_next_pass() -> None:
    held = Held()
    together = Together(held, waiting=3)
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(together.ask, 1)
        assert held.begun.wait(PATIENCE)
        others = [pool.submit(together.ask, number) for number in (2, 3, 4)]
        until(lambda: len(together._queue) == 3)
        with pytest.raises(Busy, match="3 requests wait"):
            together.ask(5)
        held.go.set()
        assert [first.result(PATIENCE), *(one.result(PATIENCE) for one in others)] == [2, 4, 6, 8]
    assert held.passes[0] == [1]
    assert [sorted(asked) for asked in held.passes[1:]] == [[2, 3, 4]]
    assert together.ask(5) == 10  # there is room again


def test_a_pass_that_fails_fails_for_all_of_it_and_the_next_one_is_made() -> None:
    fail = True

    def answer(asked: list[int]) -> list[int]:
        if fail:
            raise ZeroDivisionError
        return asked

    together = Together(answer)
    with pytest.raises(ZeroDivisionError):
        together.ask(1)
    fail = False
    assert together.ask(2) == 2


def double(asked: dict[str, Any]) -> dict[str, Any]:
    number = asked.get("number")
    if number == "busy":
        raise Busy("3 requests wait already; ask again later")
    if not isinstance(number, int):
        raise InputError('expected {"number": a whole number}')
    if number > 100:
        raise TooMuch(f"{number}, more than 100")
    return {"number": 2 * number, "half of a pair": "\ud800"}


@contextlib.contextmanager
def listening_to(server: ThreadingHTTPServer) -> Iterator[ThreadingHTTPServer]:
    with running(server):
        yield server


@pytest.fixture
def listening() -> Iterator[ThreadingHTTPServer]:
    server = json_server(
        "127.0.0.1", 0, {"/double": double}, health={"ready": True}, page=lambda: "<p>ü</p>", body=200
    )
    with listening_to(server):
        yield server


def ask(
    server: ThreadingHTTPServer, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, bytes, http.client.HTTPMessage]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=PATIENCE)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.headers
    finally:
        connection.close()


def test_objects_are_answered_and_a_connection_serves_several(listening: ThreadingHTTPServer) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", listening.server_port, timeout=PATIENCE)
    for number in (3, 4):
        connection.request("POST", "/double", json.dumps({"number": number}))
        answer = connection.getresponse()
        assert answer.status == 200
        assert json.loads(answer.read()) == {"number": 2 * number, "half of a pair": "\ud800"}
    connection.close()
    status, body, _ = ask(listening, "GET", "/health")
    assert (status, json.loads(body)) == (200, {"ready": True})
    status, body, headers = ask(listening, "GET", "/")
    assert (status, body.decode(), headers["Content-Type"]) == (200, "<p>ü</p>", "text/html; charset=utf-8")


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status", "message"),
    [
        ("GET", "/nowhere", None, {}, 404, "GET /, GET /health, POST /double"),
        ("GET", "/../etc/passwd", None, {}, 404, "no /../etc/passwd"),
        ("POST", "/nowhere", b"{}", {}, 404, "there is GET /"),
        ("POST", "/double", b"{", {}, 400, "not JSON"),
        ("POST", "/double", b"[" * 190, {}, 400, "not JSON"),
        ("POST", "/double", b"\xff", {}, 400, "not JSON"),
        ("POST", "/double", b"[1]", {}, 400, "a JSON object"),
        ("POST", "/double", b'{"number": "x"}', {}, 400, "a whole number"),
        ("POST", "/double", b'{"number": 101}', {}, 413, "more than 100"),
        ("POST", "/double", b'{"number": "busy"}', {}, 503, "3 requests wait"),
        ("POST", "/double", b" " * 201, {}, 413, "201 bytes, more than 200"),
        ("POST", "/double", None, {"Content-Length": "-1"}, 411, "Content-Length"),
        ("POST", "/double", None, {"Content-Length": "\u00b2"}, 411, "Content-Length"),
    ],
)
def test_what_cannot_be_answered_is_refused_with_a_sentence(
    listening: ThreadingHTTPServer,
    method: str,
    path: str,
    body: bytes | None,
    headers: dict[str, str],
    status: int,
    message: str,
) -> None:
    found, content, sent = ask(listening, method, path, body, **headers)
    assert found == status
    assert message in json.loads(content)["error"]
    assert (sent["Retry-After"] == "1") == (status == 503)
    assert ask(listening, "GET", "/health")[0] == 200  # and the server goes on


def test_only_names_of_this_machine_are_answered_on_loopback(listening: ThreadingHTTPServer) -> None:
    """A page of the web can let its own name mean 127.0.0.1; its requests then carry that name."""
    port = listening.server_port
    for name in ("127.0.0.1", "localhost", f"LOCALHOST:{port}", f"127.0.0.1:{port}", f"[::1]:{port}"):
        assert ask(listening, "GET", "/health", Host=name)[0] == 200
    for name in ("evil.example", f"evil.example:{port}", "localhost.evil.example", "192.168.0.7", "[", ""):
        for method, path in (("GET", "/"), ("GET", "/health"), ("POST", "/double")):
            status, content, _ = ask(listening, method, path, b'{"number": 1}', Host=name)
            assert status == 403, name
            assert "this machine alone" in json.loads(content)["error"]


def test_a_script_of_another_site_is_not_answered(listening: ThreadingHTTPServer) -> None:
    body = b'{"number": 1}'
    own = f"http://localhost:{listening.server_port}"
    assert ask(listening, "POST", "/double", body, Origin=own)[0] == 200
    for origin in ("https://evil.example", "null"):
        assert ask(listening, "POST", "/double", body, Origin=origin)[0] == 403


def test_a_server_that_is_open_to_others_answers_to_any_name() -> None:
    with listening_to(json_server("0.0.0.0", 0, {}, health={"ready": True})) as server:
        assert ask(server, "GET", "/health", Host="model.example")[0] == 200


def raw(server: ThreadingHTTPServer, content: bytes) -> bytes:
    """What is answered to some bytes, until the connection is closed."""
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=PATIENCE) as connection:
        connection.sendall(content)
        return b"".join(iter(lambda: connection.recv(1 << 16), b""))


def test_a_header_is_bounded(listening: ThreadingHTTPServer) -> None:
    many = b"GET /health HTTP/1.1\r\n" + b"".join(b"X-%d: 1\r\n" % i for i in range(101)) + b"\r\n"
    long = b"GET /health HTTP/1.1\r\nX: " + b"1" * 65_537
    path = b"GET /" + b"a" * 65_537
    for content, status in ((many, b"431"), (long, b"431"), (path, b"414")):
        assert raw(server=listening, content=content).split()[1] == status
    assert ask(listening, "GET", "/health")[0] == 200


def test_a_body_without_a_length_is_not_read(listening: ThreadingHTTPServer) -> None:
    for length in (b"", b"Content-Length: 4\r\n"):
        chunked = (
            b"POST /double HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" + length + b"\r\n1\r\n{\r\n0\r\n\r\n"
        )
        assert raw(listening, chunked).split()[1] == b"411"


@pytest.mark.parametrize(
    "begun",
    [b"", b"GET /hea", b"GET /health HTTP/1.1\r\nX", b"POST /double HTTP/1.1\r\nContent-Length: 99\r\n\r\n{"],
)
def test_a_client_that_sends_a_byte_now_and_then_is_cut_off(
    listening: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch, begun: bytes
) -> None:
    """No pause is long enough for a timeout of the socket; all of the request takes too long."""
    monkeypatch.setattr(serving, "_SECONDS", 0.5)
    with socket.create_connection(("127.0.0.1", listening.server_port), timeout=0.05) as connection:
        connection.sendall(begun)
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            try:
                with contextlib.suppress(TimeoutError):
                    if connection.recv(100) == b"":
                        return
            except ConnectionError:
                return
            with contextlib.suppress(ConnectionError):
                connection.sendall(b"x")
    pytest.fail("the connection was never closed")


def test_only_so_many_connections_are_open_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "_CONNECTIONS", 2)
    with listening_to(json_server("127.0.0.1", 0, {}, health={"ready": True})) as server:
        address = ("127.0.0.1", server.server_port)
        idle = [socket.create_connection(address, timeout=PATIENCE) for _ in range(2)]
        until(lambda: server.free._value == 0)
        with socket.create_connection(address, timeout=PATIENCE) as third:
            assert third.recv(1) == b""
        for one in idle:
            one.close()
        until(lambda: server.free._value == 2)
        assert ask(server, "GET", "/health")[0] == 200


def test_an_address_that_is_taken_is_said(listening: ThreadingHTTPServer) -> None:
    with pytest.raises(InputError, match="cannot listen on"):
        json_server("127.0.0.1", listening.server_port, {}, health={})
    with pytest.raises(InputError, match="cannot listen on"):
        json_server("127.0.0.1", 1 << 17, {}, health={})
