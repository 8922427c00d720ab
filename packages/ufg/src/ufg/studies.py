"""Tasks that train again and again over one option: noise on the data, and the options of the transform."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from offprints.app import Results, Run
from offprints.errors import InputError
from offprints.tables import show

from ufg import figures
from ufg.config import Config, ModelConfig
from ufg.networks import UFGNet
from ufg.node_runs import compared, fit_nodes, load_nodes, node_metrics
from ufg.runs import build_nodes

NOISES = ("features", "edges")
_COLUMNS = ["valid/accuracy", "test/accuracy", "kept"]


def noise(config: Config, run: Run) -> Results:
    """Accuracy of framelets and of others as noise on the features or the edges grows."""
    study = config.study
    if study.noise not in NOISES:
        raise InputError(f"study.noise={study.noise!r} is unknown: one of {', '.join(NOISES)}")
    if not study.rates:
        raise InputError("study.rates is empty: nothing to try")
    load_nodes(config, run)
    datasets = [
        replace(config.dataset, feature_noise=rate)
        if study.noise == "features"
        else replace(config.dataset, edge_noise=rate)
        for rate in study.rates
    ]
    for dataset in datasets:  # a rate that does not fit is refused before anything is trained
        build_nodes(dataset, config.seed)
    rows: list[dict[str, Any]] = []
    for rate, dataset in zip(study.rates, datasets, strict=True):
        noisy = replace(config, dataset=dataset)
        for name, model in compared(config.model).items():
            title = f"{name}, {study.noise} {rate:g}"
            rows.append({"model": name, "rate": rate, **_repeated(noisy, run, model, title)})
    table = pd.DataFrame(rows)
    show(table, f"{config.dataset.name}: noise on {study.noise}, mean of {study.repeats}")
    lines = {str(name): part["test/accuracy"].tolist() for name, part in table.groupby("model", sort=False)}
    run.figure(
        "noise",
        figures.curves(study.rates, lines, f"noise on {study.noise}", "test accuracy"),
        f"Test accuracy as noise on {study.noise} grows",
    )
    metrics = {f"noise/{row['model']}_{row['rate']:g}": row["test/accuracy"] for row in rows}
    metrics |= {
        f"kept/{row['model']}_{row['rate']:g}": row["kept"] for row in rows if row["model"] == "UFGConv-S"
    }
    return Results(metrics)


def sensitivity(config: Config, run: Run) -> Results:
    """Accuracy as one option of the transform after the other changes, and what shrinkage leaves as sigma grows."""
    study = config.study
    load_nodes(config, run)
    axes: dict[str, tuple[str, list[float]]] = {
        "levels": ("UFGConv-R", [float(value) for value in study.levels]),
        "scale": ("UFGConv-R", study.scale),
        "terms": ("UFGConv-R", [float(value) for value in study.terms]),
        "sigma": ("UFGConv-S", study.sigma),
    }
    models = compared(config.model)
    rows: list[dict[str, Any]] = []
    for option, (name, values) in axes.items():
        for value in values:
            changed, model = config, models[name]
            if option == "sigma":
                model = replace(model, sigma=value)
            else:
                kind = type(getattr(config.transform, option))
                changed = replace(config, transform=replace(config.transform, **{option: kind(value)}))
            title = f"{option} {value:g}"
            rows.append({"option": option, "value": value, **_repeated(changed, run, model, title)})
    if not rows:
        raise InputError("study.levels, scale, terms and sigma are all empty: nothing to try")
    table = pd.DataFrame(rows)
    show(table, f"{config.dataset.name}: sensitivity, mean of {study.repeats}")
    panels = {
        str(option): (part["value"].tolist(), {"test": part["test/accuracy"].tolist()})
        for option, part in table.groupby("option", sort=False)
    }
    if "sigma" in panels:
        of_sigma = table[table["option"] == "sigma"]
        panels["sigma"][1]["coefficients kept"] = of_sigma["kept"].tolist()
        kept = of_sigma.sort_values("kept")
        line = {"UFGConv-S": kept["test/accuracy"].tolist()}
        drawn = figures.curves(
            kept["kept"].tolist(), line, "share of high-pass coefficients kept", "test accuracy"
        )
        run.figure(
            "compression",
            drawn,
            "Accuracy of a network on compressed features, by the share of coefficients that is kept",
        )
    run.figure(
        "sensitivity", figures.panels(panels, "accuracy"), "Accuracy by levels, dilation, terms and threshold"
    )
    metrics = {f"{row['option']}/accuracy_{row['value']:g}": row["test/accuracy"] for row in rows}
    metrics |= {f"sigma/kept_{row['value']:g}": row["kept"] for row in rows if row["option"] == "sigma"}
    return Results(metrics)


def _repeated(config: Config, run: Run, model: ModelConfig, title: str) -> dict[str, float]:
    """Means over the repeats: accuracies, and the share of coefficients kept, 1 where nothing shrinks them."""
    if config.study.repeats < 1:
        raise InputError(f"study.repeats={config.study.repeats} must be 1 or more")
    found = []
    for seed in range(config.seed, config.seed + config.study.repeats):
        one = replace(config, seed=seed)
        data = build_nodes(one.dataset, seed)
        trainer, outcome = fit_nodes(one, run, data, model, f"{title}, seed {seed}", log=False)
        kept = trainer.net.kept(trainer.op, trainer.x) if isinstance(trainer.net, UFGNet) else 1.0
        found.append({**node_metrics(trainer, outcome), "kept": kept})
    return {name: float(np.mean([row[name] for row in found])) for name in _COLUMNS}
