"""The options of the command line, typed: a misspelt key or a value of the wrong type is an error."""

from __future__ import annotations

from dataclasses import dataclass, field

from offprints.app import RunConfig


@dataclass
class TransformConfig:
    """Which framelet transform.

    Attributes:
        filters: haar, linear or quadratic.
        levels: Lev.
        scale: s, the dilation between levels.
        terms: n, Chebyshev coefficients of each filter; 2 as published, 8 for a tight frame in float32.
        order: ascending, the paper's, or descending.
    """

    filters: str = "haar"
    levels: int = 2
    scale: float = 2.0
    terms: int = 8
    order: str = "ascending"


@dataclass
class Config(RunConfig):
    """All options of `ufg`."""

    task: str = "frame"
    transform: TransformConfig = field(default_factory=TransformConfig)
