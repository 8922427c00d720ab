"""The tasks of the `ke-gcn` command. Each takes the options apart, calls the API and says what came out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd

from offprints.app import Results, Run, command
from offprints.errors import InputError
from offprints.tables import show, write_table
from offprints.training import reported
from offprints.triples import Vocabulary
from offprints.user_errors import required

from ke_gcn import figures
from ke_gcn.aligner import Aligner
from ke_gcn.classification import EntityClassifier
from ke_gcn.config import Config
from ke_gcn.export import export_npz, export_sssom
from ke_gcn.labelled import split_entities
from ke_gcn.pairs import AlignmentData, Split
from ke_gcn.pattern import Array
from ke_gcn.ranking import Metric, PairRanking
from ke_gcn.runs import alignment_data, alignment_split, build_aligner, classification_data, open_run

_SHOWN = 12
_POINTS = 60
_SUMMARY = ("hits@1", "hits@10", "mrr")


def align(config: Config, run: Run) -> Results:
    """Align two knowledge graphs: train on the seeds, rank the test pairs both ways, write all correspondences."""
    data, relation_seeds = alignment_data(config)
    run.dataset(data.name, data.checksums)
    if config.evaluation.of == "relations":
        data.check_relations_open(answers=True)  # before anything is trained
    split = alignment_split(config, data)
    aligner = build_aligner(config, run.fabric.device)
    metric = cast(Metric, config.evaluation.metric)
    with reported(run, config.training, "valid/hits@1") as on_epoch:
        outcome = aligner.fit(
            data,
            split,
            relation_seeds=relation_seeds,
            directory=run.directory / "checkpoints",
            on_epoch=on_epoch,
            uninterrupted=run.uninterrupted,
        )
    rankings = _rankings(config, data, split, aligner, metric)
    metrics = (
        {f"test/{name}": value for name, value in rankings["test"].metrics().items()} if rankings else {}
    )
    summaries = {where: found.metrics() for where, found in rankings.items() if where != "test"}
    for where, found in {**summaries, "valid": outcome.best}.items():
        metrics |= {f"{where}/{name}": found[name] for name in _SUMMARY if name in found}
    metrics["correspondences/mutual"] = float(len(aligner.predict(1, mutual=True, metric=metric)))
    _write_correspondences(aligner, data, run.directory, config.evaluation.k, metric)
    if not data.relations_shared:
        show(
            aligner.predict_relations(1, metric=metric).head(_SHOWN),
            "relations and the nearest of the other graph",
        )
        run.figure(
            "relations",
            figures.relation_distances(*_relation_grid(aligner, data)),
            "Distances between the relations of two graphs after training",
        )
    show(_found(aligner, data, split, metric), "pairs of entities that are each other's nearest")
    if len(outcome.history) > 1:
        run.figure(
            "training",
            figures.training_curve(outcome.history),
            "Training loss, and Hits@1 of validation pairs where there are some, by CPU seconds",
        )
    degrees = np.bincount(data.triples[:, [0, 2]].ravel(), minlength=data.num_entities)
    if rankings and config.evaluation.of == "entities":
        ranks = rankings["test"].ranks(side="left")
        run.figure(
            "degree",
            figures.hits_by_degree(degrees[split.test[:, 0]], ranks <= 1),
            "Hits@1 of test entities, by how many triples they are in",
        )
    details = {"best_epoch": outcome.best_epoch, "epochs": outcome.epochs, "history": curve(outcome.history)}
    return Results(metrics, details)


def classify(config: Config, run: Run) -> Results:
    """Classify entities (wordnet, fb15k, am): train on some labels, choose the epoch on others, test on the rest."""
    model = config.model
    if model.baseline is not None:
        raise InputError(f"model.baseline={model.baseline} is for task=align; task=classify has KE-GCN alone")
    data = classification_data(config)
    run.dataset(data.name, data.checksums)
    split = split_entities(data, valid_share=config.dataset.label_valid_share, seed=config.seed)
    classifier = EntityClassifier(
        model.score,
        model.dim,
        model.layers,
        alpha=model.alpha,
        beta=model.beta,
        update_relations=model.update_relations,
        rel_relu=model.rel_relu,
        training=config.training,
        seed=config.seed,
        backend=model.backend,
        device=run.fabric.device,
    )
    select = "valid/p@5" if data.several else "valid/accuracy"
    with reported(run, config.training, select) as on_epoch:
        outcome = classifier.fit(
            data,
            split,
            directory=run.directory / "checkpoints",
            on_epoch=on_epoch,
            uninterrupted=run.uninterrupted,
        )
    metrics = {f"test/{name}": value for name, value in classifier.evaluate(split.test).items()}
    metrics |= {f"valid/{name}": value for name, value in outcome.best.items()}
    if "_hypernym" in data.relation_names:
        metrics["data/hypernyms_of_one_class"] = data.agreement("_hypernym")
    if not data.several:
        most_frequent = np.bincount(data.labels[split.train]).argmax()
        metrics["baseline/accuracy"] = float(np.mean(data.labels[split.test] == most_frequent))
    classifier.save(run.directory / "classifier.ckpt")
    run.figure(
        "training",
        figures.training_curve(outcome.history),
        f"Training loss and {select.replace('valid/', 'validation ')}, by CPU seconds",
    )
    details = {"best_epoch": outcome.best_epoch, "epochs": outcome.epochs, "history": curve(outcome.history)}
    return Results(metrics, details)


def curve(history: Sequence[Mapping[str, float]]) -> list[dict[str, float]]:
    """What results.json tells of thousands of epochs: evaluated ones, evenly apart, to six digits; metrics.csv has all."""
    looks = [row for row in history if any(name.startswith("valid/") for name in row)] or history
    places = np.unique(np.linspace(0, len(looks) - 1, min(_POINTS, len(looks))).round().astype(int))
    return [{name: float(f"{value:.6g}") for name, value in looks[i].items()} for i in places]


def evaluate(config: Config, run: Run) -> Results:
    """Rank the test pairs of a trained alignment (checkpoint=RUN); hub correction, and entities without a counterpart, apart."""
    opened = open_run(required(config.checkpoint, "checkpoint=<run directory>"), run.fabric.device)
    data, split, aligner = opened.data, opened.split, opened.aligner
    run.dataset(data.name, data.checksums)
    metric = cast(Metric, config.evaluation.metric)
    asked = replace(opened.config, evaluation=config.evaluation)
    rankings = _rankings(asked, data, split, aligner, metric)
    metrics = {
        f"{where}/{name}": v for where, found in rankings.items() for name, v in found.metrics().items()
    }
    if "test" in rankings:
        metrics["test/mutual"] = float(rankings["test"].mutual.mean())
    if len(np.setdiff1d(np.flatnonzero(data.left), data.pairs[:, 0])) > 1 and len(split.test):
        report = aligner.evaluate_dangling(split, metric, config.seed)
        metrics |= {f"dangling/{name}": value for name, value in report.metrics().items()}
    shown = {where: found.metrics() for where, found in rankings.items()}
    rows = [[where, *(found[name] for name in _SUMMARY)] for where, found in shown.items()]
    show(pd.DataFrame(rows, columns=["", *_SUMMARY]), f"{data.name}: both directions, {metric}")
    return Results(metrics)


def predict(config: Config, run: Run) -> Results:
    """Rank the candidates of every entity (or predict.entity=NAME) with a trained alignment: checkpoint=RUN."""
    opened = open_run(required(config.checkpoint, "checkpoint=<run directory>"), run.fabric.device)
    run.dataset(opened.data.name, opened.data.checksums)
    asked, metric = config.predict, cast(Metric, config.evaluation.metric)
    table = opened.aligner.predict(
        config.evaluation.k,
        mutual=asked.mutual,
        metric=metric,
        csls=config.evaluation.csls,
        threshold=asked.threshold,
    )
    if asked.entity is not None:
        names = dict.fromkeys(opened.data.entity_name(int(i)) for i in np.flatnonzero(opened.data.left))
        Vocabulary("entity of the left graph", tuple(names)).id(
            asked.entity
        )  # or an error with the nearest names
        table = table[table["left"] == asked.entity]
    write_table(run.directory / "predictions.tsv", table)
    show(table.head(_SHOWN), "candidates, the best first")
    return Results({"predict/rows": float(len(table)), "predict/entities": float(table["left"].nunique())})


def export(config: Config, run: Run) -> Results:
    """Write a trained alignment (checkpoint=RUN) as npz (embeddings), sssom (mutual pairs) or aligner (for Aligner.load)."""
    opened = open_run(required(config.checkpoint, "checkpoint=<run directory>"), run.fabric.device)
    form = config.export.format
    endings = {"npz": "npz", "sssom": "sssom.tsv", "aligner": "ckpt"}
    if form not in endings:
        raise InputError(f"export.format={form} is unknown: one of {', '.join(endings)}")
    path = Path(config.export.path or run.directory / f"alignment.{endings[form]}")
    if form == "aligner":
        opened.aligner.save(path)
    else:
        {"npz": export_npz, "sssom": export_sssom}[form](opened.aligner, opened.data, path)
    run.log.info("wrote %s (%.1f MB)", path, path.stat().st_size / 1e6)
    return Results({"export/megabytes": path.stat().st_size / 1e6})


def _rankings(
    config: Config, data: AlignmentData, split: Split, aligner: Aligner, metric: Metric
) -> dict[str, PairRanking]:
    """Prefix of the metrics -> ranking."""
    found: dict[str, PairRanking] = {}
    of = config.evaluation.of
    if len(split.test):
        found["test" if of == "entities" else "entities"] = aligner.evaluate(split.test, metric)
        if config.evaluation.csls:
            found["csls"] = aligner.evaluate(split.test, metric, config.evaluation.csls)
    if of == "relations":
        found = {"test": aligner.evaluate_relations(metric), **found}
    elif len(data.relation_pairs) and config.dataset.relation_seeds is None:
        found["relations"] = aligner.evaluate_relations(metric)
    return found


def _write_correspondences(
    aligner: Aligner, data: AlignmentData, folder: Path, k: int, metric: Metric
) -> None:
    """entities.tsv, and relations.tsv where relations were to be found."""
    write_table(folder / "entities.tsv", aligner.predict(k, metric=metric))
    if not data.relations_shared:
        write_table(folder / "relations.tsv", aligner.predict_relations(k, metric=metric))


def _found(aligner: Aligner, data: AlignmentData, split: Split, metric: Metric) -> pd.DataFrame:
    """Mutual pairs of entities that were not among the seeds, the surest first; for test entities with the truth."""
    table = aligner.predict(1, mutual=True, metric=metric)
    truth = {data.entity_name(a): data.entity_name(b) for a, b in split.test.tolist()}
    if truth:
        table = table[table["left"].isin(truth)]
        table = table.assign(truth=[truth[left] for left in table["left"]])
    else:
        table = table[~table["left"].isin({data.entity_name(a) for a in split.train[:, 0].tolist()})]
    table = table.sort_values("score", ascending=False, kind="stable").drop(columns=["rank", "mutual"])
    # Across the whole list, and not its head only: the surest ones are leaves that lie close to everything.
    return table.iloc[np.linspace(0, len(table) - 1, min(_SHOWN, len(table))).astype(int)]


def _relation_grid(aligner: Aligner, data: AlignmentData) -> tuple[list[str], list[str], Array]:
    """Names and distances of the most frequent relations of both graphs."""
    from ke_gcn.ranking import distances_by

    _, rows = aligner.embed()
    of_left = data.left[data.triples[:, 0]]
    most = []
    for part in (of_left, ~of_left):
        relation, count = np.unique(data.triples[part, 1], return_counts=True)
        most.append(relation[np.argsort(-count, kind="stable")][:20])
    distance = distances_by("l1")(rows[most[0].tolist()], rows[most[1].tolist()]).cpu().numpy()
    names = [[data.relation_name(int(relation)) for relation in relations] for relations in most]
    return names[0], names[1], distance


TASKS = {
    "align": align,
    "classify": classify,
    "evaluate": evaluate,
    "predict": predict,
    "export": export,
}
main = command(
    "ke_gcn",
    Config,
    TASKS,
    "Knowledge Embedding Based Graph Convolutional Network",
    on_device=("align", "classify", "evaluate", "predict", "export"),
    with_checkpoint=("evaluate", "predict", "export"),
)
