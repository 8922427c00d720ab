"""Relational Deep Reinforcement Learning: Box-World, and agents whose trunk is attention between the cells of a feature map."""

from relational_rl.agreement import Agreement, played_by_planner
from relational_rl.boxworld.fixed import fixed_levels
from relational_rl.boxworld.levels import Levels, load_levels, save_levels
from relational_rl.boxworld.oracle import Oracle, optimal_lengths, optimal_moves
from relational_rl.boxworld.registration import IDS, register
from relational_rl.boxworld.single import BoxWorldEnv
from relational_rl.boxworld.spec import BoxWorldSpec
from relational_rl.boxworld.stream import sample_levels
from relational_rl.boxworld.torch_env import TorchBoxWorld, TorchStep
from relational_rl.boxworld.vector import BoxWorldVectorEnv
from relational_rl.evaluation import Evaluation, evaluate, wilson_interval
from relational_rl.imitation import Imitation, ImitationOptions, imitation_loss
from relational_rl.learner import Judgement, Unroll, VTraceLearner, VTraceOptions, unroll_losses
from relational_rl.nets import Agent, AgentOptions, Stem
from relational_rl.reinforcement import Reinforcement
from relational_rl.relational import RelationalBlock
from relational_rl.rmsprop import RMSProp
from relational_rl.vtrace import ActorCriticLoss, VTrace, actor_critic_loss, vtrace

register()  # as Gymnasium's users expect of an import: gymnasium.make("relational_rl:BoxWorld-v0")

__all__ = [
    "IDS",
    "ActorCriticLoss",
    "Agent",
    "AgentOptions",
    "Agreement",
    "BoxWorldEnv",
    "BoxWorldSpec",
    "BoxWorldVectorEnv",
    "Evaluation",
    "Imitation",
    "ImitationOptions",
    "Judgement",
    "Levels",
    "Oracle",
    "RMSProp",
    "Reinforcement",
    "RelationalBlock",
    "Stem",
    "TorchBoxWorld",
    "TorchStep",
    "Unroll",
    "VTrace",
    "VTraceLearner",
    "VTraceOptions",
    "actor_critic_loss",
    "evaluate",
    "fixed_levels",
    "imitation_loss",
    "load_levels",
    "optimal_lengths",
    "optimal_moves",
    "played_by_planner",
    "register",
    "sample_levels",
    "save_levels",
    "unroll_losses",
    "vtrace",
    "wilson_interval",
]
