"""Figure of object stores: what each policy pays for."""

from __future__ import annotations

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

matplotlib.use("Agg")
_PARTS = {"storage $": "#2f6f9f", "egress $": "#d98324", "requests $": "#9aa5ad"}


def bills(table: pd.DataFrame, optimum: float) -> Figure:
    """The bill of each policy by parts, and the least that it could have been.

    Args:
        table: a row for each policy.
        optimum: in $.
    """
    figure = Figure(figsize=(7, 1.2 + 0.4 * len(table)), layout="constrained")
    axes = figure.add_subplot()
    left = np.zeros(len(table))
    for part, colour in _PARTS.items():
        axes.barh(table["policy"], table[part], left=left, color=colour, label=part.removesuffix(" $"))
        left += table[part].to_numpy()
    axes.axvline(optimum, color="#22303c", linestyle=":", label="optimum")
    axes.invert_yaxis()
    axes.set_xlabel("$")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return figure
