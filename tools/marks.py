"""What a tool writes into a page that people write: the text between two comments."""

from __future__ import annotations


def between(page: str, name: str, text: str) -> str:
    """The page with a text in the place of what stood between `<!-- NAME: begin -->` and `<!-- NAME: end -->`.

    Raises:
        SystemExit: the page has no such place.
    """
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, first, rest = page.partition(begin)
    _, last, after = rest.partition(end)
    if not first or not last:
        raise SystemExit(f"the page lacks {begin} or {end}")
    return f"{before}{begin}\n\n{text.strip()}\n\n{end}{after}"
