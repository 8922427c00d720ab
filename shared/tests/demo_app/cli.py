"""Tasks of the demo: a regression that can be killed and resumed, and one task for each way to end."""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import dataclass, field

from offprints.app import Results, Run, RunConfig, command
from offprints.errors import InputError


@dataclass
class ModelConfig:
    """A model.

    Attributes:
        dim: inputs of the regression.
        rate: learning rate.
    """

    dim: int = 8
    rate: float = 0.05


@dataclass
class Config(RunConfig):
    """The demo's options.

    Attributes:
        steps: updates to make.
        pause: seconds to wait in each step.
        ballast: floats in the checkpoint, to make saving slow enough to be hit by a kill.
        interrupt_at: step in which to press Ctrl-C.
        how: how the task `end` ends.
    """

    model: ModelConfig = field(default_factory=ModelConfig)
    steps: int = 12
    pause: float = 0.0
    ballast: int = 0
    interrupt_at: int = 0
    how: str = "well"


def train(config: Config, run: Run) -> Results:
    """Fit a line, saving a checkpoint after every step.

    The global batch is the same for any number of processes.
    """
    import torch

    from offprints.checkpoint import Checkpoints, fingerprint, rng_state, set_rng_state
    from offprints.gpu import local_share

    fabric = run.fabric
    generator = torch.Generator().manual_seed(run.seed)
    truth = torch.randn(config.model.dim, generator=generator)
    model, optimizer = fabric.setup(
        bare := torch.nn.Linear(config.model.dim, 1),
        torch.optim.Adam(bare.parameters(), lr=config.model.rate),
    )
    run.dataset("line", {"truth": "00"})
    checkpoints = Checkpoints(run.directory / "checkpoints", "demo", fingerprint(dim=config.model.dim))
    start = 0
    if run.resuming and (last := checkpoints.load_last()):
        model.load_state_dict(last.state["model"])
        optimizer.load_state_dict(last.state["optimizer"])
        set_rng_state(last.state["rng"], [generator])
        start = last.step
        run.metrics.rewind(start)
        run.log.info("resumed after step %d", start)

    def save(step: int) -> None:
        if run.main:
            state = {
                "model": model.state_dict(),
                "optimizer": optimizer.state_dict(),
                "rng": rng_state([generator]),
                "ballast": torch.zeros(config.ballast),
            }
            checkpoints.save_last(state, step)

    step, loss = start, torch.tensor(float("nan"))
    try:
        with run.progress(config.steps, "fitting", done=start) as bar:
            for step in range(start + 1, config.steps + 1):
                with run.uninterrupted():
                    # Five rows have no even split over two processes.
                    inputs = torch.randn(5, config.model.dim, generator=generator)
                    noise = 0.1 * torch.randn(5)
                    share, weight = local_share(torch.cat([inputs, noise[:, None]], 1), fabric)
                    error = model(share[:, :-1])[:, 0] - (share[:, :-1] @ truth + share[:, -1])
                    loss = error.square().mean()
                    optimizer.zero_grad()
                    fabric.backward(loss * weight)
                    if step == config.interrupt_at:
                        os.kill(os.getpid(), signal.SIGINT)  # between the gradient and the update
                    optimizer.step()
                    time.sleep(config.pause)
                    run.metrics.log(step, {"train/loss": loss.item()})
                    if step % 3 == 0:
                        run.metrics.log(step, {"valid/error": (model.weight[0] - truth).norm().item()})
                    save(step)
                bar.advance(1, run.metrics.latest)
    except KeyboardInterrupt:
        save(step)
        raise
    weight = model.weight.detach()[0]
    return Results({"test/error": (weight - truth).norm().item(), "test/weight": weight.sum().item()})


def end(config: Config, run: Run) -> dict[str, float]:
    """End in the way that `how` says."""
    if config.how == "input":
        raise InputError("the sky is not blue; give a blue one")
    if config.how == "missing":
        (run.directory / "nowhere.txt").read_text()
    if config.how == "bug":
        raise ZeroDivisionError("our own fault")
    if config.how == "signal":
        os.kill(os.getpid(), signal.SIGTERM)
    run.log.info("torch is %s", "loaded" if "torch" in sys.modules else "absent")
    return {"test/torch": float("torch" in sys.modules), "test/undefined": float("nan")}


main = command(
    "demo_app",
    Config,
    {"train": train, "end": end},
    "A demonstration",
    on_device=["train"],
    precisions={"train": ["fp32", "bf16"]},
)
