"""The command line as its users meet it, by the demo_app beside this file."""

from __future__ import annotations

import errno
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pytest
import yaml

from offprints.app import RunConfig, command
from offprints.hardware import commit
from offprints.interrupt import Interrupts
from offprints.metrics import read_metrics
from offprints.overrides import override_keys, quoted, run_directories
from offprints.results import RunRecord, read_result, read_results
from offprints.run import Run
from offprints.user_errors import message_for

TESTS = Path(__file__).parent


@dataclass
class Ended:
    """How a command line ended."""

    code: int
    out: str
    err: str

    @property
    def record(self) -> RunRecord:
        (record,) = read_results("runs")
        return record


Demo = Callable[..., Ended]


@pytest.fixture
def demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Demo:
    """Call the demo's console script in an empty working directory."""
    monkeypatch.chdir(tmp_path)
    from demo_app.cli import main

    def call(*argv: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["demo-app", *argv])
        capsys.readouterr()
        try:
            main()
            code = 0
        except SystemExit as exit:
            code = int(exit.code or 0)
        return Ended(code, *capsys.readouterr())

    return call


def run_directory() -> Path:
    (overrides,) = Path("runs").rglob("overrides.yaml")
    return overrides.parent


@pytest.mark.parametrize("text", ["x'*A", "runs\\", "it\\'s", "a b", "a\\b c"])
def test_a_quoted_value_is_read_back_as_it_was(text: str) -> None:
    assert override_keys([f"key={quoted(text)}"]) == [("key", text)]


def test_a_run_leaves_its_results_in_the_documented_format(demo: Demo) -> None:
    ended = demo("task=train", "experiment=fast", "seed=3", "device=cpu", "precision=fp32")
    assert ended.code == 0, ended.err
    directory = run_directory()
    assert directory.parts[:2] == ("runs", "train-fast")
    assert directory.name.endswith("-3")
    content = json.loads((directory / "results.json").read_text())
    assert {
        "package": "demo-app",
        "version": "9.9",
        "experiment": "fast",
        "task": "train",
        "dataset": {"name": "line", "sha256": {"truth": "00"}},
        "seed": 3,
        "command": "demo-app task=train experiment=fast seed=3 device=cpu precision=fp32",
    }.items() <= content.items()
    assert set(content) == {
        *("package", "version", "experiment", "task", "dataset", "seed", "metrics", "config", "commit"),
        *("hardware", "seconds", "peak_memory_mb", "command", "versions"),
    }
    assert set(content["hardware"]) == {"cpu", "threads", "gpu"}
    assert set(content["metrics"]) == {"test/error", "test/weight"}
    assert content["config"]["model"]["dim"] == 64
    assert content["seconds"] > 0
    assert content["peak_memory_mb"] > 10
    assert {"python", "torch", "numpy", "offprints"} <= set(content["versions"])
    assert "test/error" in ended.out
    for name in ("config.yaml", "overrides.yaml", "metrics.csv", "run.log", "checkpoints/last.ckpt"):
        assert (directory / name).exists(), name
    assert list(directory.glob("events.*"))
    assert yaml.safe_load((directory / "config.yaml").read_text())["seed"] == 3


def test_the_recorded_command_repeats_the_run(demo: Demo, tmp_path: Path) -> None:
    demo("experiment=fast", "seed=5", "model.rate=0.2", "device=cpu")
    first = read_result(run_directory() / "results.json")
    ended = demo(*shlex.split(first.command)[1:], "hydra.run.dir=again")
    assert ended.code == 0, ended.err
    assert read_result(tmp_path / "again" / "results.json").metrics == first.metrics


