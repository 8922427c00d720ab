"""The options of the command line; a misspelt key or a wrong type is an error."""

from __future__ import annotations

from dataclasses import dataclass

from offprints.app import RunConfig


@dataclass
class Config(RunConfig):
    """The options of sky-broker.

    Attributes:
        task: what to do.
        relation: count the triples of this relation only; null counts all.
    """

    task: str = "describe"
    relation: str | None = None
