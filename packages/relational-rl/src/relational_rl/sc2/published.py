"""What the paper and those before it report for the mini-games, each figure with whether it was read in a source that is open."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from importlib import resources


@dataclass(frozen=True)
class PublishedScore:
    """One cell of the paper's table of StarCraft II: a mean score over episodes, of the best run.

    Attributes:
        agent: the row.
        map: the column, as pysc2 calls it.
        score: as printed; "<1" is below 1.
        verified: whether it was read in an open source, and not quoted from memory.
        source: which; the program reaver quotes the better one of the paper's two agents.
    """

    agent: str
    map: str
    score: str
    verified: bool
    source: str

    @property
    def cell(self) -> str:
        """As tables show it: a figure that was not verified has a question mark."""
        return self.score if self.verified else f"{self.score} ?"


def published_scores() -> list[PublishedScore]:
    """All cells, row by row."""
    text = (resources.files("relational_rl.sc2") / "published.csv").read_text(encoding="utf-8")
    return [
        PublishedScore(row["agent"], row["map"], row["score"], row["verified"] == "yes", row["source"])
        for row in csv.DictReader(text.splitlines())
    ]


def published_table() -> list[dict[str, str]]:
    """One row for each agent, one column for each map; - where nothing is reported."""
    scores = published_scores()
    maps = list(dict.fromkeys(score.map for score in scores))
    cells = {(score.agent, score.map): score.cell for score in scores}
    agents = dict.fromkeys(score.agent for score in scores)
    return [{"agent": agent, **{name: cells.get((agent, name), "-") for name in maps}} for agent in agents]
