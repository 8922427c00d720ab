"""Chinese NER Using Lattice LSTM (Zhang and Yang, ACL 2018): characters and every word of a lexicon, without a segmentation."""

from offprints.training import DivergedError, Outcome

from lattice_lstm.building import TaggerOptions
from lattice_lstm.cell import CellWeights, character_cell, read_sentence, word_cell
from lattice_lstm.corpus import Corpus, Sentence, read_conll
from lattice_lstm.crf import LinearChainCRF
from lattice_lstm.datasets import BENCHMARKS, load_corpus
from lattice_lstm.lattice import Lattice
from lattice_lstm.layer import LatticeLSTM
from lattice_lstm.lexicon import Lexicon, Matches
from lattice_lstm.scores import Score, Scores, score_by_rule, score_tags
from lattice_lstm.synthetic import synthetic_corpus
from lattice_lstm.tagger import Entity, Explanation, Tagger
from lattice_lstm.tags import Span, TagError, spans_of_tags, tags_of_spans
from lattice_lstm.training import TrainingOptions
from lattice_lstm.vectors import Vectors, read_vectors

__version__ = "0.1.0"

__all__ = [
    "BENCHMARKS",
    "CellWeights",
    "Corpus",
    "DivergedError",
    "Entity",
    "Explanation",
    "Lattice",
    "LatticeLSTM",
    "Lexicon",
    "LinearChainCRF",
    "Matches",
    "Outcome",
    "Score",
    "Scores",
    "Sentence",
    "Span",
    "TagError",
    "Tagger",
    "TaggerOptions",
    "TrainingOptions",
    "Vectors",
    "character_cell",
    "load_corpus",
    "read_conll",
    "read_sentence",
    "read_vectors",
    "score_by_rule",
    "score_tags",
    "spans_of_tags",
    "synthetic_corpus",
    "tags_of_spans",
    "word_cell",
]
