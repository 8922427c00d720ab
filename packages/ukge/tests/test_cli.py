"""The command line end to end, and what it answers to wrong input."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from offprints.testing import Ended, call, metrics_of, presets

SMALL = ["model.dim=8", "training.epochs=2", "training.evaluate_every=1", "precision=fp32", "threads=1"]
RULE = "likes(A, B) & likes(B, C) -> likes(A, C)"


def ukge(folder: Path, *options: str) -> Ended:
    """Call the console script in a folder."""
    from ukge.cli import main

    return call(main, "ukge", folder, *options)


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of 300 facts about 30 people."""
    path = tmp_path_factory.mktemp("facts") / "people.tsv"
    draw = np.random.default_rng(0)
    pairs = sorted({(int(a), int(b)) for a, b in draw.integers(0, 30, (300, 2))})
    path.write_text(
        "".join(
            f"p{a}\t{'likes' if a < 25 else 'knows'}\tp{b}\t{draw.uniform(0.1, 1):.3f}\n" for a, b in pairs
        )
    )
    return path


@pytest.fixture(scope="module")
def trained(facts: Path) -> Path:
    done = ukge(
        facts.parent, "task=train", "dataset=file", f"dataset.path={facts}", *SMALL, "psl.source=rules", f"psl.rules=['{RULE}']",
        "psl.min_body=0.3", "evaluation.facts=['p1 | likes | p2']", "hydra.run.dir=run",
    )  # fmt: skip
    assert done.code == 0, done.err
    return facts.parent / "run"


def test_training_on_a_file_leaves_all_three_tasks_beside_the_baselines(trained: Path) -> None:
    metrics = metrics_of(trained)
    published = "mse_pos_neg mae_pos_neg mse_pos ndcg_linear ndcg_exp ndcg_linear_published_ties f1 accuracy"
    assert {f"test/{name}" for name in published.split()} <= set(metrics)
    assert metrics["lookup/mse_pos_neg"] > 0
    assert 0 <= metrics["said/p1 likes p2"] <= 1
    assert {path.stem for path in (trained / "figures").glob("*.png")} == {
        "training",
        "reliability",
        "confidences",
    }


def test_evaluating_the_run_again_gives_its_figures(trained: Path, tmp_path: Path) -> None:
    done = ukge(tmp_path, "task=evaluate", f"checkpoint={trained}", "hydra.run.dir=again")
    assert done.code == 0, done.err
    first, again = metrics_of(trained), metrics_of(tmp_path / "again")
    assert {name: first[name] for name in again} == pytest.approx(again)


def test_the_run_answers_questions(trained: Path, tmp_path: Path) -> None:
    ask = ["task=predict", f"checkpoint={trained}", "predict.relation=likes"]
    one = ukge(tmp_path, *ask, "predict.head=p1", "predict.tail=p2", "hydra.run.dir=one")
    assert one.code == 0, one.err
    assert 0 <= metrics_of(tmp_path / "one")["predict/confidence"] <= 1
    tails = ukge(tmp_path, *ask, "predict.head=p1", "predict.k=4", "hydra.run.dir=tails")
    assert tails.code == 0, tails.err
    assert len((tmp_path / "tails" / "predictions.tsv").read_text().splitlines()) == 5
    (tmp_path / "asked.tsv").write_text("p1\tlikes\tp2\np3\tknows\tp4\n")
    file = ukge(
        tmp_path, *ask, "predict.facts=asked.tsv", f"predict.others=[{trained}]", "hydra.run.dir=file"
    )
    assert file.code == 0, file.err
    assert (tmp_path / "file" / "predictions.tsv").read_text().splitlines()[0].split("\t")[3:] == [
        "confidence",
        "low",
        "high",
    ]


def test_rules_are_mined_grounded_and_propagated(facts: Path, tmp_path: Path) -> None:
    done = ukge(
        tmp_path, "task=rules", "dataset=file", f"dataset.path={facts}", f"psl.rules=['{RULE}']", "psl.min_body=0.5",
        "psl.source=rules", "psl.min_hits=5", "psl.min_hit_ratio=0.1", "hydra.run.dir=run",
    )  # fmt: skip
    assert done.code == 0, done.err
    metrics = metrics_of(tmp_path / "run")
    assert metrics["rules/groundings"] > metrics["rules/new_groundings"] > 0
    assert 0 < metrics["rules/1/hit_ratio"] < 1
    assert len((tmp_path / "run" / "derived.tsv").read_text().splitlines()) == metrics["rules/derived"] + 1


