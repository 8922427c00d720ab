"""Recorded reference numbers, real data and small corpora for the tests."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import settings

from offprints.errors import MissingFile
from offprints.fuzzing import fuzz, pytest_addoption
from offprints.testing import cuda, one_thread, recorded_cases

from lattice_lstm import Corpus, load_corpus

__all__ = ["cuda", "fuzz", "one_thread", "pytest_addoption"]

# A test states a fact, not a time; the slow reference is what the examples wait for.
settings.register_profile("offprints", deadline=None, max_examples=40)
settings.load_profile("offprints")

parity = recorded_cases("lattice-lstm", ".npz")


_corpora: dict[tuple[str, str], Corpus] = {}


@pytest.fixture
def benchmark_corpus() -> Callable[..., Corpus]:
    """name and kind -> a data set of the paper; skips where its files are not there."""

    def load(name: str, kind: str = "all") -> Corpus:
        if (name, kind) not in _corpora:
            try:
                _corpora[name, kind] = load_corpus(name, kind=kind)
            except MissingFile as missing:
                pytest.skip(str(missing))
        return _corpora[name, kind]

    return load
