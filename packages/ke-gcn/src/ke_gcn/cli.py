"""The tasks of the `ke-gcn` command. Each takes the options apart, calls the API and says what came out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

from offprints.app import Results, Run, command
from offprints.errors import InputError
from offprints.tables import show
from offprints.training import reported

from ke_gcn import figures
from ke_gcn.aligner import Aligner
from ke_gcn.classification import EntityClassifier, split_entities
from ke_gcn.config import Config, DatasetConfig
from ke_gcn.datasets import PAIRS, load_dbp15k, load_folders
from ke_gcn.pairs import AlignmentData, Split, SplitKind, split_pairs
from ke_gcn.pattern import Array
from ke_gcn.ranking import Metric, PairRanking
from ke_gcn.twins import cldr_twins
from ke_gcn.wordnet import Reading, load_wordnet

_SHOWN = 12
_SUMMARY = ("hits@1", "hits@10", "mrr")


def align(config: Config, run: Run) -> Results:
    """Align two knowledge graphs: train on the seeds, rank the test pairs both ways, write all correspondences."""
    data, relation_seeds = _alignment_data(config)
    run.dataset(data.name, data.checksums)
    split = _split(config, data)
    aligner = _aligner(config, run)
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
        run.figure("relations", figures.relation_distances(*_relation_grid(aligner, data)))
    show(_found(aligner, data, split, metric), "pairs of entities that are each other's nearest")
    if len(outcome.history) > 1:
        run.figure("training", figures.training_curve(outcome.history))
    degrees = np.bincount(data.triples[:, [0, 2]].ravel(), minlength=data.num_entities)
    if rankings and config.evaluation.of == "entities":
        ranks = rankings["test"].ranks(side="left")
        run.figure("degree", figures.hits_by_degree(degrees[split.test[:, 0]], ranks <= 1))
    details = {"best_epoch": outcome.best_epoch, "epochs": outcome.epochs, "history": outcome.history}
    return Results(metrics, details)


def classify(config: Config, run: Run) -> Results:
    """Classify the entities of WordNet: train on a tenth of the labels, choose the epoch on another, test on the rest."""
    options, model = config.dataset, config.model
    if options.name != "wordnet":
        raise InputError(f"dataset.name={options.name} cannot be classified: use dataset=wordnet")
    data = load_wordnet(cast(Reading, options.reading))
    run.dataset(data.name, data.checksums)
    split = split_entities(data, seed=config.seed)
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
    with reported(run, config.training, "valid/accuracy") as on_epoch:
        outcome = classifier.fit(
            data,
            split,
            directory=run.directory / "checkpoints",
            on_epoch=on_epoch,
            uninterrupted=run.uninterrupted,
        )
    metrics = {"test/accuracy": classifier.accuracy(split.test)}
    metrics |= {f"valid/{name}": value for name, value in outcome.best.items()}
    metrics["data/hypernyms_of_one_class"] = data.agreement("_hypernym")
    most_frequent = np.bincount(data.labels[split.train]).argmax()
    metrics["baseline/accuracy"] = float(np.mean(data.labels[split.test] == most_frequent))
    run.figure("training", figures.training_curve(outcome.history))
    details = {"best_epoch": outcome.best_epoch, "epochs": outcome.epochs, "history": outcome.history}
    return Results(metrics, details)


def _rankings(
    config: Config, data: AlignmentData, split: Split, aligner: Aligner, metric: Metric
) -> dict[str, PairRanking]:
    """Prefix of the metrics -> ranking."""
    found: dict[str, PairRanking] = {}
    of = config.evaluation.of
    if of not in ("entities", "relations"):
        raise InputError(f"evaluation.of={of} is unknown: entities or relations")
    if len(split.test):
        found["test" if of == "entities" else "entities"] = aligner.evaluate(split.test, metric)
        if config.evaluation.csls:
            found["csls"] = aligner.evaluate(split.test, metric, config.evaluation.csls)
    if of == "relations":
        found = {"test": aligner.evaluate_relations(metric), **found}
    elif len(data.relation_pairs) and config.dataset.relation_seeds is None:
        found["relations"] = aligner.evaluate_relations(metric)
    return found


def _alignment_data(config: Config) -> tuple[AlignmentData, Array | None]:
    options = config.dataset
    if options.name == "cldr":
        return cldr_twins(options.keep, config.seed), None
    if options.name in PAIRS:
        return load_dbp15k(options.name, relations_shared=options.relations_shared), None
    if options.name == "folder":
        left, right, seeds = (_given(options, name) for name in ("left", "right", "seeds"))
        data = load_folders(left, right, seeds, options.relation_seeds)
        return data, data.relation_pairs if len(data.relation_pairs) else None
    raise InputError(f"dataset.name={options.name} cannot be aligned: cldr, {', '.join(PAIRS)} or folder")


def _split(config: Config, data: AlignmentData) -> Split:
    options = config.dataset
    if options.name == "folder":  # every pair that the user knows is a seed
        split = split_pairs(data.pairs, 1.0, options.valid_share, "jape", config.seed)
    else:
        kind = cast(SplitKind, options.split)
        split = split_pairs(data.pairs, options.seed_share, options.valid_share, kind, config.seed)
    if options.shuffle_seeds:
        wrong = split.train.copy()
        wrong[:, 1] = np.roll(wrong[:, 1], 1)
        split = replace(split, train=wrong)
    return split


def _aligner(config: Config, run: Run) -> Aligner:
    model = config.model
    return Aligner(
        model.score,
        model.dim,
        model.layers,
        alpha=model.alpha,
        beta=model.beta,
        update_relations=model.update_relations,
        rel_relu=model.rel_relu,
        baseline=model.baseline,
        loss=config.loss,
        training=config.training,
        seed=config.seed,
        backend=model.backend,
        device=run.fabric.device,
    )


def _write_correspondences(
    aligner: Aligner, data: AlignmentData, folder: Path, k: int, metric: Metric
) -> None:
    """entities.tsv, and relations.tsv where relations were to be found."""
    aligner.predict(k, metric=metric).to_csv(folder / "entities.tsv", sep="\t", index=False)
    if not data.relations_shared:
        aligner.predict_relations(k, metric=metric).to_csv(folder / "relations.tsv", sep="\t", index=False)


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


def _given(options: DatasetConfig, name: str) -> str:
    value: Any = getattr(options, name)
    if value is None:
        raise InputError(f"dataset.name=folder needs dataset.{name}=PATH")
    return str(value)


TASKS = {"align": align, "classify": classify}
main = command("ke_gcn", Config, TASKS, "Knowledge Embedding Based Graph Convolutional Network")
