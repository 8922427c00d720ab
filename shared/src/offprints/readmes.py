"""What a README and --help show, for the tests that hold a package to it: Python run as it stands, command lines read as a shell does.

shown = run_python(README, tmp_path)  # the names that the blocks leave, to be looked at
check_command_lines(README, main)  # raises InputError as the command line would say it
    assert not unexplained(main)
"""

from __future__ import annotations

import contextlib
import io
import itertools
import re
import runpy
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from offprints import usage
from offprints.app import Command


def run_python(readme: Path, folder: Path, extra: str = "") -> dict[str, Any]:
    """Run the Python blocks of a README, one after the other in one namespace, as they stand.

    Args:
        readme: the file; a traceback names its lines.
        folder: where they run; a new one, so that nothing lies there that a reader does not have.
        extra: of the package, for the blocks that need it; they begin with ```python and its name.

    Returns:
        The names that they leave.
    """
    text = readme.read_text(encoding="utf-8")
    program, line = "", 0
    for block in re.finditer(rf"```python{extra and ' ' + extra}\n(.*?)```", text, re.DOTALL):
        program += "\n" * (text.count("\n", 0, block.start(1)) - line) + block.group(1)
        line = program.count("\n")
    pasted = folder / "README.py"
    pasted.write_text(program, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()):
        patch.chdir(folder)
        return runpy.run_path(str(pasted))


def check_command_lines(readme: Path, main: Command[Any]) -> int:
    """Compose the config of every run that a README's command lines start, as the command line would.

    Args:
        readme: the file.
        main: the package's script.

    Returns:
        How many runs there are.

    Raises:
        InputError: an option, a choice, a task or a value in the README is wrong.
    """
    runs = [options for words in command_lines(readme, main) for options in alternatives(words)]
    for options in runs:
        main.compose(options)
    return len(runs)


def unexplained(main: Command[Any]) -> list[str]:
    """The tasks, experiments and options of which --help shows the name and no word more.

    Args:
        main: the script.
    """
    main.compose([])  # makes the options known to Hydra
    sections = usage.sections(main.package, main.config, main.tasks)
    return [name for rows in sections.values() for name, meaning in rows.items() if not meaning]


def command_lines(readme: Path, main: Command[Any]) -> list[list[str]]:
    """The options of every command line of a package's script in a README, and of `-m package` under torchrun.

    Args:
        readme: the file; a line of code is indented, or in a block of `console`, or between backticks in the text.
        main: the script.
    """
    text = readme.read_text(encoding="utf-8").replace("\\\n", " ")
    without_python = re.sub(r"```(?:python|yaml).*?```", "", text, flags=re.DOTALL)
    lines = re.findall(r"^(?: {4}|\$ )(\S.*)$", without_python, re.MULTILINE)
    inline = re.findall(r"`([^`\n]+)`", without_python)
    found = []
    for line in [*lines, *inline]:
        words = _words(line)
        if words and words[0] == main.slug:
            found.append(words[1:])
        elif words and words[0] in ("torchrun", "python") and main.package in words:
            found.append(words[words.index(main.package) + 1 :])
    return found


def alternatives(words: Sequence[str]) -> Iterator[list[str]]:
    """The options of each run that a command line starts: several with `-m`, none with `--help` and the like.

    Args:
        words: of a command line, after the script.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser

    if any(word.startswith("--") for word in words):
        return
    options = [word for word in words if word != "-m"]
    if "-m" not in words:
        yield options
        return
    parsed = OverridesParser.create().parse_overrides(options)
    choices = [
        [f"{item.get_key_element()}={value}" for value in item.sweep_string_iterator()]
        if item.is_sweep_override()
        else [text]
        for item, text in zip(parsed, options, strict=True)
    ]
    yield from map(list, itertools.product(*choices))


def _words(line: str) -> list[str]:
    try:
        words = shlex.split(line.partition("&&")[0], comments=True)
    except ValueError:  # an apostrophe in the text: no command line
        return []
    return [word for word in words if word != "..."]
