"""Attention maps and the error of depth: what figures and the explanation show."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from offprints.errors import InputError

from hard_attention.adversaries import hard_strings
from hard_attention.alphabet import Alphabet
from hard_attention.attention import Kernel, Masks, dense, hard
from hard_attention.blocks import AttentionBlock
from hard_attention.formulas import formula, letter
from hard_attention.parsing import parse
from hard_attention.program import Rounding
from hard_attention.recurrence import evaluate
from hard_attention.transformer import FormulaTransformer, Layer, compile_formula

Floats = NDArray[np.float64]


@torch.no_grad()
def attention_maps(model: FormulaTransformer, string: str, kernel: str = "dense") -> list[Floats]:
    """The weights that each head gives, (n + 1, n + 1), position 0 being the beginning-of-string sign.

    The kernel is run on unit vectors as values: what comes out is the weight, whatever the kernel does inside.

    Args:
        model: the transformer.
        string: of n letters.
        kernel: dense (softmax) or average (hard).

    Raises:
        InputError: it is another kernel.
    """
    if kernel not in ("dense", "average"):
        raise InputError(f"kernel={kernel!r}: maps are drawn of dense or average")
    attend = dense if kernel == "dense" else hard("average")
    found: list[Floats] = []

    def recording(query: Tensor, key: Tensor, value: Tensor, masks: Masks) -> Tensor:
        size = masks.size
        weights = torch.zeros(query.shape[1], size, size, dtype=query.dtype)
        for j in range(size):
            unit = torch.zeros_like(value)
            unit[:, :, j] = 1
            weights[:, :, j] = attend(query, key, unit, masks)[0, :, :, 0]
        found.extend(weights.double().numpy())
        return attend(query, key, value, masks)

    _through(model, string, recording)
    return found


def depth_errors(
    deepest: int = 5, n: int = 24, strings: int = 400, seed: int = 0
) -> tuple[list[float], list[float]]:
    """The largest error of the readout of S in S in S, with the feed-forward rounding and without it.

    Without it the raw output of a head is handed on as it is. A truth value of 1 - e marks its place as looked past by e, which costs it e
    times the query's rung: enough for a place further back to overtake it.

    Args:
        deepest: depths 1 to this.
        n: length of the strings.
        strings: how many, half of them random and half made to hurt.
        seed: of the strings.

    Returns:
        For each depth the error with rounding, and without.
    """
    rng = np.random.default_rng(seed)
    alphabet = Alphabet("abc")
    ids = np.concatenate([rng.integers(3, size=(strings // 2, n)), hard_strings(rng, strings // 2, n, 3)])
    with_rounding, without = [], []
    root = parse("(S (Q a) (Q b))")
    for _ in range(deepest):
        model = compile_formula(root, alphabet)
        truth = evaluate(root, ids, alphabet)
        tensor = torch.from_numpy(ids)
        with_rounding.append(_error(model, tensor, truth))
        _pass_on(model)
        without.append(_error(model, tensor, truth))
        root = formula("S", letter("a") | letter("b"), root)
    return with_rounding, without


@torch.no_grad()
def _error(model: FormulaTransformer, ids: Tensor, truth: NDArray[np.bool_]) -> float:
    return float(np.abs(model.values(ids).numpy() - truth).max())


@torch.no_grad()
def _pass_on(model: FormulaTransformer) -> None:
    """Replace every rounding by relu(x) - 0, which leaves a raw output as it is."""
    for layer, plan in zip(model.layers, model.program.layers, strict=True):
        items = [*plan.roundings, *plan.gates]
        at = 0
        for block in layer.feed_forward:  # type: ignore[union-attr]
            unit = 0
            for item in items[at : at + len(block.output.weight)]:
                if isinstance(item, Rounding):
                    block.hidden.weight[unit] /= 2
                    block.hidden.bias[unit] = 0
                    block.output.weight[:, unit + 1] = 0
                unit += 2 if isinstance(item, Rounding) else 1
            at += len(block.output.weight)


def _through(model: FormulaTransformer, string: str, kernel: Kernel) -> None:
    ids = torch.from_numpy(model.program.alphabet.encode(string))[None]
    lengths = torch.tensor([ids.shape[1]])
    x, beta = model.embed(ids, lengths)
    for layer in model.layers:
        assert isinstance(layer, Layer)
        blocks = [block for block in layer.attention if isinstance(block, AttentionBlock)]
        x = layer(x, beta, [Masks(block.masks, lengths, ids.shape[1]) for block in blocks], kernel)
