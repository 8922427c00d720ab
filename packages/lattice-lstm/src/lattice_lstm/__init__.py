"""Chinese NER Using Lattice LSTM (Zhang and Yang, ACL 2018): characters and every word of a lexicon, without a segmentation."""

from lattice_lstm.corpus import Corpus, Sentence, read_conll
from lattice_lstm.datasets import BENCHMARKS, load_corpus
from lattice_lstm.lexicon import Lexicon, Matches
from lattice_lstm.scores import Score, Scores, score_by_rule, score_tags
from lattice_lstm.synthetic import synthetic_corpus
from lattice_lstm.tags import Span, TagError, spans_of_tags, tags_of_spans

__version__ = "0.1.0"

__all__ = [
    "BENCHMARKS",
    "Corpus",
    "Lexicon",
    "Matches",
    "Score",
    "Scores",
    "Sentence",
    "Span",
    "TagError",
    "load_corpus",
    "read_conll",
    "score_by_rule",
    "score_tags",
    "spans_of_tags",
    "synthetic_corpus",
    "tags_of_spans",
]
