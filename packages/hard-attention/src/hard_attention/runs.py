"""From options to strings and to a transformer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from offprints.errors import InputError

from hard_attention.config import Config
from hard_attention.datasets import ALTERNATING_BLOCKS, FORMAL_LANGUAGES, Corpus, generated_corpus
from hard_attention.precision import precision_of
from hard_attention.transformer import FormulaTransformer, compile_formula


def build_corpus(config: Config) -> Corpus:
    """The strings that the options name.

    Raises:
        InputError: there is no such corpus, it has no such language, or no language is named.
    """
    data = config.dataset
    if data.languages is not None and not data.languages:
        raise InputError("dataset.languages=[] names no language; null takes all")
    if data.name == "generated":
        return generated_corpus(config.seed, data.lengths, data.count, data.languages)
    if data.name == "alternating-blocks":
        return ALTERNATING_BLOCKS.corpus(most=data.most)
    if data.name != "formal-languages":
        raise InputError(
            f"dataset.name={data.name} is unknown: generated, formal-languages or alternating-blocks"
        )
    corpus = FORMAL_LANGUAGES.corpus()
    if data.languages is None:
        return corpus
    unknown = sorted(set(data.languages) - {part.language for part in corpus.parts})
    if unknown:
        raise InputError(f"dataset.languages: {corpus.name} has no {', '.join(unknown)}")
    return replace(corpus, parts=tuple(part for part in corpus.parts if part.language in data.languages))


def build_model(config: Config) -> FormulaTransformer:
    """The transformer of a checkpoint, or else of the formula that the options write."""
    model = config.model
    if config.checkpoint is not None:
        path = Path(config.checkpoint)
        return FormulaTransformer.load(path / "model.ckpt" if path.is_dir() else path)
    return compile_formula(
        model.formula,
        model.alphabet,
        mode=model.mode,
        step=model.step,
        norm=model.norm,
        dtype=dtype_of(config),
    )


def dtype_of(config: Config) -> torch.dtype:
    """The format of the weights."""
    return precision_of(config.model.dtype).dtype
