"""Learning by V-trace where actor and learner are one process: play T steps of all environments, learn from them, and again.

    class Learner(VTraceLearner):
        def act(self, first): ...     # T steps of the environments by the newest weights
        def judge(self, unroll): ...  # what the policy and the values being learnt say of them

    outcome = Learner(model, options, value_parameters=model.value.parameters()).fit()

IMPALA's actors lag behind its learner, and V-trace corrects for that. Here nothing lags but what several updates from the same steps bring
about; the behaviour's log-probabilities are kept all the same, so that `minibatches` and `passes` are free to choose, and with one
of each this is A2C with n-step returns.

Under torch.distributed each process plays environments of its own, and gradients are averaged: with environments that follow their index
and not their process, any number of processes learns what one does.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.distributed
from torch import Tensor, nn

from offprints.errors import InputError
from offprints.training import EpochLoop, LoopOptions

from relational_rl.rmsprop import RMSProp
from relational_rl.vtrace import ActorCriticLoss, losses, vtrace

OPTIMIZERS = ("adam", "rmsprop")
REDUCTIONS = ("mean", "sum")


@dataclass
class VTraceOptions(LoopOptions):
    """How to learn by V-trace; an epoch is `unrolls` times T steps of all environments.

    Attributes:
        environments: played side by side, of all processes together.
        unroll: T, steps that are played before they are learnt from.
        unrolls: in an epoch.
        minibatches: parts of the environments, an update each.
        passes: how often each unroll is learnt from.
        discount: gamma.
        reward_scale: rewards are multiplied by it.
        rho_bar: bound of the ratios in a temporal difference.
        c_bar: bound of the ratios that carry differences back; at most `rho_bar`.
        pg_rho_bar: bound of the ratios of the policy's gradient.
        trace_decay: lambda.
        baseline_cost: weight of the values' squared error.
        entropy_cost: weight of the policy's entropy; on the scale of the scaled rewards.
        reduction: mean over the steps of an update, or their sum, as published; the learning rate and `max_grad_norm` go with it.
        optimizer: adam, or rmsprop as published.
        epsilon: of the optimiser; 0.1 with rmsprop as published.
        square_decay: of rmsprop's mean square.
        max_grad_norm: gradients are scaled down to this norm.
        value_first: epochs at the start in which only the value's own layer learns, for a policy that comes trained: advantages
            against untrained values would spoil it.
        value_rate: learning rate of that layer in these epochs, which has a long way to go alone.

    Source: Espeholt et al. 2018, section 4 and appendix D; the paper's appendix trains with it.
    """

    epochs: int = 100
    learning_rate: float = 0.0005
    environments: int = 64
    unroll: int = 20
    unrolls: int = 10
    minibatches: int = 4
    passes: int = 1
    discount: float = 0.99
    reward_scale: float = 0.1
    rho_bar: float = 1.0
    c_bar: float = 1.0
    pg_rho_bar: float = 1.0
    trace_decay: float = 1.0
    baseline_cost: float = 0.5
    entropy_cost: float = 0.001
    reduction: str = "mean"
    optimizer: str = "adam"
    epsilon: float = 1e-5
    square_decay: float = 0.99
    max_grad_norm: float = 0.5
    value_first: int = 0
    value_rate: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("environments", "unroll", "unrolls", "minibatches", "passes"):
            self.require((name, getattr(self, name) >= 1, "1 or more"))
        for name in ("reward_scale", "rho_bar", "c_bar", "pg_rho_bar", "epsilon", "max_grad_norm"):
            self.require((name, getattr(self, name) > 0, "positive"))
        self.require(
            ("minibatches", self.environments % self.minibatches == 0, "a divisor of environments"),
            ("discount", 0 <= self.discount <= 1, "0 to 1"),
            ("c_bar", self.c_bar <= self.rho_bar, "rho_bar or less: the update need not contract otherwise"),
            ("trace_decay", 0 <= self.trace_decay <= 1, "0 to 1"),
            ("baseline_cost", self.baseline_cost >= 0, "0 or more"),
            ("entropy_cost", self.entropy_cost >= 0, "0 or more"),
            ("reduction", self.reduction in REDUCTIONS, f"one of {', '.join(REDUCTIONS)}"),
            ("optimizer", self.optimizer in OPTIMIZERS, f"one of {', '.join(OPTIMIZERS)}"),
            ("square_decay", 0 <= self.square_decay < 1, "in [0, 1)"),
            ("value_first", self.value_first >= 0, "0 or more"),
            ("value_rate", self.value_rate > 0, "positive"),
        )

    @property
    def steps(self) -> int:
        """Steps of the environments in an epoch."""
        return self.environments * self.unroll * self.unrolls


class Unroll(NamedTuple):
    """T steps of B environments, as they were played.

    Attributes:
        seen: what `judge` looks at: observations, actions, states of a memory; each (any, B, ...).
        behaviour_logp: (T, B) log mu(a_t | x_t).
        rewards: (T, B).
        terminated: (T, B) bool, the step ended an episode: nothing is to come after it.
        truncated: (T, B) bool, the sequence breaks off behind the step: what was to come is `Judgement.cut`.
    """

    seen: dict[str, Tensor]
    behaviour_logp: Tensor
    rewards: Tensor
    terminated: Tensor
    truncated: Tensor

    def part(self, number: int, of: int) -> Unroll:
        """Environments number, number + of, number + 2 of, ...; nothing is copied."""
        seen = {name: tensor[:, number::of] for name, tensor in self.seen.items()}
        return Unroll(seen, *(tensor[:, number::of] for tensor in self[1:]))


class Judgement(NamedTuple):
    """What the policy and the values being learnt say of an unroll; with gradients.

    Attributes:
        logp: (T, B) log pi(a_t | x_t).
        entropy: (T, B) of the policy.
        values: (T, B) V(x_t).
        bootstrap: (B,) V of the observation after the last step.
        cut: (B,) or (T, B) what was to come, discounted, where an episode was cut off; any number elsewhere.
    """

    logp: Tensor
    entropy: Tensor
    values: Tensor
    bootstrap: Tensor
    cut: Tensor


def unroll_losses(judged: Judgement, unroll: Unroll, options: VTraceOptions) -> ActorCriticLoss:
    """The three parts of the loss, means over steps.

    An episode that was cut off goes on in its value: that counts as a reward, and the discount is 0, since the next row is another
    episode's.

    Args:
        judged: by the policy and values being learnt.
        unroll: what was played.
        options: bounds, discount and scale of rewards.
    """
    cut = judged.cut.detach() * unroll.truncated
    targets = vtrace(
        unroll.behaviour_logp,
        judged.logp,
        unroll.rewards * options.reward_scale + cut,
        options.discount * (~(unroll.terminated | unroll.truncated)).to(judged.values.dtype),
        judged.values,
        judged.bootstrap,
        options.rho_bar,
        options.c_bar,
        options.pg_rho_bar,
        options.trace_decay,
        check_finite=False,  # the loop looks at the loss of each epoch
    )
    sums = losses(judged.logp, judged.entropy, judged.values, targets)
    return ActorCriticLoss(*(part / unroll.rewards.numel() for part in sums))


class VTraceLearner(EpochLoop[Unroll]):
    """Trains by V-trace; what is played, and by which network, is a subclass's.

    Args:
        model: on its device, the same in every process.
        options: how.
        value_parameters: those of the layer that only the value has, for `value_first`.
        autocast: context in which the model judges, for lower precision; None leaves the precision alone.
        **told: the rest, as `EpochLoop` takes it.

    Attributes:
        share: environments of this process.
        first_index: number of the first of them among all.
        tally: sums of the epoch under way, () float64 each.

    Raises:
        InputError: the environments cannot be shared out evenly.
    """

    advice = ", or a smaller max_grad_norm"

    def __init__(
        self,
        model: nn.Module,
        options: VTraceOptions,
        *,
        value_parameters: Iterable[nn.Parameter] = (),
        autocast: Callable[[], AbstractContextManager[Any]] | None = None,
        on_epoch: Callable[[dict[str, float]], None] | None = None,
        **told: Any,
    ) -> None:
        self.options, self.autocast = options, autocast or nullcontext
        self.device = next(model.parameters()).device
        super().__init__(model, _optimizer(model, options), options, on_epoch=self._tell, **told)
        self._told_epoch = on_epoch or (lambda row: None)
        self._value_parameters = list(value_parameters)
        self._value_optimizer = (
            torch.optim.Adam(self._value_parameters, options.value_rate) if options.value_first else None
        )
        self.share, rest = divmod(options.environments, self.world)
        if rest or self.share % options.minibatches:
            raise InputError(
                f"environments={options.environments} cannot be shared out to {self.world} processes and "
                f"{options.minibatches} minibatches: a multiple of {self.world * options.minibatches} can"
            )
        self.first_index = self.rank * self.share
        self.tally: dict[str, Tensor] = {}
        self._playing: Unroll | None = None
        self._gathered: dict[str, Tensor] | None = None

    # What a subclass says

    @abstractmethod
    def act(self, first: int) -> Unroll:
        """Play T steps of this process's environments.

        Args:
            first: number of the first of these steps, from the start of training; draws are a function of it, so that a run that
                was killed goes on alike.
        """

    @abstractmethod
    def judge(self, unroll: Unroll) -> Judgement:
        """What the model says of what was played."""

    @abstractmethod
    def actors(self) -> dict[str, Tensor]:
        """All that the next step of this process's environments depends on, (share, ...) each."""

    @abstractmethod
    def set_actors(self, state: dict[str, Tensor]) -> None:
        """Go on from what `actors` gave."""

    def summary(self, sums: dict[str, float]) -> dict[str, float]:
        """Figures of an epoch.

        Args:
            sums: `tally`, of all processes.
        """
        updates = max(1.0, sums.get("updates", 0.0))
        names = ("policy_loss", "baseline_loss", "entropy", "clipped", "grad_norm")
        return {name: sums.get(name, 0.0) / updates for name in names}

    # The loop

    @property
    def num_batches(self) -> int:
        return self.options.unrolls * self._updates

    @property
    def _updates(self) -> int:
        """Updates from one unroll."""
        return self.options.passes * self.options.minibatches

    def batches(self, done: int) -> Iterator[Unroll]:
        told = self.options
        for number in range(done, self.num_batches):
            if number % self._updates == 0:
                before = self.outcome.epochs * told.unrolls + number // self._updates
                self._playing = self.act(before * told.unroll)
            assert self._playing is not None
            yield self._playing.part(number % told.minibatches, told.minibatches)

    def step(self, unroll: Unroll) -> Tensor:
        told = self.options
        with self.autocast():
            judged = self.judge(unroll)
        parts = unroll_losses(judged, unroll, told)
        value_only = self.outcome.epochs < told.value_first
        optimizer = self._value_optimizer if value_only and self._value_optimizer else self.optimizer
        loss = told.baseline_cost * parts.baseline
        if not value_only:
            loss = loss + parts.policy - told.entropy_cost * parts.entropy
        if told.reduction == "sum":
            loss = loss * unroll.rewards.numel() * self.world  # gradients are averaged over processes
        # All, and not this optimizer's alone: what is left of earlier training would count in the norm below.
        self._model.zero_grad()
        loss.backward(inputs=self._value_parameters if value_only else None)
        parameters = list(self._model.parameters())
        average_gradients(parameters)
        norm = torch.nn.utils.clip_grad_norm_(parameters, told.max_grad_norm)
        optimizer.step()
        ratio = (judged.logp.detach() - unroll.behaviour_logp).exp()
        self.count(
            updates=1.0,
            policy_loss=parts.policy,
            baseline_loss=parts.baseline,
            entropy=parts.entropy,
            clipped=(ratio > told.rho_bar).float().mean(),
            grad_norm=norm,
        )
        return loss

    def count(self, **what: Tensor | float) -> None:
        """Add to the sums of the epoch; nothing is read, which would make a GPU wait."""
        for name, value in what.items():
            if name not in self.tally:
                self.tally[name] = torch.zeros((), dtype=torch.float64, device=self.device)
            self.tally[name] += value.detach() if isinstance(value, Tensor) else value

    def _tell(self, row: dict[str, float]) -> None:
        """The epoch's own figures into its row; every process comes here at the same time."""
        names = sorted(self.tally)
        sums = torch.stack([self.tally[name] for name in names])
        if self.world > 1:
            torch.distributed.all_reduce(sums)
        told = self.summary(dict(zip(names, sums.tolist(), strict=True)))
        row |= {f"train/{name}": value for name, value in told.items()}
        row["train/steps"] = float(self.outcome.epochs * self.options.steps)
        self.tally = {}
        if self.world > 1:
            self._gathered = {name: gathered(tensor) for name, tensor in self.actors().items()}
        self._told_epoch(row)
        if self.world > 1:
            self._save_last()

    # What is kept

    def _save_last(self) -> None:
        # One process cannot know what the others' environments are at but where all meet, at the end of an epoch.
        if self.world == 1 or (self.done_batches == 0 and self._gathered is not None):
            super()._save_last()

    def state(self) -> dict[str, Any]:
        under_way = self._playing is not None and self.done_batches % self._updates
        return {
            "actors": self.actors() if self._gathered is None else self._gathered,
            "tally": self.tally,
            "value_optimizer": self._value_optimizer and self._value_optimizer.state_dict(),
            "unroll": self._playing._asdict() if self._playing is not None and under_way else None,
        }

    def restore(self, state: dict[str, Any]) -> None:
        own = slice(self.first_index, self.first_index + self.share)
        self._gathered = state["actors"] if self.world > 1 else None
        if self._value_optimizer:
            self._value_optimizer.load_state_dict(state["value_optimizer"])
        self.set_actors({name: tensor[own].to(self.device) for name, tensor in state["actors"].items()})
        self.tally = {name: tensor.to(self.device) for name, tensor in state["tally"].items()}
        if state["unroll"] is not None:
            kept = dict(state["unroll"])
            seen = {name: tensor.to(self.device) for name, tensor in kept.pop("seen").items()}
            self._playing = Unroll(seen, **{name: tensor.to(self.device) for name, tensor in kept.items()})


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """The mean over the processes, in place; nothing to do for one."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])  # one message in place of dozens
    torch.distributed.all_reduce(flat)
    flat /= torch.distributed.get_world_size()
    for gradient, mean in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient))


def gathered(own: Tensor) -> Tensor:
    """(share, ...) of each process -> all of them, on the CPU, in the order of the processes."""
    parts = [torch.empty_like(own) for _ in range(torch.distributed.get_world_size())]
    torch.distributed.all_gather(parts, own.contiguous())
    return torch.cat(parts).cpu()


def _optimizer(model: nn.Module, options: VTraceOptions) -> torch.optim.Optimizer:
    if options.optimizer == "rmsprop":
        return RMSProp(model.parameters(), options.learning_rate, options.square_decay, options.epsilon)
    return torch.optim.Adam(model.parameters(), options.learning_rate, eps=options.epsilon, fused=True)
