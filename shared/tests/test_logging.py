"""Metrics files, progress and logs."""

from __future__ import annotations

import io
import logging
from pathlib import Path

import pytest
from rich.console import Console

from offprints.logging import LineProgress, logging_to, progress
from offprints.metrics import MetricsLog, read_metrics


def rows(directory: Path) -> list[dict[str, str]]:
    return [{**row, "seconds": ""} for row in read_metrics(directory / "metrics.csv")[1]]


def test_values_of_one_step_make_one_row_and_new_metrics_widen_the_file(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path)
    log.log(1, {"train/loss": 0.1 + 0.2})
    log.log(2, {"train/loss": 1e-20})
    log.log(2, {"valid/mrr": 0.5, "a,b": 1})
    log.log(3, {"train/loss": 2})
    assert rows(tmp_path) == [
        {"step": "1", "seconds": "", "train/loss": "0.30000000000000004", "valid/mrr": "", "a,b": ""},
        {"step": "2", "seconds": "", "train/loss": "1e-20", "valid/mrr": "0.5", "a,b": "1.0"},
        {"step": "3", "seconds": "", "train/loss": "2.0", "valid/mrr": "", "a,b": ""},
    ]
    assert log.latest == {"train/loss": 2.0, "valid/mrr": 0.5, "a,b": 1.0}
    with pytest.raises(ValueError, match="step 2 after step 3"):
        log.log(2, {"train/loss": 0})


def test_a_later_value_for_a_step_replaces_the_earlier(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path)
    log.log(1, {"loss": 123456.789})
    log.log(1, {"loss": 2})
    assert [row["loss"] for row in rows(tmp_path)] == ["2.0"]
    assert (tmp_path / "metrics.csv").read_text().endswith(",2.0\n")


def test_a_shorter_row_takes_the_place_of_a_longer_one_at_once(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path)
    log.log(1, {"loss": 1})
    log.log(2, {"loss": 123456.789})
    with (tmp_path / "metrics.csv").open() as before:
        log.log(2, {"loss": 2})
        assert before.read().endswith(
            ",123456.789\n"
        )  # who reads the file at that moment sees all of the old one
    log.log(3, {"loss": 3})
    assert [(row["step"], row["loss"]) for row in rows(tmp_path)] == [
        ("1", "1.0"),
        ("2", "2.0"),
        ("3", "3.0"),
    ]


def test_a_resumed_run_continues_from_its_checkpoint_without_a_step_twice(tmp_path: Path) -> None:
    first = MetricsLog(tmp_path)
    for step in (1, 2, 3, 4):
        first.log(step, {"loss": step})
    first.close()
    with (tmp_path / "metrics.csv").open("a") as file:
        file.write("5,1")  # a line that the disk had no room for
    second = MetricsLog(tmp_path, resuming=True)
    second.rewind(2)
    second.log(2, {"valid": 7})
    second.log(3, {"loss": 30})
    assert [(row["step"], row["loss"], row["valid"]) for row in rows(tmp_path)] == [
        *(("1", "1.0", ""), ("2", "2.0", "7.0"), ("3", "30.0", ""))
    ]


def test_a_run_resumed_before_its_first_checkpoint_starts_its_file_again(tmp_path: Path) -> None:
    first = MetricsLog(tmp_path)
    for step in (1, 2):
        first.log(step, {"loss": step})
    first.close()
    second = MetricsLog(tmp_path, resuming=True)
    second.log(1, {"loss": 9})
    assert [(row["step"], row["loss"]) for row in rows(tmp_path)] == [("1", "9.0")]


def test_a_resumed_run_that_logs_nothing_keeps_its_file(tmp_path: Path) -> None:
    MetricsLog(tmp_path).log(1, {"loss": 1})
    before = (tmp_path / "metrics.csv").read_bytes()
    MetricsLog(tmp_path, resuming=True).close()
    assert (tmp_path / "metrics.csv").read_bytes() == before


def test_time_goes_on_across_a_resume(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("step,seconds,loss\n1,100.000,1.0\n2,200.000,1.0\n")
    log = MetricsLog(tmp_path, resuming=True)
    assert 200 <= log.seconds < 210
    log.rewind(1)
    assert 100 <= log.seconds < 110


@pytest.mark.parametrize("name", ["step", "seconds"])
def test_a_metric_cannot_take_the_name_of_a_column_of_every_row(tmp_path: Path, name: str) -> None:
    log = MetricsLog(tmp_path)
    with pytest.raises(ValueError, match=f"'{name}'"):
        log.log(1, {name: 1.0})


def test_other_ranks_write_nothing(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path, write=False)
    log.log(1, {"loss": 1})
    assert log.latest == {"loss": 1.0}
    assert list(tmp_path.iterdir()) == []


def test_metrics_and_pictures_reach_tensorboard(tmp_path: Path) -> None:
    figure = pytest.importorskip("matplotlib.figure").Figure()
    figure.subplots().plot([1, 2])
    figure.savefig(tmp_path / "curve.png")
    log = MetricsLog(tmp_path)
    log.log(1, {"valid/mrr": 0.5})
    log.picture("curve", tmp_path / "curve.png")
    log.close()
    (events,) = tmp_path.glob("events.*")
    content = events.read_bytes()
    assert b"valid/mrr" in content
    assert b"curve" in content
    assert b"PNG" in content


def test_without_a_terminal_progress_is_a_line_now_and_then(caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    log = logging.getLogger("test_progress")
    caplog.set_level(logging.INFO, "test_progress")
    bar = LineProgress(total=40, description="training", done=0, log=log, interval=15, clock=lambda: now[0])
    for second in range(1, 41):
        now[0] = float(second)
        bar.advance(1, {"valid/mrr": second / 100})
    bar.finish()
    assert [record.getMessage() for record in caplog.records] == [
        "training 15/40, 25 s left  valid/mrr 0.15",
        "training 30/40, 10 s left  valid/mrr 0.3",
        "training 40/40, in 40 s  valid/mrr 0.4",
    ]


def test_progress_on_a_terminal_shows_the_metric_that_matters() -> None:
    screen = Console(file=io.StringIO(), force_terminal=True, width=100)
    with progress(2, "training [x]", logging.getLogger("test_progress"), screen) as bar:
        bar.advance(2, {"valid/mrr": 0.3251})
    shown = screen.file.getvalue()  # type: ignore[attr-defined]
    assert "training [x]" in shown
    assert "2/2" in shown
    assert "valid/mrr 0.3251" in shown


def test_progress_can_be_silent(caplog: pytest.LogCaptureFixture) -> None:
    with progress(2, "training", logging.getLogger("test_progress"), None) as bar:
        bar.advance(2)
    assert caplog.records == []


def test_logs_go_to_the_console_and_to_the_file_and_stop_with_the_block(tmp_path: Path) -> None:
    screen = Console(file=io.StringIO(), width=100)
    log = logging.getLogger("test_logging_to")
    with logging_to(tmp_path / "run.log", ("test_logging_to",), screen):
        log.info("both")
        log.error("file alone", extra={"file_only": True})
    log.warning("neither")
    shown = screen.file.getvalue()  # type: ignore[attr-defined]
    written = (tmp_path / "run.log").read_text()
    assert ("both" in shown, "file alone" in shown, "neither" in shown) == (True, False, False)
    assert ("both" in written, "file alone" in written, "neither" in written) == (True, True, False)
    assert log.handlers == []
