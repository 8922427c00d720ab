"""The tasks of the `ukge` command. Each takes the options apart, calls the API and says what came out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from offprints.app import Results, Run, command
from offprints.errors import InputError
from offprints.figures import bars, training_curve
from offprints.tables import show, write_table
from offprints.training import Outcome, reported
from offprints.user_errors import required

from ukge import figures
from ukge.audit import audit as audit_graph
from ukge.calibration import Calibration, calibrate, reliability
from ukge.completion import Completion
from ukge.config import Config, ModelConfig
from ukge.evaluation import Evaluation
from ukge.facts import Facts
from ukge.graph import UncertainGraph
from ukge.grounding import ground, propagate
from ukge.mining import fit_of_rule, mine_rules, rule_table
from ukge.model import UKGE
from ukge.predictor import ModelPredictor
from ukge.rules import parse_rule
from ukge.runs import (
    build_atoms,
    build_graph,
    build_model,
    build_rules,
    keep_calibration,
    open_run,
    training_facts,
)
from ukge.serve import Bounds, server
from ukge.summaries import SHOWN, baseline_scores, believed, examples, score_table
from ukge.training import Trainer, TrainingOptions


def compare(config: Config, run: Run) -> Results:
    """Train both variants, their ablations and the baselines on one data set, and set all side by side."""
    graph = _graph(config, run)
    evaluation = Evaluation(graph)
    split = _measured_split(config, graph)
    own = f"UKGE {config.model.kind}"
    for _, model, _ in _variants(config):  # a wrong option is refused before anything is trained
        build_model(model, graph, config.seed)
    rows: dict[str, dict[str, float]] = {}
    models: dict[str, UKGE] = {}
    for name, model, training in _variants(config):
        main = name == own
        directory = run.directory / "checkpoints" / ("" if main else name.replace(" ", "_"))
        models[name], outcome = _fit(
            model, training, graph, evaluation, config, run, directory, name, log=main
        )
        rows[name] = evaluation.report(ModelPredictor(models[name]), split)
        if main:
            metric = f"valid/{config.evaluation.select}"
            run.figure(
                "training",
                training_curve(outcome.history, outcome.best_epoch, metric),
                "Training loss and the validation metric, epoch by epoch",
            )
    rows |= baseline_scores(graph, evaluation, split)
    run.figure(
        "errors",
        bars(
            {n: row["mse_pos_neg"] for n, row in rows.items()},
            f"{split} MSE, true and false facts",
            lambda name: name.startswith("UKGE"),
            "%.4f",
        ),
        "Error of the confidences that each variant and each baseline gives to true and false facts",
    )
    show(score_table(rows), f"{graph.name}: {split} split")
    metrics = {f"{split}/{name}": value for name, value in rows[own].items()}
    for name, row in rows.items():
        slug = name.removeprefix("UKGE ").replace(" ", "_")
        metrics |= {f"{slug}/{key}": row[key] for key in SHOWN}
    calibration = Calibration()
    if len(graph.valid):
        calibration, found = _calibrate(models[own], evaluation, config, run)
        metrics |= found
    show(examples(Completion(models[own], graph, calibration)), "some test facts in words")
    return Results(metrics)


def train(config: Config, run: Run) -> Results:
    """Train one model, choose the epoch on the validation split, and measure all three tasks once."""
    graph = _graph(config, run)
    evaluation = Evaluation(graph)
    split = _measured_split(config, graph)
    asked = _asked(config.evaluation.facts)
    Completion(build_model(config.model, graph, config.seed), graph).ids(
        asked
    )  # a wrong name is refused at once
    model, outcome = _fit(
        config.model,
        config.training,
        graph,
        evaluation,
        config,
        run,
        run.directory / "checkpoints",
        "training",
    )
    rows = {"model": evaluation.report(ModelPredictor(model), split)}
    said = Completion(model, graph).confidence(asked)
    if asked:
        show(pd.DataFrame(asked, columns=["head", "relation", "tail"]).assign(confidence=said), "asked facts")
    metrics = {f"{split}/{name}": value for name, value in rows["model"].items()}
    metrics |= {f"valid/{name}": value for name, value in outcome.best.items()}
    metrics |= {f"said/{' '.join(fact)}": float(value) for fact, value in zip(asked, said, strict=True)}
    if config.evaluation.baselines:
        rows |= baseline_scores(graph, evaluation, split)
        for name, row in rows.items():
            if name != "model":
                metrics |= {f"{name.replace(' ', '_')}/{key}": row[key] for key in SHOWN}
    show(score_table(rows), f"{graph.name}: {split} split, epoch {outcome.best_epoch}")
    metric = f"valid/{config.evaluation.select}"
    run.figure(
        "training",
        training_curve(outcome.history, outcome.best_epoch, metric),
        "Training loss and the validation metric, epoch by epoch",
    )
    if len(graph.valid):
        metrics |= _calibrate(model, evaluation, config, run)[1]
    return Results(
        metrics, {"best_epoch": outcome.best_epoch, "epochs": outcome.epochs, "history": outcome.history}
    )


def evaluate(config: Config, run: Run) -> Results:
    """Measure a trained model (checkpoint=RUN) on a split."""
    opened = open_run(required(config.checkpoint, "checkpoint=<run directory>"))
    completion = opened.completion
    run.dataset(completion.graph.name, completion.graph.checksums)
    split = config.evaluation.split
    evaluation = Evaluation(completion.graph)
    row = evaluation.report(ModelPredictor(completion.model), split)
    show(score_table({opened.config.model.kind: row}), f"{completion.graph.name}: {split} split")
    return Results({f"{split}/{name}": value for name, value in row.items()})


def predict(config: Config, run: Run) -> Results:
    """Say how much to believe a fact, complete a question, or both for a file, with checkpoint=RUN."""
    completion = open_run(required(config.checkpoint, "checkpoint=<run directory>")).completion
    run.dataset(completion.graph.name, completion.graph.checksums)
    asked = config.predict
    others = [open_run(directory).completion for directory in asked.others]
    if asked.facts is not None:
        return _predict_file(completion, others, Path(asked.facts), asked.level, run)
    relation = required(asked.relation, "predict.relation=<name>")
    if asked.head is not None and asked.tail is not None:
        fact = (asked.head, relation, asked.tail)
        table = believed(completion, others, [fact], asked.level)
        show(table, completion.graph.text(*(int(c[0]) for c in _columns(completion, fact))))
        show(completion.explain(*fact), "what train says of it")
        return Results({"predict/confidence": float(table["confidence"].iloc[0])})
    table = completion.top(relation, asked.head, asked.tail, asked.k, asked.new_only)
    show(table, f"({asked.head or '?'}, {relation}, {asked.tail or '?'})")
    write_table(run.directory / "predictions.tsv", table)
    best = float(table["confidence"].iloc[0]) if len(table) else float("nan")
    return Results({"predict/answers": float(len(table)), "predict/best_confidence": best})


def rules(config: Config, run: Run) -> Results:
    """Mine rules from train; ground those of psl.rules, or else the mined ones, and propagate confidences by them."""
    graph = _graph(config, run)
    psl = config.psl
    mined = mine_rules(
        graph.train,
        graph.entities,
        graph.relations,
        min_hit_ratio=psl.min_hit_ratio,
        min_hits=psl.min_hits,
        min_body=psl.min_body,
        most=psl.most,
    )
    table = rule_table(mined)
    show(table.head(25), f"{graph.name}: rules mined from train, bodies above {psl.min_body}")
    write_table(run.directory / "rules.csv", table)
    metrics = {"rules/mined": float(len(mined))}
    written = [parse_rule(text) for text in psl.rules]
    fits = [
        fit_of_rule(rule, graph.train, graph.entities, graph.relations, min_body=psl.min_body, most=psl.most)
        for rule in written
    ]
    if fits:
        show(rule_table(fits), "the rules of psl.rules")
        metrics |= {f"rules/{number}/hit_ratio": fit.hit_ratio for number, fit in enumerate(fits, 1)}
    used = build_rules(psl, graph) or [one.rule for one in mined]
    if used:
        atoms = ground(
            used, graph.train, graph.entities, graph.relations, min_body=psl.min_body, most=psl.most
        )
        new = atoms.without(graph.known("train"), graph.num_entities)
        derived, rounds = propagate(
            used, graph.train, graph.entities, graph.relations, rounds=psl.rounds, min_body=psl.min_body, most=psl.most
        )  # fmt: skip
        facts = pd.DataFrame(
            {
                "head": [graph.entities.names[i] for i in derived.head],
                "relation": [graph.relations.names[i] for i in derived.relation],
                "tail": [graph.entities.names[i] for i in derived.tail],
                "confidence": derived.confidence,
            }
        )
        write_table(run.directory / "derived.tsv", facts)
        metrics |= {
            "rules/groundings": float(len(atoms)),
            "rules/new_groundings": float(len(new)),
            "rules/derived": float(len(derived)),
            "rules/rounds": float(rounds),
        }
    return Results(metrics)


def audit(config: Config, run: Run) -> Results:
    """Audit a data set: what train tells of test, false negatives, repeats."""
    graph = _graph(config, run)
    found = audit_graph(graph)
    measures = pd.DataFrame(list(found.measures.items()), columns=["measure", "value"])
    show(measures, f"{graph.name}: what the splits share")
    show(found.relations.sort_values("test", ascending=False).head(12), "the most frequent relations")
    write_table(run.directory / "relations.csv", found.relations)
    return Results(
        {f"graph/{name}": value for name, value in found.statistics.items()}
        | {f"test/{name}": value for name, value in found.measures.items()}
    )


def serve(config: Config, run: Run) -> Results:
    """Serve a trained model (checkpoint=RUN) over HTTP with JSON until Ctrl-C."""
    completion = open_run(required(config.checkpoint, "checkpoint=<run directory>")).completion
    run.dataset(completion.graph.name, completion.graph.checksums)
    if config.serve.waiting < 1:
        raise InputError(f"serve.waiting={config.serve.waiting} must be 1 or more")
    bounds = Bounds(waiting=config.serve.waiting)
    with server(completion, config.serve.host, config.serve.port, bounds) as listening:
        run.log.info(
            "http://%s:%d answers /health, /confidence and /complete",
            config.serve.host,
            listening.server_port,
        )
        listening.serve_forever()
    return Results({})


main = command(
    "ukge",
    Config,
    {
        "compare": compare,
        "train": train,
        "evaluate": evaluate,
        "predict": predict,
        "rules": rules,
        "audit": audit,
        "serve": serve,
    },
    "Embedding Uncertain Knowledge Graphs: confidences of facts, soft logic, and how much of a test set is given away",
    on_device=("compare", "train"),
    with_checkpoint=("evaluate", "predict", "serve"),
)


def _graph(config: Config, run: Run) -> UncertainGraph:
    graph = build_graph(config.dataset, config.seed)
    run.dataset(graph.name, graph.checksums)
    sizes = (len(graph.split(split)) for split in ("train", "valid", "test"))
    run.log.info(
        "%s: %d entities, %d relations, %d / %d / %d facts", graph.name, graph.num_entities, graph.num_relations, *sizes
    )  # fmt: skip
    return graph


def _measured_split(config: Config, graph: UncertainGraph) -> str:
    """The split that the options name; an empty one is refused before anything is trained."""
    split = config.evaluation.split
    if not len(graph.split(split)):
        raise InputError(f"{graph.name}: the {split} split is empty, there is nothing to measure on")
    return split


def _variants(config: Config) -> list[tuple[str, ModelConfig, TrainingOptions]]:
    """The paper's models under the configured options, and the asymmetric scorer."""
    model, training = config.model, config.training
    return [
        ("UKGE rect", replace(model, kind="rect"), training),
        ("UKGE logi", replace(model, kind="logi"), training),
        ("UKGE n-", model, replace(training, negatives=0)),
        ("UKGE p-", model, replace(training, psl_batch=0)),
        ("UKGE complex", replace(model, scorer="complex"), training),
        ("URGE", replace(model, kind="logi", scorer="urge"), replace(training, psl_batch=0)),
        (
            "DistMult",
            replace(model, kind="logi", deterministic=True),
            replace(training, objective="logistic", psl_batch=0),
        ),
    ]


