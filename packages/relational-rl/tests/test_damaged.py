"""Whatever a file of levels holds, it is read, or refused with a message that names it.

`pytest packages/relational-rl/tests/test_damaged.py --fuzz 10000` is the full size. Options and checkpoints of runs are tried in shared.
"""

from __future__ import annotations

import pytest

from offprints.errors import InputError
from offprints.fuzzing import in_file, mutated_zip

from relational_rl import BoxWorldSpec, load_levels, sample_levels, save_levels
from relational_rl.boxworld.levels import check_levels


def test_levels(fuzz, tmp_path):
    corpus = []
    for seed in (0, 1):
        save_levels(tmp_path / "valid.npz", sample_levels(BoxWorldSpec(), 3, seed))
        corpus.append((tmp_path / "valid.npz").read_bytes())

    def read(path) -> None:
        levels = load_levels(path)
        assert levels.agent.min(initial=0) >= 0 and levels.agent.max(initial=0) < levels.side**2
        check_levels(levels, "again")

    fuzz(in_file(read, tmp_path / "levels.npz"), corpus, says="levels.npz", mutation=mutated_zip)


def test_a_level_file_of_other_arrays_is_named(tmp_path):
    (tmp_path / "levels.npz").write_bytes(b"PK\3\4")
    with pytest.raises(InputError, match=r"levels\.npz"):
        load_levels(tmp_path / "levels.npz")
