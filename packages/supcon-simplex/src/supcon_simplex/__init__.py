"""Dissecting Supervised Contrastive Learning."""

from supcon_simplex.statistics import GraphStatistics, graph_statistics

__all__ = ["GraphStatistics", "graph_statistics"]
