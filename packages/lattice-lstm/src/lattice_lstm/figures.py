"""The figures of the command line: matplotlib in, nothing else but numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib import font_manager
from matplotlib.figure import Figure

from offprints.figures import GREY, INK, MODEL, OTHER, single_axes

from lattice_lstm.scores import Score
from lattice_lstm.tagger import Explanation

_COLOURS = (MODEL, OTHER, INK, "#5a8f5a", "#8a5a8f", GREY)
_FAMILIES = (
    "Noto Sans CJK SC",
    "Noto Sans SC",
    "Source Han Sans SC",
    "WenQuanYi Zen Hei",
    "WenQuanYi Micro Hei",
    "PingFang SC",
    "Hiragino Sans GB",
    "Microsoft YaHei",
    "SimHei",
)
_LARGEST = 60.0  # inches a side, 300 MB for a square of it; a text may be of any length


def curves(histories: Mapping[str, Sequence[Mapping[str, float]]], metric: str) -> Figure:
    """A validation metric over the epochs, a line for each tagger."""
    figure, axes = single_axes("epoch", metric)
    for (name, history), colour in zip(histories.items(), _COLOURS, strict=False):
        seen = [row for row in history if metric in row]
        values = [row[metric] for row in seen]
        axes.plot([row["epoch"] for row in seen], values, color=colour, marker=".", label=name)
    axes.legend(frameon=False)
    return figure


def by_length(scores: Mapping[str, Mapping[str, Score]]) -> Figure:
    """F1 by classes of sentence length, a line for each tagger."""
    figure, axes = single_axes("characters of the sentence", "strict F1")
    found = {name for groups in scores.values() for name in groups}
    classes = sorted(found, key=lambda name: int(name.partition("-")[0]))
    for (name, groups), colour in zip(scores.items(), _COLOURS, strict=False):
        values = [groups[one].f1 if one in groups else float("nan") for one in classes]
        axes.plot(range(len(classes)), values, color=colour, marker="o", label=name)
    axes.set_xticks(range(len(classes)), classes)
    axes.legend(frameon=False)
    return figure


def gates(explanation: Explanation) -> Figure:
    """What the cell of each character is mixed of, forwards: its own candidate, and the words that end there.

    Words are named where the system has a font for Chinese, and else by their places.
    """
    text, words = explanation.text, explanation.words
    font = _chinese_font()
    names = [word if font else f"{start}-{end - 1}" for start, end, word in words]
    rows = ["character", *names]
    grid = [[float("nan")] * len(text) for _ in rows]
    for at, share in enumerate(explanation.own[:, 0].tolist()):
        grid[0][at] = share
    for row, ((_, end, _), share) in enumerate(zip(words, explanation.shares[:, 0].tolist(), strict=True), 1):
        grid[row][end - 1] = share
    width, height = max(6.4, 1.8 + 0.3 * len(text)), 1.6 + 0.28 * len(rows)
    figure, axes = single_axes("", "", width=min(width, _LARGEST), height=min(height, _LARGEST))
    image = axes.imshow(grid, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for row, (start, end, _) in enumerate(words, 1):
        axes.plot([start - 0.4, end - 0.6], [row, row], color=OTHER, linewidth=1.2)
    axes.set_xticks(range(len(text)), list(text) if font else [str(at) for at in range(len(text))])
    axes.set_yticks(range(len(rows)), rows)
    if font:
        for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
            label.set_fontfamily(font)
    figure.colorbar(image, label="weight in the cell")
    return figure


def _chinese_font() -> str | None:
    known = set(font_manager.get_font_names())
    return next((family for family in _FAMILIES if family in known), None)
