"""Learning from the planner: it learns, it resumes to the same bits, and what it is told is checked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from offprints.errors import InputError

from relational_rl import (
    Agent,
    AgentOptions,
    BoxWorldSpec,
    BoxWorldVectorEnv,
    Imitation,
    ImitationOptions,
    Stem,
    evaluate,
    imitation_loss,
    optimal_moves,
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
        chosen = net(trainer.labelled.frames)[0].argmax(1)
    optimal = trainer.labelled.optimal
    hit = optimal.gather(1, chosen[:, None]).float().mean()
    assert hit > optimal.float().mean(0).max() + 0.15


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
    with pytest.raises(InputError, match="no level"):
        evaluate(None, TINY, levels[:0])
    late = evaluate(None, replace(TINY, max_steps=3, reference_time_limit=True), levels)
    assert late.steps.max() == 4  # as the environments do


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


def test_sixty_four_labelled_frames_are_learnt_by_heart() -> None:
    net = agent()
    trainer = Imitation(net, TINY, options(environments=64, rollout=1, batch_size=64, learning_rate=0.005))
    trainer._roll_out(0)
    batch = trainer.labelled.rows(torch.arange(64), torch.device("cpu"))
    for _ in range(400):
        trainer.step(batch)
    with torch.no_grad():
        chosen = net(batch.frames)[0].argmax(1)
    assert batch.optimal.gather(1, chosen[:, None]).all()


def test_learners_states_are_their_own_and_labelled_by_the_planner() -> None:
    """A learner that only goes up, beside environments that the planner plays."""
    net = agent()
    with torch.no_grad():
        net.policy.bias[0] = 1e4
    trainer = Imitation(net, TINY, options(environments=20, rollout=6, random_share=0.0, learner_share=0.5))
    trainer._roll_out(0)
    frames, optimal, objects = (part.unflatten(0, (6, 20)).numpy() for part in trainer.labelled)
    env = BoxWorldVectorEnv(10, TINY, "SameStep")
    env.reset(seed=0)
    boards = env.boards
    for t in range(6):
        assert np.array_equal(frames[t, :10], boards.frames.reshape(10, 8, 8, 3))
        assert np.array_equal(optimal[t, :10], optimal_moves(boards.cells, boards.agent, boards.held)[0])
        wanted = boards.cells[np.arange(10), objects[t, :10]]
        assert ((wanted >= 2) & (wanted < 43)).all()  # a key, the gem or a lock of the solution
        env.step(np.zeros(10, np.int64))
    assert (frames[:, 10:] != frames[:1, 10:]).any()


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_the_entity_of_a_cell_sees_it(padding: str) -> None:
    stem = Stem(padding)
    frames = torch.full((1, 10, 10, 3), 204, dtype=torch.uint8)
    plain = stem(frames)
    for cell in range(100):
        if padding == "valid" and not (0 < cell // 10 < 9 and 0 < cell % 10 < 9):
            continue
        marked = frames.clone()
        marked[0, cell // 10, cell % 10] = torch.tensor([0, 255, 0], dtype=torch.uint8)
        changed = (stem(marked) - plain).abs().sum(-1).flatten() > 0
        assert changed[stem.entity_of(torch.tensor([cell]), 10)]


def test_the_second_question_reaches_the_trunk_and_leaves_the_agent_as_it_was_drawn() -> None:
    with_it, without = (Imitation(agent(), TINY, options(object_cost=cost)) for cost in (0.5, 0.0))
    for a, b in zip(with_it.agent.parameters(), without.agent.parameters(), strict=True):
        assert torch.equal(a, b)
    for trainer in (with_it, without):
        trainer.fit()
    assert bool(with_it.pointer.weight.any()) and not bool(without.pointer.weight.any())
    trunk = zip(with_it.agent.trunk.parameters(), without.agent.trunk.parameters(), strict=True)
    assert any(not torch.equal(a, b) for a, b in trunk)
