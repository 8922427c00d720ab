"""The Sky Above The Clouds."""

from sky_broker.statistics import GraphStatistics, graph_statistics

__all__ = ["GraphStatistics", "graph_statistics"]