def test_the_main_job_compares_the_variants(tmp_path: Path) -> None:
    done = ukge(
        tmp_path, "experiment=smoke", "training.epochs=1", "model.dim=4", "threads=1", "hydra.run.dir=run"
    )
    assert done.code == 0, done.err
    metrics = metrics_of(tmp_path / "run")
    models = {name.split("/")[0] for name in metrics}
    assert {
        "rect",
        "logi",
        "n-",
        "p-",
        "complex",
        "URGE",
        "DistMult",
        "lookup",
        "constant",
        "relation_mean",
    } <= models
    assert {"errors", "training", "reliability", "confidences"} == {
        p.stem for p in (tmp_path / "run/figures").glob("*.png")
    }


def test_an_option_that_suits_not_every_variant_is_refused_before_the_first_is_trained(
    tmp_path: Path,
) -> None:
    done = ukge(tmp_path, "experiment=smoke", "training.epochs=1", "model.dim=5", "hydra.run.dir=run")
    assert done.code == 2, done.err
    assert "even for complex" in done.err
    assert not (tmp_path / "run" / "checkpoints").exists()


@pytest.mark.parametrize("task", ["compare", "train"])
def test_facts_without_a_validation_split_are_trained_on_and_without_a_test_split_are_not(
    facts: Path, tmp_path: Path, task: str
) -> None:
    options = [f"task={task}", "dataset=file", f"dataset.path={facts}", *SMALL, "training.epochs=1"]
    done = ukge(tmp_path, *options, "dataset.valid=0", "hydra.run.dir=run")
    assert done.code == 0, done.err
    assert metrics_of(tmp_path / "run")["test/mse_pos_neg"] > 0
    done = ukge(tmp_path, *options, "dataset.test=0", "hydra.run.dir=untested")
    assert done.code == 2, done.err
    assert "the test split is empty" in done.err
    assert not (tmp_path / "untested" / "checkpoints").exists()


def test_the_audit_of_the_embedded_graph_finds_no_leak(tmp_path: Path) -> None:
    assert ukge(tmp_path, "task=audit", "hydra.run.dir=run").code == 0
    metrics = metrics_of(tmp_path / "run")
    assert metrics["test/pair_in_train"] == 0
    assert metrics["graph/facts"] > metrics["test/train_rows"] > metrics["graph/entities"]


def test_every_preset_is_one_that_the_command_reads() -> None:
    from ukge.config import Config

    assert len(presets("ukge", Config)) > 24


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["training.epoch=3"], "epochs"),
        (["training.epochs=0"], "epochs"),
        (["training.objective=mse"], "published"),
        (["model.kind=relu"], "rect"),
        (["evaluation.select=mrr"], "ndcg_linear"),
        (["experiment=cn15k_rekt"], "cn15k_rect"),
        (["dataset=file", "dataset.path=nowhere.tsv"], "nowhere.tsv"),
        (["dataset.name=cn15"], "cn15k"),
        (["task=rules", "psl.source=rules", "psl.rules=['lies_in(A, B) -> lies_im(A, B)']"], "lies_in"),
        (["task=rules", "psl.source=rules", "psl.rules=['lies_in(A, B) -> ']"], "column"),
        (["task=train", "psl.source=published"], "published"),
        (["task=train", "evaluation.facts=['a | b']"], "head | relation | tail"),
        (["task=train", "evaluation.facts=['territory:CHE | lies_in | area:155']"], "territory:CH"),
        (["task=train", "psl.most=5"], "partial groundings"),
        (["task=predict", "checkpoint=nowhere"], "not the directory of a run"),
        (["task=predict"], "checkpoint"),
        (["evaluation.split=tests"], "evaluation.split=tests is unknown"),
    ],
)
def test_wrong_input_is_one_message_and_status_2(tmp_path: Path, options: list[str], message: str) -> None:
    done = ukge(tmp_path, "training.evaluate_every=1", "model.dim=4", *options)
    assert done.code == 2, done.err
    assert message in done.err
    assert "Traceback" not in done.err


def test_the_embedded_graphs_settings_stay_with_it(facts: Path, tmp_path: Path) -> None:
    """Its rules name relations that no other graph has."""
    assert (
        ukge(
            tmp_path, "task=train", "dataset=file", f"dataset.path={facts}", *SMALL, "hydra.run.dir=run"
        ).code
        == 0
    )
    config = json.loads((tmp_path / "run" / "results.json").read_text())["config"]
    assert config["psl"]["source"] == "none" and config["psl"]["rules"] == []


def test_a_wrong_line_of_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "facts.tsv").write_text("a\tr\tb\t0.5\nb\tr\tc\t1.5\n")
    done = ukge(tmp_path, "task=audit", "dataset=file", "dataset.path=facts.tsv")
    assert done.code == 2
    assert "facts.tsv, line 2" in done.err and "normalize" in done.err
