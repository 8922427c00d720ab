"""The options of the command line, typed: a misspelt key or a value of the wrong type is an error."""

from __future__ import annotations

from dataclasses import dataclass, field

from offprints.app import RunConfig
from offprints.serving import ServeConfig

from lattice_lstm.building import TaggerOptions
from lattice_lstm.training import TrainingOptions


@dataclass
class DatasetConfig:
    """Which sentences.

    Attributes:
        name: synthetic (embedded), resume, weibo, weibo_first, peoples_daily, msra, ontonotes, or any name for files of your own.
        sentences: of the embedded corpus, to learn from; a fifth and a half of it more to choose by and to measure on.
        kind: all; ne or nm keeps the named or the nominal entities of Weibo alone.
        train: file of your own to learn from; null for a known data set.
        valid: file of your own to choose the epoch by; null takes a tenth of train.
        test: file of your own to measure on.
        scheme: of your files: BIO, BMES or BIOES; null tells by their tags.
        ill_formed_tags: of your files: refuse, drop or runs.
    """

    name: str = "synthetic"
    sentences: int = 2000
    kind: str = "all"
    train: str | None = None
    valid: str | None = None
    test: str | None = None
    scheme: str | None = None
    ill_formed_tags: str = "refuse"


@dataclass
class LexiconConfig:
    """Which words.

    Attributes:
        source: jieba (embedded), none, or the path of a file: a word a line, jieba's columns or word2vec's text.
        share: a random share of them, for asking what the size of a lexicon is worth.
        longest: leave out words of more characters; null keeps all.
        normalise_digits: read every digit as 0, in words and text.
    """

    source: str = "jieba"
    share: float = 1.0
    longest: int | None = None
    normalise_digits: bool = True


@dataclass
class VectorsConfig:
    """Pretrained vectors, as word2vec's text or .npz files of `words` and `vec`.

    Attributes:
        chars: of characters: a path below the data folder, or any path; null draws them.
        words: of words of the lexicon or the segmentation; null draws them.
        pairs: of pairs of characters; null draws them.
    """

    chars: str | None = None
    words: str | None = None
    pairs: str | None = None


@dataclass
class EvaluationConfig:
    """What to measure.

    Attributes:
        split: valid or test.
        new_words: of a tagger with a lexicon: keep the entities of the split that no training sentence has out of the lexicon while training,
            and measure without them and with them as a dictionary given afterwards.
    """

    split: str = "test"
    new_words: bool = False


@dataclass
class PredictConfig:
    """What to predict.

    Attributes:
        text: a sentence.
        file: UTF-8, a sentence a line, in place of `text`; entities go to entities.jsonl, a line for each.
        dictionary: file of entities that the tagger shall look out for; see lexicon.source for its forms.
        dictionary_type: the type of all of them; null does not say.
        explain: of `text`, write which words the lattice read to explanation.html, and draw them.
    """

    text: str | None = None
    file: str | None = None
    dictionary: str | None = None
    dictionary_type: str | None = None
    explain: bool = True


@dataclass
class Config(RunConfig):
    """All options of `lattice-lstm`."""

    task: str = "compare"
    dataset: DatasetConfig = field(default_factory=DatasetConfig)
    lexicon: LexiconConfig = field(default_factory=LexiconConfig)
    vectors: VectorsConfig = field(default_factory=VectorsConfig)
    model: TaggerOptions = field(default_factory=TaggerOptions)
    training: TrainingOptions = field(default_factory=TrainingOptions)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    predict: PredictConfig = field(default_factory=PredictConfig)
    serve: ServeConfig = field(default_factory=ServeConfig)
