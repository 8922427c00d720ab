"""The general form of the layer: a matrix for each direction, and scores of their own for each purpose.

    m_v = W_in  sum over incoming (u, r) of  w df_in(h_u, h_r, h_v)/dh_v
        + W_out sum over outgoing (r, u) of  w df_out(h_v, h_r, h_u)/dh_v
    h_v' = act(m_v + s_v W_0 h_v)
    h_r' = rel_act(W_rel (sum over triples of df_rel/dh_r + h_r))

with a weight w for each triple and s_v for each entity. `special_cases` has the scores that make it a GCN, a W-GCN, an
R-GCN or a CompGCN.

Source: the general form of the paper.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ke_gcn.generic import ScoreFunction, gradients
from ke_gcn.graph import Graph
from ke_gcn.layer import Activation
from ke_gcn.model import glorot


class GeneralConv(nn.Module):
    """A convolution in the paper's general form.

    A matrix that is None is the identity. Rows are multiplied from the left, x W.

    Args:
        width: columns of the entities before the layer.
        out_width: columns behind it.
        relation_width: columns of the relations before the layer.
        incoming: f_in; None sends no messages along the triples.
        outgoing: f_out; None sends none against them.
        relation: f_rel; None leaves relations without messages.
        weights: whether there are trained matrices W_in, W_out, W_0.
        relation_out_width: columns of the relations behind the layer; None has no W_rel.
        act: activation of the entities; None is the identity.
        rel_act: activation of the relations; None is the identity.
        seed: of the matrices' initial values.

    Attributes:
        weight_in: (width, out_width) or None.
        weight_out: (width, out_width) or None.
        weight_self: (width, out_width) or None.
        weight_relation: (relation_width, relation_out_width) or None.
    """

    def __init__(
        self,
        width: int,
        out_width: int,
        relation_width: int,
        *,
        incoming: ScoreFunction | None = None,
        outgoing: ScoreFunction | None = None,
        relation: ScoreFunction | None = None,
        weights: bool = True,
        relation_out_width: int | None = None,
        act: Activation | None = None,
        rel_act: Activation | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.incoming, self.outgoing, self.relation = incoming, outgoing, relation
        self.act, self.rel_act = act, rel_act
        generator = torch.Generator().manual_seed(seed)

        def matrix(rows: int, columns: int | None, wanted: bool = True) -> nn.Parameter | None:
            return nn.Parameter(glorot(rows, columns, generator)) if wanted and columns is not None else None

        self.weight_in = matrix(width, out_width, weights and incoming is not None)
        self.weight_out = matrix(width, out_width, weights and outgoing is not None)
        self.weight_self = matrix(width, out_width, weights)
        self.weight_relation = matrix(relation_width, relation_out_width)

    def forward(
        self,
        graph: Graph,
        e: Tensor,
        r: Tensor,
        *,
        inverse_r: Tensor | None = None,
        triple_weight: Tensor | None = None,
        outgoing_weight: Tensor | None = None,
        self_weight: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """One step.

        Args:
            graph: N entities, R relations.
            e: (N, width) float.
            r: (R, relation_width) float.
            inverse_r: (R, relation_width), the relations read backwards, which f_out sees; None takes r.
            triple_weight: (E,) w; None is 1.
            outgoing_weight: (E,) w of the messages against the triples; None takes triple_weight.
            self_weight: (N,) s; None is 1.

        Returns:
            (N, out_width) and (R, relation_out_width or relation_width).
        """
        own = e if self_weight is None else self_weight[:, None] * e
        moved = _times(own, self.weight_self)
        if self.incoming is not None:
            _, _, to_tail = gradients(self.incoming, graph, e, r, weight=triple_weight)
            moved = moved + _times(to_tail, self.weight_in)
        if self.outgoing is not None:
            backwards = r if inverse_r is None else inverse_r
            against = triple_weight if outgoing_weight is None else outgoing_weight
            to_head, _, _ = gradients(self.outgoing, graph, e, backwards, weight=against)
            moved = moved + _times(to_head, self.weight_out)
        if self.relation is not None:
            _, to_relation, _ = gradients(self.relation, graph, e, r, weight=triple_weight)
            r = r + to_relation
        r = _times(r, self.weight_relation)
        return (
            moved if self.act is None else self.act(moved),
            r if self.rel_act is None else self.rel_act(r),
        )


def _times(x: Tensor, weight: Tensor | None) -> Tensor:
    return x if weight is None else x @ weight
