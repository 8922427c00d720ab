"""One attention head after another: softmax in three ways that give the same numbers, and hard attention.

Scores are `beta (Wq x_i) . (Wk x_j)`; the usual 1/sqrt(d) is left out, since only for powers of 4 would it be exact. The sink, position
0, is always seen, so that no query is without a key, and it sees itself alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

CHUNK = 256
"""Queries at a time in the chunked kernel."""


class Masks:
    """Which keys each query of each head sees.

    Args:
        names: the mask of each head.
        lengths: (B,) int64, or (1,) if all are alike; keys behind a string's end are seen by nobody.
        longest: n.
        whole: whether every string is known to be that long.
    """

    def __init__(self, names: Sequence[str], lengths: Tensor, longest: int, whole: bool = False) -> None:
        self.names = tuple(names)
        self.lengths = lengths
        self.size = longest + 1
        self.whole = whole

    def rows(self, start: int, stop: int) -> Tensor:
        """Of the queries start..stop-1: (B or 1, heads or 1, stop - start, n + 1) bool; 1 where all are alike."""
        device = self.lengths.device
        j = torch.arange(self.size, device=device)
        i = torch.arange(start, stop, device=device)[:, None]
        views = {name: _view(name, i, j) for name in dict.fromkeys(self.names)}
        seen = torch.stack([views[name] for name in self.names]) if len(views) > 1 else views[self.names[0]]
        inside = j <= self.lengths[:, None]
        return seen.view(1, -1, stop - start, self.size) & inside[:, None, None, :]

    def terms(self, start: int, stop: int, dtype: torch.dtype) -> Tensor:
        """`rows` as numbers to be added to scores: 0 for a key that is seen, -inf for one that is not."""
        seen = self.rows(start, stop)
        return torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill_(~seen, -torch.inf)


def _view(name: str, i: Tensor, j: Tensor) -> Tensor:
    """Whether the queries i see the keys j, without regard to the string's end; the sink sees itself alone."""
    if name == "all":
        return (i > 0) | (j == 0)
    compare = {"before": torch.lt, "after": torch.gt, "up to": torch.le, "from": torch.ge}[name]
    return (compare(j, i) & (i > 0)) | (j == 0)


Kernel = Callable[[Tensor, Tensor, Tensor, Masks], Tensor]
"""query (B, heads, n + 1, d), already times beta; key the same; value (B, heads, n + 1, 1) -> (B, heads, n + 1, 1)."""


def dense(query: Tensor, key: Tensor, value: Tensor, masks: Masks) -> Tensor:
    """Softmax attention by the whole matrix of scores, normalised last, as fused kernels do it.

    Of 16-bit inputs the scores are rounded to 16 bits, and the softmax and its sums are taken in float32.
    """
    return _rows(query, key, value, masks, 0, masks.size)


def chunked(query: Tensor, key: Tensor, value: Tensor, masks: Masks) -> Tensor:
    """`dense`, some queries at a time: memory grows with n and not with its square."""
    parts = [
        _rows(query[:, :, start : start + CHUNK], key, value, masks, start, min(start + CHUNK, masks.size))
        for start in range(0, masks.size, CHUNK)
    ]
    return torch.cat(parts, 2)


def sdpa(query: Tensor, key: Tensor, value: Tensor, masks: Masks) -> Tensor:
    """Softmax attention by torch's scaled_dot_product_attention.

    Its fused kernels want values as wide as keys: zeros fill them up, and what comes out of these is left away.
    """
    wide = F.pad(value, (0, query.shape[-1] - 1))
    if masks.whole and set(masks.names) == {"before"}:
        # Position i sees 0..i-1: a causal mask from queries 1..n to keys 0..n-1, which the kernel makes by itself.
        found = F.scaled_dot_product_attention(
            query[:, :, 1:], key[:, :, :-1], wide[:, :, :-1], is_causal=True, scale=1.0
        )
        return torch.cat([value[:, :, :1], found[..., :1]], 2)
    seen = masks.rows(0, masks.size)
    return F.scaled_dot_product_attention(query, key, wide, attn_mask=seen, scale=1.0)[..., :1]


def last(query: Tensor, key: Tensor, value: Tensor, masks: Masks) -> Tensor:
    """`dense` for the last position's query alone: query (B, heads, 1, d) -> (B, heads, 1, 1)."""
    return _rows(query, key, value, masks, masks.size - 1, masks.size)


def hard(ties: str) -> Kernel:
    """Hard attention: all weight on the keys of the largest score.

    Args:
        ties: average (shared equally), leftmost or rightmost.
    """

    def attend(query: Tensor, key: Tensor, value: Tensor, masks: Masks) -> Tensor:
        scores = _scores(query, key).masked_fill(~masks.rows(0, masks.size), -torch.inf)
        best = scores == scores.amax(-1, keepdim=True)
        wide = value.to(torch.promote_types(value.dtype, torch.float32))
        if ties == "average":
            weights = best.to(wide.dtype)
            return ((weights @ wide) / weights.sum(-1, keepdim=True)).to(value.dtype)
        place = torch.arange(best.shape[-1], device=best.device)
        at = torch.where(best, place, -1 if ties == "rightmost" else len(place))
        chosen = at.amax(-1) if ties == "rightmost" else at.amin(-1)
        return value.gather(2, chosen[..., None])

    return attend


def _scores(query: Tensor, key: Tensor) -> Tensor:
    """Scores in float32 or float64, rounded to the format that they were asked for in.

    Of 16-bit numbers the products are taken in float32, which holds them exactly, and their sum is rounded once: what hardware for 16
    bits does, and many times as fast on a CPU that has none.
    """
    wide = torch.promote_types(query.dtype, torch.float32)
    scores = query.to(wide) @ key.to(wide).transpose(-1, -2)
    return scores if wide is query.dtype else scores.to(query.dtype).to(wide)


def _rows(query: Tensor, key: Tensor, value: Tensor, masks: Masks, start: int, stop: int) -> Tensor:
    scores = _scores(query, key)
    scores = scores.add_(masks.terms(start, stop, scores.dtype))
    # Softmax is the same whatever is taken off all scores, and so no gradient has to pass through the largest.
    weights = scores.sub_(scores.detach().amax(-1, keepdim=True)).exp_()
    mixed = weights @ value.to(weights.dtype)
    return (mixed / weights.sum(-1, keepdim=True)).to(value.dtype)


KERNELS: dict[str, Kernel] = {
    "dense": dense,
    "sdpa": sdpa,
    "chunked": chunked,
    "average": hard("average"),
    "leftmost": hard("leftmost"),
    "rightmost": hard("rightmost"),
}
