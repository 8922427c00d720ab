"""What every page has to keep to: the same sections, no number typed by hand, no dead link.

    structure("...")            of a page on a paper
    numbers_by_hand("...")      of any page
    dead_links(path, root)      of a file on disk

Each returns what is wrong, in words that name the place; nothing if all is well.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlparse

SECTIONS = (
    "Claim",
    "Idea",
    "API",
    "Experiments",
    "Results",
    "Implementation",
    "Benchmarks",
    "Limits",
    "How to cite",
)
DEPARTURES = "Where it departs"  # a part of "Implementation"
SENTENCES = 5  # of the idea

CODE_BLOCK = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
CODE = re.compile(CODE_BLOCK.pattern + r"|`[^`]+`", re.MULTILINE | re.DOTALL)
# Not prose: code, what a tool has written between two comments, markers and comments, blocks of mkdocstrings, the targets of links.
NOT_PROSE = re.compile(
    CODE.pattern
    + r"|<!-- (?P<tool>\w+): begin -->.*?<!-- (?P=tool): end -->|\{\{.*?\}\}|<!--.*?-->|^::: [^\n]*\n(?:[ \t]+[^\n]*\n)*|(?<=\])\([^)]*\)",
    re.MULTILINE | re.DOTALL,
)
IDEA = re.compile(r"(?P<text>.+?)\n!\[[^\]]+\]\([^)]+\)\n\nDrawn by `[^`]+`.*", re.DOTALL)
WORD = r"(?:two|three|four|five|six|seven|eight|nine|ten|twenty|thirty|hundred)"
UNIT = r"(?:µs|ms|s|h(?!\^)|seconds?|minutes?|hours?|[kKMGT]B|[GT]FLOP/s|Gbps|kcal/mol|dollars?)\b"
BY_HAND = {
    "a decimal": re.compile(r"(?<![\w.])\d*\.\d+"),
    "a share": re.compile(r"\d\s*(?:%|‰|per cent|percent)"),
    "a large number": re.compile(r"(?<![\w,])\d{1,3}(?:,\d{3})+"),
    "a factor": re.compile(rf"\d\s*×(?!\s*\d)|\b(?:\d|{WORD})\s+times\b"),
    "an amount": re.compile(rf"\$\d|\b(?:\d+|{WORD}(?: and a half)?)\s+(?:CPU |GPU )?{UNIT}"),
}
NAMES = re.compile(r"\b(?:Sections?|Python|arXiv) \d+[\d.]*(?: (?:to|and) \d+[\d.]*)?")

LINK = re.compile(r"!?\[[^\]]*\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)|\b(?:href|src)=\"([^\"]+)\"")
HEADING = re.compile(r"^#{1,6} +(.+?)(?: +\{ *#([\w-]+) *\})? *#*$", re.MULTILINE)


def structure(markdown: str) -> list[str]:
    """What a page on a paper lacks of the structure that all have."""
    plain = _blank(CODE_BLOCK, markdown)
    problems = []
    if len(re.findall(r"^# ", plain, re.MULTILINE)) != 1:
        problems.append("it has to have one title")
    found = tuple(re.findall(r"^## (.+)$", plain, re.MULTILINE))
    if found != SECTIONS:
        return [*problems, f"its sections are {', '.join(found)}, and have to be {', '.join(SECTIONS)}"]
    parts = section_texts(markdown)
    problems += [f"{name} is empty" for name, text in parts.items() if not text.strip()]
    if f"\n### {DEPARTURES}\n" not in parts["Implementation"]:
        problems.append(f"Implementation has no part {DEPARTURES!r}")
    idea = IDEA.fullmatch(parts["Idea"])
    if idea is None:
        return [
            *problems,
            "Idea has to be text, one figure, and a line below it that begins with: Drawn by `COMMAND`",
        ]
    count = len(re.findall(r"[.!?](?=\s|$)", _blank(NOT_PROSE, idea["text"]).strip()))
    if count != SENTENCES:
        problems.append(f"Idea has {count} sentences, and has to have {SENTENCES}")
    return problems


def section_texts(markdown: str) -> dict[str, str]:
    """The text below each heading of the second level."""
    plain = _blank(CODE_BLOCK, markdown)  # of the same length, so that places are the same
    heads = list(re.finditer(r"^## (.+)$", plain, re.MULTILINE))
    ends = [head.start() for head in heads[1:]] + [len(markdown)]
    return {head[1]: markdown[head.end() : end] for head, end in zip(heads, ends, strict=True)}


def numbers_by_hand(markdown: str) -> list[str]:
    """Numbers in prose and tables that no marker stands for; code font is for what was set and not measured."""
    prose = _blank(NAMES, _blank(NOT_PROSE, _without_indented_code(markdown)))
    lines = markdown.splitlines()
    problems = []
    for kind, pattern in BY_HAND.items():
        for match in pattern.finditer(prose):
            number = prose.count("\n", 0, match.start())
            problems.append(f"line {number + 1}: {kind}, {match.group()!r}, in: {lines[number].strip()}")
    return problems


def dead_links(path: Path, root: Path) -> list[str]:
    """Links of a page to files, figures and headings that there are not, and addresses that are none."""
    markdown = path.read_text(encoding="utf-8")
    problems = []
    for link in links(markdown):
        if urlparse(link).scheme:
            address = urlparse(link)
            if address.scheme not in ("https", "http", "mailto") or not re.fullmatch(
                r"[\w.:@-]+\.[\w/:.-]+", address.netloc or address.path
            ):
                problems.append(f"{link} is no address")
            continue
        file, _, anchor = unquote(link).partition("#")
        target = (path.parent / file).resolve() if file else path
        if not target.is_relative_to(root.resolve()) or not target.exists():
            problems.append(f"{link}: there is no such file")
        elif anchor and anchor not in anchors(target.read_text(encoding="utf-8")):
            problems.append(f"{link}: there is no such heading")
    return problems


def links(markdown: str) -> Iterator[str]:
    """Where the links and images of a page point to."""
    for match in LINK.finditer(_blank(CODE, markdown)):
        yield match[1] or match[2]


def anchors(markdown: str) -> set[str]:
    """The names by which headings are linked to, as the site and GitHub make them."""
    names: set[str] = set()
    for title, name in HEADING.findall(_blank(CODE_BLOCK, markdown)):
        slug = re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", title.lower()).strip())
        names.add(name or slug)
    return names


def _without_indented_code(text: str) -> str:
    """The text without its paragraphs of indented code; those that go on with an item of a list are none."""
    kept, in_list = [], False
    for paragraph in re.split(r"(\n{2,})", text):
        if paragraph.strip() and not paragraph.startswith(" "):
            in_list = re.match(r"[-*] |\d+\. ", paragraph) is not None
        code = paragraph.startswith("    ") and not in_list
        kept.append(re.sub(r"[^\n]", " ", paragraph) if code else paragraph)
    return "".join(kept)


def _blank(pattern: re.Pattern[str], text: str) -> str:
    """The text with spaces in the place of what a pattern finds, so that every other character keeps its place."""
    return pattern.sub(lambda match: re.sub(r"[^\n]", " ", match.group()), text)
