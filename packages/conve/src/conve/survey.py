"""Tables across data sets: what each leaks, what a model learns on it, what ConvE gains over DistMult.

Source: Sections 5 and 6 of the paper and its table of parameters; the terms of the leakage table are those of `conve.audit`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
import torch

from offprints.results import RunRecord
from offprints.triples import KnowledgeGraph

from conve.audit import audit
from conve.bilinear import DistMult
from conve.centrality import error_reduction, mean_over_test, pagerank
from conve.inverse import InverseModel
from conve.model import ConvE

SYMMETRIC = 0.8
"""A relation counts as symmetric if it holds this share of its pairs reversed as well."""

PICTURES = {14: (2, 7), 28: (4, 7), 54: (6, 9), 96: (8, 12)}
"""Height and width of an embedding in the paper's table of parameters; other sizes get the model's own choice."""


def leakage(graphs: Iterable[KnowledgeGraph]) -> pd.DataFrame:
    """A row a data set: its size, how much of its test split train gives away, and what the inverse rule makes of it."""
    rows = []
    for graph in graphs:
        report = audit(graph)
        test = report.metrics()
        rows.append(
            {
                "data set": graph.name,
                "entities": graph.num_entities,
                "relations": graph.num_relations,
                "train": len(graph.train),
                "test": len(graph.test),
                "reversed in train": test["reversed"],
                "same pair in train": test["same"],
                "either": test["leaked"],
                "symmetric relations": int((report.relations["symmetric"] >= SYMMETRIC).sum()),
                "test triples with unseen entities": int(test["unseen_triples"]),
                "MRR of the inverse rule": InverseModel.mine(graph).evaluate("expected").metrics()["mrr"],
            }
        )
    return pd.DataFrame(rows)


def sizes(graphs: Iterable[KnowledgeGraph], dims: Sequence[int] = (200,)) -> pd.DataFrame:
    """A row a data set and embedding size d: the numbers that ConvE (filters with bias, as published) and DistMult learn.

    Raises:
        InputError: no picture can be made of an embedding of such a size.
    """
    rows = []
    for graph in graphs:
        entities, relations = graph.num_entities, 2 * graph.num_relations
        for dim in dims:
            with torch.device("meta"):  # shapes without the numbers
                models = {
                    "ConvE": ConvE(entities, relations, dim, PICTURES.get(dim), conv_bias=True),
                    "DistMult": DistMult(entities, relations, dim, reciprocal=False),
                }
            counts = {name: sum(p.numel() for p in model.parameters()) for name, model in models.items()}
            rows.append({"data set": graph.name, "d": dim, **counts})
    return pd.DataFrame(rows)


def gains(graphs: Iterable[KnowledgeGraph], records: Sequence[RunRecord]) -> pd.DataFrame:
    """A row a data set that both models were run on: the centrality of its test entities, and the errors that ConvE avoids.

    Args:
        records: trainings of experiments called after their data set, <name> for ConvE and distmult_<name>; of several
            seeds the mean counts, and runs of other tasks do not.

    Returns:
        data set, pagerank (mean over the test entities), ConvE and DistMult (their Hits@10), gain (error of DistMult /
        error of ConvE).
    """
    rows = []
    for graph in graphs:
        conve, distmult = (
            [
                record.metrics["test/hits@10"]
                for record in records
                if record.experiment == name and record.task == "train"
            ]
            for name in (graph.name, f"distmult_{graph.name}")
        )
        if conve and distmult:
            ours, baseline = float(np.mean(conve)), float(np.mean(distmult))
            rows.append(
                {
                    "data set": graph.name,
                    "pagerank": mean_over_test(graph, pagerank(graph)),
                    "ConvE": ours,
                    "DistMult": baseline,
                    "gain": error_reduction(baseline, ours),
                }
            )
    return pd.DataFrame(rows, columns=["data set", "pagerank", "ConvE", "DistMult", "gain"])
