"""The command line end to end, and what it answers to wrong input."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from offprints.testing import Ended, call, presets

from matrix_calculus.rules import RULES


def matrix_calculus(folder: Path, *options: str) -> Ended:
    """Call the console script in a folder."""
    from matrix_calculus.cli import main

    return call(main, "matrix-calculus", folder, *options)


def result_of(run: Path) -> dict:
    return json.loads((run / "results.json").read_text())


def test_the_main_job_derives_proves_and_trains(tmp_path: Path) -> None:
    done = matrix_calculus(tmp_path, "experiment=smoke", "threads=1", "hydra.run.dir=run")
    assert done.code == 0, done.err
    metrics = result_of(tmp_path / "run")["metrics"]
    assert metrics["proof/w_error"] < 1e-9 and metrics["proof/b_exact_error"] < 1e-15
    assert metrics["test/rmse"] < metrics["mean/rmse"]
    assert (tmp_path / "run" / "figures" / "training.png").is_file()
    assert "vector chain rule" in (tmp_path / "run" / "gradient_w.txt").read_text()


def test_an_expression_is_typed_without_quotes_for_hydra(tmp_path: Path) -> None:
    done = matrix_calculus(
        tmp_path,
        "task=derive",
        "expression=x'*A*x",
        "wrt=x",
        "symbols=A: matrix(n, n); x: vector",
        "hydra.run.dir=run",
    )
    assert done.code == 0, done.err
    assert "x'*A' + x'*A" in done.out
    found = result_of(tmp_path / "run")
    assert found["metrics"]["proof/holds"] == 1
    assert found["metrics"]["proof/exact_error"] < 1e-15
    made: dict = {}
    exec((tmp_path / "run" / "derivative_numpy.py").read_text(), made)
    matrix, vector = np.arange(9.0).reshape(3, 3), np.array([1.0, -2.0, 0.5])
    assert np.allclose(made["derivative"](matrix, vector), vector @ (matrix + matrix.T))
    assert r"\mathbf{x}" in (tmp_path / "run" / "formula.tex").read_text()
    assert "<math" in (tmp_path / "run" / "formula.mml").read_text()


def test_what_is_not_declared_is_read_by_its_letter_alone(tmp_path: Path) -> None:
    done = matrix_calculus(tmp_path, "task=derive", "expression=w'*y", "wrt=w", "hydra.run.dir=run")
    assert done.code == 0, done.err
    made: dict = {}
    exec((tmp_path / "run" / "derivative_numpy.py").read_text(), made)
    assert made["derivative"](np.ones(2), np.array([1.0, 2.0])).tolist() == [1, 2], (
        "w and y are its only inputs"
    )


def test_a_derivation_is_told_in_three_forms(tmp_path: Path) -> None:
    done = matrix_calculus(tmp_path, "task=explain", "wrt=b", "hydra.run.dir=run")
    assert done.code == 0, done.err
    assert "u1 = X*w + b" in done.out
    metrics = result_of(tmp_path / "run")["metrics"]
    assert metrics["steps/told"] == metrics["steps/hold"] > 8
    assert {path.suffix for path in (tmp_path / "run").glob("transcript.*")} == {".txt", ".tex", ".html"}


def test_answers_are_graded_and_practice_is_kept(tmp_path: Path) -> None:
    asked = ["task=grade", "expression=x'*A*x", "wrt=x", "symbols=A: matrix(n, n)"]
    right = matrix_calculus(tmp_path, *asked, "answer=x'*(A' + A)", "hydra.run.dir=right")
    assert right.code == 0, right.err
    assert result_of(tmp_path / "right")["metrics"]["grade/right"] == 1
    wrong = matrix_calculus(tmp_path, *asked, "answer=x'*A", "hydra.run.dir=wrong")
    assert "forgets the path" in wrong.out
    assert result_of(tmp_path / "wrong")["details"]["mistake"] == "path"
    first = matrix_calculus(tmp_path, "task=practice", "hydra.run.dir=first")
    assert "1. Review: scalar derivative rules" in first.out
    done = matrix_calculus(tmp_path, "task=practice", "answer=0", "hydra.run.dir=second")
    assert "1 of" in done.out and "2. Review" in done.out
    again = matrix_calculus(tmp_path, "task=practice", "exercise=16", "answer=x'", "hydra.run.dir=third")
    assert "wrong" in again.out
    assert json.loads((tmp_path / "matrix-calculus-practice.json").read_text()) == {
        "tries": {"1": 1, "16": 1},
        "solved": [1],
    }


def test_check_proves_a_hessian(tmp_path: Path) -> None:
    done = matrix_calculus(
        tmp_path, "task=check", "expression=sum(log(1 + exp(-y.*(X*w))))", "wrt=w", "symbols=X: matrix(m, n)", "kind=hessian",
        "hydra.run.dir=run",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert result_of(tmp_path / "run")["metrics"]["proof/error"] < 1e-9


def test_the_reference_card_is_derived_and_proved(tmp_path: Path) -> None:
    done = matrix_calculus(tmp_path, "task=rules", "digits=30", "hydra.run.dir=run")
    assert done.code == 0, done.err
    metrics = result_of(tmp_path / "run")["metrics"]
    assert metrics["rules/derived"] == metrics["rules/proved"] == len(RULES)
    assert len((tmp_path / "run" / "rules.csv").read_text().splitlines()) == len(RULES) + 1


def test_every_preset_is_one_that_the_command_reads() -> None:
    from matrix_calculus.config import Config

    assert presets("matrix_calculus", Config)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["expression=x'*A*y'", "wrt=x", "symbols="], "column 5: '*'"),
        (["expression=frob(x)", "wrt=x"], "there is no function 'frob'"),
        (["expression=(x", "wrt=x"], "the bracket opens in column 1"),
        (["expression=__import__", "wrt=x"], "'__import__' is not declared"),
        (["symbols=X matrix"], "X: matrix(N, n)"),
        (["symbols=X: martix"], "'martix' is no declaration"),
        (["task=train", "training.epochs=0"], "epochs"),
        (["task=grade"], "answer="),
        (["task=grade", "answer=2*"], "column 3"),
        (["task=grade", "answer=x", "kind=hessian"], "grade knows kind=derivative"),
        (["task=grade", "answer=x", "symmetric=independent"], "grade knows symmetric=projected"),
        (["points=0"], "1 or more"),
        (["digits=20"], "30 or more"),
        (["task=practice", "exercise=9999"], "there are exercises 1 to"),
        (["kind=jacobean"], "derivative, hessian"),
        (["layout=sideways"], "numerator"),
        (["mode=backward"], "cross-country"),
        (["backend=fortran"], "numpy, torch, jax"),
        (["expresion=x"], "expression"),
        (["kind=hessian", "expression=A*x", "wrt=x", "symbols="], "that of a scalar"),
    ],
)
def test_wrong_input_is_one_message_and_status_2(tmp_path: Path, options: list[str], message: str) -> None:
    task = [] if options[0].startswith("task=") else ["task=derive"]
    done = matrix_calculus(tmp_path, *task, *options)
    assert done.code == 2, done.err
    assert message in done.err
    assert "Traceback" not in done.err
