"""The transformer: embeddings, layers of attention and feed-forward network, and a linear readout. An ordinary torch.nn.Module.

model = compile_formula("(S (Q a) (Q b))", "ab")
model.decide(["abb", "bab"])                # list of lists of bool, one for each position
model(ids, lengths)                         # tensors in, (B, n) bool out
model.to(torch.bfloat16)                    # another format: same weights, and the positions of that format
model(ids, kernel="sdpa")                   # dense, sdpa, chunked, scan; average, leftmost, rightmost are hard attention
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from offprints import checkpoint
from offprints.errors import InputError

from hard_attention.alphabet import Alphabet
from hard_attention.attention import KERNELS, Kernel, Masks
from hard_attention.blocks import AttentionBlock, FeedForwardBlock, attention_blocks, feed_forward_blocks
from hard_attention.compiler import plan
from hard_attention.definition import Predicate
from hard_attention.formulas import Formula
from hard_attention.formulas import predicates as predicates_of
from hard_attention.norms import NORMS
from hard_attention.parsing import parse
from hard_attention.positions import Positions
from hard_attention.precision import Precision, precision_of
from hard_attention.program import Head, LayerPlan, Program

MODES = ("positions", "temperature")
_KIND = "hard-attention formula"


def compile_formula(
    formula: str | Formula,
    alphabet: str | Alphabet,
    *,
    mode: str = "positions",
    step: float = 2.0,
    norm: str = "none",
    predicates: Mapping[str, Predicate] | None = None,
    dtype: torch.dtype = torch.float64,
) -> FormulaTransformer:
    """A softmax transformer that computes a formula at every position.

    Args:
        formula: text in either syntax, or a formula.
        alphabet: the letters that strings have.
        mode: positions (unbounded embedding, temperature 1) or temperature (bounded embedding, inverse temperature that grows with
            the length): the two ways of the paper.
        step: b: the raw output of a head that looks for the nearest position is off by at most exp(-b).
        norm: none, or pre: a layer norm of truth values before each block, see norms.py.
        predicates: name -> meaning, of the formula's `(pred name)`.
        dtype: of the weights; `model.to` changes it later.

    Returns:
        The transformer, in evaluation mode.

    Raises:
        InputError: the formula does not read, the alphabet lacks a letter, a predicate has no meaning, or an option is unknown.
    """
    if mode not in MODES:
        raise InputError(f"mode={mode!r} is unknown: {' or '.join(MODES)}")
    if norm not in NORMS:
        raise InputError(f"norm={norm!r} is unknown: {' or '.join(NORMS)}")
    root = parse(formula) if isinstance(formula, str) else formula
    letters = Alphabet(alphabet) if isinstance(alphabet, str) else alphabet
    program = plan(root, letters, step=step, bounded=mode == "temperature", normed=norm == "pre")
    model = FormulaTransformer(program, predicates or {}).eval()
    wanted = precision_of(dtype).dtype
    return model if wanted is torch.float64 else model.to(wanted)


class BeyondCertificate(UserWarning):
    """A transformer was asked about strings that are longer than its certificate reaches."""


class Layer(nn.Module):
    """x + attention(x), and to that its feed-forward network added."""

    def __init__(self, layer: LayerPlan, program: Program) -> None:
        super().__init__()
        self.attention = nn.ModuleList(attention_blocks(layer.heads, program))
        self.feed_forward = nn.ModuleList(feed_forward_blocks([*layer.roundings, *layer.gates], program))

    def forward(self, x: Tensor, beta: Tensor, masks: Sequence[Masks], kernel: Kernel) -> Tensor:
        """(B, n + 1, width) -> the same tensor, with the columns filled in that this layer writes."""
        block: nn.Module
        heads = [block(x, beta, mask, kernel) for block, mask in zip(self.attention, masks, strict=True)]
        for block, written in zip(self.attention, heads, strict=True):
            assert isinstance(block, AttentionBlock)
            x[..., block.start : block.stop] += written
        gates = [block(x) for block in self.feed_forward]
        for block, written in zip(self.feed_forward, gates, strict=True):
            assert isinstance(block, FeedForwardBlock)
            x[..., block.start : block.stop] += written
        return x


class FormulaTransformer(nn.Module):
    """A formula's transformer.

    Args:
        program: from `compiler.plan`.
        predicates: name -> meaning.

    Attributes:
        program: what the weights were written from.
        letters: embedding of the letters; the last row is the beginning-of-string sign's.
        layers: from the first to the last.
        readout: linear, (width) -> 1: the truth of the formula, exactly 0 or 1 within the certified length.
    """

    def __init__(self, program: Program, predicates: Mapping[str, Predicate]) -> None:
        super().__init__()
        missing = sorted(predicates_of(program.core) - set(predicates))
        if missing:
            raise InputError(f"no meaning was given for the predicates {', '.join(missing)}")
        self.program = program
        self._certified: dict[tuple[str, str], int | None] = {}
        self._warned = False
        self.positions = Positions(program.positions, program.step, program.bounded, predicates)
        size = len(program.alphabet)
        self.letters = nn.Embedding(size + 1, size, dtype=torch.float64)
        self.layers = nn.ModuleList(Layer(layer, program) for layer in program.layers)
        self.readout = nn.Linear(len(program.columns), 1, bias=False, dtype=torch.float64)
        with torch.no_grad():
            self.letters.weight.copy_(torch.eye(size + 1, size))
            self.readout.weight.zero_()
            for column, factor in program.literal(program.readout):
                self.readout.weight[0, column] = factor

    @property
    def precision(self) -> Precision:
        """The format that the weights are in."""
        return precision_of(self.letters.weight.dtype)

    @property
    def heads(self) -> list[Head]:
        """All heads, from the first layer to the last."""
        return self.program.heads

    @property
    def mode(self) -> str:
        """positions or temperature."""
        return MODES[self.program.bounded]

    @property
    def norm(self) -> str:
        """none or pre."""
        return NORMS[self.program.normed]

    def forward(
        self, ids: Tensor, lengths: Tensor | None = None, kernel: str = "dense", strict: bool = False
    ) -> Tensor:
        """The truth of the formula.

        Args:
            ids: (B, n) int64 letters by number, padded with any letter.
            lengths: (B,) int64; None takes n for all.
            kernel: dense, sdpa, chunked or scan (softmax); average, leftmost or rightmost (hard attention).
            strict: refuse what is not certified: strings too long, trained weights; else a long string warns once (`BeyondCertificate`).

        Returns:
            (B, n) bool; behind a string's end without meaning.

        Raises:
            InputError: the strings are empty, a letter is no letter, there is no such kernel, or a string is too long.
        """
        if not torch.compiler.is_compiling():
            self._look_at_the_length(ids.shape[-1], kernel, strict)
        return self.values(ids, lengths, kernel) > 0.5

    def values(self, ids: Tensor, lengths: Tensor | None = None, kernel: str = "dense") -> Tensor:
        """What the readout gives, before it is compared with 1/2: (B, n); arguments as of `forward`."""
        if kernel == "scan":
            from hard_attention.scan import scan

            return scan(self, ids, self._lengths(ids, lengths)).values
        read: Tensor = self.readout(self.residual(ids, lengths, kernel))
        return read[:, 1:, 0]

    def residual(self, ids: Tensor, lengths: Tensor | None = None, kernel: str = "dense") -> Tensor:
        """The residual stream behind the last layer: (B, n + 1, width), position 0 the beginning-of-string sign's.

        Arguments as of `forward`, but for kernel=scan, which keeps no stream.
        """
        alike = lengths is None
        lengths = self._lengths(ids, lengths)
        x, beta = self.embed(ids, lengths[:1] if alike else lengths)
        attend = self._kernel(kernel)
        seen: dict[tuple[str, ...], Masks] = {}
        for layer in self.layers:
            assert isinstance(layer, Layer)
            names = [tuple(block.masks) for block in layer.attention if isinstance(block, AttentionBlock)]
            for name in names:
                if name not in seen:
                    seen[name] = Masks(name, lengths[:1] if alike else lengths, ids.shape[1], whole=alike)
            masks = [seen[name] for name in names]
            x = layer(x, beta, masks, attend)
        return x

    def embed(self, ids: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Letters, positions and room for the layers, (B, n + 1, width), and the inverse temperature, (B,).

        Args:
            ids: (B, n).
            lengths: (B,), or (1,) for all.
        """
        size = ids.shape[1]
        bos = torch.full_like(ids[:, :1], len(self.program.alphabet))
        letters = self.letters(torch.cat([bos, ids], 1))
        table, beta = self.positions.table(lengths, size, self.precision)
        table = table.to(letters.dtype).expand(len(ids), -1, -1)
        room = letters.new_zeros(
            *letters.shape[:2], len(self.program.columns) - letters.shape[2] - table.shape[2]
        )
        return torch.cat([letters, table, room], -1), beta.to(letters.dtype).expand(len(ids))

    def raw(self, ids: Tensor, lengths: Tensor | None = None, kernel: str = "dense") -> dict[str, Tensor]:
        """What heads wrote before it was rounded: column name -> (B, n); arguments as of `forward`."""
        names = self.program.columns
        if kernel == "scan":
            from hard_attention.scan import scan

            found = scan(self, ids, self._lengths(ids, lengths), raw=True).raw
            return {names[head.column]: found[:, number, 1:] for number, head in enumerate(self.heads)}
        x = self.residual(ids, lengths, kernel)
        return {names[head.column]: x[:, 1:, head.column] for head in self.heads}

    @torch.no_grad()
    def decide(self, strings: Sequence[str], kernel: str = "dense", strict: bool = False) -> list[list[bool]]:
        """The truth at every position of strings of any lengths.

        Args:
            strings: one or more.
            kernel: as of `forward`.
            strict: as of `forward`.

        Raises:
            InputError: there is no string, one is empty, has a letter that the alphabet lacks, or is too long to be certified.
        """
        ids, lengths = self.program.alphabet.batch(strings)
        device = self.letters.weight.device
        found = self(torch.from_numpy(ids).to(device), torch.from_numpy(lengths).to(device), kernel, strict)
        return [row[:length].tolist() for row, length in zip(found.cpu(), lengths, strict=True)]

    def save(self, path: Path | str) -> None:
        """Write formula, options and weights to one file, atomically.

        Raises:
            InputError: the formula, written out, is longer than 10 million characters.
        """
        program = self.program
        state = {
            "formula": str(program.formula),
            "alphabet": program.alphabet.letters,
            "mode": self.mode,
            "step": program.step,
            "norm": self.norm,
            "weights": self.state_dict(),
        }
        checkpoint.save(path, state, _KIND, _KIND)

    @classmethod
    def load(cls, path: Path | str, predicates: Mapping[str, Predicate] | None = None) -> FormulaTransformer:
        """Read what `save` wrote, weights as they were, trained or not.

        Args:
            path: the file.
            predicates: name -> meaning; a file holds no code.

        Raises:
            CheckpointError: it is no such file, or damaged.
        """
        state = checkpoint.load(path, _KIND).state
        weights = state["weights"]
        model = compile_formula(
            state["formula"],
            state["alphabet"],
            mode=state["mode"],
            step=state["step"],
            norm=state["norm"],
            predicates=predicates,
            dtype=weights["letters.weight"].dtype,
        )
        model.load_state_dict(weights)
        return model

    def _look_at_the_length(self, n: int, kernel: str, strict: bool) -> None:
        """Refuse, or warn once, where a softmax kernel is not certified."""
        from hard_attention.certificate import SOFT_KERNELS, certify

        if kernel not in SOFT_KERNELS:
            return
        key = (self.precision.name, kernel)
        if strict:  # weights may have been trained since: nothing is remembered
            self._certified[key] = certify(self, kernel=kernel).length
        elif key not in self._certified:
            try:
                self._certified[key] = certify(self, kernel=kernel).length
            except InputError:
                self._certified[key] = None
        certified = self._certified[key]
        if certified is None or n <= certified:
            return
        reason = f"strings of length {n:,} are beyond the {certified:,} that are certified in {key[0]} by kernel {kernel}"
        if strict:
            raise InputError(f"{reason}; `certify` says where the certificate ends and why")
        if not self._warned:
            self._warned = True
            warnings.warn(f"{reason}; strict=True refuses them", BeyondCertificate, stacklevel=4)

    def _lengths(self, ids: Tensor, lengths: Tensor | None) -> Tensor:
        if ids.ndim != 2 or 0 in ids.shape:
            raise InputError(
                f"strings of shape {tuple(ids.shape)}: (strings, length) with one position or more is needed"
            )
        # The number behind the last letter's is the beginning-of-string sign's, which an embedding would take without a word.
        if not torch.compiler.is_compiling() and not bool(
            ((ids >= 0) & (ids < len(self.program.alphabet))).all()
        ):
            raise InputError(f"letters must be numbers between 0 and {len(self.program.alphabet) - 1}")
        if lengths is None:
            return torch.full((len(ids),), ids.shape[1], device=ids.device)
        if lengths.shape != ids.shape[:1] or not bool(((lengths >= 1) & (lengths <= ids.shape[1])).all()):
            raise InputError(f"lengths must be {len(ids)} numbers between 1 and {ids.shape[1]}")
        return lengths

    def _kernel(self, name: str) -> Kernel:
        if name == "scan":
            raise InputError("kernel=scan keeps no residual stream; use dense, chunked or sdpa")
        if name not in KERNELS:
            raise InputError(f"kernel={name!r} is unknown: one of {', '.join([*KERNELS, 'scan'])}")
        if name in ("leftmost", "rightmost") and any(
            head.kind not in ("nearest", "lookup") for head in self.heads
        ):
            raise InputError(f"kernel={name}: uniform heads of counts share their weight; use average")
        return KERNELS[name]
