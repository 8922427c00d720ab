"""Scores by name."""

from __future__ import annotations

from offprints.errors import InputError

from ke_gcn.projections import TransD, TransH
from ke_gcn.scores import ComplEx, DistMult, DistMultDot, NoRelation, QuatE, RotatE, Score, TransE

SCORES: dict[str, type[Score]] = {
    kind.name.lower(): kind
    for kind in (NoRelation, TransE, TransH, TransD, DistMult, DistMultDot, ComplEx, RotatE, QuatE)
}


def score_named(name: str) -> Score:
    """A score by the paper's name, in any case: None, TransE, TransH, TransD, DistMult, DistMultDot, ComplEx, ...

    Raises:
        InputError: there is no such score.
    """
    if name.lower() not in SCORES:
        known = ", ".join(kind.name for kind in SCORES.values())
        raise InputError(f"score {name!r} is unknown: one of {known}")
    return SCORES[name.lower()]()


def score_saved(name: str, path: str) -> Score:
    """The score that a file names.

    Raises:
        InputError: it is none of ours, and has to be given by who opens the file.
    """
    if name.lower() not in SCORES:
        raise InputError(f"{path}: the score {name!r} is none of ours; give it as score=")
    return score_named(name)
