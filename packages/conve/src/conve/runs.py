"""From the options to a graph and a model, and back from the directory of a run to what it trained."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, cast

from offprints.atomic import write_text
from offprints.checkpoint import Checkpoints
from offprints.content import parse_json, read_text
from offprints.errors import InputError
from offprints.trained import options_of_run, weights_of_run
from offprints.triples import KnowledgeGraph

from conve.bilinear import ComplEx, DistMult
from conve.calibration import Calibration
from conve.config import Config, DatasetConfig, ModelConfig
from conve.datasets import load_dataset
from conve.model import ConvE
from conve.scorer import Scorer
from conve.training import made_of

MODELS: dict[str, Callable[..., Scorer]] = {
    "conve": cast(Callable[..., Scorer], ConvE),
    "distmult": cast(Callable[..., Scorer], DistMult),
    "complex": cast(Callable[..., Scorer], ComplEx),
}
_CALIBRATION = "calibration.json"


def build_graph(options: DatasetConfig) -> KnowledgeGraph:
    """The graph that the options name."""
    if options.folder is not None:
        return KnowledgeGraph.from_folder(options.folder, options.name)
    return load_dataset(options.name)


def build_model(options: ModelConfig, graph: KnowledgeGraph) -> Scorer:
    """A fresh model of the graph's size.

    Raises:
        InputError: there is no such model, it has no such option, or its sizes do not fit each other.
    """
    if options.name not in MODELS:
        raise InputError(f"unknown model {options.name!r}: one of {', '.join(MODELS)}")
    given = {key: value for key, value in asdict(options).items() if key != "name" and value is not None}
    if given.get("shape") is not None:
        given["shape"] = tuple(given["shape"])
        if len(given["shape"]) != 2:
            raise InputError(f"model.shape={list(given['shape'])} must be [height, width]")
    try:
        return MODELS[options.name](graph.num_entities, 2 * graph.num_relations, **given)
    except TypeError as error:
        raise InputError(f"model {options.name!r} has no such option: {error}") from None


@dataclass(frozen=True)
class OpenedRun:
    """A training run read back: its data, and its model with the best weights."""

    config: Config
    graph: KnowledgeGraph
    model: Scorer
    calibration: Calibration | None


def open_run(directory: str | Path) -> OpenedRun:
    """Read a training run back from its directory.

    Raises:
        MissingRun: no training run there, or none that has trained yet.
        InputError: its options are not those of this package.
        CheckpointError: the checkpoint is damaged, or of other data than the files say now.
    """
    directory = Path(directory)
    config = options_of_run(directory, Config)
    graph = build_graph(config.dataset)
    model = build_model(config.model, graph)
    kept = Checkpoints(directory / "checkpoints", "conve", made_of(model, graph))
    model.load_state_dict(weights_of_run(kept))
    model.eval()
    fitted = directory / _CALIBRATION
    calibration = read_calibration(fitted) if fitted.is_file() else None
    return OpenedRun(config, graph, model, calibration)


def read_calibration(path: Path) -> Calibration:
    """What `keep_calibration` wrote.

    Raises:
        InputError: it is something else.
    """
    values = parse_json(read_text(path), path)
    names = [field.name for field in fields(Calibration)]
    plain = isinstance(values, dict) and sorted(values) == sorted(names)
    if not plain or not all(_is_finite(value) for value in values.values()):
        raise InputError(f"{path} is no calibration: numbers called {', '.join(names)} were expected")
    return Calibration(**values)


def _is_finite(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < math.inf


def keep_calibration(directory: Path, calibration: Calibration) -> None:
    """Put the calibration beside the checkpoints of a run."""
    values: dict[str, Any] = asdict(calibration)
    write_text(directory / _CALIBRATION, json.dumps(values))
