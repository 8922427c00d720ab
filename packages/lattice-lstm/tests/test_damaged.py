"""Whatever a corpus, a lexicon, vectors, a kept tagger or a request holds, it is read, or refused with a message that names it.

`pytest packages/lattice-lstm/tests/test_damaged.py --fuzz 10000` is the full size.
"""

from __future__ import annotations

import gzip
import io
import logging

import numpy as np
import pytest

from offprints.fuzzing import in_file, mutated_gzip, mutated_zip, posted, unpinned

from lattice_lstm import Lexicon, Tagger, TaggerOptions, TrainingOptions, synthetic_corpus
from lattice_lstm.corpus import read_conll
from lattice_lstm.datasets import BENCHMARKS
from lattice_lstm.serve import Bounds, server
from lattice_lstm.vectors import read_vectors
from lattice_lstm.word_files import read_word_file

BMES = "南\tB-LOC\n京\tE-LOC\n市\tO\n\n长\tS-PER\n".encode()
BIO = "南 B-LOC\r\n京 I-LOC\r\n\r\n市 O\r\n".encode()
DIGITS = "南0\tB-GPE.NAM\n京1\tI-GPE.NAM\n市0\tO\n".encode()


def whole(sentences) -> None:
    for sentence in sentences:
        assert len(sentence.tags) == len(sentence.characters) > 0
        assert all(0 <= one.start < one.end <= len(sentence) for one in sentence.spans)


@pytest.mark.parametrize(
    "options, corpus",
    [
        ({}, [BMES, BIO]),
        ({"ill_formed_tags": "runs", "undecodable": "replace"}, [BMES, BIO]),
        ({"segment_digits": True, "ill_formed_tags": "drop"}, [DIGITS]),
    ],
    ids=["refuse", "runs", "digits"],
)
def test_tagged_files(fuzz, tmp_path, options, corpus):
    fuzz(
        in_file(lambda path: whole(read_conll(path, **options)), tmp_path / "train.txt"),
        corpus,
        says="train.txt",
    )


def test_compressed_tagged_files(fuzz, tmp_path):
    corpus = [gzip.compress(one, mtime=0) for one in (BMES, BIO)]
    reader = in_file(lambda path: whole(read_conll(path)), tmp_path / "train.gz")
    fuzz(reader, corpus, says="train.gz", mutation=mutated_gzip)


def test_a_published_corpus(fuzz, tmp_path):
    """Its files are known by checksum; what is read of other content is refused by the counts that were published."""
    name, published = next((name, one) for name, one in BENCHMARKS.items() if "train" in one.splits)
    data = unpinned(published)
    for file in data.splits.values():
        path = data.directory(tmp_path) / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(BMES)
    object.__setattr__(data, "counts", {})
    path = data.directory(tmp_path) / data.splits["train"]
    fuzz(in_file(lambda path: whole(data.load(tmp_path).train), path), [BMES, BIO], says=name)


WORDS = [
    "南京市\n长江\n大桥\n".encode(),
    "南京 12 ns\n长江 3 n\n".encode(),
    "2 3\n南京 0.1 0.2 0.3\n长江 1 2 3\n".encode(),
]


@pytest.mark.parametrize("ending", ["txt", "txt.gz"])
def test_word_files(fuzz, tmp_path, ending):
    def read(path):
        codes, offsets = read_word_file(path)
        assert offsets[0] == 0 and offsets[-1] == len(codes) and (np.diff(offsets) > 0).all()
        assert codes.max(initial=0) <= 0x10FFFF
        assert len(Lexicon.from_file(path)) <= len(offsets) - 1

    packed = ending.endswith("gz")
    corpus = [gzip.compress(one, mtime=0) for one in WORDS] if packed else WORDS
    reader = in_file(read, tmp_path / f"words.{ending}")
    fuzz(reader, corpus, says="words.txt", mutation=mutated_gzip if packed else None)


def vectors(path) -> None:
    found = read_vectors(path)
    assert found.rows.shape == (len(found.names), found.size)
    assert np.isfinite(found.rows).all()


def test_vectors(fuzz, tmp_path, caplog):
    caplog.set_level(logging.ERROR)  # broken lines are warned of
    corpus = ["2 2\n南 0.5 1\n京 -1 2e-3\n".encode(), "长 0.25 1.5 3\n".encode()]
    fuzz(in_file(vectors, tmp_path / "vectors.txt"), corpus, says="vectors.txt")


def test_vectors_as_arrays(fuzz, tmp_path):
    stream = io.BytesIO()
    np.savez(stream, words=np.array(["南", "京市"]), vec=np.eye(2, 3, dtype=np.float32))
    fuzz(
        in_file(vectors, tmp_path / "vectors.npz"),
        [stream.getvalue()],
        says="vectors.npz",
        mutation=mutated_zip,
    )


@pytest.fixture(scope="module")
def tagger() -> Tagger:
    corpus = synthetic_corpus(20, 5, 5)
    options = TaggerOptions(char_size=4, word_size=4, hidden_size=4, backend="plain")
    names = sorted({one.text[b:e] for one in corpus.train for b, e, _ in one.spans})
    fitted = Tagger(options, Lexicon(names))
    fitted.fit(corpus.train, corpus.valid, TrainingOptions(epochs=1, batch_size=8))
    return fitted


def test_kept_taggers(fuzz, tmp_path, tagger):
    tagger.save(tmp_path / "valid.ckpt")
    corpus = [(tmp_path / "valid.ckpt").read_bytes()]
    fuzz(in_file(Tagger.load, tmp_path / "tagger.ckpt"), corpus, says="tagger.ckpt", mutation=mutated_zip)


@pytest.mark.parametrize("path", ["/entities", "/explain"])
def test_requests(fuzz, tagger, path):
    corpus = ['{"texts": ["南京市长江大桥", "ab"], "text": "南京市"}'.encode()]
    bounds = Bounds(body=8000, texts=10, characters=300, explained=50)
    with server(tagger, port=0, bounds=bounds) as listening:
        fuzz(posted(listening, path), corpus, allowed=())
