"""Training on from a formula's weights: does gradient descent keep what was compiled, mend what was disturbed, find it from nothing?

The strings are short, the test strings longer: a transformer that has learnt the formula, and not its short strings, is right on both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from offprints.checkpoint import Checkpoints, fingerprint
from offprints.training import EpochLoop, LoopOptions

from hard_attention.recurrence import evaluate
from hard_attention.transformer import FormulaTransformer
from hard_attention.verification import read_out

STARTS = ("compiled", "disturbed", "random")
SHARPNESS = 8.0
"""The logit is this times the readout's distance from 1/2."""
Ids = NDArray[np.int64]


@dataclass
class TrainingOptions(LoopOptions):
    """How to train on; task=train.

    Attributes:
        start: compiled weights; disturbed, compiled and then each times 1 + noise * a normal number; random, those of a new network.
        noise: of disturbed weights.
        batch_size: strings a step.
        steps: of an epoch.
        length: of the strings trained on.
        tested: lengths of test strings.
        test_strings: of each length.
    """

    epochs: int = 10
    learning_rate: float = 0.001
    evaluate_every: int = 1
    start: str = "compiled"
    noise: float = 0.5
    batch_size: int = 64
    steps: int = 50
    length: int = 24
    tested: list[int] = field(default_factory=lambda: [24, 96, 192])
    test_strings: int = 256

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(
            ("start", self.start in STARTS, f"one of {', '.join(STARTS)}"),
            ("noise", self.noise >= 0, "0 or more"),
            ("batch_size", self.batch_size >= 1, "1 or more"),
            ("steps", self.steps >= 1, "1 or more"),
            ("length", self.length >= 1, "1 or more"),
            ("tested", len(self.tested) > 0 and min(self.tested) >= 1, "one length or more, each 1 or more"),
            ("test_strings", self.test_strings >= 1, "1 or more"),
        )


class Trainer(EpochLoop[Ids]):
    """Trains all weights of a formula's transformer on the formula's truth at every position.

    Args:
        model: in float32 or float64; its weights become those of the start.
        options: how long, and from where.
        seed: of the start, the training strings and the validation strings.
        directory: where checkpoints go; a `fit` in a directory that has some goes on from the last. None keeps none.
        on_epoch: called with the row of each epoch.
        uninterrupted: context in which one step runs.
    """

    def __init__(
        self,
        model: FormulaTransformer,
        options: TrainingOptions,
        *,
        seed: int = 0,
        directory: Path | str | None = None,
        on_epoch: Callable[[dict[str, float]], None] | None = None,
        uninterrupted: Callable[[], AbstractContextManager[None]] | None = None,
    ) -> None:
        self.model, self.options = model, options
        self.generator = torch.Generator().manual_seed(seed)
        begin(model, options, self.generator)
        self._validation = drawn(
            torch.Generator().manual_seed(seed + 1), 256, options.length, len(model.program.alphabet)
        )
        self._longest = drawn(
            torch.Generator().manual_seed(seed + 3), 64, max(options.tested), len(model.program.alphabet)
        )
        made_of = fingerprint(
            formula=str(model.program.formula), start=options.start, noise=options.noise, seed=seed
        )
        super().__init__(
            model,
            torch.optim.Adam(model.parameters(), options.learning_rate),
            options,
            order=self.generator,
            validate=lambda: {
                "right": share_right(model, self._validation),
                "right_longest": share_right(model, self._longest),
            },
            select="right",
            checkpoints=None
            if directory is None
            else Checkpoints(directory, "hard-attention training", made_of),
            on_epoch=on_epoch,
            uninterrupted=uninterrupted,
        )

    @property
    def num_batches(self) -> int:
        return self.options.steps

    def batches(self, done: int) -> Iterator[Ids]:
        options = self.options
        for number in range(options.steps):
            ids = drawn(self.generator, options.batch_size, options.length, len(self.model.program.alphabet))
            if number >= done:
                yield ids

    def step(self, batch: Ids) -> Tensor | None:
        truth = truth_of(self.model, batch)
        values = self.model.values(torch.from_numpy(batch))
        logits = SHARPNESS * (values - 0.5)
        loss = F.binary_cross_entropy_with_logits(logits, torch.from_numpy(truth).to(logits.dtype))
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return loss


def begin(model: FormulaTransformer, options: TrainingOptions, generator: torch.Generator) -> None:
    """Give a compiled model the weights of a start."""
    if options.start == "compiled":
        return
    with torch.no_grad():
        for weight in model.parameters():
            if options.start == "disturbed":
                normal = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
                weight.mul_((1 + options.noise * normal).to(weight.dtype))
            else:
                reach = weight.shape[-1] ** -0.5
                uniform = torch.rand(weight.shape, generator=generator, dtype=torch.float64)
                weight.copy_((2 * uniform - 1) * reach)


def drawn(generator: torch.Generator, count: int, n: int, letters: int) -> Ids:
    """Random strings, each with a share of its own of every letter: (count, n)."""
    shares = -torch.log1p(-torch.rand((count, letters), generator=generator))
    found: Ids = torch.multinomial(shares, n, replacement=True, generator=generator).numpy()
    return found


def truth_of(model: FormulaTransformer, ids: Ids) -> NDArray[np.bool_]:
    """The formula's truth at every position, (B, n)."""
    return evaluate(model.program.core, ids, model.program.alphabet, model.positions.predicates)


def share_right(model: FormulaTransformer, ids: Ids) -> float:
    """The share of positions at which the readout is on the right side of 1/2."""
    return float(((read_out(model, ids, "dense") > 0.5) == truth_of(model, ids)).mean())


def shares_by_length(model: FormulaTransformer, options: TrainingOptions, seed: int) -> dict[str, float]:
    """The share of right positions on test strings of each length: "right@24", ..."""
    generator = torch.Generator().manual_seed(seed + 2)
    letters = len(model.program.alphabet)
    return {
        f"right@{n}": share_right(model, drawn(generator, options.test_strings, n, letters))
        for n in options.tested
    }


def moved(model: FormulaTransformer, before: Sequence[Tensor]) -> float:
    """The largest change of a weight."""
    pairs = zip(model.parameters(), before, strict=True)
    return max(float((weight.detach() - old).abs().max()) for weight, old in pairs)
