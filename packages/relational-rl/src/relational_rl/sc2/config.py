"""The options of the tasks on StarCraft II."""

from __future__ import annotations

from dataclasses import dataclass, field

from relational_rl.learner import VTraceOptions
from relational_rl.sc2.beacon import BeaconRules
from relational_rl.sc2.nets import SC2Options
from relational_rl.sc2.training import published_training


@dataclass
class BeaconConfig:
    """The stand-in's game.

    Attributes:
        radius: the beacon covers this many cells to each side of its centre.
        speed: cells that the marine walks in a step.
        steps: of an episode.
        guide: paid in training for each cell that a step brings the marine nearer to the beacon; scores are of arrivals alone.
    """

    radius: int = 2
    speed: float = 3.0
    steps: int = 60
    guide: float = 0.0

    def rules(self, screen: int) -> BeaconRules:
        """The same, checked, on a screen of this size."""
        return BeaconRules(screen, self.radius, self.speed, self.steps, self.guide)


@dataclass
class SC2Config:
    """The options of the tasks sc2 and sc2_evaluate.

    Attributes:
        env: game, StarCraft II in the folder SC2PATH; test, pysc2's test environment, which pays nothing; beacon, a stand-in that pays.
        map: one of the seven mini-games.
        screen: rows and columns of the screen.
        minimap: rows and columns of the minimap.
        step_mul: the game's steps for each of the agent's.
        beacon: measures of the stand-in.
        model: the agent's network.
        training: V-trace.
        episodes: played by the trained agent, and by the random policy, for the figures that are reported.
        valid_episodes: played to choose the epoch, each time sc2.training.evaluate_every says so.
        test_environments: played side by side for these.
    """

    env: str = "game"
    map: str = "MoveToBeacon"
    screen: int = 32
    minimap: int = 32
    step_mul: int = 8
    beacon: BeaconConfig = field(default_factory=BeaconConfig)
    model: SC2Options = field(default_factory=SC2Options)
    training: VTraceOptions = field(default_factory=published_training)
    episodes: int = 30
    valid_episodes: int = 8
    test_environments: int = 4
