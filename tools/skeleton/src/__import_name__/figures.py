"""The figures of the command line: numbers in, matplotlib out."""

from __future__ import annotations

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

matplotlib.use("Agg")


def degrees(degree: NDArray[np.int64]) -> Figure:
    """How many entities are in so many triples."""
    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.subplots()
    values, entities = np.unique(degree, return_counts=True)
    axes.loglog(values, entities, ".")
    axes.set_xlabel("triples of an entity")
    axes.set_ylabel("entities")
    return figure
