"""The tasks of the `conve` command. Each takes the options apart, calls the API and says what came out."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import pandas as pd

from offprints.app import Results, Run, command
from offprints.data import MissingFile
from offprints.errors import InputError
from offprints.figures import bars, training_curve
from offprints.ranking import Ranking, Ties
from offprints.results import read_results
from offprints.tables import show, write_table
from offprints.training import Outcome, reported
from offprints.triples import KnowledgeGraph
from offprints.user_errors import required

from conve import figures
from conve.audit import audit as audit_graph
from conve.calibration import Calibration, calibrate, candidates, reliability
from conve.centrality import (
    hits_error_reduction,
    in_degree_buckets,
    mean_over_test,
    pagerank,
)
from conve.config import Config
from conve.countries import countries_auc_pr
from conve.datasets import load_dataset
from conve.evaluation import evaluate as rank
from conve.evaluation import paired_bootstrap, scoring
from conve.export import export_npz, export_parquet, export_program
from conve.frequency import FrequencyModel
from conve.inverse import InverseModel
from conve.predict import Predictor
from conve.robust import make_robust, without_relations, write_graph
from conve.runs import OpenedRun, build_graph, build_model, keep_calibration, open_run
from conve.scorer import Scorer
from conve.summaries import by_category, by_relation, examples, score_table
from conve.survey import gains, leakage, sizes
from conve.training import Trainer

FACTS: tuple[Literal["train", "all"], ...] = ("train", "all")


def train(config: Config, run: Run) -> Results:
    """Train a model, choose the epoch on the validation split, and rank the test split once."""
    graph = _graph(config, run)
    split, filtered = config.evaluation.split, config.evaluation.filtered
    if not len(graph.split(split)):
        raise InputError(
            f"{graph.name}: the {split} split is empty; evaluation.split=valid ranks another one"
        )
    fabric = run.fabric
    model = build_model(config.model, graph)
    outcome = _fit(model, graph, config, run)
    ranking = rank(model, graph, split, filtered=filtered)
    metrics = _metrics(model, graph, ranking, config)
    best = {f"valid/{name}": value for name, value in outcome.best.items()}
    metrics |= {name: value for name, value in best.items() if name not in metrics}
    metrics["parameters"] = float(sum(p.numel() for p in model.parameters()))
    if not fabric.is_global_zero:
        return Results(metrics)

    # The baselines are of the test split and filtered: other ranks must not stand beside theirs.
    rules = InverseModel.mine(graph).evaluate() if split == "test" and filtered else None
    details: dict[str, Any] = {
        "best_epoch": outcome.best_epoch,
        "epochs": outcome.epochs,
        "history": outcome.history,
    }
    run.figure(
        "training",
        training_curve(outcome.history, outcome.best_epoch, "valid/mrr"),
        "Training loss and validation MRR, epoch by epoch",
    )
    if rules is not None:
        baselines = {"frequency": FrequencyModel.of(graph).rank("test").metrics(), "inverse": rules.metrics()}
        metrics |= {
            f"{name}/{key}": value for name, scores in baselines.items() for key, value in scores.items()
        }
        compared = {config.model.name: metrics["test/mrr"]} | {n: s["mrr"] for n, s in baselines.items()}
        run.figure(
            "baselines",
            bars(compared, "test MRR", lambda name: name == next(iter(compared))),
            "Test MRR of the model, and of baselines that learn nothing",
        )
        excess = rules.excess(ranking.ranks())
        details["excess_over_the_inverse_rule"] = excess.to_dict("records")
        run.figure(
            "excess",
            figures.excess_by_relation(excess, [graph.label(r) for r in excess["relation"]]),
            f"MRR of {config.model.name} and of the inverse rule, relation by relation",
        )
        show(
            score_table({config.model.name: _own(metrics), **baselines}),
            f"{graph.name}: test split, filtered",
        )
        show(excess.head(8), "excess over the inverse rule, by relation")
    if len(graph.valid):
        metrics |= _calibrate(model, graph, config, run)
    show(examples(model, graph, ranking), "some test questions, answered")
    return Results(metrics, details)


def evaluate(config: Config, run: Run) -> Results:
    """Rank a split with a trained model (checkpoint=RUN); evaluation.against=RUN compares two by a paired bootstrap."""
    opened = open_run(required(config.checkpoint, "checkpoint=<run directory>"))
    graph = opened.graph
    run.dataset(graph.name, graph.checksums)
    device = run.fabric.device
    split, ties = config.evaluation.split, cast(Ties, config.evaluation.ties)
    with run.progress(1, f"ranking {split}") as bar:
        ranking = rank(opened.model.to(device), graph, split, filtered=config.evaluation.filtered)
        bar.advance(1, ranking.metrics(ties))
    metrics = _metrics(opened.model, graph, ranking, config)
    sides = {side: ranking.metrics(ties, side) for side in ("tail", "head", "both")}
    show(score_table(sides), f"{graph.name}: {split} split, {ties} ties")
    details: dict[str, Any] = {
        "by_relation": by_relation(graph, ranking),
        "by_category": by_category(graph, ranking),
    }
    if config.evaluation.against is not None:
        other = _opened_beside(graph, config.evaluation.against)
        second = rank(other.model.to(device), graph, split, filtered=config.evaluation.filtered)
        contrast = paired_bootstrap(ranking.ranks(ties), second.ranks(ties), seed=config.seed)
        details["difference"] = vars(contrast)
        metrics |= {"difference/mrr": contrast.first - contrast.second}
        metrics |= {"difference/mrr_low": contrast.low, "difference/mrr_high": contrast.high}
        show(
            pd.DataFrame([vars(contrast)]),
            "MRR of the first and second model, and the interval of their difference",
        )
    return Results(metrics, details)


def predict(config: Config, run: Run) -> Results:
    """Answer a question: predict.head=... predict.relation=... (or predict.tail=...) with checkpoint=RUN."""
    predictor = Predictor.from_run(required(config.checkpoint, "checkpoint=<run directory>"))
    asked = config.predict
    table = predictor.top_k(
        relation=required(asked.relation, "predict.relation=<name>"),
        head=asked.head,
        tail=asked.tail,
        k=asked.k,
        filtered=asked.filtered,
    )
    run.dataset(predictor.graph.name, predictor.graph.checksums)
    show(table, f"({asked.head or '?'}, {asked.relation}, {asked.tail or '?'})")
    write_table(run.directory / "predictions.csv", table)
    best = float(table["probability"].iloc[0]) if len(table) else float("nan")
    return Results({"predict/answers": float(len(table)), "predict/best_probability": best})


def export(config: Config, run: Run) -> Results:
    """Write a trained model (checkpoint=RUN) as npz, parquet or a torch.export program."""
    opened = open_run(required(config.checkpoint, "checkpoint=<run directory>"))
    kinds = {"npz": export_npz, "parquet": export_parquet, "program": export_program}
    endings = {"npz": "npz", "parquet": "parquet", "program": "pt2"}
    form = config.export.format
    if form not in kinds:
        raise InputError(f"export.format={form} is unknown: one of {', '.join(kinds)}")
    path = Path(config.export.path or run.directory / f"model.{endings[form]}")
    written = kinds[form](opened.model, opened.graph, path)
    run.log.info("wrote %s (%.1f MB)", written, written.stat().st_size / 1e6)
    return Results({"export/megabytes": written.stat().st_size / 1e6})


def audit(config: Config, run: Run) -> Results:
    """Audit a data set for leaks between its splits; robust.folder=DIR writes one without redundant relations."""
    graph = _graph(config, run)
    report = audit_graph(graph)
    show(report.splits, f"{graph.name}: splits")
    show(report.relations.sort_values("test_leaked", ascending=False).head(15), "relations that leak most")
    write_table(run.directory / "relations.csv", report.relations)
    metrics = {f"test/{name}": value for name, value in report.metrics().items()}
    if config.robust.folder is not None:
        if config.robust.drop:
            robust = without_relations(graph, config.robust.drop)
        else:
            made = make_robust(graph, config.robust.threshold)
            show(made.removed, f"relations removed at threshold {made.threshold:.3f}")
            robust = made.graph
        write_graph(robust, config.robust.folder)
        metrics |= {f"robust/{name}": value for name, value in audit_graph(robust).metrics().items()}
        run.log.info(
            "wrote %s: %d relations, %d training triples",
            config.robust.folder,
            robust.num_relations,
            len(robust.train),
        )
    return Results(metrics)


def inverse(config: Config, run: Run) -> Results:
    """Score the inverse-relation rule model, drawn as published (test/) and in closed form (expected/)."""
    graph = _graph(config, run)
    options = config.inverse
    model = InverseModel.mine(
        graph, options.threshold, cast(Literal["or", "and"], options.rule), options.min_support
    )
    metrics = {"threshold": model.threshold, "rules": float(len(model.rules))}
    for prefix, mode in (("test", "sampled"), ("expected", "expected")):
        ranks = model.evaluate(
            cast(Literal["expected", "sampled"], mode),
            cast(Literal["reference", "strict"], options.misses),
            all_rules=options.all_rules,
            use_valid=options.use_valid,
            seed=options.draw_seed,
        )
        metrics |= {f"{prefix}/{name}": value for name, value in ranks.metrics().items()}
    show(model.rules.head(20), f"{graph.name}: inverse relations at threshold {model.threshold:.4f}")
    by_mode = {
        name: {k.split("/")[1]: v for k, v in metrics.items() if k.startswith(f"{name}/")}
        for name in ("test", "expected")
    }
    show(
        score_table({"drawn": by_mode["test"], "expected": by_mode["expected"]}),
        "both sides of the test split",
    )
    write_table(run.directory / "rules.csv", model.rules)
    return Results(metrics)


def analyse(config: Config, run: Run) -> Results:
    """Relate quality to how central the test entities are (checkpoint=RUN); evaluation.against=RUN adds a baseline."""
    opened = open_run(config.checkpoint) if config.checkpoint else None
    graph = opened.graph if opened else _graph(config, run)
    run.dataset(graph.name, graph.checksums)
    metrics = {f"pagerank/{facts}": mean_over_test(graph, pagerank(graph, facts)) for facts in FACTS}
    if opened is not None:
        groups, edges = in_degree_buckets(graph)
        ranking = rank(opened.model, graph)
        name, found = opened.config.model.name, ranking.by_group(groups)
        buckets = {name: found}
        if config.evaluation.against is not None:
            other = _opened_beside(graph, config.evaluation.against)
            baseline = rank(other.model, graph)
            beside = other.config.model.name
            buckets[beside if beside != name else f"{beside}, the baseline"] = baseline.by_group(groups)
            metrics["error_reduction/hits@10"] = hits_error_reduction(baseline.ranks(), ranking.ranks())
        run.figure(
            "in_degree",
            figures.by_in_degree(buckets, edges),
            "How well entities are ranked, by how many facts end in them",
        )
        metrics |= {f"in_degree_{edges[g]:.0f}/hits@10": v["hits@10"] for g, v in found.items()}
    show(
        pd.DataFrame([metrics]).T.reset_index().set_axis(["measure", "value"], axis=1),
        f"{graph.name}: centrality",
    )
    return Results(metrics)


def parameters(config: Config, run: Run) -> Results:
    """Count the parameters of the configured model on the data set."""
    graph = _graph(config, run)
    model = build_model(config.model, graph)
    counts = {name: float(np.prod(value.shape)) for name, value in dict(model.named_parameters()).items()}  # type: ignore[attr-defined]
    total = sum(counts.values())
    show(
        pd.DataFrame({"parameter": [*counts, "all"], "numbers": [*counts.values(), total]}), config.model.name
    )
    return Results({"parameters": total, **{f"parameters/{name}": value for name, value in counts.items()}})


def survey(config: Config, run: Run) -> Results:
    """Compare data sets: what each leaks, what the models learn on it, and (survey.runs=DIR) what ConvE gains."""
    graphs = [graph for name in config.survey.datasets if (graph := _at_hand(name, run)) is not None]
    if not graphs:
        raise InputError(f"none of the data sets is at hand: {', '.join(config.survey.datasets)}")
    for graph in graphs:
        run.dataset(graph.name, graph.checksums)
    tables = {"leakage": leakage(graphs), "parameters": sizes(graphs, config.survey.dims)}
    if config.survey.runs is not None:
        tables["gains"] = gains(graphs, read_results(config.survey.runs))
        columns = (tables["gains"][name].tolist() for name in ("data set", "pagerank", "gain"))
        run.figure(
            "gain_against_pagerank",
            figures.gain_against_pagerank(*columns),
            "What the model gains over a baseline, by how central the test entities of a data set are",
        )
    for name, table in tables.items():
        show(table, name)
        write_table(run.directory / f"{name}.csv", table)
    metrics = {
        f"{row['data set']}/leaked": float(row["either"]) for row in tables["leakage"].to_dict("records")
    }
    return Results(metrics, {name: table.to_dict("records") for name, table in tables.items()})


main = command(
    "conve",
    Config,
    {
        "train": train,
        "evaluate": evaluate,
        "predict": predict,
        "export": export,
        "audit": audit,
        "inverse": inverse,
        "analyse": analyse,
        "parameters": parameters,
        "survey": survey,
    },
    "Convolutional 2D Knowledge Graph Embeddings: link prediction, and how much of it is leakage",
    on_device=("train", "evaluate"),
    precisions={"train": ("fp32", "bf16")},
    with_checkpoint=("evaluate", "predict", "export", "analyse"),
)


def _graph(config: Config, run: Run) -> KnowledgeGraph:
    graph = build_graph(config.dataset)
    run.dataset(graph.name, graph.checksums)
    run.log.info(
        "%s: %d entities, %d relations, %d / %d / %d triples",
        graph.name,
        graph.num_entities,
        graph.num_relations,
        *(len(graph.split(split)) for split in ("train", "valid", "test")),
    )
    return graph


def _opened_beside(graph: KnowledgeGraph, directory: str) -> OpenedRun:
    """A second run, to compare with one that was trained on the graph."""
    other = open_run(directory)
    if other.graph.fingerprint != graph.fingerprint:
        raise InputError(f"{directory} was trained on other data: nothing to compare")
    return other


def _at_hand(name: str, run: Run) -> KnowledgeGraph | None:
    try:
        return load_dataset(name)
    except MissingFile as missing:
        run.log.warning("%s is left out: %s", name, missing)
        return None


def _fit(model: Scorer, graph: KnowledgeGraph, config: Config, run: Run) -> Outcome:
    from offprints.gpu import resolve_precision

    device = run.fabric.device
    directory = run.directory / "checkpoints"
    select = "auc_pr" if _is_countries(graph) else "mrr"

    def validate() -> dict[str, float]:
        metrics = rank(model, graph, "valid").metrics()
        return metrics | _countries(model, graph, "valid")

    with reported(run, config.training, f"valid/{select}") as on_epoch:
        return Trainer(
            model,
            graph,
            config.training,
            seed=config.seed,
            device=device,
            bfloat16=resolve_precision(config.precision, device) == "bf16",
            validate=validate,
            select=select,
            directory=directory,
            on_epoch=on_epoch,
            uninterrupted=run.uninterrupted,
        ).fit()


def _metrics(model: Scorer, graph: KnowledgeGraph, ranking: Ranking, config: Config) -> dict[str, float]:
    split, ties = config.evaluation.split, cast(Ties, config.evaluation.ties)
    metrics = {f"{split}/{name}": value for name, value in ranking.metrics(ties).items()}
    metrics |= {f"{split}/{side}_mrr": ranking.metrics(ties, side)["mrr"] for side in ("tail", "head")}
    seen = np.zeros(graph.num_entities, bool)
    seen[graph.train.head] = seen[graph.train.tail] = True
    known_ends = seen[ranking.triples.head] & seen[ranking.triples.tail]
    if (
        known_ends.any() and not known_ends.all()
    ):  # named apart: the entities that train has not are part of the test
        metrics[f"{split}/mrr_of_seen_entities"] = ranking.subset(known_ends).metrics(ties)["mrr"]
    return metrics | {f"{split}/{name}": value for name, value in _countries(model, graph, split).items()}


def _is_countries(graph: KnowledgeGraph) -> bool:
    return graph.name.startswith("countries")


def _countries(model: Scorer, graph: KnowledgeGraph, split: str) -> dict[str, float]:
    if not _is_countries(graph):
        return {}
    with scoring(model) as score_tails:
        device = next(model.parameters()).device
        return {"auc_pr": countries_auc_pr(score_tails, graph, split, device=device)}


def _calibrate(model: Scorer, graph: KnowledgeGraph, config: Config, run: Run) -> dict[str, float]:
    fitted = calibrate(model, graph, seed=config.seed)
    keep_calibration(run.directory, fitted)
    seen = candidates(model, graph, config.evaluation.split, seed=config.seed)
    curves = {name: reliability(seen, c) for name, c in (("sigmoid", Calibration()), ("calibrated", fitted))}
    run.figure(
        "reliability",
        figures.reliability_diagram(curves),
        "How often facts are true that the model gives a probability, before and after calibration",
    )
    return {f"calibration/error_{name}": curve.error for name, curve in curves.items()}


def _own(metrics: dict[str, float]) -> dict[str, float]:
    return {name.removeprefix("test/"): value for name, value in metrics.items() if name.startswith("test/")}
