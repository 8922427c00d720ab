"""The tasks of the `supcon-simplex` command. Each takes the options apart, calls the API and says what came out."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import torch

from offprints.app import Results, Run, command
from offprints.errors import InputError
from offprints.tables import show, write_table
from offprints.training import Outcome, reported
from offprints.user_errors import required

from supcon_simplex import figures
from supcon_simplex.batched_mlp import Ensemble
from supcon_simplex.config import Config, ModelConfig
from supcon_simplex.free_runs import compositions, sphere
from supcon_simplex.geometry import CollapseReport
from supcon_simplex.own_files import read_rows
from supcon_simplex.runs import Measured, Prepared, build_model, measure, obstacles, open_run, prepare
from supcon_simplex.timetofit import FitTimes, fit_times
from supcon_simplex.training import Trainer

SHOWN = {
    "test/accuracy": "test accuracy",
    "train/accuracy": "train accuracy",
    "train/gap": "gap to the bound",
    "train/nc1_quotient": "NC1",
    "train/simplex_distance": "distance to simplex",
    "train/cosine_across_means": "cosine of means",
    "train/cosine_to_mean": "cosine to own mean",
}
_NOISY = {
    "flip": "were flipped",
    "uniform": "were drawn afresh",
    "pair": "were moved to the next class",
}
_COSINES = "Cosines between class means, between weights (of SC: class means), and of rows to their class mean, beside the simplex's"


def compare(config: Config, run: Run) -> Results:
    """Train CE in its forms and SC on the same rows, set geometry and gap side by side, then the time-to-fit grid."""
    prepared = _prepared(config, run)
    models = {head: replace(config.model, head=head) for head in config.heads}
    if len(models) < len(config.heads) or not models:
        raise InputError(f"heads={config.heads}: one or more, each once")
    for model in models.values():  # a wrong option is refused before anything is trained
        build_model(model, prepared.splits.train, config.seed)
    metrics: dict[str, float] = {}
    histories, reports, rows = {}, {}, {}
    for head, model in models.items():
        found, outcome = _fit(config, run, prepared, model, title=head, log=False)
        histories[head], reports[head], rows[head] = outcome.history, found.report, found.metrics
        metrics |= {f"{head}/{name}": value for name, value in found.metrics.items()}
    show(_table(rows), f"{prepared.splits.name}: {len(prepared.splits.train)} training rows")
    _draw(config, run, reports, histories)
    return Results(metrics | _times(config, run, prepared).metrics())


def train(config: Config, run: Run) -> Results:
    """Train one encoder under one loss, log its gap and collapse, and measure accuracy and geometry at the end."""
    prepared = _prepared(config, run)
    found, outcome = _fit(config, run, prepared, config.model, title="training", log=True)
    show(
        _table({config.model.head: found.metrics}),
        f"{prepared.splits.name}: {len(prepared.splits.train)} training rows",
    )
    _draw(config, run, {config.model.head: found.report}, {config.model.head: outcome.history})
    return Results(found.metrics, {"history": outcome.history, "train_fingerprint": prepared.fingerprint})


def timetofit(config: Config, run: Run) -> Results:
    """Count the steps until noisy labels are fitted without an error, for each loss, noise level and seed."""
    prepared = _prepared(config, run)
    times = _times(config, run, prepared)
    return Results(
        times.metrics(), {"runs": times.table().to_dict("list"), "train_fingerprint": prepared.fingerprint}
    )


def evaluate(config: Config, run: Run) -> Results:
    """Measure a trained run (checkpoint=RUN) again."""
    opened = open_run(required(config.checkpoint, "checkpoint=<run directory>"))
    run.dataset(opened.prepared.splits.name, opened.prepared.splits.checksums)
    found = measure(opened.encoder, opened.head, opened.prepared, opened.config.probe, opened.config.seed)
    show(_table({opened.config.model.head: found.metrics}), f"{opened.prepared.splits.name}")
    run.figure(
        "cosines",
        figures.cosine_boxes({opened.config.model.head: found.report}, config.figures.angular),
        _COSINES,
    )
    return Results(found.metrics)


def predict(config: Config, run: Run) -> Results:
    """Predict classes of the rows of a file (predict.rows=FILE) with a trained run (checkpoint=RUN)."""
    opened = open_run(required(config.checkpoint, "checkpoint=<run directory>"))
    features, logits = opened.predict(read_rows(required(config.predict.rows, "predict.rows=<file>")))
    names = opened.prepared.splits.train.class_names
    chosen = logits.argmax(1).tolist()
    table = pd.DataFrame({"class": [names[label] for label in chosen]})
    table["probability"] = logits.softmax(1).max(1).values.numpy()
    table = pd.concat([table, pd.DataFrame(features.numpy()).add_prefix("feature_")], axis=1)
    write_table(run.directory / "predictions.csv", table)
    show(table.iloc[:10, :2], "the first rows; all of them, with their features, are in predictions.csv")
    return Results({"predict/rows": float(len(table))})


TASKS = {
    "compare": compare,
    "train": train,
    "timetofit": timetofit,
    "evaluate": evaluate,
    "predict": predict,
    "sphere": sphere,
    "compositions": compositions,
}

main = command(
    "supcon_simplex",
    Config,
    TASKS,
    "Dissecting Supervised Contrastive Learning: the loss, its optimum, how far a run is from it, and how it memorises",
    on_device=("compare", "train"),
    precisions=dict.fromkeys(("compare", "train"), ("fp32", "bf16", "fp64")),
    with_checkpoint=("evaluate", "predict"),
)


def _prepared(config: Config, run: Run) -> Prepared:
    prepared = prepare(config.dataset, config.seed)
    splits = prepared.splits
    run.dataset(splits.name, splits.checksums)
    run.log.info(
        "%s: %d training and %d test rows of %d classes, training rows %s",
        splits.name, len(splits.train), len(splits.test), splits.train.num_classes, prepared.fingerprint[:12],
    )  # fmt: skip
    if splits.remark:
        run.log.warning("%s: %s", splits.name, splits.remark)
    return prepared


def _fit(
    config: Config, run: Run, prepared: Prepared, model: ModelConfig, title: str, log: bool
) -> tuple[Measured, Outcome]:
    encoder, head = build_model(model, prepared.splits.train, config.seed)
    for obstacle in obstacles(encoder, head, prepared.splits.train):
        run.log.warning("%s: %s", model.head, obstacle)
    device = run.fabric.device
    dtype = torch.float64 if config.precision == "fp64" else torch.float32
    encoder, head = encoder.to(dtype), head.to(dtype)
    directory = run.directory / "checkpoints"
    if config.training.augment != "none" and prepared.splits.train.inputs.ndim != 4:
        raise InputError("training.augment=standard crops and flips images, and these rows are vectors")
    with reported(run, config.training, "train/gap", title, log) as on_epoch:
        outcome = Trainer(
            encoder,
            head,
            *prepared.tensors("train", dtype),
            config.training,
            seed=config.seed,
            device=device,
            autocast=torch.bfloat16 if config.precision == "bf16" else None,
            directory=directory if log else directory / model.head,
            belongs_to=prepared.fingerprint,
            on_epoch=on_epoch,
            uninterrupted=run.uninterrupted,
        ).fit()
    found = measure(encoder, head, prepared, config.probe, config.seed, device)
    last = {name: value for name, value in outcome.history[-1].items() if name.startswith("train/")}
    return Measured(last | found.metrics, found.report), outcome


def _times(config: Config, run: Run, prepared: Prepared) -> FitTimes:
    options, total = config.ensemble, config.ensemble.most_steps
    titles = {loss: f"time-to-fit, {loss}" for loss in config.grid.losses}
    with run.progress(len(titles) * len(config.grid.shares) * config.grid.seeds, "time-to-fit") as bar:
        ended = dict.fromkeys(titles, 0)

        def on_look(loss: str, ensemble: Ensemble) -> None:
            now = len(ensemble.labels) - (0 if ensemble.step >= total else len(ensemble.running))
            if now > ended[loss]:
                bar.advance(now - ended[loss], {f"{loss} step": float(ensemble.step)})
                ended[loss] = now

        times = fit_times(
            prepared.splits.train,
            config.grid,
            options,
            seed=config.seed,
            directory=run.directory / "checkpoints" / "timetofit",
            on_look=on_look,
            uninterrupted=run.uninterrupted,
        )
    medians = pd.DataFrame({"p": config.grid.shares})
    for loss in config.grid.losses:
        medians[loss] = times.medians(loss)
        medians[f"{loss} censored"] = times.censored[loss].sum(1)
    show(medians, f"{config.grid.noise}: median steps, {config.grid.seeds} seeds")
    write_table(run.directory / "fit_times.csv", times.table())
    run.figure(
        f"timetofit_{config.grid.noise}",
        figures.fit_times(times),
        f"Steps until no training row is wrong, by the share of labels that {_NOISY[config.grid.noise]}",
    )
    return times


def _draw(
    config: Config,
    run: Run,
    reports: dict[str, CollapseReport],
    histories: dict[str, list[dict[str, float]]],
) -> None:
    run.figure(
        "cosines",
        figures.cosine_boxes(reports, config.figures.angular),
        _COSINES,
    )
    run.figure("class_cosines", figures.class_cosines(reports), "Cosines of all pairs of class means")
    for name, caption in (
        ("gap", "How far each run is above the least loss that there is, step by step"),
        ("nc1_quotient", "The spread of classes in themselves against that between them, step by step"),
    ):
        metric = f"train/{name}"
        if any(metric in row for history in histories.values() for row in history):
            run.figure(name, figures.curves(histories, metric, config.training.batches), caption)


def _table(rows: dict[str, dict[str, float]]) -> pd.DataFrame:
    table = pd.DataFrame({"loss": [figures.LABELS[head] for head in rows]})
    for name, title in SHOWN.items():
        table[title] = [row.get(name, float("nan")) for row in rows.values()]
    return table
