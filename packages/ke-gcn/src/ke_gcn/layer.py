"""The layer: one step of entities and relations along the gradient of a score.

    e' = act([e + alpha D^-1 dF/de] W)        D: ends of triples at an entity
    r' = act(rho + beta n^-1 dF/drho)         n: triples of a relation; rho: the normalised relations

Without activation, alpha = 1/2 puts each entity where its neighbours place it on average: a Jacobi iteration on F. With
fixed relations F then never falls for alpha <= 1/2, because the spectrum of the (connection) Laplacian lies in [0, 2].

Source: the paper's layer in the form that its published program computes.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn

from offprints.errors import InputError

from ke_gcn.checks import check_rows
from ke_gcn.graph import Graph
from ke_gcn.scores import Score

Activation = Callable[[Tensor], Tensor]


class KEGCNConv(nn.Module):
    """A knowledge-embedding graph convolution as published: one score for all directions, no matrix in hidden layers.

    Args:
        score: what the messages are the gradient of.
        alpha: step of the entities; beyond 1/2 it overshoots.
        beta: step of the relations; None takes alpha.
        act: activation of the entities; None is the identity.
        rel_act: activation of the relations; None is the identity.
        update_relations: move the relations too; without it they only pass through `rel_act`.

    Raises:
        InputError: alpha or beta is negative or not finite.
    """

    def __init__(
        self,
        score: Score,
        alpha: float = 0.3,
        beta: float | None = None,
        *,
        act: Activation | None = torch.relu,
        rel_act: Activation | None = torch.relu,
        update_relations: bool = True,
    ) -> None:
        super().__init__()
        self.score = score
        self.alpha, self.beta = checked_steps(score, alpha, beta)
        self.act, self.rel_act = act, rel_act
        self.update_relations = update_relations

    def forward(self, graph: Graph, e: Tensor, r: Tensor) -> tuple[Tensor, Tensor]:
        """One step.

        Args:
            graph: N entities, R relations.
            e: (N, entity width) float.
            r: (R, relation width) float.

        Returns:
            Entities and relations of the same shapes.

        Raises:
            InputError: the rows are not those of the graph, or their widths do not fit the score.
        """
        check_rows(e, r, graph.num_entities, graph.num_relations, graph.device)
        self.score.check_widths(e.shape[1], r.shape[1])
        rho = self.score.normalise(r)
        relu = self.act is torch.relu  # which a compiled step does on the way
        e, to_relations = self.score.step(graph, e, rho, self.alpha, relu)
        if to_relations is not None and self.update_relations:
            rho = rho + self.beta * graph.inverse_count(r.dtype) * to_relations
        return e if relu else _activated(self.act, e), _activated(self.rel_act, rho)


def checked_steps(score: Score, alpha: float, beta: float | None) -> tuple[float, float]:
    """Alpha and beta, checked; warns where the step is longer than theory allows."""
    beta = alpha if beta is None else beta
    for name, value in (("alpha", alpha), ("beta", beta)):
        if not 0 <= value < float("inf"):
            raise InputError(f"{name}={value} must be 0 or more")
    if score.bounded and alpha > 0.5:
        warnings.warn(f"alpha={alpha} is more than 1/2: a step of {score.name} may overshoot", stacklevel=3)
    return alpha, beta


def _activated(act: Activation | None, x: Tensor) -> Tensor:
    return x if act is None else act(x)