@pytest.mark.parametrize(
    ("argv", "parts"),
    [
        (["experiment=fst"], ["experiment=fst", "did you mean fast?", "slow"]),
        (["model=huge"], ["model=huge", "large, small"]),
        (["modle.dim=3"], ["'modle.dim'", "did you mean model.dim?"]),
        (["dim=3"], ["'dim'", "did you mean model.dim?"]),
        (["expriment=fast"], ["'expriment'", "did you mean experiment?"]),
        (["model.dmi=3"], ["'model.dmi'", "did you mean model.dim?", "model.rate"]),
        (["seed=abc"], ["seed=abc", "Integer"]),
        (["model.rate=fast"], ["model.rate=fast", "Float"]),
        (["seed=-1"], ["seed=-1", "between 0 and"]),
        (["threads=0"], ["threads=0", "1 or more"]),
        (["model.dim=[1"], ["model.dim=[1"]),
        (["fast"], ["'fast'", "key=value", "did you mean experiment=fast?"]),
        (["task=tran"], ["task=tran", "did you mean train?", "end"]),
        (["--sed", "3"], ["--sed", "key=value"]),
        (["--experimental-rerun", "x.pickle"], ["pickle", "resume="]),
        (["task=end", "how=input"], ["the sky is not blue; give a blue one"]),
        (["task=end", "how=missing"], ["nowhere.txt", "No such file"]),
        (["resume=nowhere"], ["resume=nowhere", "no such directory"]),
        (["resume=."], ["resume=.", "no overrides.yaml", "hydra.run.dir=."]),
        (["-m", "resume=nowhere"], ["-m"]),
        (["device=tpu"], ["device='tpu'", "cuda"]),
        (["device=cuda:99"], ["cuda:99"]),
        (["precision=fp12"], ["precision=fp12: task=train computes in fp32 or bf16"]),
        (["task=end", "checkpoint=runs/1"], ["checkpoint=runs/1: task=end reads none"]),
        (["task=end", "device=cuda"], ["device=cuda: task=end computes on the CPU"]),
        (["task=end", "precision=bf16"], ["precision=bf16: task=end has a precision of its own"]),
    ],
)
def test_wrong_input_is_one_message_and_status_2(demo: Demo, argv: list[str], parts: list[str]) -> None:
    ended = demo(*argv)
    assert ended.code == 2
    for part in parts:
        assert part in ended.err
    assert ended.err.count("error demo-app: ") == 1
    assert "Traceback" not in ended.err
    assert ended.out == ""
    assert not list(Path("runs").rglob("results.json"))


def test_a_bug_shows_its_traceback_and_exits_with_1(demo: Demo) -> None:
    ended = demo("task=end", "how=bug")
    assert ended.code == 1
    assert "Traceback" in ended.err
    assert "ZeroDivisionError: our own fault" in ended.err
    assert "ZeroDivisionError" in (run_directory() / "run.log").read_text()


