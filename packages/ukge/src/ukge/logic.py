"""Łukasiewicz logic: what "and", "or", "not" and "if" mean for truths between 0 and 1 (Eq. 5 to 9 of the paper).

All functions take numbers or arrays of numpy, of shapes that broadcast.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ukge.facts import Floats


def conjunction(*truths: ArrayLike) -> Floats:
    """I(l1 ∧ ... ∧ ln) = max(0, Σ I(li) - (n - 1))."""
    return np.maximum(_sum(truths) - (len(truths) - 1), 0.0)


def disjunction(*truths: ArrayLike) -> Floats:
    """I(l1 ∨ ... ∨ ln) = min(1, Σ I(li))."""
    return np.minimum(_sum(truths), 1.0)


def negation(truth: ArrayLike) -> Floats:
    """I(¬l) = 1 - I(l)."""
    return 1.0 - np.asarray(truth, np.float64)


def implication(body: ArrayLike, head: ArrayLike) -> Floats:
    """I(body → head) = min(1, 1 - I(body) + I(head))."""
    return disjunction(negation(body), head)


def distance(body: ArrayLike, head: ArrayLike) -> Floats:
    """Distance to satisfaction of body → head, max(0, I(body) - I(head)): how far the rule is from being true."""
    return negation(implication(body, head))


def _sum(truths: tuple[ArrayLike, ...]) -> Floats:
    return np.asarray(np.sum(np.broadcast_arrays(*truths), axis=0, dtype=np.float64))
