"""What a user may get wrong: each mistake is one error that names the field, and none reads beyond an array."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from offprints.data import MalformedLine, MissingFile
from offprints.errors import InputError
from offprints.triples import UnknownName

from ke_gcn import (
    KEGCN,
    Aligner,
    AlignmentData,
    ClassificationData,
    EntityClassifier,
    EntitySplit,
    GenericScore,
    Graph,
    KEGCNConv,
    Split,
    TrainingOptions,
    load_folders,
    score_named,
)
from ke_gcn.datasets import read_pairs

RING = np.array([[0, 0, 1], [1, 1, 2], [2, 0, 0]])
GRAPH = Graph(RING)
NO_PAIRS = np.zeros((0, 2), int)
DATA = AlignmentData(
    "rings",
    np.concatenate([RING, RING + np.array([3, 2, 3])]),
    6,
    4,
    np.arange(6) < 3,
    np.array([[0, 3], [1, 4], [2, 5]]),
    np.array([[0, 2], [1, 3]]),
    False,
)
SPLIT = Split(DATA.pairs[:2], NO_PAIRS, DATA.pairs[2:])
LABELLED = ClassificationData("ring", RING, 3, 2, np.arange(3), np.array([0, 1, 0]), ("a", "b"))


def aligner() -> Aligner:
    return Aligner("TransE", 8, 0, training=TrainingOptions(epochs=1))


def rows(
    entities: int, relations: int, width: int = 8, dtype: torch.dtype = torch.float32
) -> list[torch.Tensor]:
    return [torch.ones(count, width, dtype=dtype) for count in (entities, relations)]


@pytest.mark.parametrize(
    ("triples", "sizes", "message"),
    [
        (np.zeros((0, 3), int), (), "none"),
        (np.zeros((2, 3)), (), "integer"),
        (np.ones((2, 3), bool), (), "integer"),
        (np.array([[0, 0]]), (), "shape"),
        ([[0, 0, 1], [0, 1]], (), "shape"),
        (np.array([[0, 0, -1]]), (), "row 0"),
        (np.array([[0, 0, 9]]), (5, 1), "highest entity id is 9"),
        (np.array([[0, 3, 1]]), (5, 2), "highest relation id is 3"),
        (np.array([[0, 0, 1 << 40]]), (), "too high"),
        (np.array([[0, 0, (1 << 63) + 5]], np.uint64), (), "too high"),
    ],
)
def test_triples_that_are_none_are_refused(triples: object, sizes: tuple[int, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Graph(triples, *sizes)


@pytest.mark.parametrize("mode", ["TransE", "TransH", "DistMult", "QuatE"])
@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: rows(2, 2), "3 entities"),
        (lambda: rows(4, 2), "3 entities"),
        (lambda: rows(3, 1), "2 relations"),
        (lambda: rows(3, 2, dtype=torch.int64), "float32"),
        (lambda: rows(3, 2, dtype=torch.float16), "float32"),
        (lambda: [rows(3, 2)[0].double(), rows(3, 2)[1]], "one type"),
        (lambda: [x.to("meta") for x in rows(3, 2)], "meta"),
    ],
)
def test_rows_of_another_graph_are_refused(
    mode: str, made: Callable[[], list[torch.Tensor]], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        KEGCNConv(score_named(mode))(GRAPH, *made())


@pytest.mark.parametrize(
    ("mode", "width", "of_relations", "message"),
    [
        ("RotatE", 7, 7, "multiple of 2"),
        ("QuatE", 6, 6, "multiple of 4"),
        ("TransH", 8, 8, "must be 16 wide"),
        ("TransD", 7, 7, "multiple of 2"),
        ("TransE", 8, 4, "must be 8 wide"),
    ],
)
def test_widths_that_are_not_the_scores_are_refused(
    mode: str, width: int, of_relations: int, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        KEGCNConv(score_named(mode))(GRAPH, torch.ones(3, width), torch.ones(2, of_relations))


@pytest.mark.parametrize("mode", ["TransE", "QuatE"])
@pytest.mark.parametrize("sizes", [(2, 2), (5, 2), (3, 3)])
def test_a_model_of_another_graph_is_refused(mode: str, sizes: tuple[int, int]) -> None:
    with pytest.raises(InputError, match="but the graph has"):
        KEGCN(*sizes, score_named(mode), 8)(GRAPH)


def test_a_function_that_gives_no_score_a_triple_is_refused() -> None:
    with pytest.raises(InputError, match="one number for each"):
        KEGCNConv(GenericScore(lambda head, relation, tail: head + relation - tail))(GRAPH, *rows(3, 2))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"triples": DATA.triples.astype(float)}, "integer"),
        ({"triples": DATA.triples + np.array([0, 0, 1])}, "highest entity id is 6"),
        ({"triples": np.array([[0, 0, 4]])}, "joins the two graphs"),
        ({"triples": DATA.triples % np.array([6, 2, 6])}, "is in both graphs"),
        ({"left": DATA.left[:5]}, "left must be bool"),
        ({"left": DATA.left.astype(int)}, "left must be bool"),
        ({"entity_names": ["a"]}, "1 entity names for 6"),
        ({"relation_names": ["a"]}, "1 relation names for 4"),
        ({"relation_pairs": np.array([[0, 9]])}, "not one of the 4 relations"),
        ({"relation_pairs": np.array([[2, 0]])}, "relation 2 is not of the left"),
        ({"relation_pairs": np.array([[0, 2], [0, 3]])}, "left relation 0 is in 2 pairs"),
        ({"pairs": DATA.pairs[:, ::-1].copy()}, "not of the left graph"),
        ({"pairs": np.array([[0, 4], [0, 5]])}, "entity 0 is in 2 pairs"),
        ({"pairs": np.array([[0, 999]])}, "not one of the 6"),
        ({"pairs": np.array([[0.0, 4.0]])}, "integers"),
    ],
)
def test_data_that_contradict_themselves_are_refused(changed: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(DATA, **changed)


@pytest.mark.parametrize(
    ("train", "valid", "test", "message"),
    [
        (DATA.pairs[:2], NO_PAIRS, DATA.pairs[1:], "leak"),
        (DATA.pairs[:2], DATA.pairs[1:2], DATA.pairs[2:], "leak"),
        (DATA.pairs[:1], NO_PAIRS, np.array([[1, 3]]), "entity 3 is in two parts"),
        (np.array([0, 3]), NO_PAIRS, NO_PAIRS, "train must be integers of shape"),
        (NO_PAIRS, NO_PAIRS, DATA.pairs.astype(float), "test must be integers of shape"),
    ],
)
def test_parts_of_a_split_that_overlap_or_are_no_pairs_are_refused(
    train: np.ndarray, valid: np.ndarray, test: np.ndarray, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        Split(train, valid, test)


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (np.array([[3, 0]]), "not of the left graph"),
        (np.array([[-1, 3]]), "not one of the 6"),
        (np.array([[0, 77]]), "not one of the 6"),
        (NO_PAIRS, "no"),
    ],
)
def test_pairs_of_other_graphs_are_neither_learnt_nor_ranked(pairs: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        aligner().fit(DATA, Split(pairs, NO_PAIRS, NO_PAIRS))
    if len(pairs):
        with pytest.raises(InputError, match=message):
            aligner().fit(DATA, Split(DATA.pairs[1:2], pairs, NO_PAIRS))
    fitted = aligner()
    fitted.fit(DATA, SPLIT)
    with pytest.raises(InputError, match=message):
        fitted.evaluate(pairs)


@pytest.mark.parametrize("relation", [-1, 4, 3000])
def test_seeds_of_no_relation_are_refused(relation: int) -> None:
    with pytest.raises(InputError, match="not one of the 4 relations"):
        aligner().fit(DATA, SPLIT, relation_seeds=np.array([[0, relation]]))


def test_questions_that_make_no_sense_are_refused() -> None:
    fitted = aligner()
    with pytest.raises(InputError, match="fit the aligner first"):
        fitted.predict()
    fitted.fit(DATA, SPLIT)
    for options, message in (
        ({"k": 0}, "one candidate or more"),
        ({"csls": -1}, "csls=-1"),
        ({"metric": "l3"}, "cosine"),
    ):
        with pytest.raises(InputError, match=message):
            fitted.predict(**options)


@pytest.mark.parametrize("mode", ["None", "TransE", "DistMult", "RotatE", "QuatE"])
@pytest.mark.parametrize("name", ["entities", "relations"])
def test_a_parameter_that_is_no_number_is_not_hidden_by_a_relu(mode: str, name: str) -> None:
    found = []
    for backend in ("numba", "torch"):
        model = KEGCN(3, 2, score_named(mode), 8)
        with torch.no_grad():
            getattr(model, name)[0] = torch.nan
        found.append([torch.isnan(x).any(1) for x in model(Graph(RING, backend=backend))])
    for compiled, put_together in zip(*found, strict=True):
        assert torch.equal(compiled, put_together)
    assert torch.cat(found[0]).any()


def test_embeddings_that_are_no_numbers_are_neither_ranked_nor_classified() -> None:
    fitted = aligner()
    fitted.fit(DATA, SPLIT)
    classifier = EntityClassifier("TransE", 8, 0, training=TrainingOptions(epochs=1, evaluate_every=0))
    classifier.fit(LABELLED, EntitySplit(np.array([0]), np.array([1]), np.array([2])))
    for estimator, asked in ((fitted, fitted.predict), (classifier, classifier.predict)):
        with torch.no_grad():
            estimator._fitted[2].entities[0] = torch.nan
        estimator._embedded = None
        with pytest.raises(InputError, match="diverged"):
            asked()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"triples": RING + 5}, "highest entity id is 7"),
        ({"triples": RING.astype(float)}, "integer"),
        ({"labels": np.array([0.0, 1.0, 0.0])}, "labels must be integers"),
        ({"labelled": np.array([0.0, 1.0, 2.0])}, "labelled entities must be integers"),
        ({"relation_names": ("x",)}, "1 relation names for 2"),
    ],
)
def test_a_labelled_graph_that_contradicts_itself_is_refused(
    changed: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        replace(LABELLED, **changed)


def test_parts_of_labels_that_are_none_are_refused() -> None:
    with pytest.raises(InputError, match="to learn from"):
        EntitySplit(np.zeros(0, int), np.array([1]), np.array([2]))
    classifier = EntityClassifier("TransE", 8, 0, training=TrainingOptions(epochs=1, evaluate_every=0))
    for row in (-1, 3):
        with pytest.raises(InputError, match="not one of the 3"):
            classifier.fit(LABELLED, EntitySplit(np.array([row]), np.array([1]), np.array([2])))
    classifier.fit(LABELLED, EntitySplit(np.array([0]), np.array([1]), np.array([2])))
    for part, message in ((np.array([-1]), "not one of the 3"), (np.zeros(0, int), "no labelled")):
        with pytest.raises(InputError, match=message):
            classifier.evaluate(part)


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Two graphs of one triple each, a and b, and a pair of entities in seeds.tsv."""
    for side in "ab":
        (tmp_path / side).mkdir()
        (tmp_path / side / "train.txt").write_text(f"x{side}\tr{side}\ty{side}\n")
    (tmp_path / "seeds.tsv").write_text("xa\txb\n")
    return tmp_path


