"""Where a paper is, and how to cite it and its package, as BibTeX: from paper.toml, CITATION.cff and the package's version."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import yaml

from offprints.paper import Paper

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

JOURNALS = ("TACL",)


def citation(root: Path, slug: str) -> str:
    """A link to the paper, and both entries in a block of code.

    Args:
        root: of the repository.
        slug: of the package.

    Raises:
        ValueError: there is no such package.
        InputError: its paper.toml is wrong.
    """
    folder = root / "packages" / slug
    if not (folder / "pyproject.toml").exists():
        raise ValueError(f"<!-- cite: {slug} -->: there is no package {slug!r}")
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    ours = yaml.safe_load((root / "CITATION.cff").read_text(encoding="utf-8"))
    paper = Paper.read(folder / "paper.toml")
    link = f"[arXiv:{paper.arxiv}](https://arxiv.org/abs/{paper.arxiv})\n\n" if paper.arxiv else ""
    entries = (of_paper(paper), of_software(ours, slug, project["version"]))
    return link + "```bibtex\n" + "\n\n".join(entries) + "\n```\n"


def of_paper(paper: Paper) -> str:
    """The entry of a paper."""
    kind, where = "inproceedings", "booktitle"
    if paper.venue.startswith(JOURNALS):
        kind, where = "article", "journal"
    elif paper.venue.startswith("arXiv"):
        kind, where = "misc", "howpublished"
    fields = {
        "title": f"{{{paper.title}}}",
        "author": " and ".join(paper.authors),
        where: paper.venue,
        "year": str(paper.year),
    }
    if paper.arxiv:
        fields |= {"eprint": paper.arxiv, "archiveprefix": "arXiv"}
    family = re.sub(r"\W", "", paper.authors[0].split()[-1]).lower()
    return _entry(kind, f"{family}{paper.year}{paper.slug.replace('-', '')}", fields)


def of_software(ours: dict, slug: str, version: str) -> str:
    """The entry of a package, by the repository's CITATION.cff."""
    fields = {
        "title": f"{{{ours['title']}}}",
        "author": " and ".join(f"{{{author['name']}}}" for author in ours["authors"]),
        "note": f"package offprints-{slug}, version {version}",
    }
    return _entry("software", f"offprints-{slug}", fields)


def _entry(kind: str, key: str, fields: dict[str, str]) -> str:
    lines = [f"  {name} = {{{text}}}," for name, text in fields.items()]
    return "\n".join([f"@{kind}{{{key},", *lines, "}"])