def test_the_traceback_of_a_user_error_can_be_asked_for(demo: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OFFPRINTS_TRACEBACK", "1")
    ended = demo("task=end", "how=input")
    assert ended.code == 2
    assert "Traceback" in ended.err


def test_a_full_disk_is_a_user_error_and_a_broken_pipe_is_not() -> None:
    full = OSError(errno.ENOSPC, "No space left on device", "runs/x")
    assert "runs/x: No space left" in (message_for(full, "demo_app", RunConfig) or "")
    there = FileExistsError(errno.EEXIST, "File exists", "out")
    assert message_for(there, "demo_app", RunConfig) == "out is a file where a folder should be"
    assert message_for(OSError(errno.EPIPE, "Broken pipe"), "demo_app", RunConfig) is None
    assert message_for(ValueError("ours"), "demo_app", RunConfig) is None


def test_sigterm_exits_with_130_and_names_the_way_on(demo: Demo) -> None:
    ended = demo("task=end", "how=signal")
    assert ended.code == 130
    assert f"demo-app resume={run_directory()}" in ended.err
    assert not (run_directory() / "results.json").exists()
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_ctrl_c_and_resume_give_the_numbers_of_an_unbroken_run(demo: Demo, tmp_path: Path) -> None:
    options = ["steps=9", "seed=4", "device=cpu", "precision=fp32"]
    assert demo(*options, "hydra.run.dir=unbroken").code == 0
    ended = demo(*options, "hydra.run.dir=broken", "interrupt_at=5")
    assert ended.code == 130
    assert [row["step"] for row in read_metrics("broken/metrics.csv")[1]] == ["1", "2", "3", "4", "5"]
    ended = demo("resume=broken", "interrupt_at=0")
    assert ended.code == 0, ended.err
    assert "resumed after step 5" in Path("broken/run.log").read_text()
    ours, right = (read_result(f"{name}/results.json") for name in ("broken", "unbroken"))
    assert ours.metrics == right.metrics
    assert ours.seed == 4
    assert ours.command == "demo-app steps=9 seed=4 device=cpu precision=fp32 interrupt_at=0"
    for mine, theirs in zip(
        read_metrics("broken/metrics.csv")[1], read_metrics("unbroken/metrics.csv")[1], strict=True
    ):
        assert {**mine, "seconds": ""} == {**theirs, "seconds": ""}


def test_resume_replaces_stored_options_by_new_ones(demo: Demo) -> None:
    assert demo("task=end", "model=large", "seed=2", "hydra.run.dir='it has = signs'").code == 0
    ended = demo("resume='it has = signs'", "model=small", "steps=7")
    assert ended.code == 0, ended.err
    record = read_result("it has = signs/results.json")
    assert (record.config["model"]["dim"], record.config["steps"], record.seed) == (8, 7, 2)
    assert yaml.safe_load(Path("it has = signs/overrides.yaml").read_text()) == [
        *("task=end", "seed=2", "model=small", "steps=7")
    ]


def test_a_directory_with_a_run_is_not_overwritten(demo: Demo) -> None:
    assert demo("task=end", "hydra.run.dir=here", "seed=1").code == 0
    before = Path("here/results.json").read_text()
    ended = demo("task=end", "hydra.run.dir=here", "seed=2")
    assert ended.code == 2
    assert "resume=" in ended.err
    assert Path("here/results.json").read_text() == before


def test_runs_of_a_sweep_lie_in_one_directory_and_repeat_alone(demo: Demo) -> None:
    assert demo("-m", "task=end", "seed=1,2", "experiment=fast,slow").code == 0
    (sweep,) = Path("runs/sweep").iterdir()
    names = [path.name for path in sorted(sweep.iterdir()) if path.is_dir()]
    assert names == ["0-end-fast-1", "1-end-slow-1", "2-end-fast-2", "3-end-slow-2"]
    assert [record.command for record in read_results("runs")][
        1
    ] == "demo-app task=end seed=1 experiment=slow"


def test_a_sweep_goes_on_after_a_run_that_failed(demo: Demo) -> None:
    ended = demo("-m", "task=end", "how=input,well")
    assert ended.code == 2
    assert ended.err.count("the sky is not blue") == 1
    assert [record.config["how"] for record in read_results("runs")] == ["well"]


def test_help_tells_of_tasks_experiments_and_options(demo: Demo) -> None:
    ended = demo("--help")
    assert ended.code == 0
    lines = [" ".join(line.split()) for line in ended.out.splitlines()]
    assert "train Fit a line, saving a checkpoint after every step" in lines
    assert "fast Table 1, row 2: fast" in lines
    assert "model= large, small" in lines
    assert "seed=0 of every random number" in lines
    assert "model.rate=0.05 learning rate" in lines
    assert not Path("runs").exists()


def test_hydras_own_ways_of_looking_still_work(demo: Demo) -> None:
    ended = demo("--cfg", "job", "seed=8")
    assert ended.code == 0
    assert yaml.safe_load(ended.out)["seed"] == 8
    assert demo("--version").out == "demo-app 9.9\n"


def test_undefined_metrics_are_null_in_the_file(demo: Demo) -> None:
    assert demo("task=end").code == 0
    assert json.loads((run_directory() / "results.json").read_text())["metrics"]["test/undefined"] is None


def test_python_m_runs_without_torch() -> None:
    program = [
        "import runpy, sys; sys.argv = ['demo_app', '--cfg', 'job']; runpy.run_module('demo_app', run_name='__main__');",
        "sys.exit(f'loaded: {sorted(heavy)}' if (heavy := {'torch', 'pandas', 'matplotlib'} & set(sys.modules)) else 0)",
    ]
    done = subprocess.run(
        [sys.executable, "-c", " ".join(program)],
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "model:" in done.stdout


def test_only_rank_0_writes(demo: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    ended = demo("task=end")
    assert ended.code == 0, ended.err
    assert [path for path in Path("runs").rglob("*") if path.is_file()] == []


def test_processes_of_torchrun_share_one_default_directory(
    demo: Demo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    first = run_directories("demo_app", "demo-app", [], None)
    time.sleep(0.01)
    assert run_directories("demo_app", "demo-app", [], None) == first
    monkeypatch.setenv("WORLD_SIZE", "1")
    alone = run_directories("demo_app", "demo-app", [], None)
    time.sleep(0.01)
    assert run_directories("demo_app", "demo-app", [], None) != alone


@pytest.mark.parametrize(
    ("checkpoint", "subject"),
    [
        ("runs/train-umls/2026-11-26_08-00-00.000-1", "umls"),
        ("runs/train-nl27k_rect/x", "nl27k_rect"),
        ("mine", "mine"),
    ],
)
def test_a_run_on_a_checkpoint_is_named_after_what_was_trained(checkpoint: str, subject: str) -> None:
    (run,) = [
        option
        for option in run_directories("demo_app", "demo-app", [f"checkpoint={checkpoint}"], None)
        if option.startswith("hydra.run.dir=")
    ]
    assert f"/${{task}}-{subject}/" in run


def test_an_interrupt_waits_for_the_end_of_the_update() -> None:
    interrupts = Interrupts()
    reached = []
    with interrupts.listening(), pytest.raises(KeyboardInterrupt):  # noqa: PT012
        with interrupts.held():
            os.kill(os.getpid(), signal.SIGTERM)
            reached.append("end of the update")
        reached.append("after the update")
    assert reached == ["end of the update"]
    assert interrupts.requested


def test_a_second_signal_does_not_disturb_the_saving_of_the_first() -> None:
    interrupts = Interrupts()
    saved = False
    with interrupts.listening():
        try:
            os.kill(os.getpid(), signal.SIGINT)
        except KeyboardInterrupt:
            os.kill(os.getpid(), signal.SIGTERM)  # torchrun passes on what the terminal has sent already
            os.kill(os.getpid(), signal.SIGINT)
            saved = True
    assert saved


def test_the_commit_is_that_of_the_checkout_which_tracks_the_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "tracked_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    git = ["git", "-C", str(tmp_path), "-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run([*git, "init", "-q"], check=True)
    assert commit("tracked_package", "tracked-package") is None
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "one"], check=True)
    found = commit("tracked_package", "tracked-package")
    assert found is not None
    assert len(found) == 40
    (package / "__init__.py").write_text("changed = True")
    assert commit("tracked_package", "tracked-package") == f"{found}-dirty"


def test_several_data_sets_are_recorded_together(tmp_path: Path) -> None:
    run = Run(tmp_path, RunConfig())
    assert run.dataset_record is None
    run.dataset("a", {"train.txt": "1"})
    run.dataset("b", {"train.txt": "2"})
    assert run.dataset_record is not None
    assert (run.dataset_record.name, run.dataset_record.sha256) == (
        "a+b",
        {"a/train.txt": "1", "b/train.txt": "2"},
    )


def test_a_figure_says_what_it_shows(tmp_path: Path) -> None:
    from matplotlib.figure import Figure
    from PIL import Image

    with Run(tmp_path, RunConfig()) as run, Image.open(run.figure("curve", Figure(), "Loss by β")) as drawn:
        assert drawn.info["Description"] == "Loss by β"


def test_a_figure_that_cannot_be_written_to_its_end_leaves_the_earlier_one(tmp_path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure()

    class Half(type(figure)):  # type: ignore[misc]
        def savefig(self, target: Path | BinaryIO, **options: object) -> None:
            file = target.open("wb") if isinstance(target, Path) else target
            file.write(whole[: len(whole) // 2])
            file.flush()
            raise KeyboardInterrupt

    with Run(tmp_path, RunConfig()) as run:
        path = run.figure("curve", figure, "Loss")
        whole = path.read_bytes()
        with pytest.raises(KeyboardInterrupt):
            run.figure("curve", Half(), "Loss")
    assert path.read_bytes() == whole
    assert [found.name for found in path.parent.iterdir()] == ["curve.png"]


def test_a_task_that_is_not_there_computes_nowhere() -> None:
    with pytest.raises(ValueError, match="elsewhere"):
        command("demo_app", RunConfig, {}, "", on_device=["elsewhere"])
