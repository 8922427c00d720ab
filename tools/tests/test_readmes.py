"""Every README shows what was measured beside what the paper reports, and says it as the committed runs do."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from offprints.errors import InputError
from offprints.paper import Paper

from readmes import filled, main

ROOT = Path(__file__).parents[2]
PACKAGES = sorted(path.parent for path in ROOT.glob("packages/*/paper.toml"))
each = pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)


@each
def test_a_readme_says_what_the_committed_runs_say(package: Path) -> None:
    assert Paper.read(package / "paper.toml").shown
    assert filled(package) == (package / "README.md").read_text(encoding="utf-8"), "python tools/readmes.py"


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    """A copy of what a README of the repository is made of."""
    package = tmp_path / "packages/conve"
    for name in ("results/umls", "results/survey", "src/conve/conf/experiment"):
        shutil.copytree(ROOT / "packages/conve" / name, package / name)
    text = (ROOT / "packages/conve/paper.toml").read_text(encoding="utf-8")
    shown = 'shown = ["umls test/mrr", "survey umls/leaked"]\n'
    rows = re.compile(r"^shown = \[.*?\]\n", re.MULTILINE | re.DOTALL)
    (package / "paper.toml").write_text(rows.sub(shown, text, count=1), encoding="utf-8")
    (package / "README.md").write_text(
        "A\n\n<!-- measured: begin -->\n\nold\n\n<!-- measured: end -->\n\nB\n"
    )
    return package


def test_a_row_has_the_papers_value_and_the_mean_over_seeds(ours: Path) -> None:
    text = filled(ours)
    assert text.startswith("A\n") and text.endswith("\nB\n") and "old" not in text
    assert (
        "| ConvE, UMLS | `test/mrr` | 0.940 | 0.941 ± 0.0012 (n=3) | `conve -m experiment=umls seed=1,2,3` |\n"
        in text
    )


def test_a_row_that_was_not_measured_is_an_error(ours: Path) -> None:
    text = (ours / "paper.toml").read_text(encoding="utf-8")
    (ours / "paper.toml").write_text(text.replace("umls test/mrr", "umls test/nothing"), encoding="utf-8")
    with pytest.raises(InputError, match="no committed run of umls reports 'test/nothing'"):
        filled(ours)


def test_what_is_written_stays_as_it_is(ours: Path) -> None:
    main(ours.parents[1])
    once = (ours / "README.md").read_text(encoding="utf-8")
    assert "0.941" in once
    main(ours.parents[1])
    assert (ours / "README.md").read_text(encoding="utf-8") == once
