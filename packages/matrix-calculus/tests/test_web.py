"""The local server: what it answers to programs, and a session with the page in headless Chromium."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.error
import urllib.request
from threading import Thread

import pytest

from matrix_calculus.web import server


@pytest.fixture(scope="module")
def address():
    with server(port=0) as listening:
        Thread(target=listening.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_port}"
        listening.shutdown()


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


def test_a_hessian_says_why_it_has_no_steps(address):
    status, found = post(address, "/derive", {"expression": "x'*x", "wrt": "x", "kind": "hessian"})
    assert status == 200 and found["steps"] == [] and "derive the gradient first" in found["untold"]


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


def dumped(url, tmp_path):
    """The page as Chromium has it after its scripts have run."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.fail("the page is tested in Chromium: install it, on Debian as chromium")
    flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={tmp_path}",
        "--virtual-time-budget=20000",
        "--dump-dom",
    ]
    return subprocess.run(
        [browser, *flags, url], capture_output=True, text=True, check=False, timeout=120
    ).stdout


def test_a_permalink_derives_in_the_browser(address, tmp_path):
    page = dumped(address + "/#expression=sin(x%5E2)&wrt=x&symbols=x%3A%20scalar", tmp_path)
    assert '<p id="proof">holds' in page
    assert "2*cos(x^2)*x" in page
    assert page.count("<details>") > 3 and "single-variable chain rule" in page


def test_an_error_is_shown_where_the_answer_would_be(address, tmp_path):
    page = dumped(address + "/#expression=A*y'&wrt=y&symbols=", tmp_path)
    assert 'class="error"' in page and "cannot take" in page
