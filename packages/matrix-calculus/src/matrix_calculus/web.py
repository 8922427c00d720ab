"""Derivations over HTTP: JSON for programs, and a page for people, from the standard library alone.

    GET  /                                  the page
    GET  /health                            {"functions": [...]}
    POST /derive {"expression": ..., "wrt": ..., "symbols": "x: vector", "kind": ..., "layout": ...}
    POST /grade  {"expression": ..., "wrt": ..., "symbols": ..., "layout": ..., "answer": ...}

Texts are parsed and never evaluated; they are bounded to 500 characters, the body to 16 kB, and one derivation runs at a time. What is wrong is
answered with status 400 and a sentence, too much with 413. There is no authentication; it listens on this machine unless told otherwise.
"""

from __future__ import annotations

from http.server import ThreadingHTTPServer
from threading import Lock
from typing import Any

from offprints.errors import InputError
from offprints.serving import TooMuch, json_server

from matrix_calculus.derive import derive
from matrix_calculus.grade import grade
from matrix_calculus.inference import FUNCTIONS
from matrix_calculus.page import asking_page
from matrix_calculus.shapes import declarations
from matrix_calculus.transcript import titled

_MOST_CHARACTERS = 500
_MOST_BODY = 1 << 14


def server(host: str = "127.0.0.1", port: int = 8000) -> ThreadingHTTPServer:
    """A server that is bound and not yet running; `serve_forever` runs it, `server_port` is its port.

    Args:
        host: address to listen on.
        port: 0 takes a free one.

    Raises:
        InputError: the address cannot be listened on.
    """
    one_at_a_time = Lock()

    def derived(asked: dict[str, Any]) -> dict[str, Any]:
        with one_at_a_time:
            return _derived(asked)

    def graded(asked: dict[str, Any]) -> dict[str, Any]:
        with one_at_a_time:
            return _graded(asked)

    health = {"functions": list(FUNCTIONS)}
    return json_server(
        host, port, {"/derive": derived, "/grade": graded}, health=health, page=asking_page, body=_MOST_BODY
    )


def _text(asked: dict[str, Any], name: str, default: str | None = None) -> str:
    value = asked.get(name, default)
    if not isinstance(value, str):
        raise InputError(f"expected a text as {name}")
    if len(value) > _MOST_CHARACTERS:
        raise TooMuch(f"{name} has {len(value)} characters, more than {_MOST_CHARACTERS}")
    return value


def _derived(asked: dict[str, Any]) -> dict[str, Any]:
    found = derive(
        _text(asked, "expression"),
        _text(asked, "wrt"),
        declarations(_text(asked, "symbols", "")),
        kind=_text(asked, "kind", "derivative"),
        layout=_text(asked, "layout", "numerator"),
    )
    proof = found.check()
    shown = ("rule", "section", "statement", "mathml", "shape", "reason", "error", "holds")
    steps, untold = [], ""
    try:
        for title, part in titled(found.steps):
            steps += [{"title": title, **{name: getattr(step, name) for name in shown}} for step in part]
    except InputError as reason:  # there are too many: the page shows why there are none
        untold = str(reason)
    code = {backend: found.code(backend) for backend in ("numpy", "torch", "jax")}
    return {
        "name": found.name, "formula": found.formula, "latex": found.latex, "mathml": found.mathml, "shape": found.shape,
        "proof": str(proof), "holds": proof.holds, "notes": list(found.notes), "steps": steps, "untold": untold, "kronecker": found.kronecker or "",
        "code": {**code, "latex": found.latex},
    }  # fmt: skip


def _graded(asked: dict[str, Any]) -> dict[str, Any]:
    verdict = grade(
        _text(asked, "expression"),
        _text(asked, "wrt"),
        _text(asked, "answer"),
        declarations(_text(asked, "symbols", "")),
        _text(asked, "layout", "numerator"),
    )
    return {
        "right": verdict.right,
        "mistake": verdict.mistake,
        "reason": verdict.reason,
        "shape": verdict.shape,
    }
