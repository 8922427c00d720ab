"""StarCraft II: the relational and the control agent on pysc2's real specs, and V-trace on whole calls.

Nothing here imports pysc2 before an environment is made; `relational_rl` itself imports nothing of this.
"""

from relational_rl.sc2.environments import Environment, Environments, TimeStep
from relational_rl.sc2.games import KINDS, MINI_GAMES, make_environment
from relational_rl.sc2.interface import Argument, Call, Function, Interface, InvalidCall, Layer
from relational_rl.sc2.library import StarCraftUnavailable, load_pysc2
from relational_rl.sc2.memory import ConvLSTM, Memory
from relational_rl.sc2.nets import SC2Agent, SC2Options
from relational_rl.sc2.observations import Action, Observation
from relational_rl.sc2.playing import Episodes, play
from relational_rl.sc2.published import PublishedScore, published_scores
from relational_rl.sc2.training import SC2Training, published_training

__all__ = [
    "KINDS",
    "MINI_GAMES",
    "Action",
    "Argument",
    "Call",
    "ConvLSTM",
    "Environment",
    "Environments",
    "Episodes",
    "Function",
    "Interface",
    "InvalidCall",
    "Layer",
    "Memory",
    "Observation",
    "PublishedScore",
    "SC2Agent",
    "SC2Options",
    "SC2Training",
    "StarCraftUnavailable",
    "TimeStep",
    "load_pysc2",
    "make_environment",
    "play",
    "published_scores",
    "published_training",
]
