"""The command line end to end, and what it answers to wrong input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from offprints.testing import Ended, call, metrics_of, presets


def lattice_lstm(folder: Path, *options: str) -> Ended:
    """Call the console script in a folder."""
    from lattice_lstm.cli import main

    return call(main, "lattice-lstm", folder, *options)


def test_a_file_of_ones_own_is_described(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("南 B-LOC\n京 I-LOC\n\n我 O\n\n你 B-PER\n", encoding="utf-8")
    done = lattice_lstm(
        tmp_path, "task=describe", "dataset=file", "dataset.train=train.txt", "hydra.run.dir=run"
    )
    assert done.code == 0, done.err
    metrics = metrics_of(tmp_path / "run")
    assert metrics["train/sentences"] == 2 and metrics["valid/sentences"] == 1
    assert metrics["train/entities/LOC"] == 1 and metrics["train/entities_in_lexicon"] == 1.0
    assert metrics["train/words_per_character"] == pytest.approx(1 / 3)


SMALL = [
    "dataset.sentences=40", "model.hidden_size=8", "model.char_size=8", "model.word_size=8", "training.epochs=2", "threads=1",
]  # fmt: skip


def test_the_main_job_sets_characters_lattice_and_dictionary_side_by_side(tmp_path: Path) -> None:
    done = lattice_lstm(tmp_path, *SMALL, "hydra.run.dir=run")
    assert done.code == 0, done.err
    metrics = metrics_of(tmp_path / "run")
    ways = "char lattice lattice_all_names lattice_dictionary_given lattice_dictionary_with_types"
    for tagger in ways.split():
        assert 0 <= metrics[f"{tagger}/f1"] <= 1
    assert metrics["dictionary/words"] > 0 and metrics["test/f1"] == metrics["lattice/f1"]
    title = f"test split; the dictionary has {metrics['dictionary/words']:.0f} of its names"
    assert title in " ".join(done.out.split())
    figures = {path.stem for path in (tmp_path / "run" / "figures").glob("*.png")}
    assert figures == {"training", "length", "f1", "gates"}
    assert "<table>" in (tmp_path / "run" / "explanation.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a run that trained a lattice tagger."""
    folder = tmp_path_factory.mktemp("trained")
    done = lattice_lstm(folder, *SMALL, "task=train", "evaluation.new_words=true", "hydra.run.dir=run")
    assert done.code == 0, done.err
    return folder / "run"


def test_a_run_measures_by_both_rules_by_type_and_with_a_new_dictionary(trained: Path) -> None:
    metrics = metrics_of(trained)
    wanted = "test/f1 test/precision test/recall test/f1_compat test/recall/in_lexicon valid/f1 test/ece test/ece_uncalibrated"
    assert set(wanted.split()) <= set(metrics)
    for way in ("before", "after", "typed", "disturbed", "plain"):
        assert {f"dictionary/{name}_{way}" for name in ("recall", "precision", "f1")} <= set(metrics)


def test_evaluating_the_run_again_gives_its_figures(trained: Path, tmp_path: Path) -> None:
    ask = ["task=evaluate", f"checkpoint={trained}", "dataset.sentences=40", "hydra.run.dir=again"]
    done = lattice_lstm(tmp_path, *ask)
    assert done.code == 0, done.err
    first, again = metrics_of(trained), metrics_of(tmp_path / "again")
    for name in ("test/f1", "test/f1_compat", "test/accuracy"):
        assert again[name] == first[name]


def test_a_sentence_and_a_file_are_tagged_with_a_dictionary_of_ones_own(
    trained: Path, tmp_path: Path
) -> None:
    (tmp_path / "words.txt").write_text("甲乙丙丁\n", encoding="utf-8")
    ask = ["task=predict", f"checkpoint={trained}", "predict.dictionary=words.txt"]
    one = lattice_lstm(tmp_path, *ask, "predict.text='据甲乙丙丁报道'", "hydra.run.dir=one")
    assert one.code == 0, one.err
    assert "<th>甲乙丙丁</th>" in (tmp_path / "one" / "explanation.html").read_text(encoding="utf-8")
    (tmp_path / "texts.txt").write_text("六月\n\n据甲乙丙丁报道\n", encoding="utf-8")
    file = lattice_lstm(tmp_path, *ask, "predict.file=texts.txt", "hydra.run.dir=file")
    assert file.code == 0, file.err
    lines = (tmp_path / "file" / "entities.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 3 and json.loads(lines[1]) == []


def test_the_mark_that_begins_a_file_of_texts_is_none_of_its_characters(tmp_path: Path) -> None:
    from lattice_lstm.cli import _lines

    (tmp_path / "texts.txt").write_text("六月\n\n据\ufeff报道\n", encoding="utf-8-sig")
    assert list(_lines(tmp_path / "texts.txt")) == ["六月", "", "据\ufeff报道"]


@pytest.mark.parametrize("task", ["compare", "train"])
def test_nothing_is_trained_where_there_is_nothing_to_measure_on(tmp_path: Path, task: str) -> None:
    (tmp_path / "train.txt").write_text("南 B-LOC\n京 I-LOC\n\n我 O\n", encoding="utf-8")
    done = lattice_lstm(tmp_path, f"task={task}", "dataset=file", "dataset.train=train.txt")
    assert done.code == 2
    assert "no test sentences" in done.err


def test_every_preset_is_one_that_the_command_reads() -> None:
    from lattice_lstm.config import Config

    assert len(presets("lattice_lstm", Config)) > 50


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["dataset.name=resum"], "resume"),
        (["dataset.nam=resume"], "name"),
        (["dataset=file", "dataset.train=nowhere.txt"], "nowhere.txt"),
        (["dataset=file"], "dataset.train=<file>"),
        (["dataset.valid=nowhere.txt"], "dataset.valid"),
        (["dataset.kind=ne"], "Weibo"),
        (["lexicon.source=nowhere.txt"], "nowhere.txt"),
        (["lexicon.share=2"], "between 0 and 1"),
        (["dataset.sentences=1"], "10 or more"),
        (["task=trian"], "describe"),
        (["model.encoder=bert"], "softlexicon"),
        (["model.hidden=3"], "hidden_size"),
        (["training.optimizer=adamw"], "sgd"),
        (["vectors.chars=nowhere.npz"], "nowhere.npz"),
        (["experiment=resum"], "resume"),
        (["task=predict"], "checkpoint"),
        (["task=predict", "checkpoint=nowhere"], "nowhere"),
        (["task=serve"], "checkpoint"),
        (["task=serve", "checkpoint=nowhere", "serve.waiting=0"], "1 or more"),
        (["model.dictionary=1"], "below 1"),
        (["task=train", "model.encoder=char", "evaluation.new_words=true"], "needs a lexicon"),
    ],
)
def test_wrong_input_is_one_message_and_status_2(tmp_path: Path, options: list[str], message: str) -> None:
    done = lattice_lstm(tmp_path, "dataset.sentences=20", *options)
    assert done.code == 2, done.err
    assert message in done.err
    assert "Traceback" not in done.err


def test_a_wrong_line_of_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("南 B-LOC\n京 I-PER\n", encoding="utf-8")
    done = lattice_lstm(tmp_path, "task=describe", "dataset=file", "dataset.train=train.txt")
    assert done.code == 2
    assert "train.txt, line 2" in done.err
