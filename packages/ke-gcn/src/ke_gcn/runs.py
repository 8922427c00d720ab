"""From the options to data and estimators, and back from the directory of a run to what it trained."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from offprints.errors import InputError
from offprints.trained import MissingRun, options_of_run

from ke_gcn.aligner import Aligner
from ke_gcn.amsterdam import load_am
from ke_gcn.config import Config, DatasetConfig
from ke_gcn.datasets import PAIRS, load_dbp15k, load_folders
from ke_gcn.freebase import load_fb15k
from ke_gcn.labelled import ClassificationData
from ke_gcn.pairs import AlignmentData, Split, SplitKind, given_split, split_pairs
from ke_gcn.pattern import Array
from ke_gcn.twins import cldr_twins
from ke_gcn.wordnet import Reading, load_wordnet

_OWN = ("left", "right", "seeds", "relation_seeds", "test")
"""Options of the data set that say where a user's own graphs are."""


def alignment_data(config: Config) -> tuple[AlignmentData, Array | None]:
    """The graphs that the options name, and the known pairs of relations that are seeds."""
    options = config.dataset
    given = [name for name in _OWN if getattr(options, name) is not None]
    if given and options.name != "folder":
        raise InputError(f"dataset.{given[0]} goes with dataset=folder, not with dataset.name={options.name}")
    if options.name == "cldr":
        return cldr_twins(options.keep, config.seed), None
    if options.name in PAIRS:
        return load_dbp15k(options.name, relations_shared=options.relations_shared), None
    if options.name == "folder":
        left, right, seeds = (_given(options, name) for name in ("left", "right", "seeds"))
        data = load_folders(left, right, seeds, options.relation_seeds, options.test)
        return data, data.relation_pairs if len(data.relation_pairs) else None
    raise InputError(f"dataset.name={options.name} cannot be aligned: cldr, {', '.join(PAIRS)} or folder")


def alignment_split(config: Config, data: AlignmentData) -> Split:
    """Seeds, validation and test as the options say."""
    options = config.dataset
    if options.name == "folder":  # every pair that the user knows and does not keep for testing is a seed
        split = given_split(data, options.valid_share, config.seed)
    else:
        kind = cast(SplitKind, options.split)
        split = split_pairs(data.pairs, options.seed_share, options.valid_share, kind, config.seed)
    if options.shuffle_seeds:
        # One random cycle: no seed keeps its partner, nor takes a neighbour's in the file, where related entities lie together.
        cycle = np.random.default_rng(config.seed).permutation(len(split.train))
        wrong = split.train.copy()
        wrong[cycle, 1] = split.train[np.roll(cycle, 1), 1]
        split = replace(split, train=wrong)
    return split


def classification_data(config: Config) -> ClassificationData:
    """The labelled graph that the options name."""
    options = config.dataset
    if options.name == "wordnet":
        return load_wordnet(cast(Reading, options.reading))
    if options.name in ("fb15k", "am"):
        return load_fb15k() if options.name == "fb15k" else load_am()
    raise InputError(f"dataset.name={options.name} cannot be classified: wordnet, fb15k or am")


def build_aligner(config: Config, device: torch.device | str) -> Aligner:
    """A fresh estimator with the options' sizes."""
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
        device=device,
    )


@dataclass(frozen=True)
class OpenedRun:
    """An alignment read back: its options and data, and the estimator with the weights of the best epoch."""

    config: Config
    data: AlignmentData
    split: Split
    aligner: Aligner


def open_run(directory: str | Path, device: torch.device | str) -> OpenedRun:
    """Read an alignment back from the directory of its run.

    Raises:
        MissingRun: no run there, one of another task, or one that has not trained yet.
        InputError: its options are not those of this package.
        CheckpointError: the checkpoint is damaged, or of other data than the files say now.
    """
    directory = Path(directory)
    config = options_of_run(directory, Config)
    if config.task != "align":
        raise MissingRun(f"{directory} is a run of task={config.task}; give one of task=align")
    data, relation_seeds = alignment_data(config)
    split = alignment_split(config, data)
    aligner = build_aligner(config, device)
    aligner.restore(data, split, directory / "checkpoints", relation_seeds)
    return OpenedRun(config, data, split, aligner)


def _given(options: DatasetConfig, name: str) -> str:
    value: Any = getattr(options, name)
    if value is None:
        raise InputError(f"dataset.name=folder needs dataset.{name}=PATH")
    return str(value)
