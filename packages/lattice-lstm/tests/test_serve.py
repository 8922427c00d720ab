"""The server says what the API says, together, within bounds, and refuses with a reason."""

from __future__ import annotations

import http.client
from collections.abc import Iterator

import pytest

from offprints.errors import InputError
from offprints.testing import PATIENCE, listening, request

from lattice_lstm import Entity, Lexicon, Tagger, TaggerOptions, TrainingOptions, synthetic_corpus
from lattice_lstm.serve import Bounds, _answers, server

CORPUS = synthetic_corpus(60, 10, 30)
TEXTS = [one.text for one in CORPUS.test]


def fitted(encoder: str, epochs: int) -> Tagger:
    options = TaggerOptions(encoder=encoder, char_size=12, word_size=8, hidden_size=16, dropout=0.1)
    names = sorted(
        {one.text[b:e] for part in (CORPUS.train, CORPUS.test) for one in part for b, e, _ in one.spans}
    )
    tagger = Tagger(options, Lexicon(names) if encoder == "lattice" else None)
    tagger.fit(CORPUS.train, CORPUS.valid, TrainingOptions(epochs=epochs, learning_rate=0.03, batch_size=8))
    return tagger


@pytest.fixture(scope="module")
def tagger() -> Tagger:
    return fitted("lattice", 25)


@pytest.fixture(scope="module")
def port(tagger: Tagger) -> Iterator[int]:
    bounds = Bounds(body=4000, texts=40, characters=1200, explained=50)
    with listening(server(tagger, port=0, bounds=bounds)) as port:
        yield port


def test_it_says_what_the_api_says(port: int, tagger: Tagger) -> None:
    wanted = [[one._asdict() for one in entities] for entities in tagger.predict(TEXTS[:20])]
    assert sum(map(len, wanted)) > 5
    assert request(port, "POST", "/entities", {"texts": TEXTS[:20]}) == (200, {"entities": wanted})
    assert request(port, "POST", "/entities", {"texts": ["", "\ud83d"]}) == (200, {"entities": [[], []]})
    health = {"encoder": "lattice", "types": ["LOC", "ORG", "PER"], "words": len(tagger.lexicon)}
    assert request(port, "GET", "/health") == (200, health)


def test_it_shows_a_sentence_with_its_lattice(port: int, tagger: Tagger) -> None:
    text = next(text for text in TEXTS if tagger.lexicon.words_in(text) and tagger.predict([text])[0])
    found = tagger.explain(text)
    status, content = request(port, "POST", "/explain", {"text": text})
    assert status == 200
    assert [tuple(word[:3]) for word in content["words"]] == found.words
    assert [word[3:] for word in content["words"]] == found.shares.tolist()
    assert content["entities"] == [one._asdict() for one in found.entities]
    assert f"<mark>{found.entities[0].text}<small>" in content["html"] and "<table>" in content["html"]
    status, content = request(port, "POST", "/explain", {"text": "<script>&"})
    assert status == 200 and "<script>" not in content["html"] and "&lt;script&gt;&amp;" in content["html"]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    connection.request("GET", "/")
    answer = connection.getresponse()
    page = answer.read().decode()
    assert answer.headers["Content-Type"].startswith("text/html") and "<textarea" in page


def test_a_tagger_without_a_lattice_is_shown_without_one() -> None:
    with listening(server(fitted("char", 1), port=0, bounds=Bounds())) as port:
        status, content = request(port, "POST", "/explain", {"text": TEXTS[0]})
        assert status == 200 and content["words"] == [] and "<table>" not in content["html"]


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("/entities", {"texts": "南京"}, 400, "texts"),
        ("/entities", {"texts": ["南京", 3]}, 400, "texts"),
        ("/entities", {"text": ["南京"]}, 400, "texts"),
        ("/entities", ["南京"], 400, "object"),
        ("/entities", {"texts": [""] * 41}, 413, "more than 40"),
        ("/entities", {"texts": ["a" * 1201]}, 413, "more than 1200"),
        ("/entities", {"texts": ["a" * 4001]}, 413, "bytes"),
        ("/explain", {"text": ""}, 400, "not an empty one"),
        ("/explain", {"text": 3}, 400, "text"),
        ("/explain", {"text": "a" * 51}, 413, "more than 50"),
        ("/tags", {}, 404, "/entities"),
    ],
)
def test_it_refuses_with_a_reason(port: int, path: str, body: object, status: int, message: str) -> None:
    found, content = request(port, "POST", path, body)
    assert found == status and message in content["error"]


def test_broken_requests_do_not_stop_it(port: int) -> None:
    for raw in (b"{", b"\xff\xfe", b"[" * 3000):
        assert request(port, "POST", "/entities", raw=raw)[0] == 400
    assert request(port, "GET", "/nothing")[0] == 404
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    connection.putrequest("POST", "/entities")
    connection.endheaders()
    assert connection.getresponse().status == 411
    assert request(port, "GET", "/health")[0] == 200


def test_what_comes_together_is_answered_together_and_each_gets_its_own(tagger: Tagger) -> None:
    text = next(text for text in TEXTS if tagger.lexicon.words_in(text))
    passed: list[int] = []

    class Counting:
        explain = staticmethod(tagger.explain)

        def predict(self, texts: list[str]) -> list[list[Entity]]:
            passed.append(len(texts))
            return tagger.predict(texts)

    first, explained, second = _answers(Counting(), [TEXTS[:3], text, TEXTS[3:5]])  # type: ignore[arg-type]
    assert passed == [5]  # one pass for both
    alone = tagger.predict(TEXTS[:5])
    assert [[one[:4] for one in found] for found in [*first, *second]] == [
        [one[:4] for one in found] for found in alone
    ]
    assert explained.words == tagger.explain(text).words


def test_an_address_in_use_is_named(port: int, tagger: Tagger) -> None:
    with pytest.raises(InputError, match=str(port)):
        server(tagger, port=port)
    with pytest.raises(InputError, match="not fitted"):
        server(Tagger(), port=0)