@pytest.mark.parametrize(
    ("seeds", "kind", "message"),
    [
        (b"xa\txb\nya\n", MalformedLine, "line 2: expected left<TAB>right, found 1 field"),
        (b"xa\txb\tyb\n", MalformedLine, "line 1: expected left<TAB>right, found 3 field"),
        (b"xa\t\n", MalformedLine, "line 1: the right name is empty"),
        (b"xa\txb\n\nya\tyb\n", MalformedLine, "line 2"),
        (b"xa\txb\nxa\txb\n", MalformedLine, "line 2: left name 'xa' stands in line 1"),
        (b"xa\txb\nya\txb\n", MalformedLine, "line 2: right name 'xb' stands in line 1"),
        (b"xa\txb\ny\xff\tyb\n", MalformedLine, "line 2: not UTF-8"),
        (b"xa\txc\n", UnknownName, "line 1, right graph.*xc"),
        (b"xb\txa\n", UnknownName, "line 1, left graph.*xb"),
    ],
)
def test_seeds_that_do_not_read_name_their_line(
    folders: Path, seeds: bytes, kind: type[Exception], message: str
) -> None:
    (folders / "seeds.tsv").write_bytes(seeds)
    with pytest.raises(kind, match=message):
        load_folders(folders / "a", folders / "b", folders / "seeds.tsv")


