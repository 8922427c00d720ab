"""The options of the command line; a misspelt key or a wrong type is an error."""

from __future__ import annotations

from dataclasses import dataclass, field

from offprints.app import RunConfig

from hard_attention.training import TrainingOptions


@dataclass
class DatasetConfig:
    """Which strings to check transformers on.

    Attributes:
        name: generated, formal-languages or alternating-blocks.
        languages: names of languages; null takes all (of generated and formal-languages).
        lengths: of generated strings.
        count: of generated strings: members, near misses and random ones, each so many for a language and length.
        most: strings of each file of alternating-blocks, the first ones, 1 or more; null takes all.
    """

    name: str = "generated"
    languages: list[str] | None = None
    lengths: list[int] = field(default_factory=lambda: [6, 12, 24, 48, 96])
    count: int = 10
    most: int | None = None


@dataclass
class ModelConfig:
    """The transformer.

    Attributes:
        formula: text in prefix or infix syntax, for task=certify, verify, evaluate and explain.
        alphabet: its letters.
        mode: positions (unbounded embedding) or temperature (bounded embedding, scores scaled by the length).
        step: distance of neighbouring positions' scores; the raw error of a head is at most exp(-step).
        norm: none, or pre: a layer norm of truth values before each block.
        kernel: dense, sdpa, chunked, scan (softmax), average, leftmost or rightmost (hard attention).
        dtype: float64, float32, float16 or bfloat16.
    """

    formula: str = "(S (Q a) (Q b))"
    alphabet: str = "ab"
    mode: str = "positions"
    step: float = 2.0
    norm: str = "none"
    kernel: str = "dense"
    dtype: str = "float64"


@dataclass
class VerifyConfig:
    """How to look for a mistake (task=verify).

    Attributes:
        longest: all strings up to this length are tried.
        tries: strings made to hurt, of length `length`.
        length: of those strings; null takes the certified one, up to 256.
    """

    longest: int = 10
    tries: int = 10_000
    length: int | None = None


@dataclass
class SearchConfig:
    """How to look for a mistake of any certificate (task=search).

    Attributes:
        precisions: formats.
        tries: strings for each format, all of whose positions are compared.
        lengths: of these strings, cut to the certified length.
        at_the_end: strings for each formula at its certified length, compared at their last position; 0 leaves that out.
        longest: where that length is cut.
    """

    precisions: list[str] = field(default_factory=lambda: ["float64", "float32", "float16", "bfloat16"])
    tries: int = 10_000
    lengths: list[int] = field(default_factory=lambda: [12, 32, 96])
    at_the_end: int = 100
    longest: int = 20_000


@dataclass
class BeyondConfig:
    """How far to go beyond certificates (task=beyond).

    Attributes:
        precisions: formats.
        languages: names of languages; null takes all.
        longest: length of the longest string.
        count: strings of each kind, language and length.
        within: try the certified length itself, too, where nothing may be wrong.
        blocks: of alternating blocks, so many for each language.
        curves: of the curves of errors at the last position, the longest length.
        points: how many lengths these curves have.
        tries: strings made to hurt, at each point of these curves.
        lengths: at which the share of right positions is measured.
    """

    precisions: list[str] = field(default_factory=lambda: ["float16", "bfloat16"])
    languages: list[str] | None = None
    longest: int = 800
    count: int = 2
    within: bool = True
    blocks: list[int] = field(default_factory=lambda: [3])
    curves: int = 800
    points: int = 12
    tries: int = 100
    lengths: list[int] = field(default_factory=lambda: [48, 96, 192])


@dataclass
class SoftenConfig:
    """Which given hard network to soften (task=soften).

    Attributes:
        file: npz file with the weights and inputs; the names stand in docs/papers/hard-attention.md.
        error: how far any output coordinate may be off.
    """

    file: str | None = None
    error: float = 0.25


@dataclass
class Config(RunConfig):
    """All options of `hard-attention`.

    Attributes:
        task: check, certify, verify, search, beyond, theorems, evaluate, soften, train or explain.
        string: for task=evaluate and explain.
    """

    task: str = "check"
    string: str = "abb"
    dataset: DatasetConfig = field(default_factory=DatasetConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    verify: VerifyConfig = field(default_factory=VerifyConfig)
    search: SearchConfig = field(default_factory=SearchConfig)
    beyond: BeyondConfig = field(default_factory=BeyondConfig)
    soften: SoftenConfig = field(default_factory=SoftenConfig)
    training: TrainingOptions = field(default_factory=TrainingOptions)
