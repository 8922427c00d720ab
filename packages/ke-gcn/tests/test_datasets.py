"""The data sets: counts, splits, and what must not be in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from offprints.errors import InputError

from ke_gcn import cldr_twins, given_split, load_dbp15k, load_folders, split_pairs
from ke_gcn.config import Config
from ke_gcn.runs import alignment_split

# N, E, relations of the raw triples, relations of the shared ones, highest degree, self-loops: counted once.
DBP15K = {
    "zh_en": (38960, 165556, 3024, 2133, 982, 442),
    "ja_en": (39594, 170698, 2452, 1870, 1175, 379),
    "fr_en": (39654, 221720, 2111, 2036, 1037, 448),
}


@pytest.mark.real_data
@pytest.mark.parametrize("pair", list(DBP15K))
def test_dbp15k_has_the_published_counts_and_the_split_of_jape(pair: str, data_root: Path) -> None:
    if not (data_root / "dbp15k" / pair).is_dir():
        pytest.skip(f"no DBP15K {pair} in {data_root}")
    raw, shared = (load_dbp15k(pair, relations_shared=shared) for shared in (False, True))
    head, _, tail = raw.triples.T
    degree = np.bincount(raw.triples[:, [0, 2]].ravel(), minlength=raw.num_entities)
    found = (raw.num_entities, len(raw.triples), raw.num_relations, shared.num_relations)
    assert (*found, degree.max(), (head == tail).sum()) == DBP15K[pair]
    assert degree.min() > 0
    np.testing.assert_array_equal(raw.triples[:, [0, 2]], shared.triples[:, [0, 2]])
    assert len(np.unique(raw.triples, axis=0)) == len(raw.triples)

    split = split_pairs(raw.pairs)
    assert (len(split.train), len(split.test)) == (4500, 10500)
    np.testing.assert_array_equal(split.test, np.arange(21000).reshape(2, -1).T)
    # What is asked for cannot be read off the graph: no triple joins the two graphs, and no relation is common.
    assert (raw.left[head] == raw.left[tail]).all()
    assert not set(raw.triples[raw.left[head], 1]) & set(raw.triples[~raw.left[head], 1])
    assert len(shared.relation_pairs) == 0
    assert set(raw.relation_pairs[:, 0]) <= set(raw.triples[raw.left[head], 1])


def test_the_copies_of_the_cldr_graph_share_neither_names_nor_all_facts() -> None:
    data = cldr_twins(0.9, seed=3)
    of_left = data.left[data.triples[:, 0]]
    assert (of_left == data.left[data.triples[:, 2]]).all()
    assert not set(data.triples[of_left, 1]) & set(data.triples[~of_left, 1])
    partner = np.full(data.num_entities, -1)
    partner[data.pairs[:, 0]] = data.pairs[:, 1]
    relation = dict(data.relation_pairs.tolist())
    left = {(partner[h], relation[r], partner[t]) for h, r, t in data.triples[of_left].tolist()}
    right = {tuple(triple) for triple in data.triples[~of_left].tolist()}
    assert 0.85 < len(left & right) / len(left) < 0.95
    assert 0.05 < len(right - left) / len(right) < 0.15
    names = dict(zip(data.entity_names, range(data.num_entities), strict=False))
    assert data.entity_name(partner[names["Switzerland"]]) == "瑞士"


def test_folders_are_read(tmp_path: Path) -> None:
    for side in "ab":
        (tmp_path / side).mkdir()
        (tmp_path / side / "train.txt").write_text(f"x{side}\tr{side}\ty{side}\n")
    seeds = tmp_path / "seeds.tsv"
    seeds.write_text("xa\txb\n")
    data = load_folders(tmp_path / "a", tmp_path / "b", seeds)
    assert data.triples.tolist() == [[0, 0, 1], [2, 1, 3]]
    assert data.pairs.tolist() == [[0, 2]]


def test_pairs_to_be_found_are_kept_apart_from_the_seeds(tmp_path: Path) -> None:
    for side in "ab":
        (tmp_path / side).mkdir()
        lines = [f"{side}{i}\tr{side}\t{side}{i + 1}" for i in range(5)]
        (tmp_path / side / "train.txt").write_text("\n".join(lines) + "\n")
    seeds, test = tmp_path / "seeds.tsv", tmp_path / "test.tsv"
    seeds.write_text("a0\tb0\na3\tb3\n")
    test.write_text("a4\tb4\na1\tb1\n")
    data = load_folders(tmp_path / "a", tmp_path / "b", seeds, test=test)
    split = given_split(data, 0.5)
    assert split.test.tolist() == [[4, 10], [1, 7]]
    assert sorted(np.concatenate([split.train, split.valid]).tolist()) == [[0, 6], [3, 9]]
    assert len(split.valid) == 1
    alone = load_folders(tmp_path / "a", tmp_path / "b", seeds)
    assert given_split(alone).train.tolist() == [[0, 6], [3, 9]]
    assert len(given_split(alone).test) == 0
    for line, name in (("a0\tb5", "a0"), ("a5\tb3", "b3")):
        test.write_text(f"{line}\n")
        with pytest.raises(InputError, match=f"'{name}' is in a pair of .*seeds.tsv too"):
            load_folders(tmp_path / "a", tmp_path / "b", seeds, test=test)


def test_shuffled_seeds_keep_no_partner_and_take_none_from_nearby() -> None:
    config = Config()
    data = cldr_twins()
    right = alignment_split(config, data).train
    config.dataset.shuffle_seeds = True
    wrong = alignment_split(config, data).train
    np.testing.assert_array_equal(wrong[:, 0], right[:, 0])
    assert sorted(wrong[:, 1]) == sorted(right[:, 1])
    place = {partner: row for row, partner in enumerate(right[:, 1].tolist())}
    moved = np.array([place[partner] for partner in wrong[:, 1].tolist()]) - np.arange(len(right))
    assert (moved != 0).all()
    assert (
        np.abs(moved).mean() > len(right) / 5
    )  # a random order moves a third on average, the file's neighbour 1
