"""Whatever a folder of triples or a kept calibration holds, it is read, or refused with a message that names it.

`pytest packages/conve/tests/test_damaged.py --fuzz 10000` is the full size. Triples themselves are tried in shared.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from offprints.errors import InputError
from offprints.fuzzing import in_file, unpinned

from conve.calibration import Calibration
from conve.datasets import DATASETS
from conve.runs import keep_calibration, read_calibration


@pytest.mark.parametrize("damaged", ["train.txt", "test.txt"])
def test_published_graphs(fuzz, tmp_path, damaged):
    data = replace(unpinned(DATASETS["umls"]), entities=3, relations=1)
    for split in ("train", "valid", "test"):
        path = data.directory(tmp_path) / f"{split}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"a\tr\tb\nb\tr\tc\n")

    def read(_) -> None:
        graph = data.load(tmp_path)
        assert graph.all_triples.head.max() < graph.num_entities

    corpus = [b"a\tr\tb\nb\tr\tc\n"]
    fuzz(in_file(read, data.directory(tmp_path) / damaged), corpus, says="umls")


def test_calibrations(fuzz, tmp_path):
    keep_calibration(tmp_path, Calibration(1.5, -0.25))
    valid = next(path for path in tmp_path.iterdir() if path.suffix == ".json")

    def read(path) -> None:
        chances = read_calibration(path).probability(np.linspace(-5, 5, 5))
        assert ((chances >= 0) & (chances <= 1)).all()

    fuzz(in_file(read, tmp_path / "calibration" / "kept.json"), [valid.read_bytes()], says="kept.json")


@pytest.mark.parametrize(
    "content", ["{}", '{"slope": 1}', '{"slope": "1", "offset": 0}', '{"slope": NaN, "offset": 0}']
)
def test_what_is_no_calibration_is_named(tmp_path, content):
    path = tmp_path / "kept.json"
    path.write_text(content)
    with pytest.raises(InputError, match="kept.json is no calibration: numbers called slope, offset"):
        read_calibration(path)
