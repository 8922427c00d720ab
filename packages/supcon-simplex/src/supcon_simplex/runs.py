"""From the options to rows, an encoder and a head, and back from the directory of a run to what it trained."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from offprints.checkpoint import Checkpoints
from offprints.errors import InputError
from offprints.trained import options_of_run, weights_of_run

from supcon_simplex.collapse import CollapseMetrics
from supcon_simplex.config import Config, DatasetConfig, ModelConfig
from supcon_simplex.datasets import load
from supcon_simplex.geometry import CollapseReport
from supcon_simplex.heads import Head, build_head
from supcon_simplex.labelled import DataSplits, LabelledData, Standard, require_finite
from supcon_simplex.networks import Encoder, build_encoder
from supcon_simplex.noise import add_noise
from supcon_simplex.probe import ProbeOptions, accuracy, class_means, linear_probe, nearest_mean_accuracy
from supcon_simplex.training import checkpoint_fingerprint, embed


@dataclass(frozen=True)
class Prepared:
    """Rows as a run trains on them.

    Attributes:
        splits: training rows chosen, labels with their noise; test rows as they are.
        standard: of the training rows.
        clean: (N,) int64, training labels before the noise.
    """

    splits: DataSplits
    standard: Standard
    clean: Tensor

    @property
    def fingerprint(self) -> str:
        """Of the training rows, noise included."""
        return self.splits.train.fingerprint

    def tensors(self, split: str, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
        """Standardised inputs and labels of "train" or "test"."""
        data: LabelledData = getattr(self.splits, split)
        return data.tensors(self.standard, dtype)


def prepare(options: DatasetConfig, seed: int) -> Prepared:
    """The rows that the options name.

    Args:
        options: of the data set.
        seed: of the noise.

    Raises:
        InputError: an option does not fit.
        DataError: files are missing or wrong.
    """
    splits = load(options.name)
    train = splits.train
    if options.per_class is not None:
        train = train.subset(options.per_class, options.subset_seed)
    elif options.subset_seed is not None:
        raise InputError("dataset.subset_seed draws the rows of dataset.per_class, which is not given")
    noisy = add_noise(train.labels, options.noise_share, options.noise, train.num_classes, seed)
    clean = torch.from_numpy(train.labels)
    train = train.with_labels(noisy.labels)
    splits = DataSplits(splits.name, train, splits.test, splits.checksums, splits.remark)
    return Prepared(splits, Standard.of(train), clean)


def build_model(options: ModelConfig, data: LabelledData, seed: int) -> tuple[Encoder, Head]:
    """A fresh encoder and head for such rows.

    Args:
        options: of the model.
        data: any split.
        seed: of the weights.

    Raises:
        InputError: an option has no such value.
    """
    torch.manual_seed(seed)
    encoder = build_encoder(
        options.network,
        data.inputs.shape[1:],
        features=options.features,
        widths=options.widths,
        batch_norm=options.batch_norm,
        final_relu=options.final_relu,
        projection=options.projection,
    )
    head = build_head(
        options.head,
        encoder.loss_features,
        data.num_classes,
        temperature=options.temperature,
        weight_norm=options.weight_norm,
    )
    if options.projection and options.head != "sc":
        raise InputError(
            f"model.projection is for model.head=sc; the classifier of {options.head} sees the features themselves"
        )
    return encoder, head


def obstacles(encoder: Encoder, head: Head, train: LabelledData) -> list[str]:
    """What keeps this run from the simplex, whatever the training; empty if nothing does."""
    found = []
    if not head.reachable:
        found.append(
            f"{head.features} features cannot hold a simplex of {head.num_classes} classes: K - 1 are needed"
        )
    if encoder.final_relu and encoder.head is None:
        found.append(
            "the features end with a ReLU: class means cannot have negative cosines, so the simplex is out of reach"
        )
    if not train.is_balanced:
        found.append(
            f"classes have {train.counts.min()} to {train.counts.max()} rows: the bounds are for balanced ones, no gap is given"
        )
    return found


@dataclass(frozen=True)
class Measured:
    """What came of a trained encoder.

    Attributes:
        metrics: test/accuracy and what stands beside it.
        report: geometry of the training rows, with the classifier's weights.
    """

    metrics: dict[str, float]
    report: CollapseReport


def measure(
    encoder: Encoder,
    head: Head,
    prepared: Prepared,
    probe: ProbeOptions,
    seed: int,
    device: torch.device | str = "cpu",
) -> Measured:
    """Accuracy on the test rows and geometry of the training rows.

    "test/accuracy" is that of the head's own classifier; SC has none, and there a linear map that is trained on the training
    features afterwards takes its place. "test/class_means" and "test/nearest_mean" are of the class means of the training rows.

    Args:
        encoder: trained.
        head: trained.
        prepared: the rows.
        probe: how the linear map of SC is trained.
        seed: of it.
        device: where.
    """
    encoder.to(device).eval()
    head.to(device).eval()
    dtype = next(encoder.parameters()).dtype
    # A projection head is for the loss alone: the classifier sees what comes before it, on the sphere.
    seen = head.seen
    train, labels = (part.to(device) for part in prepared.tensors("train", dtype))
    test, test_labels = (part.to(device) for part in prepared.tensors("test", dtype))
    with torch.no_grad():
        features, test_features = seen(embed(encoder, train)), seen(embed(encoder, test))
    means = class_means(features, labels, head.num_classes)
    weight = head.weight
    if weight is None:
        weight = linear_probe(features, labels, head.num_classes, probe, seed)
    weight = weight.detach()
    metrics = {
        "test/accuracy": accuracy(weight, test_features, test_labels),
        "test/class_means": accuracy(means, test_features, test_labels),
        "test/nearest_mean": nearest_mean_accuracy(means, test_features, test_labels),
        "train/accuracy": accuracy(weight, features, labels),
        "train/accuracy_of_means": accuracy(means, features, labels),
    }
    if not bool((prepared.clean.to(device) == labels).all()):
        metrics["train/accuracy_on_clean_labels"] = accuracy(weight, features, prepared.clean.to(device))
    collapse = CollapseMetrics(head.num_classes, features.shape[1])
    shown = (
        means if head.weight is None else weight
    )  # as in the paper's figure, SC's class means stand for its weights
    report = collapse.update(features, labels).compute(shown)
    metrics |= {f"train/{name}": value for name, value in report.metrics().items()}
    on_test = CollapseMetrics(head.num_classes, features.shape[1])
    there = on_test.update(test_features, test_labels).compute(missing="nan").metrics()
    metrics |= {f"test/{name}": there[name] for name in ("nc1_quotient", "simplex_distance") if name in there}
    return Measured(metrics, report)


@dataclass(frozen=True)
class OpenedRun:
    """A training run read back.

    Attributes:
        config: of the run.
        prepared: its rows.
        encoder: with its last weights.
        head: with its last weights.
    """

    config: Config
    prepared: Prepared
    encoder: Encoder
    head: Head

    def predict(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """(n, h) features of new rows as the classifier sees them, and (n, K) its logits.

        Args:
            rows: (n, ...) like the training inputs, not standardised.

        Raises:
            InputError: they have another shape, or a number that is not finite.
        """
        expected = self.prepared.splits.train.inputs.shape[1:]
        if rows.shape[1:] != expected:
            raise InputError(
                f"rows have shape {rows.shape[1:]}, but the run was trained on rows of shape {expected}"
            )
        require_finite(rows)
        with torch.no_grad():
            features = self.head.seen(embed(self.encoder, self.prepared.standard.apply(rows)))
            weight = self.head.weight
            if weight is None:
                train, labels = self.prepared.tensors("train")
                known = self.head.seen(embed(self.encoder, train))
                weight = linear_probe(
                    known, labels, self.head.num_classes, self.config.probe, self.config.seed
                )
            return features, features @ weight.T


def open_run(directory: str | Path) -> OpenedRun:
    """Read a run of task=train back from its directory.

    Raises:
        MissingRun: no training run there, or none that has trained yet.
        InputError: its options are not those of this package.
        CheckpointError: the checkpoint is damaged, or of other data than the files say now.
    """
    directory = Path(directory)
    config = options_of_run(directory, Config)
    prepared = prepare(config.dataset, config.seed)
    encoder, head = build_model(config.model, prepared.splits.train, config.seed)
    both = nn.ModuleDict({"encoder": encoder, "head": head})
    made_of = checkpoint_fingerprint(both, prepared.fingerprint)
    both.load_state_dict(weights_of_run(Checkpoints(directory / "checkpoints", "supcon-simplex", made_of)))
    both.eval()
    return OpenedRun(config, prepared, encoder, head)
