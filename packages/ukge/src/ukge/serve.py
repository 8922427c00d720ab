"""A trained model over HTTP with JSON, from the standard library alone.

    GET  /health                                      {"graph": "ppi5k", "entities": 4999, "relations": 7}
    POST /confidence  {"facts": [[h, r, t], ...]}     {"confidence": [...]}; the facts of a request are one batch
    POST /complete    {"head": h, "relation": r, "k": 5}  or with "tail"; {"answers": [{"entity": ..., "confidence": ...}, ...]}

What a request may ask is bounded: the bytes of its body, its facts, and k. Wrong input is answered with status 400, too much with 413,
and a sentence that says what is wrong. There is no authentication: it listens on this machine unless told otherwise.
"""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from offprints.errors import InputError

from ukge.completion import Completion

_SECONDS = 10.0  # that a client may take to send its request


@dataclass(frozen=True)
class Bounds:
    """What a request may ask at most.

    Attributes:
        body: bytes.
        facts: in one request.
        answers: k.
    """

    body: int = 1 << 20
    facts: int = 10_000
    answers: int = 1_000


class TooMuch(InputError):
    """A request asks for more than the bounds allow."""


def server(
    completion: Completion, host: str = "127.0.0.1", port: int = 8000, bounds: Bounds | None = None
) -> ThreadingHTTPServer:
    """A server that is bound and not yet running; `serve_forever` runs it, `server_port` is its port.

    Args:
        completion: the model and its names.
        host: address to listen on.
        port: 0 takes a free one.
        bounds: of a request.

    Raises:
        InputError: the address cannot be listened on.
    """
    limits = bounds or Bounds()
    one_at_a_time = threading.Lock()  # torch uses every core for one product already
    answers: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
        "/confidence": lambda asked: _confidence(completion, asked, limits),
        "/complete": lambda asked: _complete(completion, asked, limits),
    }

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = _SECONDS

        def do_GET(self) -> None:
            if self.path != "/health":
                self._send(404, {"error": f"no {self.path}; there is GET /health, POST {', '.join(answers)}"})
                return
            graph = completion.graph
            self._send(
                200, {"graph": graph.name, "entities": graph.num_entities, "relations": graph.num_relations}
            )

        def do_POST(self) -> None:
            answer = answers.get(self.path)
            if answer is None:
                self._refuse(404, f"no {self.path}; there is GET /health, POST {', '.join(answers)}")
                return
            length = self.headers.get("Content-Length", "")
            if not length.isdigit():
                self._refuse(411, "a request needs its Content-Length")
                return
            if int(length) > limits.body:
                self._refuse(413, f"the request has {length} bytes, more than {limits.body}")
                return
            try:
                asked = json.loads(self.rfile.read(int(length)))
                if not isinstance(asked, dict):
                    raise InputError("the body must be a JSON object")
                with one_at_a_time:
                    found = answer(asked)
            except TooMuch as error:
                self._send(413, {"error": str(error)})
            except InputError as error:
                self._send(400, {"error": str(error)})
            except (ValueError, RecursionError) as error:
                self._send(400, {"error": f"the body is not JSON: {error}"})
            else:
                self._send(200, found)

        def _refuse(self, status: int, why: str) -> None:
            # The body was not read, so the connection cannot go on.
            self.close_connection = True
            self._send(status, {"error": why})

        def _send(self, status: int, content: dict[str, Any]) -> None:
            body = json.dumps(content, allow_nan=False).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            if self.close_connection:
                self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            """Requests are not logged: names in them may be private."""

    try:
        return ThreadingHTTPServer((host, port), Handler)
    except (OSError, OverflowError) as error:
        raise InputError(f"cannot listen on {host}:{port}: {error}") from error


def _confidence(completion: Completion, asked: dict[str, Any], limits: Bounds) -> dict[str, Any]:
    facts = asked.get("facts")
    if not isinstance(facts, list):
        raise InputError('expected {"facts": [[head, relation, tail], ...]}')
    if len(facts) > limits.facts:
        raise TooMuch(f"{len(facts)} facts in one request, more than {limits.facts}")
    for number, fact in enumerate(facts):
        if not (isinstance(fact, list) and len(fact) == 3 and all(isinstance(name, str) for name in fact)):
            raise InputError(f"fact {number} is not [head, relation, tail] of three names")
    return {"confidence": completion.confidence([(h, r, t) for h, r, t in facts]).tolist()}


def _complete(completion: Completion, asked: dict[str, Any], limits: Bounds) -> dict[str, Any]:
    names = {key: asked.get(key) for key in ("head", "relation", "tail")}
    wrong = [key for key, name in names.items() if not (name is None or isinstance(name, str))]
    if wrong or names["relation"] is None:
        raise InputError('expected {"relation": name, "head" or "tail": name, "k": number}')
    k = asked.get("k", min(10, limits.answers))
    if not isinstance(k, int) or isinstance(k, bool):
        raise InputError(f"k must be a whole number, not {k!r}")
    if k > limits.answers:
        raise TooMuch(f"k={k}, more than {limits.answers}")
    table = completion.top(
        str(names["relation"]), names["head"], names["tail"], k, bool(asked.get("new_only", False))
    )
    return {
        "answers": [
            {
                "entity": row.entity,
                "label": row.label,
                "confidence": row.confidence,
                "train": None if math.isnan(row.train) else row.train,
            }
            for row in table.itertuples()
        ]
    }
