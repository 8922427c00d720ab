"""The film of an episode."""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image

from relational_rl import sample_levels
from relational_rl.boxworld.spec import BoxWorldSpec
from relational_rl.film import film
from relational_rl.nets import Agent, AgentOptions

SPEC = BoxWorldSpec(size=6, solution_lengths=(1,), forward=(0,), max_steps=3)


def test_a_film_shows_every_step_and_takes_the_place_of_an_earlier_one_at_once(tmp_path: Path) -> None:
    torch.manual_seed(0)
    agent = Agent(AgentOptions(heads=1, head_dim=8, hidden=16, layers=1, padding="valid"))
    path = tmp_path / "figures" / "episode.gif"
    film(agent, SPEC, sample_levels(SPEC, 1, seed=0), path, seed=0)
    whole = path.read_bytes()
    with path.open("rb") as before:
        steps = film(agent, SPEC, sample_levels(SPEC, 1, seed=1), path, seed=1)
        assert before.read() == whole  # who has it open reads all of the earlier one
    with Image.open(path) as shown:
        assert shown.format == "GIF"
        assert shown.n_frames == steps + 1
    assert path.read_bytes() != whole
    assert [found.name for found in path.parent.iterdir()] == ["episode.gif"]
