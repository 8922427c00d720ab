"""The tasks of the `ufg` command. Each takes the options apart, calls the API and says what came out."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pandas as pd

from offprints.app import Results, Run, command
from offprints.tables import show

from ufg import figures
from ufg.config import Config
from ufg.transform import FrameletTransform


def frame(config: Config, run: Run) -> Results:
    """How far the transform is from a tight frame, for n = 2, ..., 8 Chebyshev terms."""
    transform = FrameletTransform(**asdict(config.transform))
    eigenvalues = np.linspace(0, 2, 513)
    variants = {terms: replace(transform, terms=terms) for terms in range(2, 9)}
    totals = {terms: one.frame_response(eigenvalues) for terms, one in variants.items()}
    run.figure(
        "frame_defect",
        figures.frame_defect(eigenvalues, totals, f"{transform.bank.name}, {transform.levels} levels"),
    )
    run.figure(
        "responses",
        figures.responses(
            eigenvalues,
            transform.response(eigenvalues),
            transform.block_names,
            transform.response(eigenvalues, exact_filters=True),
        ),
    )
    bounds = {terms: one.frame_bounds() for terms, one in variants.items()}
    table = pd.DataFrame(
        [(n, low, high) for n, (low, high) in bounds.items()], columns=["terms", "lower", "upper"]
    )
    show(table, "frame bounds")
    low, high = transform.frame_bounds()
    return Results(
        {"frame/lower": low, "frame/upper": high}
        | {f"frame/defect_n{n}": max(upper - 1, 1 - lower) for n, (lower, upper) in bounds.items()}
    )


main = command(
    "ufg",
    Config,
    {"frame": frame},
    "How Framelets Enhance Graph Neural Networks: tight frames on graphs, convolution, pooling, denoising",
)
