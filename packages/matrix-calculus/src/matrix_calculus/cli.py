"""The tasks of the command line: they turn the config into plain arguments and call the API."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from offprints.app import Results, Run, command
from offprints.atomic import write_text
from offprints.errors import InputError
from offprints.logging import console
from offprints.overrides import quoted
from offprints.tables import show, write_table
from offprints.training import reported

from matrix_calculus import figures, neuron, transcript
from matrix_calculus.config import Config
from matrix_calculus.derive import Derivation
from matrix_calculus.derive import derive as derive_expression
from matrix_calculus.exercises import Progress, exercises
from matrix_calculus.grade import grade as grade_answer
from matrix_calculus.rules import LOSS, RULES
from matrix_calculus.shapes import declarations
from matrix_calculus.verify import Proof
from matrix_calculus.web import server

_TYPED = ("expression", "symbols", "answer")


def train(config: Config, run: Run) -> Results:
    """Derive the paper's final loss by w and by b, prove both, and train its neuron on the diabetes data by the code."""
    gradients = neuron.loss_gradients()
    metrics: dict[str, float] = {}
    for name, found in gradients.items():
        told = transcript.as_text(found)
        _say(told)
        write_text(run.directory / f"gradient_{name}.txt", told)
        write_text(run.directory / f"gradient_{name}.html", transcript.as_html(found))
        proof = found.check(config.points, config.seed, config.digits)
        _say(f"{found.name} {proof}")
        if not (proof.holds and all(step.holds for step in found.steps)):
            raise RuntimeError(f"the derivation of {found.name} does not hold: {proof}")
        metrics |= {f"proof/{name}_error": proof.error, f"proof/{name}_steps": float(len(found.steps))}
        if proof.exact_error is not None:
            metrics[f"proof/{name}_exact_error"] = proof.exact_error
    data = neuron.diabetes(config.seed)
    run.dataset("diabetes", data.checksums)
    model = neuron.Neuron(data.train.inputs.shape[1], float(data.train.progress.mean()))
    with reported(run, config.training, "valid/rmse") as on_epoch:
        outcome = neuron.Trainer(
            model,
            data.train,
            config.training,
            gradients,
            seed=config.seed,
            validate=lambda: neuron.measure(model, data.valid, data.unit),
            directory=run.directory / "checkpoints",
            belongs_to=next(iter(data.checksums.values())),
            on_epoch=on_epoch,
            uninterrupted=run.uninterrupted,
        ).fit()
    rows = {"neuron": neuron.measure(model, data.test, data.unit), **neuron.baselines(data)}
    run.figure(
        "training",
        figures.training_curve(
            outcome.history,
            outcome.best_epoch,
            {name: row["rmse"] for name, row in rows.items() if name != "neuron"},
        ),
        "Loss and validation error of the neuron, trained by the derived gradient",
    )
    show(pd.DataFrame([{"model": name, **row} for name, row in rows.items()]), "diabetes: test split")
    metrics |= {f"test/{name}": value for name, value in rows.pop("neuron").items()}
    metrics |= {f"valid/{name}": value for name, value in outcome.best.items()}
    metrics |= {f"{name}/{measure}": value for name, row in rows.items() for measure, value in row.items()}
    return Results(
        metrics, {"best_epoch": outcome.best_epoch, "formulas": {n: f.formula for n, f in gradients.items()}}
    )


def derive(config: Config, run: Run) -> Results:
    """Derive a formula, prove it, and write the code that computes it."""
    found = _derivation(config)
    proof = found.check(config.points, config.seed, config.digits)
    _say(f"{found.name} = {found.formula}")
    _say(f"shape {found.shape}; {proof}")
    if found.kronecker is not None:
        _say(f"as one matrix, of vec by vec: {found.kronecker}")
    for note in found.notes:
        _say(f"  {note}")
    write_text(run.directory / "formula.tex", found.latex + "\n")
    write_text(run.directory / "formula.mml", found.mathml + "\n")
    write_text(run.directory / f"derivative_{config.backend}.py", found.code(config.backend))
    return Results(
        _metrics(proof), {"formula": found.formula, "shape": found.shape, "notes": list(found.notes)}
    )


def explain(config: Config, run: Run) -> Results:
    """Tell the derivation step by step in the paper's rules; text, LaTeX and HTML."""
    found = _derivation(config)
    told = transcript.as_text(found)
    _say(told)
    write_text(run.directory / "transcript.txt", told)
    write_text(run.directory / "transcript.tex", transcript.as_latex(found))
    write_text(run.directory / "transcript.html", transcript.as_html(found))
    held = [step.holds for step in found.steps]
    worst = max(step.error for step in found.steps)
    return Results(
        {"steps/told": float(len(held)), "steps/hold": float(sum(held)), "steps/largest_error": worst}
    )


def check(config: Config, run: Run) -> Results:
    """Prove a derivative at random points, by autograd and by differences with many digits."""
    found = _derivation(config)
    proof = found.check(config.points, config.seed, config.digits)
    _say(f"{found.name} = {found.formula}")
    _say(str(proof))
    return Results(_metrics(proof), {"sizes": dict(proof.sizes)})


