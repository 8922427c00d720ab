"""The figures of the command line: numbers in, matplotlib out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from offprints.figures import GREY, INK, MODEL, OTHER


def training_curve(
    history: Sequence[Mapping[str, float]], best_epoch: int, rmse: Mapping[str, float]
) -> Figure:
    """Loss C(w, b) over the epochs, and the validation error with what needs no training beside it.

    Args:
        history: of the training.
        best_epoch: whose weights were kept.
        rmse: test errors of the baselines, by name.
    """
    figure = Figure(figsize=(8.4, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot([row["epoch"] for row in history], [row["train/loss"] for row in history], color=INK)
    left.set(xlabel="epoch", ylabel="loss C(w, b) on train", yscale="log")
    seen = [row for row in history if "valid/rmse" in row]
    right.plot(
        [row["epoch"] for row in seen],
        [row["valid/rmse"] for row in seen],
        color=MODEL,
        label="neuron, validation",
    )
    right.axvline(best_epoch, color=OTHER, linewidth=1, label=f"kept: epoch {best_epoch}")
    for (name, error), style in zip(rmse.items(), ("--", ":", "-."), strict=False):
        right.axhline(error, color=GREY, linestyle=style, label=f"{name}, test")
    right.set(xlabel="epoch", ylabel="root mean square error")
    right.legend(frameon=False)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    return figure
