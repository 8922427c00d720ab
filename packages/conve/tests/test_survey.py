"""The tables across data sets."""

from __future__ import annotations

from dataclasses import replace

import pytest

from offprints.results import RunRecord
from offprints.triples import KnowledgeGraph, Triples, Vocabulary

from conve import audit
from conve.survey import gains, leakage, sizes


def empty(entities: int, relations: int) -> KnowledgeGraph:
    names = (
        Vocabulary(kind, tuple(f"{kind}{i}" for i in range(count)))
        for kind, count in (("e", entities), ("r", relations))
    )
    nothing = Triples.of([], [], [])
    return KnowledgeGraph("fb15k-237", *names, nothing, nothing, nothing, {}, {})


def test_the_counts_of_the_paper_s_table_of_parameters() -> None:
    table = sizes([empty(14_541, 237)], [14, 28, 54, 96, 200]).set_index("d")
    assert table["ConvE"].tolist() == [229_659, 462_311, 946_859, 1_886_735, 4_964_127]
    assert table.loc[96, "DistMult"] == (14_541 + 237) * 96


def test_leakage_is_that_of_the_audit(family: KnowledgeGraph) -> None:
    (row,) = leakage([family]).to_dict("records")
    assert row["either"] == audit(family).metrics()["leaked"] > 0
    assert row["test"] == len(family.test)
    assert 0 < row["MRR of the inverse rule"] <= 1


def test_gains_need_trainings_of_both_models(family: KnowledgeGraph) -> None:
    def record(experiment: str, hits: float, task: str = "train") -> RunRecord:
        return replace(blank(), experiment=experiment, task=task, metrics={"test/hits@10": hits})

    # The inverse rule and an audit have been asked for under the name of the experiment, too.
    others = [record("family", 0.1, "inverse"), replace(record("family", 0.0, "audit"), metrics={})]
    alone = [record("family", 0.8), record("distmult_other", 0.5), *others]
    assert len(gains([family], alone)) == 0
    (row,) = gains(
        [family], [*alone, record("distmult_family", 0.4), record("distmult_family", 0.6)]
    ).to_dict("records")
    assert row["gain"] == pytest.approx(0.5 / 0.2)
    assert 0 < row["pagerank"] < 1


def blank() -> RunRecord:
    fields = dict.fromkeys(RunRecord.__dataclass_fields__)
    return RunRecord(**fields)  # type: ignore[arg-type]
