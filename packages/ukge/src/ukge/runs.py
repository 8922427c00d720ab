"""From the options to a graph, rules and a model, and back from the directory of a run to what it trained."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from offprints.atomic import write_text
from offprints.checkpoint import Checkpoints
from offprints.content import parse_json, read_text
from offprints.errors import InputError
from offprints.trained import options_of_run, weights_of_run

from ukge.atoms import Atoms
from ukge.calibration import Calibration
from ukge.completion import Completion
from ukge.config import Config, DatasetConfig, ModelConfig, PslConfig
from ukge.datasets import load_graph
from ukge.facts import Facts
from ukge.graph import UncertainGraph
from ukge.grounding import ground
from ukge.mining import mine_rules
from ukge.model import UKGE
from ukge.reading import read_graph
from ukge.rules import Rule, parse_rule
from ukge.training import checkpoint_fingerprint

_CALIBRATION = "calibration.json"
_SOURCES = ("none", "rules", "published", "mined")


def build_graph(options: DatasetConfig, seed: int = 0) -> UncertainGraph:
    """The graph that the options name.

    Args:
        options: of the data set.
        seed: of the split of one file.

    Raises:
        InputError: there is no such data set, or a file is wrong.
    """
    if options.path is None:
        return load_graph(options.name)
    return read_graph(
        options.path,
        name=options.name,
        valid=options.valid,
        test=options.test,
        seed=seed,
        duplicates=options.duplicates,
        normalize=options.normalize,
        strong=options.strong,
    )


def build_model(options: ModelConfig, graph: UncertainGraph, seed: int) -> UKGE:
    """A fresh model of the graph's size.

    Raises:
        InputError: an option has no such value.
    """
    generator = torch.Generator().manual_seed(seed)
    return UKGE(
        graph.num_entities,
        graph.num_relations,
        options.dim,
        options.kind,
        options.scorer,
        options.init,
        generator,
    )


def training_facts(options: ModelConfig, graph: UncertainGraph) -> Facts:
    """What a model learns from: all training facts, or for a deterministic model the strong ones, as true (confidence 1).

    Raises:
        InputError: no fact is strong.
    """
    if not options.deterministic:
        return graph.train
    strong = graph.train[graph.train.confidence > graph.strong]
    if len(strong) == 0:
        raise InputError(
            f"no training fact is stronger than {graph.strong}: a deterministic model has nothing to learn"
        )
    return replace(strong, confidence=np.ones(len(strong)))


def build_rules(options: PslConfig, graph: UncertainGraph) -> list[Rule]:
    """The rules that the options write out or ask to be mined.

    Raises:
        RuleError: a rule does not read as one.
        GroundingTooLarge: mining meets more paths than the bound.
        InputError: there is no such source.
    """
    if options.source not in _SOURCES:
        raise InputError(f"psl.source={options.source!r} is unknown: one of {', '.join(_SOURCES)}")
    if options.source == "mined":
        mined = mine_rules(
            graph.train,
            graph.entities,
            graph.relations,
            min_hit_ratio=options.min_hit_ratio,
            min_hits=options.min_hits,
            min_body=options.min_body,
            most=options.most,
        )
        return [one.rule for one in mined]
    return [parse_rule(text) for text in options.rules]


def build_atoms(options: PslConfig, graph: UncertainGraph) -> Atoms:
    """The rule atoms that the options ask for.

    Raises:
        InputError: as `build_rules`; or the data set has no published atoms.
    """
    rules = build_rules(options, graph)
    if options.source == "none":
        return Atoms.empty()
    if options.source == "published":
        if graph.atoms is None:
            raise InputError(
                f"{graph.name} has no published rule atoms: write psl.source=rules and psl.rules=[...]"
            )
        atoms = Atoms.of_facts(graph.atoms)
    else:
        atoms = ground(
            rules, graph.train, graph.entities, graph.relations, min_body=options.min_body, most=options.most
        )
    return atoms if options.observed else atoms.without(graph.known("train"), graph.num_entities)


@dataclass(frozen=True)
class OpenedRun:
    """A training run read back: its options, and its model with the best weights."""

    config: Config
    completion: Completion


def open_run(directory: str | Path) -> OpenedRun:
    """Read a training run back from its directory.

    Raises:
        MissingRun: no training run there, or none that has trained yet.
        InputError: its options are not those of this package.
        CheckpointError: the checkpoint is damaged, or of other data than the files say now.
    """
    directory = Path(directory)
    config = options_of_run(directory, Config)
    graph = build_graph(config.dataset, config.seed)
    model = build_model(config.model, graph, config.seed)
    kept = Checkpoints(directory / "checkpoints", "ukge", checkpoint_fingerprint(model, graph.fingerprint))
    model.load_state_dict(weights_of_run(kept))
    fitted = directory / _CALIBRATION
    calibration = read_calibration(fitted) if fitted.is_file() else Calibration()
    rules = tuple(parse_rule(text) for text in config.psl.rules)
    return OpenedRun(config, Completion(model, graph, calibration, rules))


def read_calibration(path: Path) -> Calibration:
    """What `keep_calibration` wrote.

    Raises:
        InputError: it is something else.
    """
    values = parse_json(read_text(path), path)
    columns: list[Any] = (
        [values.get(name) for name in ("predicted", "calibrated")] if isinstance(values, dict) else []
    )
    if not all(_rises(column) for column in columns) or len({len(column) for column in columns}) != 1:
        raise InputError(
            f"{path} is no calibration: predicted and calibrated, lists of numbers that rise, were expected"
        )
    return Calibration(*(tuple(map(float, column)) for column in columns))


def _rises(column: Any) -> bool:
    if not isinstance(column, list) or not all(type(value) in (int, float) for value in column):
        return False
    return len(column) > 0 and all(abs(value) < math.inf for value in column) and column == sorted(column)


def keep_calibration(directory: Path, calibration: Calibration) -> None:
    """Put the calibration beside the checkpoints of a run."""
    write_text(directory / _CALIBRATION, json.dumps(asdict(calibration)))
