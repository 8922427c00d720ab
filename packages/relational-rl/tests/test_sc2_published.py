"""The scores that are reported for the mini-games."""

from __future__ import annotations

from pathlib import Path

from offprints.paper import Paper

from relational_rl.sc2 import MINI_GAMES, published_scores
from relational_rl.sc2.published import published_table

PAPER = Path(__file__).parents[1] / "paper.toml"


def test_the_table_has_a_row_for_each_agent_and_a_column_for_each_map() -> None:
    table = published_table()
    assert [row["agent"] for row in table][-4:] == [
        "relational", "control", "DeepMind human player", "StarCraft grandmaster",
    ]  # fmt: skip
    assert all(row.keys() == {"agent", *MINI_GAMES} for row in table)
    assert [row["MoveToBeacon"] for row in table if row["agent"] == "PBT-A3C"] == ["-"]


def test_a_figure_without_a_source_is_marked() -> None:
    scores = published_scores()
    assert len({(score.agent, score.map) for score in scores}) == len(scores)
    for score in scores:
        assert score.verified == bool(score.source) == (not score.cell.endswith(" ?"))
        assert float(score.score.removeprefix("<")) >= 0


def test_what_the_abstract_claims_stands_in_the_table() -> None:
    """Above grandmaster on four maps; the best of both agents, for the two that the paper has not won."""
    cells = {(score.agent, score.map): score for score in published_scores()}

    def better(name: str) -> bool:
        return float(cells["relational", name].score) > float(cells["StarCraft grandmaster", name].score)

    four = {"CollectMineralShards", "FindAndDefeatZerglings", "DefeatRoaches", "DefeatZerglingsAndBanelings"}
    assert {name for name in MINI_GAMES if better(name)} == four


def test_the_papers_file_says_the_same_of_both_agents() -> None:
    values = [value for value in Paper.read(PAPER).values if value.experiment.startswith("sc2_")]
    scores = [score for score in published_scores() if score.agent in ("relational", "control")]
    assert {(v.model, v.dataset, v.value) for v in values} == {
        (s.agent, s.map, float(s.score)) for s in scores
    }
    for value in values:
        score = next(s for s in scores if (s.agent, s.map) == (value.model, value.dataset))
        assert value.source == (score.source or "from memory, not verified")
        assert value.experiment.endswith("_control") == (value.model == "control")
