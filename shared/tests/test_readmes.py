"""A README is held to the package: its Python runs, its command lines are read."""

from __future__ import annotations

from pathlib import Path

import pytest

from offprints.app import Command
from offprints.errors import InputError
from offprints.readmes import alternatives, check_command_lines, command_lines, run_python, unexplained

README = """
# A package

    pip install offprints-demo-app
    demo-app                         # the main job
    demo-app steps=3 resume=null \\
        seed=2
    demo-app -m experiment=fast seed=1,2    # a sweep
    torchrun --nproc-per-node 2 -m demo_app steps=4 ...

`demo-app --help` lists what isn't here; `demo-app task=train` is the main job.

```console
$ demo-app model.dim=5    # with a sign
```

```yaml
demo-app: value=no-option
```

```python
from pathlib import Path

numbers = [1, 2]
```

Between the blocks.

```python
total = sum(numbers)
Path("written").write_text("here")
```

```python gpu
from offprints import no_such_module
```
"""


@pytest.fixture
def readme(tmp_path: Path) -> Path:
    path = tmp_path / "README.md"
    path.write_text(README)
    return path


@pytest.fixture
def main() -> Command:
    from demo_app.cli import main

    return main


def test_blocks_run_as_one_program_in_the_folder(readme: Path, tmp_path: Path) -> None:
    folder = tmp_path / "new"
    folder.mkdir()
    assert run_python(readme, folder)["total"] == 3
    assert (folder / "written").read_text() == "here"


def test_a_block_that_needs_an_extra_runs_only_when_asked_for(readme: Path, tmp_path: Path) -> None:
    with pytest.raises(ImportError, match="no_such_module"):
        run_python(readme, tmp_path, "gpu")


def test_an_error_names_the_line_of_the_readme(readme: Path, tmp_path: Path) -> None:
    readme.write_text(README.replace("total = sum(numbers)", "total = sum(nombers)"))
    line = 1 + readme.read_text().splitlines().index("total = sum(nombers)")
    with pytest.raises(NameError) as raised:
        run_python(readme, tmp_path)
    assert raised.traceback[-1].lineno + 1 == line


def test_command_lines_are_read_as_a_shell_reads_them(readme: Path, main: Command) -> None:
    assert command_lines(readme, main) == [
        [],
        ["steps=3", "resume=null", "seed=2"],
        ["-m", "experiment=fast", "seed=1,2"],
        ["steps=4"],
        ["model.dim=5"],
        ["--help"],
        ["task=train"],
    ]


def test_a_sweep_is_each_of_its_runs_and_help_is_none() -> None:
    words = ["-m", "experiment=a,b", "seed=1,2", "value=3"]
    assert list(alternatives(words)) == [
        [f"experiment={name}", f"seed={seed}", "value=3"] for name in "ab" for seed in (1, 2)
    ]
    assert list(alternatives(["--help"])) == []


def test_every_run_of_every_line_is_composed(readme: Path, main: Command) -> None:
    assert check_command_lines(readme, main) == 7  # two of the sweep, none of --help
    config = main.compose(["experiment=fast", "model.dim=5"])
    assert (config.model.dim, config.task) == (5, "train")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("model.dmi=5", "did you mean model.dim"),
        ("model.x=5", r"did you mean model\.(dim|rate)\?"),  # and not `model`, which has no x either
        ("steps=many", "could not be converted"),
        ("experiment=fats", "did you mean fast"),
        ("task=trian", "did you mean train"),
        ("steps", "key=value"),
    ],
)
def test_a_line_that_the_command_line_would_refuse_is_refused(
    readme: Path, main: Command, line: str, message: str
) -> None:
    readme.write_text(README.replace("model.dim=5", line))
    with pytest.raises(InputError, match=message):
        check_command_lines(readme, main)


def test_an_option_without_a_word_of_help_is_found(main: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    assert unexplained(main) == []
    monkeypatch.setattr(
        main.config, "__doc__", main.config.__doc__.replace("pause: seconds", "paws: seconds")
    )
    assert unexplained(main) == ["pause=0.0"]
