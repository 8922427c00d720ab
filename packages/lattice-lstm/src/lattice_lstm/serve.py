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

from collections.abc import Sequence
from dataclasses import dataclass
from http.server import ThreadingHTTPServer
from typing import Any, TypeAlias

from offprints.errors import InputError
from offprints.serving import Answer, TooMuch, json_server
from offprints.together import Together

from lattice_lstm.page import asking_page, lattice_table, marked
from lattice_lstm.tagger import Entity, Explanation, Tagger


@dataclass(frozen=True)
class Bounds:
    """What may be asked at most.

    Attributes:
        body: bytes of a request.
        texts: of one request.
        characters: of all texts of one request.
        explained: characters of a sentence whose lattice is shown.
        waiting: requests that wait for the next pass; one more is told to come back later.
    """

    body: int = 1 << 20
    texts: int = 1000
    characters: int = 100_000
    explained: int = 500
    waiting: int = 64


Passes: TypeAlias = "Together[Sequence[str] | str, list[list[Entity]] | Explanation]"
"""Texts to tag, or one text to explain."""


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
    passes: Passes = Together(lambda asked: _answers(tagger, asked), limits.waiting)
    answers: dict[str, Answer] = {
        "/entities": lambda asked: _entities(passes, asked, limits),
        "/explain": lambda asked: _explanation(tagger, passes, asked, limits),
    }
    health = {"encoder": tagger.options.encoder, "types": tagger.types, "words": len(tagger.lexicon)}
    return json_server(host, port, answers, health=health, page=asking_page, body=limits.body)


def _answers(tagger: Tagger, asked: list[Sequence[str] | str]) -> list[list[list[Entity]] | Explanation]:
    """All texts to tag in one pass, and one after the other what is to be explained."""
    found = iter(tagger.predict([text for one in asked if not isinstance(one, str) for text in one]))
    return [tagger.explain(one) if isinstance(one, str) else [next(found) for _ in one] for one in asked]


def _entities(passes: Passes, asked: dict[str, Any], limits: Bounds) -> dict[str, Any]:
    texts = asked.get("texts")
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise InputError('expected {"texts": [text, ...]}')
    if len(texts) > limits.texts:
        raise TooMuch(f"{len(texts)} texts in one request, more than {limits.texts}")
    if (characters := sum(map(len, texts))) > limits.characters:
        raise TooMuch(f"{characters} characters in one request, more than {limits.characters}")
    return {"entities": [[one._asdict() for one in found] for found in _tagged(passes, texts)]}


def _tagged(passes: Passes, texts: Sequence[str]) -> list[list[Entity]]:
    found = passes.ask(texts)
    assert isinstance(found, list)
    return found


def _explanation(tagger: Tagger, passes: Passes, asked: dict[str, Any], limits: Bounds) -> dict[str, Any]:
    text = asked.get("text")
    if not isinstance(text, str) or not text:
        raise InputError('expected {"text": text}, and not an empty one')
    if len(text) > limits.explained:
        raise TooMuch(f"{len(text)} characters to explain, more than {limits.explained}")
    if tagger.options.encoder != "lattice":
        (entities,) = _tagged(passes, [text])
        words, html = [], f"<p>{marked(text, entities)}</p>"
    else:
        found = passes.ask(text)
        assert isinstance(found, Explanation)
        entities = found.entities
        shares = found.shares.tolist()
        words = [[*word, *both] for word, both in zip(found.words, shares, strict=True)]
        html = f"<p>{marked(text, entities)}</p>{lattice_table(found)}"
    return {"entities": [one._asdict() for one in entities], "words": words, "html": html}
