"""The figures of the command line: matplotlib in, nothing else but numbers."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure

from offprints.figures import GREY, INK, MODEL, OTHER, single_axes

from ukge.calibration import Reliability
from ukge.facts import Floats

_COLOURS = (MODEL, OTHER, INK, "#5a8f5a")


def reliability_diagram(curves: Mapping[str, Reliability]) -> Figure:
    """Predicted against observed confidence."""
    figure, axes = single_axes("predicted confidence", "mean confidence of such facts")
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1)
    for (name, curve), colour in zip(curves.items(), _COLOURS, strict=False):
        axes.plot(
            curve.predicted, curve.observed, marker="o", color=colour, label=f"{name}: gap {curve.error:.3f}"
        )
    axes.legend(frameon=False)
    return figure


def predicted_and_true(predicted: Floats, confidence: Floats, false: Floats) -> Figure:
    """How predictions of true and of false facts are spread.

    Args:
        predicted: (n,) of true facts.
        confidence: (n,) theirs.
        false: (m,) predictions of false facts.
    """
    figure, axes = single_axes("confidence", "facts")
    bins = [step / 40 for step in range(41)]
    axes.hist(false, bins, color=GREY, alpha=0.7, label="predicted, false facts")
    axes.hist(predicted, bins, color=MODEL, alpha=0.7, label="predicted, true facts")
    axes.hist(confidence, bins, histtype="step", color=OTHER, label="true facts' own")
    axes.set_yscale("log")
    axes.legend(frameon=False)
    return figure
