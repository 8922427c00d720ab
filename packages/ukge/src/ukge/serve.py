"""A trained model over HTTP with JSON, from the standard library alone.

    GET  /health                                      {"graph": "ppi5k", "entities": 4999, "relations": 7}
    POST /confidence  {"facts": [[h, r, t], ...]}     {"confidence": [...]}
    POST /complete    {"head": h, "relation": r, "k": 5}  or with "tail"; {"answers": [{"entity": ..., "confidence": ...}, ...]}

Requests that come in while others are answered wait, and are then scored together in one pass. What a request may ask is bounded (the
bytes of its body, its facts, and k), and so is how many may wait. Wrong input is answered with status 400, too much with 413, too many
with 503, and a sentence that says what is wrong. There is no authentication: it listens on this machine unless told otherwise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from http.server import ThreadingHTTPServer
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from offprints.errors import InputError
from offprints.serving import Answer, TooMuch, json_server
from offprints.together import Together

from ukge.completion import Completion, Question
from ukge.facts import Facts, Floats

Passes: TypeAlias = "Together[Facts | Question, Floats | pd.DataFrame]"


@dataclass(frozen=True)
class Bounds:
    """What a request may ask at most.

    Attributes:
        body: bytes.
        facts: in one request.
        answers: k.
        waiting: requests that wait for the next pass; one more is told to come back later.
    """

    body: int = 1 << 20
    facts: int = 10_000
    answers: int = 1_000
    waiting: int = 64


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
    # One pass at a time: torch uses every core for one product already.
    passes: Passes = Together(lambda asked: _score(completion, asked), limits.waiting)
    answers: dict[str, Answer] = {
        "/confidence": lambda asked: _confidence(completion, passes, asked, limits),
        "/complete": lambda asked: _complete(completion, passes, asked, limits),
    }

    graph = completion.graph
    health = {"graph": graph.name, "entities": graph.num_entities, "relations": graph.num_relations}
    return json_server(host, port, answers, health=health, body=limits.body)


def _score(completion: Completion, asked: list[Facts | Question]) -> list[Floats | pd.DataFrame]:
    """All that is asked, facts by one product and questions by another."""
    facts = [one for one in asked if isinstance(one, Facts)]
    believed = completion.believed(Facts.concatenate([Facts.empty(), *facts]))
    ends = np.cumsum([len(one) for one in facts])
    parts = iter(np.split(believed, ends[:-1]) if facts else [])
    tables = iter(completion.answers([one for one in asked if isinstance(one, Question)]))
    return [next(parts) if isinstance(one, Facts) else next(tables) for one in asked]


def _confidence(
    completion: Completion, passes: Passes, asked: dict[str, Any], limits: Bounds
) -> dict[str, Any]:
    facts = asked.get("facts")
    if not isinstance(facts, list):
        raise InputError('expected {"facts": [[head, relation, tail], ...]}')
    if len(facts) > limits.facts:
        raise TooMuch(f"{len(facts)} facts in one request, more than {limits.facts}")
    for number, fact in enumerate(facts):
        if not (isinstance(fact, list) and len(fact) == 3 and all(isinstance(name, str) for name in fact)):
            raise InputError(f"fact {number} is not [head, relation, tail] of three names")
    believed = passes.ask(completion.ids([(h, r, t) for h, r, t in facts]))
    assert isinstance(believed, np.ndarray)
    return {"confidence": believed.tolist()}


def _complete(
    completion: Completion, passes: Passes, asked: dict[str, Any], limits: Bounds
) -> dict[str, Any]:
    names = {key: asked.get(key) for key in ("head", "relation", "tail")}
    wrong = [key for key, name in names.items() if not (name is None or isinstance(name, str))]
    if wrong or names["relation"] is None:
        raise InputError('expected {"relation": name, "head" or "tail": name, "k": number}')
    k = asked.get("k", min(10, limits.answers))
    if not isinstance(k, int) or isinstance(k, bool):
        raise InputError(f"k must be a whole number, not {k!r}")
    if k > limits.answers:
        raise TooMuch(f"k={k}, more than {limits.answers}")
    question = completion.question(
        str(names["relation"]), names["head"], names["tail"], k, bool(asked.get("new_only", False))
    )
    table = passes.ask(question)
    assert isinstance(table, pd.DataFrame)
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
