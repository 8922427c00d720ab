"""Learning from the planner: it learns, it resumes to the same bits, and what it is told is checked."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from offprints.errors import InputError

from relational_rl import (
    Agent,
    AgentOptions,
    BoxWorldSpec,
    Imitation,
    ImitationOptions,
    evaluate,
    imitation_loss,
    sample_levels,
    wilson_interval,
)

TINY = BoxWorldSpec(size=6, solution_lengths=(1,), forward=(0,), max_steps=40)
SMALL_NET = AgentOptions(heads=1, head_dim=16, hidden=32, layers=1, padding="valid", side=8)


def agent(seed: int = 0, **options) -> Agent:
    torch.manual_seed(seed)
    return Agent(AgentOptions(**{**vars(SMALL_NET), **options}))


def options(**changes) -> ImitationOptions:
    return ImitationOptions(**{"epochs": 2, "environments": 32, "rollout": 4, "batch_size": 32, **changes})


def test_the_loss_counts_every_optimal_move() -> None:
    logits = torch.tensor([[0.0, 0.0, 0.0, 0.0], [5.0, 5.0, -20.0, -20.0]])
    optimal = torch.tensor([[True, False, True, False], [True, True, False, False]])
    assert float(imitation_loss(logits, optimal)) == pytest.approx(np.log(2) / 2, abs=1e-6)


def test_held_out_labels_are_learnt_better_than_any_policy_that_does_not_look() -> None:
    """A policy that ignores the board can do no better than the most frequent move's share."""
    net = agent()
    trainer = Imitation(
        net, TINY, options(epochs=24, environments=128, rollout=8, evaluate_every=0, learning_rate=0.005)
    )
    trainer.fit()
    trainer._roll_out(999)
    with torch.no_grad():
        chosen = net(trainer.frames)[0].argmax(1)
    hit = trainer.optimal.gather(1, chosen[:, None]).float().mean()
    assert hit > trainer.optimal.float().mean(0).max() + 0.15


def test_a_killed_training_goes_on_to_the_same_weights(tmp_path) -> None:
    whole = Imitation(agent(), TINY, options(), held_out=sample_levels(TINY, 4, 99))
    whole.fit()

    class Killed(Exception):
        """What stops the training."""

    class Kill(Imitation):
        count = 0

        def step(self, batch):
            Kill.count += 1
            if Kill.count == 6:  # in the middle of the second epoch
                self._save_last()
                raise Killed
            return super().step(batch)

    told = {"held_out": sample_levels(TINY, 4, 99), "directory": tmp_path}
    with pytest.raises(Killed):
        Kill(agent(), TINY, options(), **told).fit()
    resumed = Imitation(agent(5), TINY, options(), **told)
    resumed.fit()
    for a, b in zip(whole.agent.parameters(), resumed.agent.parameters(), strict=True):
        assert torch.equal(a, b)


def test_evaluation_plays_each_level_once_with_the_same_numbers_for_the_same_seed() -> None:
    levels = sample_levels(TINY, 40, 7)
    one, two = (evaluate(None, TINY, levels, seed=3) for _ in range(2))
    assert np.array_equal(one.solved, two.solved) and np.array_equal(one.steps, two.steps)
    assert (one.steps <= 40).all() and (one.steps[~one.solved & ~one.distractor] == 40).all()
    assert np.array_equal(one.returns[one.solved], np.full(one.solved.sum(), 11.0))
    with pytest.raises(InputError, match="boards of side 8 for a room of size 12"):
        evaluate(None, BoxWorldSpec(), levels)


def test_wilsons_interval() -> None:
    low, high = wilson_interval(8, 10)
    assert (low, high) == (pytest.approx(0.490, abs=1e-3), pytest.approx(0.943, abs=1e-3))
    assert wilson_interval(0, 5)[0] == pytest.approx(0) and wilson_interval(5, 5)[1] == pytest.approx(1)


def test_options_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match="batch_size"):
        options(batch_size=1000)
    with pytest.raises(InputError, match="learner_share"):
        options(learner_share=1.5)
    with pytest.raises(InputError, match="authors' rules"):
        Imitation(agent(), BoxWorldSpec(rules="legacy"), options())
