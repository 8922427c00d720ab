"""Facts from files: what they become, and what is said when they are wrong."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from offprints.data import MalformedLine, MissingFile
from offprints.errors import CorruptFile, InputError

from ukge import Facts, graph_from_table, load_graph, read_graph
from ukge.reading import DuplicateFact, normalized


def write(path: Path, *lines: str) -> Path:
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def test_a_file_is_split_without_a_pair_in_two_splits(tmp_path: Path) -> None:
    draw = np.random.default_rng(1)
    lines = {
        (f"e{a}", f"r{r}", f"e{b}")
        for a, r, b in zip(*draw.integers(0, [[30], [2], [30]], (3, 600)), strict=True)
    }
    path = write(tmp_path / "facts.tsv", *(f"{h}\t{r}\t{t}\t0.5" for h, r, t in sorted(lines)))
    graph = read_graph(path, valid=0.2, test=0.2)
    assert len(graph.all_facts) == len(lines)
    pairs = [set(graph.split(name).pair_keys(30).tolist()) for name in ("train", "valid", "test")]
    assert pairs[1] and pairs[2]
    assert not pairs[0] & pairs[1] and not pairs[0] & pairs[2] and not pairs[1] & pairs[2]
    assert set(np.unique([graph.all_facts.head, graph.all_facts.tail])) == set(
        np.unique(np.concatenate([graph.train.head, graph.train.tail]))
    )


def test_a_header_gzip_and_windows_line_ends_are_read(tmp_path: Path) -> None:
    path = tmp_path / "facts.tsv.gz"
    path.write_bytes(
        gzip.compress("head\trelation\ttail\tconfidence\r\nä b\tis\tc\t1e-1\r\nc\tis\td\t1\r\n".encode())
    )
    graph = read_graph(path, valid=0, test=0)
    assert graph.entities.names == ("ä b", "c", "d")
    assert graph.train.confidence.tolist() == [0.1, 1.0]


def test_a_folder_keeps_its_splits(tmp_path: Path) -> None:
    write(tmp_path / "train.tsv", "a\tr\tb\t0.5", "b\tr\tc\t0.6")
    write(tmp_path / "val.tsv", "a\tr\tc\t0.7")
    write(tmp_path / "test.tsv", "c\tr\ta\t0.8")
    graph = read_graph(tmp_path)
    assert [len(graph.split(name)) for name in ("train", "valid", "test")] == [2, 1, 1]
    assert graph.test.confidence.tolist() == [0.8]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a\tr\tb\t1.5", "1.5 is not in"),
        ("a\tr\tb\t-0.1", "not in"),
        ("a\tr\tb\tnan", "not finite"),
        ("a\tr\tb\thigh", "'high' is not a number"),
        ("a\tr\tb", "found 3 field"),
        ("a\tr\tb\t0.5\tx", "found 5 field"),
        ("a\t\tb\t0.5", "relation is empty"),
    ],
)
def test_a_wrong_line_is_named_by_file_and_number(tmp_path: Path, line: str, message: str) -> None:
    path = write(tmp_path / "facts.tsv", "x\tr\ty\t0.5", line, "y\tr\tz\t0.5")
    with pytest.raises(MalformedLine, match=message) as error:
        read_graph(path)
    assert "facts.tsv, line 2" in str(error.value)


def test_two_lines_whose_fields_add_up_are_still_wrong(tmp_path: Path) -> None:
    path = write(tmp_path / "facts.tsv", "a\tr\tb", "0.5\tc\tr\td\t0.5")
    with pytest.raises(MalformedLine, match="line 1"):
        read_graph(path)


def test_empty_and_missing_and_broken_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(MalformedLine, match="empty"):
        read_graph(write(tmp_path / "none.tsv"))
    with pytest.raises(MissingFile, match="nowhere"):
        read_graph(tmp_path / "nowhere.tsv")
    (tmp_path / "half.tsv.gz").write_bytes(gzip.compress(b"a\tr\tb\t0.5\n" * 50)[:20])
    with pytest.raises(CorruptFile, match="half"):
        read_graph(tmp_path / "half.tsv.gz")
    write(tmp_path / "train.tsv", "a\tr\tb\t0.5")
    with pytest.raises(MissingFile, match=r"valid\.tsv"):
        read_graph(tmp_path)


def test_a_duplicate_with_another_confidence_needs_a_policy(tmp_path: Path) -> None:
    path = write(tmp_path / "facts.tsv", "a\tr\tb\t0.2", "b\tr\tc\t0.3", "a\tr\tb\t0.8")
    with pytest.raises(DuplicateFact, match="rows 1 and 3.*duplicates=keep"):
        read_graph(path, valid=0, test=0)
    expected = {"keep": [0.2, 0.3, 0.8], "last": [0.8, 0.3], "mean": [0.5, 0.3], "max": [0.8, 0.3]}
    for policy, confidence in expected.items():
        found = read_graph(path, valid=0, test=0, duplicates=policy)
        assert found.train.confidence.tolist() == pytest.approx(confidence), policy
    with pytest.raises(InputError, match="first"):
        read_graph(path, duplicates="first")


def test_a_table_in_memory_gives_the_graph_of_its_file(tmp_path: Path) -> None:
    lines = [
        f"p{a}\tr{a % 2}\tp{b}\t{(a + b) / 40}" for a in range(20) for b in range(20) if (a * b) % 7 == 1
    ]
    file = read_graph(write(tmp_path / "facts.tsv", *lines))
    rows = [line.split("\t") for line in lines]
    columns = {name: [row[i] for row in rows] for i, name in enumerate(("head", "relation", "tail"))}
    columns["confidence"] = [float(row[3]) for row in rows]
    for table in (columns, pd.DataFrame(columns)):
        graph = graph_from_table(table)
        assert graph.entities.names == file.entities.names and len(graph.test) > 0
        for split in ("train", "valid", "test"):
            assert graph.split(split).keys(20).tolist() == file.split(split).keys(20).tolist()
            assert graph.split(split).confidence.tolist() == file.split(split).confidence.tolist()


def test_a_table_may_name_entities_by_numbers() -> None:
    graph = graph_from_table(
        pd.DataFrame({"head": [7, 8], "relation": [0, 0], "tail": [8, 9], "confidence": [0, 1]}),
        test=0,
        valid=0,
    )
    assert graph.entities.names == ("7", "8", "9") and graph.train.confidence.tolist() == [0.0, 1.0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"confidence": [0.5, 1.5]}, "row 1: confidence 1.5.*normalize"),
        ({"confidence": [float("nan"), 1]}, "row 0: confidence nan is not finite"),
        ({"confidence": ["0.5", "high"]}, "not a number"),
        ({"head": ["a", None]}, "row 1: the head is missing"),
        ({"tail": ["", "b"]}, "row 0: the tail is missing"),
        ({"relation": ["r"]}, "one length"),
        ({"head": [], "relation": [], "tail": [], "confidence": []}, "no facts"),
        ({"confidence": None}, "no column 'confidence'"),
    ],
)
def test_a_wrong_table_is_named_by_its_row(change: dict[str, list | None], message: str) -> None:
    table = {
        "head": ["a", "b"],
        "relation": ["r", "r"],
        "tail": ["b", "c"],
        "confidence": [0.5, 0.5],
    } | change
    with pytest.raises(InputError, match=message):
        graph_from_table({name: column for name, column in table.items() if column is not None}, name="mine")


def test_an_exact_repeat_is_no_contradiction(tmp_path: Path) -> None:
    path = write(tmp_path / "facts.tsv", "a\tr\tb\t0.2", "a\tr\tb\t0.2")
    assert len(read_graph(path, valid=0, test=0).train) == 2


def test_raw_scores_are_normalised_on_request(tmp_path: Path) -> None:
    path = write(tmp_path / "facts.tsv", "a\tr\tb\t1", "b\tr\tc\t10", "c\tr\ta\t100")
    with pytest.raises(MalformedLine, match="normalize"):
        read_graph(path)
    assert read_graph(path, valid=0, test=0, normalize="log").train.confidence.tolist() == pytest.approx(
        [0.1, 0.55, 1]
    )
    assert normalized(np.array([2.0, 4.0, 3.0]), "minmax").tolist() == pytest.approx([0.1, 1.0, 0.55])
    with pytest.raises(InputError, match="positive"):
        normalized(np.array([0.0, 1.0]), "log")


def test_facts_refuse_what_is_no_confidence() -> None:
    with pytest.raises(InputError, match="row 1"):
        Facts.of([0, 0], [0, 0], [1, 2], [0.5, float("nan")])
    with pytest.raises(InputError, match="one length"):
        Facts.of([0], [0, 0], [1, 2], [0.5, 0.5])


def test_the_embedded_graph_says_what_cldr_says() -> None:
    graph = load_graph("cldr")
    known = {
        (graph.entities.names[h], graph.entities.names[t]): s
        for h, t, s in zip(
            graph.all_facts.head, graph.all_facts.tail, graph.all_facts.confidence, strict=True
        )
    }
    assert 0.5 < known["territory:CH", "language:de"] < 0.95
    assert known["territory:CH", "language:rm"] < 0.05
    assert not set(graph.test.pair_keys(graph.num_entities)) & set(graph.train.pair_keys(graph.num_entities))


def test_an_unknown_graph_gets_the_nearest_name() -> None:
    with pytest.raises(InputError, match="cn15k"):
        load_graph("cn15")


# Section 5.1 and Table 1 of the paper; rows, mean and deviation of all facts.
@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "rows", "mean", "deviation", "queries"),
    [
        ("cn15k", (204984, 16881, 19293), 0.629, 0.232, 1989),
        ("nl27k", (149100, 12278, 14034), 0.797, 0.242, 2000),
        ("ppi5k", (230929, 19017, 21720), 0.415, 0.213, 2000),
    ],
)
def test_a_benchmark_has_the_published_counts(benchmark_graph, name, rows, mean, deviation, queries) -> None:
    graph = benchmark_graph(name)
    assert tuple(len(graph.split(split)) for split in ("train", "valid", "test")) == rows
    assert len(graph.negatives) == rows[2]
    assert not graph.negatives.confidence.any()
    assert graph.all_facts.confidence.mean() == pytest.approx(mean, abs=6e-4)
    assert graph.all_facts.confidence.std() == pytest.approx(deviation, abs=6e-4)
    assert len(np.unique(graph.queries.query_keys(graph.num_relations))) == queries
