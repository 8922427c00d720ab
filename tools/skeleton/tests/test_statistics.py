"""What the counts of a graph are."""

from __future__ import annotations

import pytest

from offprints import cldr
from offprints.triples import Triples

from __import_name__ import GraphStatistics, graph_statistics
from __import_name__.statistics import degrees


def test_a_triangle_has_degree_two_everywhere() -> None:
    triangle = Triples.of([0, 1, 2], [0, 0, 0], [1, 2, 0])
    assert graph_statistics(triangle) == GraphStatistics(3, 3, 2.0, 2)


def test_the_middle_of_a_star_has_the_largest_degree() -> None:
    star = Triples.of([7, 7, 7, 7], [0, 1, 0, 1], [1, 2, 3, 4])
    assert graph_statistics(star) == GraphStatistics(5, 4, 8 / 5, 4)


def test_every_triple_counts_for_two_entities() -> None:
    found = graph_statistics(cldr.knowledge_graph().all_triples)
    assert found.mean_degree * found.entities == pytest.approx(2 * found.triples)


def test_an_entity_that_is_head_and_tail_counts_both_times() -> None:
    assert degrees(Triples.of([0, 0], [0, 1], [1, 0])).tolist() == [3, 1]


def test_an_empty_graph_is_refused() -> None:
    with pytest.raises(ValueError, match="without triples"):
        graph_statistics(Triples.of([], [], []))
