"""The local server: what it answers to programs."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

import pytest


def post(address, path, content):
    request = urllib.request.Request(address + path, json.dumps(content).encode())
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_a_derivation_is_answered_with_steps_code_and_proof(address):
    status, found = post(
        address, "/derive", {"expression": "x'*A*x", "wrt": "x", "symbols": "A: matrix(n, n)"}
    )
    assert status == 200
    assert found["formula"] == "x'*A' + x'*A" and found["holds"]
    assert found["shape"] == "1×n" and "np" in found["code"]["numpy"]
    assert len(found["steps"]) > 5 and all(step["holds"] for step in found["steps"])


def test_a_hessian_is_told_in_two_stages(address):
    status, found = post(address, "/derive", {"expression": "x'*x", "wrt": "x", "kind": "hessian"})
    titles = list(dict.fromkeys(step["title"] for step in found["steps"]))
    assert status == 200 and titles[-1] == "In the end" and "Differentiate once more" in titles


def test_what_takes_too_many_steps_is_derived_and_says_why_it_is_not_told(address):
    status, found = post(
        address, "/derive", {"expression": "sin(" * 70 + "x" + ")" * 70, "wrt": "x", "symbols": "x: scalar"}
    )
    assert status == 200 and found["holds"] and found["steps"] == []
    assert "more than 60 intermediate variables" in found["untold"]


def test_a_matrix_by_a_matrix_is_one_matrix_as_well(address):
    status, found = post(address, "/derive", {"expression": "A*X*B", "wrt": "X"})
    assert status == 200 and found["kronecker"] == "kron(B', A)"


def test_an_answer_is_graded(address):
    status, found = post(
        address, "/grade", {"expression": "x^2", "wrt": "x", "symbols": "x: scalar", "answer": "x"}
    )
    assert status == 200 and not found["right"] and found["reason"]


@pytest.mark.parametrize(
    ("content", "status", "word"),
    [
        ({"wrt": "x"}, 400, "expression"), ({"expression": "(" * 501, "wrt": "x"}, 413, "501"), ({"expression": "((", "wrt": "x"}, 400, "column"),
        ({"expression": "__import__('os')", "wrt": "x"}, 400, "column"), ({"expression": 1, "wrt": "x"}, 400, "a text"),
        ({"expression": "x", "wrt": "x", "symbols": "x: tensor"}, 400, "no declaration"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_with_a_sentence(address, content, status, word):
    found, answer = post(address, "/derive", content)
    assert found == status and word in answer["error"]