@pytest.mark.parametrize(
    ("triples", "kind", "message"),
    [
        (b"xa\tra\n", MalformedLine, "line 1"),
        (b"xa\tra\t\xff\n", MalformedLine, "not UTF-8"),
        (b"xa\tra\tya\textra\n", MalformedLine, "found 4"),
        (b"", UnknownName, "xa"),
    ],
)
def test_triples_that_do_not_read_name_their_line(
    folders: Path, triples: bytes, kind: type[Exception], message: str
) -> None:
    (folders / "a" / "train.txt").write_bytes(triples)
    with pytest.raises(kind, match=message):
        load_folders(folders / "a", folders / "b", folders / "seeds.tsv")


def test_files_that_are_not_there_are_named(folders: Path) -> None:
    with pytest.raises(MissingFile, match="nothing.tsv"):
        load_folders(folders / "a", folders / "b", folders / "nothing.tsv")
    with pytest.raises(MissingFile, match="no folder"):
        load_folders(folders / "c", folders / "b", folders / "seeds.tsv")
    (folders / "a" / "train.txt").unlink()
    with pytest.raises(MissingFile, match="no train.txt"):
        load_folders(folders / "a", folders / "b", folders / "seeds.tsv")


def test_names_may_hold_what_some_call_a_line_break_and_files_windows_ends(folders: Path) -> None:
    (folders / "seeds.tsv").write_bytes("x\u2028y\tz\x85\r\na b\tc\r\n".encode())
    assert read_pairs(folders / "seeds.tsv") == [("x\u2028y", "z\x85"), ("a b", "c")]
