"""Start a package: python tools/new_package.py <slug> "<title of the paper>".

Copies tools/skeleton to packages/<slug>, with its page to docs/papers/<slug>.md. What comes out passes every job at once; the
paper's method then takes the place of the skeleton's one small task.
"""

from __future__ import annotations

import argparse
import keyword
import re
import sys
from pathlib import Path

SKELETON = Path(__file__).parent / "skeleton"
PAGE = "docs_page.md"


def new_package(root: Path, slug: str, title: str) -> list[Path]:
    """Write a package and its page.

    Args:
        root: of the repository.
        slug: name of the folder and of the console script; lower case, words joined by dashes.
        title: of the paper.

    Returns:
        The files written.

    Raises:
        ValueError: slug or title cannot be used, or something of that name is there; nothing is written.
    """
    name = slug.replace("-", "_")
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", slug):
        raise ValueError(
            f"slug {slug!r}: lower case letters and digits, words joined by single dashes, such as ke-gcn"
        )
    if keyword.iskeyword(name) or name in sys.stdlib_module_names or name in ("offprints", "shared"):
        raise ValueError(f"slug {slug!r}: Python or this repository has a module {name} already")
    if not title.strip() or re.search(r'["\\\n]', title):
        raise ValueError(f"title {title!r}: one line without double quotes and backslashes")
    package, page = root / "packages" / slug, root / "docs" / "papers" / f"{slug}.md"
    for path in (package, page):
        if path.exists():
            raise ValueError(f"{path.relative_to(root)} exists already")

    words = {"__slug__": slug, "__import_name__": name, "__title__": title.strip()}
    written = []
    for source in sorted(
        path for path in SKELETON.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    ):
        target = package / _filled(str(source.relative_to(SKELETON)), words) if source.name != PAGE else page
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.suffix == ".png":
            target.write_bytes(source.read_bytes())
        else:
            target.write_text(_filled(source.read_text(encoding="utf-8"), words), encoding="utf-8")
        written.append(target)
    return written


def _filled(text: str, words: dict[str, str]) -> str:
    for word, value in words.items():
        text = text.replace(word, value)
    return text


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog='nox -s new -- <slug> "<title>"', description="Start a package.")
    parser.add_argument("slug", help="such as ke-gcn")
    parser.add_argument("title", help="title of the paper")
    given = parser.parse_args()
    try:
        files = new_package(Path(__file__).parents[1], given.slug, given.title)
    except ValueError as error:
        sys.exit(f"error: {error}")
    for file in files:
        sys.stdout.write(f"{file}\n")
    sys.stdout.write(f'\nnext: nox -s "tests({given.slug})", then docs/add-a-paper.md\n')
