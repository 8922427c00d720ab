"""The server says what the API says, together, within bounds, and refuses with a reason."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator, Sequence

import pytest

from offprints.errors import InputError

from lattice_lstm import Entity, Lexicon, Tagger, TaggerOptions, TrainingOptions, synthetic_corpus
from lattice_lstm.serve import Bounds, Busy, Passes, server

CORPUS = synthetic_corpus(60, 10, 30)
TEXTS = [one.text for one in CORPUS.test]
PATIENCE = 30.0


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


def listening(tagger: Tagger, bounds: Bounds) -> Iterator[int]:
    found = server(tagger, port=0, bounds=bounds)
    threading.Thread(target=found.serve_forever, daemon=True).start()
    yield found.server_port
    found.shutdown()
    found.server_close()


@pytest.fixture(scope="module")
def port(tagger: Tagger) -> Iterator[int]:
    yield from listening(tagger, Bounds(body=4000, texts=40, characters=1200, explained=50))


def request(
    port: int, method: str, path: str, body: object = None, raw: bytes | None = None
) -> tuple[int, dict]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    connection.request(
        method, path, raw if raw is not None else json.dumps(body) if body is not None else None
    )
    answer = connection.getresponse()
    content = json.loads(answer.read())
    connection.close()
    return answer.status, content


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
    for port in listening(fitted("char", 1), Bounds()):
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


class Slow:
    """A tagger that answers when it may, and keeps what each pass was asked."""

    def __init__(self) -> None:
        self.may, self.begun, self.asked = threading.Event(), threading.Event(), []
        self.fails = False

    def predict(self, texts: Sequence[str]) -> list[list[Entity]]:
        self.asked.append(list(texts))
        self.begun.set()
        assert self.may.wait(PATIENCE)
        if self.fails:
            raise RuntimeError("out of memory")
        return [[Entity(0, len(text), "X", text, 1.0)] for text in texts]


def test_what_waits_shares_the_next_pass_and_one_more_is_told_to_come_back() -> None:
    slow = Slow()
    passes = Passes(slow, waiting=4)  # type: ignore[arg-type]
    answers: dict[int, list[list[Entity]]] = {}

    def ask(number: int) -> None:
        answers[number] = passes.entities([f"{number}a", f"{number}b"])

    threads = [threading.Thread(target=ask, args=(number,), daemon=True) for number in range(4)]
    threads[0].start()
    assert slow.begun.wait(PATIENCE)
    for thread in threads[1:]:
        thread.start()
    while len(passes._queue) < 3:
        threading.Event().wait(0.001)
    with pytest.raises(Busy, match="4 requests wait"):
        passes.entities(["x"])
    with pytest.raises(Busy):
        passes.explanation("x")
    slow.may.set()
    for thread in threads:
        thread.join(PATIENCE)
    assert len(slow.asked) == 2 and len(slow.asked[1]) == 6
    for number in range(4):
        assert [one[0].text for one in answers[number]] == [f"{number}a", f"{number}b"]


def test_a_pass_that_fails_leaves_nobody_waiting() -> None:
    slow = Slow()
    slow.fails = True
    passes = Passes(slow, waiting=2)  # type: ignore[arg-type]
    slow.may.set()
    for _ in range(3):  # and gives its place back
        with pytest.raises(RuntimeError, match="memory"):
            passes.entities(["x"])


def test_an_address_in_use_is_named(port: int, tagger: Tagger) -> None:
    with pytest.raises(InputError, match=str(port)):
        server(tagger, port=port)
    with pytest.raises(InputError, match="not fitted"):
        server(Tagger(), port=0)
