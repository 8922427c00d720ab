"""__title__."""

from __import_name__.statistics import GraphStatistics, graph_statistics

__all__ = ["GraphStatistics", "graph_statistics"]
