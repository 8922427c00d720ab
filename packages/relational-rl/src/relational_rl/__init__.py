"""Relational Deep Reinforcement Learning."""

from relational_rl.statistics import GraphStatistics, graph_statistics

__all__ = ["GraphStatistics", "graph_statistics"]
