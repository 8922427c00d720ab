"""A graph of one's own: read from tables, refused with the line that is wrong, trained on, and every node labelled."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from offprints.errors import DataError, InputError, MissingFile
from offprints.testing import call

from ufg.own_graph import own_graph


def folder(path: Path, **changed: str) -> Path:
    """Two rings of twenty named nodes, joined once; features that say which ring; six nodes of each without a label."""
    path.mkdir(parents=True)
    nodes = [f"{ring}{i}" for ring in "ab" for i in range(20)]
    rings = [(f"{ring}{i}", f"{ring}{(i + 1) % 20}") for ring in "ab" for i in range(20)]
    tables = {
        "edges": "".join(f"{u}\t{v}\t2\n" for u, v in [*rings, ("a0", "b0")]),
        "features": "".join(f"{node}\t{int(node[0] == 'a')}\t1.5\n" for node in nodes),
        "labels": "".join(f"{node}\tring {node[0]}\n" for node in nodes if int(node[1:]) < 14),
        **changed,
    }
    for name, text in tables.items():
        (path / f"{name}.tsv").write_text(text)
    return path


def test_tables_become_a_graph_with_names_and_a_split_of_each_class(tmp_path: Path) -> None:
    data = own_graph(folder(tmp_path / "rings"), seed=1)
    assert (data.name, data.num_nodes, len(data.edges)) == ("rings", 40, 41)
    assert data.weight is not None and set(data.weight) == {2.0}
    assert data.node_names is not None and data.node_names[20] == "b0"
    assert data.class_names == ["ring a", "ring b"]
    assert data.features.toarray()[20].tolist() == [0, 1.5]
    sizes = [np.bincount(data.labels[nodes]).tolist() for nodes in (data.train, data.valid, data.test)]
    assert sizes == [[8, 8], [3, 3], [3, 3]]
    assert (data.labels == -1).sum() == 12
    assert set(data.checksums) == {"edges.tsv", "features.tsv", "labels.tsv"}


def test_a_split_that_is_given_is_taken_and_edges_may_stand_in_both_directions(tmp_path: Path) -> None:
    split = {"a0": "train", "b0": "train", "a5": "valid", "b5": "valid", "a9": "test"}
    labels = "".join(f"{node}\t{node[0]}\t{part}\n" for node, part in split.items())
    edges = "a0\tb0\nb0\ta0\na1\ta1\na0\ta1\n"
    data = own_graph(folder(tmp_path / "given", labels=labels, edges=edges))
    assert (data.train.tolist(), data.valid.tolist(), data.test.tolist()) == ([0, 20], [5, 25], [9])
    assert data.edges.tolist() == [[0, 1], [0, 20]]  # each once, and no self-loop
    assert data.weight is None


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"edges": "a0\tb0\nzz\ta1\n"}, "line 2: node 'zz' has no line"),
        ({"edges": "a0\tb0\t1\na0\ta1\t-1\n"}, "line 2: a weight must be positive"),
        ({"edges": "a0\tb0\t1\nb0\ta0\t3\n"}, "another weight"),
        ({"edges": "a0\n"}, "1 columns"),
        ({"features": "a0\t1\na0\t2\n"}, "'a0' stands there twice"),
        ({"features": "a0\t1\na1\tx\n"}, "line 2: 'x' is not a finite number"),
        ({"features": "a0\t1\na1\tnan\n"}, "not a finite number"),
        ({"features": "a0\na1\n"}, "a node and its numbers"),
        ({"features": ""}, "not a table"),
        ({"labels": "a0\tx\ttrain\na1\tx\tdev\n"}, "line 2: 'dev' is none of train, valid, test"),
        ({"labels": "a0\tx\na0\ty\n"}, "line 2: node 'a0' again"),
        ({"labels": "a0\tx\n"}, "5 or more"),
        ({"labels": "a0\tx\ttrain\na1\tx\tvalid\n"}, "test split is empty"),
    ],
)
def test_tables_that_do_not_fit_are_refused_with_their_line(
    tmp_path: Path, changed: dict[str, str], message: str
) -> None:
    with pytest.raises((DataError, InputError), match=message):
        own_graph(folder(tmp_path / "rings", **changed))


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match="no folder and no npz"):
        own_graph(tmp_path / "nowhere")
    path = folder(tmp_path / "rings")
    (path / "labels.tsv").unlink()
    with pytest.raises(MissingFile, match="labels.tsv"):
        own_graph(path)


def test_a_network_is_trained_on_it_and_labels_the_nodes_that_have_none(tmp_path: Path) -> None:
    from ufg.cli import main

    options = [f"dataset.path='{folder(tmp_path / 'rings')}'", "dataset.name=own", "threads=1"]
    done = call(main, "ufg", tmp_path, "task=node", *options, "training.epochs=40", "hydra.run.dir=run")
    assert done.code == 0, done.err
    done = call(main, "ufg", tmp_path, "task=predict", "checkpoint=run", "hydra.run.dir=said")
    assert done.code == 0, done.err
    table = pd.read_csv(tmp_path / "said" / "predictions.tsv", sep="\t", keep_default_na=False)
    assert list(table.columns) == ["node", "predicted", "probability", "known", "split"]
    unknown = table[table["split"] == ""]
    assert len(table) == 40 and len(unknown) == 12
    assert (unknown["known"] == "").all()
    assert (
        json.loads((tmp_path / "said" / "results.json").read_text())["metrics"]["predicted/without_label"]
        == 12
    )
    assert (unknown["predicted"] == "ring " + unknown["node"].str[0]).all()
    refused = call(main, "ufg", tmp_path, "task=node", "dataset.name=own", "hydra.run.dir=none")
    assert refused.code == 2 and "dataset.path" in refused.err
