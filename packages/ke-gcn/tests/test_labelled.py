"""FB15K and AM: what is read from their files, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from offprints.data import DataError, DataFile, Dataset, MalformedLine, MissingFile
from offprints.errors import InputError

from ke_gcn import ClassificationData, EntityClassifier, TrainingOptions, load_am, load_fb15k, split_entities
from ke_gcn.amsterdam import AM, read_am
from ke_gcn.freebase import FB15K, read_fb15k


@pytest.fixture
def freebase(tmp_path: Path) -> Path:
    """A root with a small FB15K: six entities, of which five are listed, and four types."""
    folder = tmp_path / "fb15k_entity_classification"
    folder.mkdir()
    for part, rows in {
        "train": "a\tr\tb\nb\ts\tc\n",
        "valid": "c\tr\td\n",
        "test": "d\ts\te\ne\tr\tf\n",
    }.items():
        (folder / f"freebase_mtr100_mte100-{part}.txt").write_text(rows)
    (folder / "train_entities.txt").write_text("b\na\nc\n")
    (folder / "test_entities.txt").write_text("d\nf\n")
    (folder / "entity2type.txt").write_text(
        "a\t/common/topic\t/film\nb\t/common/topic\t/film\t/place\nc\t/common/topic\t/place\n"
        "d\t/common/topic\t/film\ne\t/common/topic\n"
    )
    return tmp_path


def unpinned(dataset: Dataset) -> Dataset:
    """The same files with any content."""
    return replace(dataset, files=tuple(DataFile(file.name) for file in dataset.files))


def test_the_most_frequent_type_of_fb15k_is_no_label(freebase: Path) -> None:
    data, listed = read_fb15k(unpinned(FB15K), freebase)
    assert listed == (3, 2)
    assert data.class_names == ("/film", "/place")
    assert data.several
    assert data.labels.tolist() == [[True, True], [True, False], [False, True], [True, False], [False, False]]
    assert data.labelled.tolist() == [1, 0, 2, 3, 5]  # in the order of the lists; all triples are the graph
    assert len(data.triples) == 5
    assert (data.num_entities, data.num_relations) == (6, 2)


def test_files_of_fb15k_that_are_not_the_published_ones_are_refused(
    freebase: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DataError, match="sha256"):
        load_fb15k(freebase)
    with monkeypatch.context() as patch:
        patch.setattr("ke_gcn.freebase.FB15K", unpinned(FB15K))
        with pytest.raises(DataError, match="counts .6, 2, 3, 2."):
            load_fb15k(freebase)
    folder = freebase / "fb15k_entity_classification"
    (folder / "test_entities.txt").write_text("nowhere\n")
    with pytest.raises(DataError, match="nowhere"):
        read_fb15k(unpinned(FB15K), freebase)
    (folder / "entity2type.txt").write_bytes(b"a\t/common/topic\nb\t\xff\n")
    (folder / "test_entities.txt").write_text("d\nf\n")
    with pytest.raises(MalformedLine, match="entity2type.txt, line 2"):
        read_fb15k(unpinned(FB15K), freebase)
    (folder / "freebase_mtr100_mte100-valid.txt").write_text("c r d\n")
    with pytest.raises(DataError, match="1 fields"):
        read_fb15k(unpinned(FB15K), freebase)
    with pytest.raises(MissingFile, match="entity2type"):
        load_fb15k(freebase / "none")


@pytest.fixture
def museum(tmp_path: Path) -> Path:
    """A root with a small AM: eight objects made of one of two materials, six of them labelled."""
    folder = tmp_path / "am"
    folder.mkdir()
    lines = [f"<o{i}> <madeOf> <m{i % 2}> ." for i in range(8)]
    lines += [
        '<o0> <title> "a title, with spaces . and a dot,\u2028 or an odd break\x85"@nl .',
        "# a comment",
        "",
    ]
    (folder / "am_stripped.nt").write_text("\n".join(lines))
    rows = [f"o{i}\t{i}.0\tcategory{i % 2}" for i in range(6)]
    header = "proxy\tid\tlabel_cateogory"
    (folder / "trainingSet.tsv").write_text("\n".join([header, *rows[:4]]) + "\n")
    (folder / "testSet.tsv").write_text("\n".join([header, *rows[4:]]) + "\n")
    return tmp_path


def test_literals_of_am_are_nodes_and_its_test_part_is_fixed(museum: Path) -> None:
    data = read_am(unpinned(AM), museum)
    assert (data.num_entities, data.num_relations, len(data.triples)) == (11, 2, 9)
    assert data.class_names == ("category0", "category1")
    assert data.labels.tolist() == [0, 1, 0, 1, 0, 1]
    assert data.test is not None
    assert data.test.tolist() == [4, 5]
    splits = [split_entities(data, valid_share=0.25, seed=seed) for seed in range(3)]
    assert all(split.test.tolist() == [4, 5] for split in splits)
    assert all(len(split.valid) == 1 and split.valid[0] < 4 for split in splits)
    with pytest.raises(InputError, match="empty"):
        split_entities(data, valid_share=1.0)


def test_files_of_am_that_are_not_the_published_ones_are_refused(
    museum: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DataError, match="sha256"):
        load_am(museum)
    with monkeypatch.context() as patch:
        patch.setattr("ke_gcn.amsterdam.AM", unpinned(AM))
        with pytest.raises(DataError, match="counts .11, 2, 9, 4, 2, 2."):
            load_am(museum)
    (museum / "am" / "am_stripped.nt").write_text("<o0> <madeOf> <m0> .\n<o1> <madeOf>\n")
    with pytest.raises(MalformedLine, match="line 2"):
        read_am(unpinned(AM), museum)
    (museum / "am" / "am_stripped.nt").write_bytes(b'<o0> <madeOf> <m0> .\n<o1> <title> "\xff" .\n')
    with pytest.raises(MalformedLine, match="line 2: not UTF-8"):
        read_am(unpinned(AM), museum)
    (museum / "am" / "am_stripped.nt").write_text("<o0> <madeOf> <m0> .\n")
    with pytest.raises(DataError, match="o1 is labelled"):
        read_am(unpinned(AM), museum)


def test_several_labels_are_learnt_and_the_classifier_is_saved(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    side, colour = rng.integers(0, 2, (2, 150)).astype(bool)
    pairs = [
        (head, 0, rng.choice(np.flatnonzero(side == side[head]))) for head in range(150) for _ in range(4)
    ]
    labels = np.stack([side, ~side, side & colour, ~side & colour], 1)
    names = ("left", "right", "red left", "red right")
    data = ClassificationData("sides", np.array(pairs), 150, 1, np.arange(150), labels, names)
    split = split_entities(data, 0.3, 0.2)
    classifier = EntityClassifier("TransE", 16, 0, training=TrainingOptions(epochs=60, evaluate_every=10))
    outcome = classifier.fit(data, split)
    found = classifier.evaluate(split.test)
    assert set(found) == {f"{name}@{k}" for name in ("p", "ndcg") for k in (1, 3, 5)}
    assert found["p@1"] > 0.65  # half by chance
    assert outcome.best == classifier.evaluate(split.valid)
    table = classifier.predict(2)
    assert table.groupby("entity")["probability"].apply(lambda p: p.is_monotonic_decreasing).all()
    with pytest.raises(InputError, match="several"):
        classifier.accuracy(split.test)
    with pytest.raises(InputError, match="several"):
        data.agreement("x")
    with pytest.raises(InputError, match="4 columns"):
        replace(data, labels=labels[:, :3])

    classifier.save(tmp_path / "classifier.ckpt")
    again = EntityClassifier.load(tmp_path / "classifier.ckpt", data)
    assert again.evaluate(split.test) == found