def _fit(
    model_options: ModelConfig,
    training: TrainingOptions,
    graph: UncertainGraph,
    evaluation: Evaluation,
    config: Config,
    run: Run,
    directory: Path,
    title: str,
    log: bool = True,
) -> tuple[UKGE, Outcome]:
    model = build_model(model_options, graph, config.seed)
    select = config.evaluation.select

    def validate() -> dict[str, float]:
        predictor = ModelPredictor(model)
        errors = evaluation.confidence(predictor, "valid")
        return errors | {"ndcg_linear": evaluation.ranking(predictor, "valid")["ndcg_linear"]}

    with reported(run, training, f"valid/{select}", title, log) as on_epoch:
        trainer = Trainer(
            model,
            training_facts(model_options, graph),
            training,
            atoms=build_atoms(config.psl, graph) if training.psl_batch else None,
            seed=config.seed,
            device=run.fabric.device,
            validate=validate if len(graph.valid) else None,
            select=select,
            higher_is_better=select == "ndcg_linear",
            directory=directory,
            belongs_to=graph.fingerprint,
            on_epoch=on_epoch,
            uninterrupted=run.uninterrupted,
        )
        return model, trainer.fit()


def _calibrate(
    model: UKGE, evaluation: Evaluation, config: Config, run: Run
) -> tuple[Calibration, dict[str, float]]:
    predictor, graph, split = ModelPredictor(model), evaluation.graph, config.evaluation.split
    valid = Facts.concatenate([graph.valid, evaluation.negatives("valid")])
    fitted = calibrate(predictor.predict(valid), valid.confidence)
    keep_calibration(run.directory, fitted)
    facts, negatives = graph.split(split), evaluation.negatives(split)
    mixed = Facts.concatenate([facts, negatives])
    said = predictor.predict(mixed)
    curves = {
        name: reliability(made(said), mixed.confidence)
        for name, made in (("as trained", Calibration()), ("calibrated", fitted))
    }
    run.figure(
        "reliability",
        figures.reliability_diagram(curves),
        "Mean confidence of facts, by the confidence that was predicted",
    )
    spread = figures.predicted_and_true(said[: len(facts)], facts.confidence, said[len(facts) :])
    run.figure("confidences", spread, "The confidences that are predicted of true and of false facts")
    after = float(np.square(fitted(said) - mixed.confidence).mean())
    return fitted, {
        "calibration/gap": curves["as trained"].error,
        "calibration/gap_calibrated": curves["calibrated"].error,
        f"{split}/mse_pos_neg_calibrated": after,
    }


def _asked(facts: list[str]) -> list[tuple[str, str, str]]:
    split = [tuple(part.strip() for part in fact.split("|")) for fact in facts]
    wrong = [fact for fact, parts in zip(facts, split, strict=True) if len(parts) != 3]
    if wrong:
        raise InputError(f"evaluation.facts: {wrong[0]!r} is not of the form head | relation | tail")
    return [(parts[0], parts[1], parts[2]) for parts in split]


def _predict_file(
    completion: Completion, others: list[Completion], path: Path, level: float, run: Run
) -> Results:
    from offprints.triples import read_columns

    facts = list(zip(*read_columns(path), strict=True))
    table = believed(completion, others, facts, level)
    write_table(run.directory / "predictions.tsv", table)
    return Results(
        {"predict/answers": float(len(table)), "predict/mean_confidence": float(table["confidence"].mean())}
    )


def _columns(completion: Completion, fact: tuple[str, str, str]) -> list[Any]:
    ids = completion.ids([fact])
    return [ids.head, ids.relation, ids.tail]