def rules(config: Config, run: Run) -> Results:
    """Derive and prove every formula of the paper: its reference card."""
    rows, errors = [], []
    with run.progress(len(RULES), "deriving") as bar:
        for rule in RULES:
            found = rule.derive()
            proof = found.check(1, config.seed, config.digits)
            errors.append(_metrics(proof))
            rows.append(
                (rule.section, rule.name, rule.expression, rule.wrt, found.formula, found.shape, proof.holds)
            )
            bar.advance(1, {})
    table = pd.DataFrame(rows, columns=["section", "rule", "f", "by", "derivative", "shape", "proved"])
    for section, part in table.groupby("section", sort=False):
        show(part.drop(columns="section"), str(section))
    write_table(run.directory / "rules.csv", table)
    return Results(
        {
            "rules/derived": float(len(rows)),
            "rules/proved": float(table["proved"].sum()),
            "rules/largest_error": max(one["proof/error"] for one in errors),
        }
    )


def grade(config: Config, run: Run) -> Results:
    """Grade an answer (answer=...): right in any form, or which mistake it is."""
    if config.answer is None:
        raise InputError("grade needs answer=..., the derivative that is to be graded")
    for name, value, known in (
        ("kind", config.kind, "derivative"),
        ("symmetric", config.symmetric, "projected"),
    ):
        if value != known:
            raise InputError(f"{name}={value}: grade knows {name}={known} alone")
    verdict = grade_answer(
        config.expression, config.wrt, config.answer, _symbols(config), config.layout, config.seed
    )
    _say(f"{'right' if verdict.right else 'wrong'}: {verdict.reason}")
    return Results({"grade/right": float(verdict.right)}, asdict(verdict))


def practice(config: Config, run: Run) -> Results:
    """Ask the next exercise of the rule book, or grade answer=... to it; progress is kept in practice_file."""
    progress = Progress.load(Path(config.practice_file))
    every = exercises()
    if config.exercise is not None and not 1 <= config.exercise <= len(every):
        raise InputError(f"exercise={config.exercise}: there are exercises 1 to {len(every)}")
    asked = progress.next() if config.exercise is None else every[config.exercise - 1]
    metrics: dict[str, float] = {}
    details: dict[str, object] = {}
    if config.answer is not None and asked is not None:
        verdict = asked.grade(config.answer)
        progress.record(asked, verdict)
        _say(asked.question)
        _say(f"{'right' if verdict.right else 'wrong'}: {verdict.reason}")
        metrics["practice/right"] = float(verdict.right)
        details = {"exercise": asked.number, **asdict(verdict)}
        asked = progress.next() if verdict.right else asked
    _say(f"{len(progress.solved)} of {len(every)} solved")
    _say(asked.question if asked is not None else "all exercises are solved")
    return Results({**metrics, "practice/solved": float(len(progress.solved))}, details)


def serve(config: Config, run: Run) -> Results:
    """Serve a page and JSON on this machine until Ctrl-C: derive, unfold the steps, copy code, check an answer."""
    with server(config.serve.host, config.serve.port) as listening:
        run.log.info("http://%s:%d shows the page", config.serve.host, listening.server_port)
        listening.serve_forever()
    return Results({})


def _symbols(config: Config) -> Mapping[str, str]:
    """What is declared; of the paper's loss, which stands where no expression is given, also without a word."""
    if config.symbols is not None:
        return declarations(config.symbols)
    loss = LOSS["w"]
    return loss.symbols if config.expression == loss.expression else {}


def _derivation(config: Config) -> Derivation:
    return derive_expression(
        config.expression, config.wrt, _symbols(config), kind=config.kind, layout=config.layout, mode=config.mode,
        symmetric=config.symmetric,
    )  # fmt: skip


def _metrics(proof: Proof) -> dict[str, float]:
    found = {
        "proof/holds": float(proof.holds),
        "proof/error": proof.error,
        "proof/points": float(proof.points),
    }
    if proof.exact_error is not None:
        found["proof/exact_error"] = proof.exact_error
    return found


def _say(text: str) -> None:
    console().print(text, markup=False, highlight=False, soft_wrap=True)


script = command(
    "matrix_calculus",
    Config,
    {
        "train": train,
        "derive": derive,
        "explain": explain,
        "check": check,
        "rules": rules,
        "grade": grade,
        "practice": practice,
        "serve": serve,
    },
    "The Matrix Calculus You Need For Deep Learning: derivatives in closed form, explained, proved and graded",
)


def main() -> None:
    """The console script. What is typed in the language needs no quotes for Hydra: expression="x'*A*x"."""
    sys.argv[1:] = as_typed(sys.argv[1:])
    script()


def as_typed(arguments: Sequence[str]) -> list[str]:
    """Put what is typed in the language between Hydra's quotes.

    Args:
        arguments: of the command line.
    """
    return [_quoted(argument) for argument in arguments]


def _quoted(argument: str) -> str:
    key, equals, value = argument.partition("=")
    if key not in _TYPED or not equals or (value[:1] in "\"'" and value[-1:] == value[:1] and len(value) > 1):
        return argument
    return f"{key}={quoted(value)}"
