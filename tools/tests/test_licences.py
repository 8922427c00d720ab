"""The page of licences has every declared dependency; what a distribution states is read in the order that it is sure of."""

from __future__ import annotations

from email.message import Message
from pathlib import Path

import pytest

from licences import Row, declared_in, licence, page, row, rows_of

ROOT = Path(__file__).parents[2]


def test_every_declared_dependency_is_on_the_page_with_its_licence_and_who_needs_it() -> None:
    rows = rows_of((ROOT / "docs" / "licences.md").read_text(encoding="utf-8"))
    for name, packages in declared_in(ROOT).items():
        assert name in rows, f"{name} is not in docs/licences.md: nox -s licences"
        assert rows[name].licence and rows[name].version
        assert rows[name].needed_by == ", ".join(sorted(packages)), f"{name}: nox -s licences"
    assert all(found.licence for found in rows.values())


def stated(**fields: str) -> Message:
    found = Message()
    for name, value in fields.items():
        found[name.replace("_", "-")] = value
    return found


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (stated(License_Expression="MIT", License="BSD"), "MIT"),
        (
            stated(Classifier="License :: OSI Approved :: Apache Software License", License="x"),
            "Apache Software License",
        ),
        (stated(Classifier="License :: OSI Approved", License="BSD-3-Clause"), "BSD-3-Clause"),
        (stated(License="Copyright " + "x" * 100), ""),
        (stated(License="UNKNOWN"), ""),
        (stated(), ""),
    ],
)
def test_a_licence_is_what_the_distribution_states(found: Message, expected: str) -> None:
    assert licence(found) == expected  # type: ignore[arg-type]


def test_what_is_not_installed_keeps_the_row_of_the_page() -> None:
    kept = Row("no-such-distribution", "1.0", "MIT", "conve[bench]")
    read = rows_of(page([kept], []))
    assert read == {"no-such-distribution": kept}
    assert row("no-such-distribution", "ukge", read) == Row("no-such-distribution", "1.0", "MIT", "ukge")
    assert row("another-one", "ukge", read).licence == ""
