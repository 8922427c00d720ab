"""The epoch loop on a model small enough to follow: five weights, a dropout, twelve numbers in batches of five."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from offprints.checkpoint import Checkpoints
from offprints.errors import InputError
from offprints.metrics import MetricsLog, read_metrics
from offprints.training import CLOCKS, DivergedError, EpochLoop, LoopOptions, reported


class Mean(nn.Module):
    def __init__(self, start: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((5,), start))
        self.drop = nn.Dropout(0.2)

    def forward(self, x: Tensor) -> Tensor:
        return (self.drop(self.weight) - x).square().mean()


class Trainer(EpochLoop[Tensor]):
    """Draws its batches from one generator and noise on them from another."""

    def __init__(self, model: Mean, options: LoopOptions, directory: Path | None = None, **told: Any) -> None:
        self.model = model
        self.order = torch.Generator().manual_seed(1)
        self.noise = torch.Generator().manual_seed(2)
        kept = None if directory is None else Checkpoints(directory, "mean", "five weights")
        super().__init__(
            model,
            torch.optim.Adam(model.parameters()),
            options,
            order=self.order,
            checkpoints=kept,
            **{"seed": 3, "select": "score", **told},
        )

    @property
    def num_batches(self) -> int:
        return 3

    def batches(self, done: int) -> Iterator[Tensor]:
        order = torch.randperm(12, generator=self.order).float()
        for number in range(done, 3):
            rows = order[5 * number : 5 * number + 5]
            yield rows[: 5 if len(rows) == 5 else 1] + torch.randn(1, generator=self.noise)

    def step(self, batch: Tensor) -> Tensor:
        loss = self.model(batch)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss

    def state(self) -> dict[str, Any]:
        return {"noise": self.noise.get_state()}

    def restore(self, state: dict[str, Any]) -> None:
        self.noise.set_state(state["noise"])


def options(**changed: Any) -> LoopOptions:
    return LoopOptions(
        **{"epochs": 6, "learning_rate": 0.1, "schedule": "cosine", "evaluate_every": 1, **changed}
    )


def scores(*values: float) -> Callable[[], dict[str, float]]:
    left = iter(values)
    return lambda: {"score": next(left)}


def without_clocks(history: list[dict[str, float]]) -> list[dict[str, float]]:
    return [{name: value for name, value in row.items() if name not in CLOCKS} for row in history]


class Interrupted:
    """Ctrl-C after some of the steps, each of them a whole one."""

    def __init__(self, *after: int) -> None:
        self.after, self.steps = after, 0

    def __call__(self) -> nullcontext[None]:
        guard = self

        class Context(nullcontext[None]):
            def __exit__(self, *error: object) -> None:
                guard.steps += 1
                if guard.steps in guard.after:
                    raise KeyboardInterrupt

        return Context()


@pytest.mark.parametrize("after", [(2, 6), (3, 9), (4, 8)])  # in an epoch, before its last look, after it
def test_a_run_that_was_interrupted_twice_gives_the_same_bits(after: tuple[int, int], tmp_path: Path) -> None:
    whole = Mean()
    expected = Trainer(whole, options()).fit()
    interrupted = Interrupted(*after)
    for start in (0.0, 9.0):
        with pytest.raises(KeyboardInterrupt):
            Trainer(Mean(start), options(), tmp_path, uninterrupted=interrupted).fit()
    resumed = Mean(9.0)  # a new process knows nothing
    trainer = Trainer(resumed, options(), tmp_path)
    assert 0 < trainer.resume() < 6
    found = trainer.fit()
    assert without_clocks(found.history) == without_clocks(expected.history)
    assert torch.equal(resumed.weight, whole.weight)


def test_without_a_guard_an_interrupt_saves_nothing_half_done(tmp_path: Path) -> None:
    def interrupt(row: dict[str, float]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Trainer(Mean(), options(), tmp_path, on_epoch=interrupt).fit()
    assert not (tmp_path / "last.ckpt").exists()


def test_work_is_saved_within_an_epoch(tmp_path: Path) -> None:
    seen: list[int] = []

    class Watched(Trainer):
        def step(self, batch: Tensor) -> Tensor:
            last = self.checkpoints.load_last() if self.checkpoints else None
            seen.append(last.state["done_batches"] if last else -1)
            return super().step(batch)

    Watched(Mean(), options(epochs=1, save_every=0.0), tmp_path).fit()
    assert seen == [-1, 1, 2]


@pytest.mark.parametrize(("higher", "best", "epochs"), [(True, 2, 4), (False, 1, 3)])
def test_validation_chooses_the_epoch_and_patience_stops(higher: bool, best: int, epochs: int) -> None:
    states: list[Tensor] = []
    model = Mean()
    trainer = Trainer(
        model,
        options(epochs=30, patience=2),
        validate=scores(0.1, 0.5, 0.3, 0.2),
        higher_is_better=higher,
        on_epoch=lambda row: states.append(model.weight.detach().clone()),
    )
    outcome = trainer.fit()
    assert (outcome.best_epoch, outcome.epochs) == (best, epochs)
    assert outcome.best == {"score": [0.1, 0.5][best - 1]}
    assert torch.equal(model.weight, states[best - 1])
    assert not model.training


def test_the_best_epoch_survives_in_another_process(tmp_path: Path) -> None:
    first = Mean()
    Trainer(first, options(), tmp_path, validate=scores(0.1, 0.9, 0.2, 0.2, 0.2, 0.2)).fit()
    second = Mean(start=9.0)
    outcome = Trainer(second, options(), tmp_path, validate=scores()).fit()
    assert outcome.best_epoch == 2
    assert torch.equal(first.weight, second.weight)


def test_without_validation_the_last_epoch_is_kept() -> None:
    outcome = Trainer(Mean(), options()).fit()
    assert (outcome.best_epoch, outcome.best) == (6, {})
    assert [row["epoch"] for row in outcome.history] == [1, 2, 3, 4, 5, 6]
    assert outcome.history[-1]["cpu_seconds"] >= outcome.history[0]["cpu_seconds"] > 0


def test_dropouts_depend_on_the_seed_alone() -> None:
    losses = []
    for seed in (3, 3, 4):
        torch.rand(7)  # whatever was drawn before
        losses.append([row["train/loss"] for row in Trainer(Mean(), options(), seed=seed).fit().history])
    assert losses[0] == losses[1] != losses[2]


def test_divergence_names_the_step_and_the_last_good_checkpoint(tmp_path: Path) -> None:
    Trainer(Mean(), options(epochs=2), tmp_path).fit()
    model = Mean()
    trainer = Trainer(model, options(epochs=4), tmp_path)
    trainer.resume()
    model.weight.data[2] = float("nan")
    said = r"step 9 \(epoch 3\): the loss is nan.*last\.ckpt.*lower training\.learning_rate than 0\.1"
    with pytest.raises(DivergedError, match=said):
        trainer.fit()
    last = Checkpoints(tmp_path, "mean", "five weights").load_last()
    assert last is not None
    assert last.step == 2


def test_weights_that_are_not_finite_are_never_saved(tmp_path: Path) -> None:
    model = Mean()
    model.register_buffer("statistics", torch.tensor([float("inf")]))
    with pytest.raises(DivergedError, match="statistics holds numbers that are not finite"):
        Trainer(model, options(), tmp_path).fit()
    assert not (tmp_path / "last.ckpt").exists()


def test_a_validation_that_is_not_a_number_is_divergence() -> None:
    with pytest.raises(DivergedError, match="valid/score is not a number"):
        Trainer(Mean(), options(), validate=scores(float("nan"))).fit()


def test_the_schedules() -> None:
    constant = options(schedule="constant", warmup_epochs=2)
    assert [constant.rate(epoch) for epoch in (0, 1, 2, 5)] == pytest.approx([0, 0.05, 0.1, 0.1])
    exponential = options(schedule="exponential", decay=0.5)
    assert [exponential.rate(epoch) for epoch in (0, 0.9, 1, 2.5)] == pytest.approx([0.1, 0.1, 0.05, 0.025])
    assert [options().rate(epoch) for epoch in (0, 3, 6)] == pytest.approx([0.1, 0.05, 0])


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"learning_rate": 0.0},
        {"schedule": "linear"},
        {"decay": 0.0},
        {"warmup_epochs": -1},
        {"evaluate_every": -1},
        {"patience": -1},
    ],
)
def test_a_wrong_option_is_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        LoopOptions(**wrong)


class FakeRun:
    """What `reported` needs of a run."""

    def __init__(self, directory: Path, resuming: bool, caplog: pytest.LogCaptureFixture) -> None:
        self.metrics, self.resuming = MetricsLog(directory, resuming), resuming

    def progress(self, total: int, title: str) -> Any:
        from io import StringIO

        from rich.console import Console

        from offprints.logging import progress

        return progress(total, title, logging.getLogger("test_training"), Console(file=StringIO()))


def test_a_resumed_run_goes_on_with_its_metrics_and_its_bar(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    kept = tmp_path / "checkpoints"
    run: Any = FakeRun(tmp_path, False, caplog)
    with pytest.raises(KeyboardInterrupt), reported(run, options(), "valid/score") as on_epoch:
        on_epoch_of(run, kept, on_epoch, Interrupted(9))
    for late in (3, 4):  # rows of work that no checkpoint has
        run.metrics.log(late, {"train/loss": 99.0})
    run.metrics.close()
    again: Any = FakeRun(tmp_path, True, caplog)
    with reported(again, options(), "valid/score") as on_epoch:
        on_epoch_of(again, kept, on_epoch, None)
    again.metrics.close()
    _, rows = read_metrics(tmp_path / "metrics.csv")
    assert [row["step"] for row in rows] == ["1", "2", "3", "4", "5", "6"]
    assert all(float(row["train/loss"]) < 99 for row in rows)
    assert "training 6/6" in caplog.records[-1].getMessage()


def on_epoch_of(run: Any, kept: Path, on_epoch: Callable[[dict[str, float]], None], guard: Any) -> None:
    Trainer(Mean(), options(), kept, on_epoch=on_epoch, uninterrupted=guard).fit()
