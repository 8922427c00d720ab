"""The command line end to end, and what it answers to wrong input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from offprints.checkpoint import Checkpoints, load, save
from offprints.testing import Ended, call, metrics_of, presets

from hard_attention import given_files
from hard_attention.certificate import Certificate
from hard_attention.networks import GivenHead, GivenLayer, Network
from hard_attention.verification import Verified


def hard_attention(folder: Path, *options: str) -> Ended:
    """Call the console script in a folder."""
    from hard_attention.cli import main

    return call(main, "hard-attention", folder, *options)


def test_the_main_job_checks_certifies_and_draws(tmp_path):
    done = hard_attention(tmp_path, "experiment=smoke", "hydra.run.dir=run", "threads=1")
    assert done.code == 0, done.err
    found = metrics_of(tmp_path / "run")
    assert found["test/exact"] == found["test/labels"] == found["float32/exact"] == 1
    assert found["certificate/a_star_b_star/bfloat16"] == 15_344
    assert found["depth/with_rounding"] == 0 < found["depth/without_rounding"]
    names = (
        "certified",
        "least_temperature",
        "fixed_temperature",
        "depth",
        "temperature",
        "gaps",
        "bounds",
        "attention",
    )
    for name in names:
        assert (tmp_path / "run" / "figures" / f"{name}.png").stat().st_size > 5_000
    assert (tmp_path / "run" / "languages.tsv").read_text().count("\n") == 4


def test_certify_writes_the_argument(tmp_path):
    done = hard_attention(tmp_path, "task=certify", "model.formula='cl(a) <= cl(b)'", "hydra.run.dir=run")
    assert done.code == 0, done.err
    assert "counting" in done.err + done.out or "counts" in done.err + done.out
    found = metrics_of(tmp_path / "run")
    assert found["certificate/float64/dense"] > found["certificate/float32/dense"] > 10**5
    text = (tmp_path / "run" / "certificate.txt").read_text()
    assert "bfloat16, dense: right up to length" in text and "sign" in text


def test_verify_and_evaluate(tmp_path):
    options = ["verify.longest=6", "verify.tries=40", "verify.length=20", "hydra.run.dir=run"]
    done = hard_attention(tmp_path, "task=verify", *options)
    assert done.code == 0, done.err
    found = metrics_of(tmp_path / "run")
    assert (found["exhaustive/strings"], found["exhaustive/wrong"], found["certificate/refuted"]) == (
        126,
        0,
        0,
    )
    done = hard_attention(tmp_path, "task=evaluate", "string=abb", "hydra.run.dir=run2")
    assert done.code == 0 and metrics_of(tmp_path / "run2")["evaluate/holds_at_last"] == 1
    done = hard_attention(tmp_path, "task=evaluate", "checkpoint=run2", "string=aab", "hydra.run.dir=run3")
    assert done.code == 0 and metrics_of(tmp_path / "run3")["evaluate/holds_at_last"] == 0


def test_a_checkpoint_in_16_bits_is_not_trained(tmp_path):
    done = hard_attention(tmp_path, "task=evaluate", "model.dtype=bfloat16", "hydra.run.dir=run")
    assert done.code == 0, done.err
    ended = hard_attention(tmp_path, "task=train", "checkpoint=run")
    assert ended.code == 2 and "not in bfloat16" in ended.err


def test_a_wrong_string_within_a_short_certificate_refutes_it(tmp_path, monkeypatch):
    from hard_attention import cli

    short = Certificate("float64", "dense", 5, "", (), ())
    monkeypatch.setattr(cli, "certify", lambda *_, **__: short)
    monkeypatch.setattr(cli, "verify_all", lambda *_: Verified(6, 10, 1, "ab", 1.0))
    done = hard_attention(tmp_path, "task=verify", "verify.tries=2", "hydra.run.dir=run")
    assert done.code == 0, done.err
    assert metrics_of(tmp_path / "run")["certificate/refuted"] == 1


def test_a_search_that_was_stopped_goes_on_at_the_next_cell(tmp_path):
    options = [
        "task=search",
        "search.precisions=[float32,bfloat16]",
        "search.lengths=[8,20]",
        "search.tries=320",
    ]
    options += ["search.at_the_end=4", "search.longest=500", "threads=1"]
    done = hard_attention(tmp_path, *options, "hydra.run.dir=run")
    assert done.code == 0, done.err
    found = metrics_of(tmp_path / "run")
    assert found["search/float32/wrong"] == found["search/bfloat16/wrong"] == 0
    assert found["search/bfloat16/strings"] >= 320
    before = (tmp_path / "run" / "search.tsv").read_text()
    checkpoints = Checkpoints(tmp_path / "run" / "checkpoints", "hard-attention search", "")
    last = load(checkpoints.last, "hard-attention search")
    cut = last.state["found"][:-5]
    save(
        checkpoints.last, {"found": cut}, "hard-attention search", fingerprint_of(checkpoints.last), len(cut)
    )
    (tmp_path / "run" / "search.tsv").unlink()
    again = hard_attention(tmp_path, "resume=run")
    assert again.code == 0, again.err
    assert (tmp_path / "run" / "search.tsv").read_text() == before


def fingerprint_of(path: Path) -> str:
    found: str = torch.load(path, weights_only=True)["fingerprint"]
    return found


def test_beyond_says_where_formats_fail(tmp_path):
    options = [
        "task=beyond",
        "beyond.precisions=[bfloat16]",
        "beyond.languages=[parity,majority]",
        "beyond.longest=400",
    ]
    options += [
        "beyond.blocks=[3]",
        "beyond.points=4",
        "beyond.tries=16",
        "beyond.lengths=[24,300]",
        "beyond.count=1",
    ]
    done = hard_attention(tmp_path, *options, "hydra.run.dir=run", "threads=1")
    assert done.code == 0, done.err
    found = metrics_of(tmp_path / "run")
    assert found["certificate/refuted"] == 0
    assert found["certificate/bfloat16/parity"] < found["first_failure/bfloat16/parity"] <= 400
    assert "first_failure/bfloat16/3_blocks" not in found
    for name in ("errors", "shares"):
        assert (tmp_path / "run" / "figures" / f"{name}.png").stat().st_size > 5_000


def test_theorems_are_measured(tmp_path):
    done = hard_attention(tmp_path, "experiment=theorems", "hydra.run.dir=run", "threads=1")
    assert done.code == 0, done.err
    found = metrics_of(tmp_path / "run")
    assert found["formulas"] == 120 and found["formulas/values"] > 100_000
    assert found["formulas/wrong"] == found["networks/violations"] == 0
    assert 0.13 < found["formulas/raw_error"] <= 0.1354
    assert found["fixed/answer_fails/beta=1000"] == 1443
    assert found["depth/5/with_rounding"] == 0 and found["depth/2/without"] > 0.5, (
        "wrong from depth 2 without"
    )
    assert found["bounded/least_beta/n=65536"] == pytest.approx(90852.2, abs=0.1)


def test_train_tests_before_and_after(tmp_path):
    options = ["task=train", "training.epochs=1", "training.steps=5", "training.test_strings=16"]
    done = hard_attention(tmp_path, *options, "hydra.run.dir=run", "threads=1")
    assert done.code == 0, done.err
    found = metrics_of(tmp_path / "run")
    assert found["compiled/right@192"] == found["start/right@192"] == 1 and found["weights/moved"] > 0
    assert (tmp_path / "run" / "model.ckpt").is_file() and (
        tmp_path / "run" / "figures" / "training.png"
    ).is_file()


def test_explain_writes_one_page(tmp_path):
    done = hard_attention(tmp_path, "task=explain", "string=abb", "hydra.run.dir=run")
    assert done.code == 0, done.err
    page = (tmp_path / "run" / "explanation.html").read_text()
    assert "(a S b)" in page and page.count("<svg") == 2 and "right up to length 15,344" in page
    assert "<script" not in page and "http" not in page
    assert (tmp_path / "run" / "figures" / "head_0.png").is_file()


def test_soften_reads_a_file_and_keeps_its_promise(tmp_path):
    head = GivenHead(np.eye(3)[:1], np.eye(3)[:1], np.eye(3), "future")
    layer = GivenLayer((head,), np.ones((2, 3)), np.zeros(2), np.ones((3, 2)), np.zeros(3))
    given_files.write(tmp_path / "net.npz", Network((layer,), "rightmost"), [np.arange(12.0).reshape(4, 3)])
    done = hard_attention(tmp_path, "task=soften", f"soften.file={tmp_path / 'net.npz'}", "hydra.run.dir=run")
    assert done.code == 0, done.err
    found = metrics_of(tmp_path / "run")
    assert found["soften/measured"] <= found["soften/bound"] <= 0.25
    (tmp_path / "bad.npz").write_bytes(b"no zip")
    for name, reason in (("bad.npz", "not a plain .npz"), ("none.npz", "no file")):
        ended = hard_attention(tmp_path, "task=soften", f"soften.file={tmp_path / name}")
        assert ended.code == 2 and reason in ended.err


def test_every_preset_is_one_that_the_command_reads() -> None:
    from hard_attention.config import Config

    assert presets("hard_attention", Config)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["model.formul=a"], "formul"),
        (["task=certify", "model.formula='(S (Q a)'"], "not closed"),
        (["task=certify", "model.formula=c"], "lacks"),
        (["task=evaluate", "string=xyz"], "not in the alphabet"),
        (["dataset.name=wikipedia"], "formal-languages"),
        (["dataset.languages=[dyk1]"], "did you mean dyck1"),
        (["dataset.languages=[]"], "names no language"),
        (["dataset.name=alternating-blocks", "dataset.most=0"], "most=0"),
        (["experiment=smoke", "model.step=3"], "no power of two"),
        (["experiment=smoke", "model.norm=pre", "model.kernel=scan"], "no layer norm"),
        (["task=soften"], "soften.file"),
        (["task=search", "search.tries=0"], "positive"),
        (["task=beyond", "beyond.languages=[palindrom]"], "did you mean palindrome"),
        (["task=train", "training.start=frozen"], "start"),
        (["task=train", "model.dtype=bfloat16"], "float32 and float64"),
        (["model.dtype=int8"], "precision int8"),
        (["experiment=smoke", "model.kernel=flash"], "kernel"),
        (["task=explain", f"string={'ab' * 40}"], "too long to draw"),
    ],
)
def test_wrong_input_ends_with_status_2_and_one_message(tmp_path, options, reason):
    ended = hard_attention(tmp_path, *options)
    assert ended.code == 2
    assert reason in ended.err
    assert "Traceback" not in ended.err
