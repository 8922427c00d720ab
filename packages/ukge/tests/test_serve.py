"""Requests that come in together are answered together, and only so many may wait."""

from __future__ import annotations

import http.client
import json
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from offprints.testing import PATIENCE, until
from offprints.together import Together

from ukge import UKGE, Completion, Facts, UncertainGraph
from ukge.facts import Floats
from ukge.serve import Bounds, server


def test_the_server_scores_waiting_requests_in_one_pass_and_refuses_the_next(
    graph: UncertainGraph, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    begun, go = threading.Event(), threading.Event()

    class Slow(Completion):
        def believed(self, facts: Facts) -> Floats:
            sizes.append(len(facts))
            begun.set()
            assert go.wait(PATIENCE)
            return super().believed(facts)

    made: list[Together] = []

    def kept(*arguments: object) -> Together:
        made.append(Together(*arguments))
        return made[0]

    monkeypatch.setattr("ukge.serve.Together", kept)
    model = UKGE(20, 3, 8, "logi", generator=torch.Generator().manual_seed(0))
    listening = server(Slow(model, graph), port=0, bounds=Bounds(waiting=3))
    threading.Thread(target=listening.serve_forever, daemon=True).start()

    def ask(path: str, body: object) -> tuple[int, dict, str | None]:
        connection = http.client.HTTPConnection("127.0.0.1", listening.server_port, timeout=PATIENCE)
        connection.request("POST", path, json.dumps(body))
        answer = connection.getresponse()
        found = answer.status, json.loads(answer.read()), answer.getheader("Retry-After")
        connection.close()
        return found

    facts = [[["e1", "likes", "e2"]], [["e3", "knows", "e4"], ["e5", "meets", "e6"]], [["e7", "likes", "e8"]]]
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(ask, "/confidence", {"facts": facts[0]})
        assert begun.wait(PATIENCE)
        others = [pool.submit(ask, "/confidence", {"facts": asked}) for asked in facts[1:]]
        others.append(pool.submit(ask, "/complete", {"head": "e1", "relation": "likes", "k": 2}))
        until(lambda: len(made[0]._queue) == 3)
        status, content, retry = ask("/confidence", {"facts": facts[0]})
        go.set()
        answers = [first.result(PATIENCE), *(one.result(PATIENCE) for one in others)]
    listening.shutdown()
    listening.server_close()
    assert status == 503 and "3 requests wait" in content["error"] and retry == "1"
    plain = Completion(model, graph)
    for (status, content, _), asked in zip(answers[:3], facts, strict=True):
        assert status == 200
        expected = plain.confidence([(h, r, t) for h, r, t in asked])
        np.testing.assert_allclose(content["confidence"], expected)
    best = [one["entity"] for one in answers[3][1]["answers"]]
    assert best == plain.top("likes", head="e1", k=2)["entity"].tolist()
    assert sizes == [1, 3]  # the second pass has both others
