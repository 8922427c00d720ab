"""The pages keep to one structure, quote no number by hand and link to nothing that is not there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image

from offprints.paper import Paper

from new_package import new_package
from pages import SECTIONS, anchors, dead_links, numbers_by_hand, section_texts, structure

ROOT = Path(__file__).parents[2]
PAPERS = sorted(ROOT.glob("docs/papers/*.md"))
READMES = [ROOT / "README.md", ROOT / "shared/README.md", *sorted(ROOT.glob("packages/*/README.md"))]
MADE = {"licences.md"}  # by a tool as a whole
PAGES = [
    *(path for path in sorted(ROOT.glob("docs/**/*.md")) if path.name not in MADE),
    *READMES,
    ROOT / "CONTRIBUTING.md",
]

PAGE = "# T\n\n" + "".join(f"## {name}\n\nText.\n\n" for name in SECTIONS).replace(
    "## Idea\n\nText.", "## Idea\n\nA. B. C? D. E.\n\n![e](f.png)\n\nDrawn by `one`."
).replace("## Implementation\n\nText.", "## Implementation\n\n### Where it departs\n\nText.")


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", PAPERS, ids=named)
def test_pages_on_papers_are_alike(path: Path) -> None:
    assert structure(path.read_text()) == []


@pytest.mark.parametrize("path", PAPERS, ids=named)
def test_title_and_claim_of_a_page_are_those_of_paper_toml(path: Path) -> None:
    paper = Paper.read(ROOT / f"packages/{path.stem}/paper.toml")
    text = path.read_text()
    assert text.startswith(f"# {paper.title}\n")
    claim = section_texts(text)["Claim"].strip().split("\n\n")[0]
    assert " ".join(claim.split()) == paper.claim


@pytest.mark.parametrize("path", PAPERS, ids=named)
def test_the_figure_of_a_page_is_that_of_paper_toml(path: Path) -> None:
    paper = Paper.read(ROOT / f"packages/{path.stem}/paper.toml")
    assert f"](../../packages/{path.stem}/{paper.figure})\n" in section_texts(path.read_text())["Idea"]


@pytest.mark.parametrize("path", sorted(ROOT.glob("packages/*/figures/*.png")), ids=named)
def test_a_committed_figure_stands_on_the_page_with_its_caption(path: Path) -> None:
    with Image.open(path) as drawn:
        caption = drawn.info["Description"]
    page = (ROOT / f"docs/papers/{path.parents[1].name}.md").read_text()
    assert f"![{caption}](../../{named(path)})" in page


@pytest.mark.parametrize("path", PAPERS, ids=named)
def test_a_page_says_what_stands_in_every_file(path: Path) -> None:
    source = ROOT / f"packages/{path.stem}/src/{path.stem.replace('-', '_')}"
    files = {str(file.relative_to(source)) for file in source.rglob("*.py") if not file.name.startswith("_")}
    table = section_texts(path.read_text())["Implementation"]
    named_there = set(re.findall(r"`([\w/]+\.py)`", table))
    assert files <= named_there, f"no word on {sorted(files - named_there)}"
    assert named_there <= files, f"there is no {sorted(named_there - files)}"


def test_the_readme_of_shared_names_every_module() -> None:
    modules = {path.stem for path in ROOT.glob("shared/src/offprints/*.py")} - {"__init__"}
    assert set(re.findall(r"`offprints\.(\w+)`", (ROOT / "shared/README.md").read_text())) == modules


@pytest.mark.parametrize("path", PAGES, ids=named)
def test_no_number_is_typed_by_hand(path: Path) -> None:
    assert numbers_by_hand(path.read_text()) == []


@pytest.mark.parametrize("path", PAGES, ids=named)
def test_no_link_is_dead(path: Path) -> None:
    assert dead_links(path, ROOT) == []


def test_every_package_has_a_page() -> None:
    slugs = [path.parent.name for path in sorted(ROOT.glob("packages/*/pyproject.toml"))]
    assert [path.stem for path in PAPERS] == slugs


def test_a_new_package_keeps_to_all_of_this(tmp_path: Path) -> None:
    files = new_package(tmp_path, "relational-rl", "Relational Deep Reinforcement Learning")
    page = tmp_path / "docs/papers/relational-rl.md"
    assert page in files
    paper = Paper.read(tmp_path / "packages/relational-rl/paper.toml")
    assert structure(page.read_text()) == []
    assert section_texts(page.read_text())["Claim"].strip() == paper.claim
    assert (tmp_path / "packages/relational-rl" / paper.figure).is_file()
    for path in (page, tmp_path / "packages/relational-rl/README.md"):
        assert numbers_by_hand(path.read_text()) == []
        assert dead_links(path, tmp_path) == []


def test_a_page_of_this_structure_is_well() -> None:
    assert structure(PAGE) == []


@pytest.mark.parametrize(
    ("what", "instead", "problem"),
    [
        ("## API", "## Interface", "its sections are"),
        ("## Limits\n\nText.\n\n", "", "its sections are"),
        ("# T\n", "T\n", "one title"),
        ("## Results\n\nText.", "## Results\n", "Results is empty"),
        ("### Where it departs", "### Differences", "Where it departs"),
        ("A. B.", "A.", "Idea has 4 sentences"),
        ("![e](f.png)", "", "one figure"),
        ("Drawn by `one`", "Drawn", "one figure"),
    ],
)
def test_a_departure_from_the_structure_is_found(what: str, instead: str, problem: str) -> None:
    assert what in PAGE
    (found,) = structure(PAGE.replace(what, instead))
    assert problem in found


def test_headings_inside_code_are_none() -> None:
    assert structure(PAGE.replace("## API\n\nText.", "## API\n\n```text\n## Not one\n```")) == []


@pytest.mark.parametrize(
    "text",
    [
        "an MRR of .325",
        "an MRR of 0.325 here",
        "| umls | 0.94 |",
        "41 % of them",
        "41% of them",
        "five per 12 per cent",
        "12× faster",
        "ten times faster",
        "it takes 30 seconds",
        "two and a half hours",
        "751 CPU seconds",
        "210 MB of memory",
        "1,096,590 positions",
        "for $0.79 an hour",
        "for $3 an hour",
        "`code`, then 0.5",
        "<!-- slowest: begin -->\n\n| 12 s |\n\n<!-- slowest: end -->\n\nThen 0.5",
        "- an item\n\n    that goes on with 0.5",
        "::: conve\n    options:\n      members: [a]\n\nThen 0.5",
        "```text\ncode\n```\n\nThen 0.5",
        "{{ seeds one umls }} and <!-- table: runs one -->, then 0.5",
    ],
)
def test_a_measured_number_in_prose_is_found(text: str) -> None:
    (found,) = numbers_by_hand(f"Text.\n\n{text}\n")[:1]
    assert found.startswith("line ") and found.endswith(text.splitlines()[-1].strip())


@pytest.mark.parametrize(
    "text",
    [
        "a rate of `0.003`",
        "{{ measured conve umls test/mrr }} and <!-- table: results conve --> it",
        "{{ measured conve\numls test/mrr as=.2f }}",
        "```text\n0.5 of 1,000\n```",
        "To begin:\n\n    one rate=0.5\n    one rate=1.5\n",
        "[the paper](https://arxiv.org/abs/1707.01476)",
        "Sections 3.1 to 3.3 and Python 3.10",
        "three seeds, 28 languages, in 2018, an 8 × 8 room",
        "::: conve\n    options:\n      least: 0.5\n",
        "the entity table is used twice",
    ],
)
def test_what_is_no_measured_number_is_left_alone(text: str) -> None:
    assert numbers_by_hand(text) == []


def test_dead_links_are_found(tmp_path: Path) -> None:
    (tmp_path / "there.md").write_text("# A title, with `code`\n\n## Named {#own}\n")
    page = tmp_path / "page.md"
    page.write_text(
        "[a](there.md) [b](there.md#a-title-with-code) [c](there.md#own) [d](#here) [e](https://arxiv.org/abs/1)\n"
        "`[f](no.md)` [g](gone.md) ![h](gone.png) [i](there.md#gone) [j](#gone) [k](https://) [l](../../etc)\n\n# Here\n"
    )
    found = [problem.split(":")[0].split(" is ")[0] for problem in dead_links(page, tmp_path)]
    assert found == ["gone.md", "gone.png", "there.md#gone", "#gone", "https", "../../etc"]
    assert anchors("# A title, with `code`\n") == {"a-title-with-code"}
