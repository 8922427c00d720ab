"""The lattice LSTM over a batch of sentences, both directions in one loop, with its gradient written out.

`lattice_lstm.cell` says what is computed. The loop comes twice, as `steps.Steps` asks for it: `plain_steps` is torch's operations, on
any device, and `recurrence_kernels` compiled loops for the CPU.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from offprints.errors import InputError

from lattice_lstm.cell import MERGES
from lattice_lstm.lattice import Lattice
from lattice_lstm.plain_steps import PlainSteps
from lattice_lstm.recurrence_kernels import CompiledSteps
from lattice_lstm.steps import Steps, Weights, in_text_order

BACKENDS = ("auto", "compiled", "plain")


def read_sentences(
    projected: Tensor,
    words: Tensor,
    weights: Weights,
    lattice: Lattice,
    merge: str = "gated",
    backend: str = "auto",
) -> Tensor:
    """States h of all characters, differentiable in all four tensors.

    Args:
        projected: (n, D, 4H); see `Steps.forward`.
        words: (v, D, 3H); see `Steps.forward`.
        weights: of the states.
        lattice: on the device of the tensors.
        merge: one of `MERGES`.
        backend: "compiled" (CPU only), "plain", or "auto", the first where it can be.

    Returns:
        (n, D, H) in the order of the characters.

    Raises:
        InputError: there is no such merge or backend, or the compiled loops are asked for on a GPU.
    """
    steps = steps_named(backend, projected.device)
    if merge not in MERGES:
        raise InputError(f"merge={merge!r} is unknown: one of {', '.join(MERGES)}")
    out: Tensor = _Recurrence.apply(  # type: ignore[no-untyped-call]
        projected, words, weights.h, weights.word_h, weights.link, lattice, merge, steps
    )
    return out


def steps_named(backend: str, device: torch.device) -> Steps:
    """The loops of a backend.

    Raises:
        InputError: as `read_sentences`.
    """
    if backend not in BACKENDS:
        raise InputError(f"backend={backend!r} is unknown: one of {', '.join(BACKENDS)}")
    if backend == "compiled" and device.type != "cpu":
        raise InputError(f"backend='compiled' runs on the CPU, not on {device}: backend=plain")
    return PlainSteps() if backend == "plain" or device.type != "cpu" else CompiledSteps()


class _Recurrence(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        projected: Tensor,
        words: Tensor,
        h: Tensor,
        word_h: Tensor,
        link: Tensor,
        lattice: Lattice,
        merge: str,
        steps: Steps,
    ) -> Tensor:
        states = steps.forward(projected, words, Weights(h, word_h, link), lattice, merge)
        ctx.save_for_backward(h, word_h, link)
        ctx.rest = states, len(words), lattice, merge, steps
        return in_text_order(states.h, lattice)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        states, words, lattice, merge, steps = ctx.rest
        taken = zip(lattice.directions, grad.unbind(1), strict=False)
        rows = torch.stack([one.index_select(0, direction.take) for direction, one in taken])
        found = steps.backward(rows, words, Weights(*ctx.saved_tensors), states, lattice, merge)
        return found.projected, found.words, found.h, found.word_h, found.link, None, None, None
