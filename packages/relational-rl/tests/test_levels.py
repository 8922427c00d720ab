"""Levels: the authors' distribution, the files, and that a level is a function of seed, environment and number alone."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, chisquare

from offprints.errors import InputError

from relational_rl import BoxWorldSpec, Levels, load_levels, sample_levels, save_levels
from relational_rl.boxworld.counter import stream_keys
from relational_rl.boxworld.generator import nth_bit
from relational_rl.boxworld.levels import check_levels
from relational_rl.boxworld.places import places
from relational_rl.boxworld.stream import LevelStream, draw_levels

LONG = BoxWorldSpec(branch_length=3)
BACKWARD = BoxWorldSpec(forward=(0,), backward=(0, 1, 2, 3, 4))
TRAIN = BoxWorldSpec(withheld="train")
TEST = BoxWorldSpec(withheld="test", solution_lengths=(2, 3, 4))
SMALL = BoxWorldSpec(size=8, solution_lengths=(1, 2), forward=(0, 1))
EVERY = [
    BoxWorldSpec(),
    LONG,
    BACKWARD,
    TRAIN,
    TEST,
    SMALL,
    BoxWorldSpec(solution_lengths=(8,)),
    BoxWorldSpec(size=20),
]


def same(one: Levels, other: Levels) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(vars(one).values(), vars(other).values(), strict=True))


@pytest.mark.parametrize("spec", EVERY)
def test_every_level_keeps_the_rules_of_a_level(spec: BoxWorldSpec) -> None:
    levels = sample_levels(spec, 600, seed=1, accelerate="numpy")
    check_levels(levels, "drawn")
    assert set(levels.solution_length) == set(spec.solution_lengths)
    assert levels.num_distractor_boxes.max() > 0


@pytest.mark.parametrize("spec", EVERY)
def test_compiled_loops_draw_the_same_levels(spec: BoxWorldSpec) -> None:
    assert same(sample_levels(spec, 300, 5, "numpy"), sample_levels(spec, 300, 5, "numba"))


def path_colours(levels: Levels) -> list[list[int]]:
    """The colours of the solution's keys in their order, followed from box to box."""
    found = []
    for board in levels.objects:
        locks = {int(board[r, c + 1]): int(board[r, c]) for r, c in np.argwhere((board >= 2) & (board < 23))}
        held = next(
            int(board[r, c]) for r, c in np.argwhere((board > 2) & (board < 23)) if board[r, c + 1] < 23
        )
        chain = []
        while held != 2:
            chain.append(held - 3)
            held = locks[held + 20]
        found.append(chain)
    return found


@pytest.mark.parametrize("spec", [BoxWorldSpec(), LONG])
def test_the_solution_is_a_chain_and_distractors_have_other_colours_but_for_their_root(
    spec: BoxWorldSpec,
) -> None:
    levels = sample_levels(spec, 300, 2)
    for board, chain, length in zip(
        levels.objects, path_colours(levels), levels.solution_length, strict=True
    ):
        assert len(chain) == len(set(chain)) == length
        boxes = [(int(board[r, c]), int(board[r, c - 1])) for r, c in np.argwhere(board >= 43)]
        contents = [content - 3 for _, content in boxes]
        assert not set(contents) & set(chain)
        assert all(lock - 43 in chain or lock - 43 in contents for lock, _ in boxes)
        assert all(lock - 43 != content - 3 for lock, content in boxes)


def test_boxes_of_backward_branches_hold_a_key_of_the_solution_behind_a_foreign_lock() -> None:
    levels = sample_levels(BACKWARD, 300, 2)
    for board, chain in zip(levels.objects, path_colours(levels), strict=True):
        for r, c in np.argwhere(board >= 43):
            assert int(board[r, c - 1]) - 3 in chain and int(board[r, c]) - 43 not in chain


def test_withheld_pairs_never_lie_on_a_training_solution_and_always_on_one_of_the_test() -> None:
    table = TRAIN.withheld_table
    assert table.sum() == 12 and not table.diagonal().any() and (table == TEST.withheld_table).all()
    on_path = {}
    for name, spec in (("train", TRAIN), ("test", TEST), ("any", BoxWorldSpec(solution_lengths=(4,)))):
        chains = path_colours(sample_levels(spec, 500, 3))
        on_path[name] = [any(table[a, b] for a, b in itertools.pairwise(chain)) for chain in chains]
    assert not any(on_path["train"])
    assert all(on_path["test"])
    assert 0 < sum(on_path["any"]) < 150


@pytest.mark.real_data
@pytest.mark.parametrize(
    "name, spec", [("branch1", BoxWorldSpec()), ("branch3", LONG), ("backward", BACKWARD)]
)
def test_counts_and_places_follow_the_authors_generator(fixed_levels, name: str, spec: BoxWorldSpec) -> None:
    theirs = load_levels(fixed_levels / f"{name}.npz")
    ours = sample_levels(spec, 4000, seed=11)
    rows = {}
    for whose, levels in (("ours", ours), ("theirs", theirs)):
        contents = (levels.objects >= 2) & (levels.objects < 23)
        rows[whose] = (
            np.bincount(levels.solution_length, minlength=5)[1:],
            np.bincount(levels.num_distractor_boxes // spec.branch_length, minlength=5)[:4],
            contents.sum(axis=(0, 2))[2:12],
            contents.sum(axis=(0, 1))[2:10],
            np.bincount(levels.agent // 14, minlength=14)[2:12],
            np.bincount(levels.agent % 14, minlength=14)[1:12],
        )
    for mine, reference in zip(rows["ours"], rows["theirs"], strict=True):
        assert chi2_contingency(np.stack([mine, reference])).pvalue > 1e-3


@pytest.mark.real_data
def test_ten_boxes_thin_the_branches_as_they_do_for_the_authors(fixed_levels) -> None:
    theirs = load_levels(fixed_levels / "length10.npz").num_distractor_boxes
    ours = sample_levels(BoxWorldSpec(solution_lengths=(10,)), 2000, seed=4).num_distractor_boxes
    counts = np.stack([np.bincount(found, minlength=5) for found in (ours, theirs)])
    assert chi2_contingency(counts).pvalue > 1e-3
    assert (ours == 4).mean() < 0.03  # and not a fifth, as asked for


def test_colours_are_uniform() -> None:
    levels = sample_levels(BoxWorldSpec(), 3000, seed=9)
    loose = [chain[0] for chain in path_colours(levels)]
    assert chisquare(np.bincount(loose, minlength=20)).pvalue > 1e-3


def test_a_level_depends_on_seed_environment_and_number_alone() -> None:
    spec = BoxWorldSpec()
    alone = draw_levels(spec, stream_keys(5, np.array([6, 6, 6])), np.arange(3))
    for count, ahead in ((7, 4), (7, 1), (64, 3)):
        stream = LevelStream(spec, count, ahead=ahead)
        stream.begin(stream_keys(5, np.arange(count)))
        stream.take(np.array([0, 3]))
        stream.take(np.array([0, 3]))
        for number in range(3):
            assert same(stream.take(np.array([6])), alone[number : number + 1])
    others = [
        draw_levels(spec, stream_keys(seed, np.array([i])), np.array([k]))
        for seed, i, k in ((6, 6, 0), (5, 7, 0), (5, 6, 1), (7, 5, 0))
    ]
    assert not any(same(alone[:1], other) for other in others)


def test_a_dense_distribution_fails_with_a_message() -> None:
    with pytest.raises(InputError, match="could be placed"):
        sample_levels(BoxWorldSpec(solution_lengths=(10,), forward=(4,)), 300, accelerate="numpy")


def test_levels_come_back_from_a_file(tmp_path) -> None:
    levels = sample_levels(BoxWorldSpec(), 20)
    save_levels(tmp_path / "levels.npz", levels)
    assert same(load_levels(tmp_path / "levels.npz"), levels)


def spoiled(levels: Levels, **changes) -> Levels:
    return dataclasses.replace(levels, **changes)


def test_files_that_break_a_rule_are_refused_by_level_and_rule(tmp_path, example: Levels) -> None:
    def refused(match: str, cell: tuple[int, int] | None = None, code: int = 0, **changes) -> None:
        objects = np.repeat(example.objects, 2, axis=0)
        if cell is not None:
            objects[1][cell] = code
        two = Levels(*(np.repeat(a, 2, axis=0) for a in vars(example).values()))
        save_levels(tmp_path / "bad.npz", spoiled(two, objects=objects, **changes))
        with pytest.raises(InputError, match=match):
            load_levels(tmp_path / "bad.npz")

    refused("level 1 does not have exactly one gem", (10, 10), 2)
    refused("level 1 does not have exactly one loose key", (10, 10), 5)
    refused("level 1 has a lock without", (10, 10), 30)
    refused("level 1 has things that touch", (7, 5), 12)
    refused("level 1 has a gap in its wall", (0, 0), 0)
    refused("level 1 has the agent on something", agent=np.array([60, 8 * 14 + 4], np.int32))
    refused("level 1 has a cell of an unknown code", (10, 10), 99)
    refused("level 0 has another solution length", solution_length=np.array([2, 1], np.uint8))
    refused("level 1 has another number of distractor", num_distractor_boxes=np.array([0, 3], np.uint8))
    refused("outside of the board", agent=np.array([60, 14 * 14 + 3], np.int32))


@pytest.mark.parametrize(
    "options, match",
    [
        ({"size": 5}, "size=5"),
        ({"solution_lengths": ()}, "solution_lengths"),
        ({"solution_lengths": (19,)}, "at least 21 are needed"),
        ({"size": 6, "solution_lengths": (2,)}, "holds 2 things"),
        ({"solution_lengths": (12,), "forward": (4,)}, "holds 15 things"),
        ({"withheld": "test"}, "2 or more"),
        ({"withheld": "some"}, "null, train or test"),
        ({"rules": "clone"}, "authors, legacy"),
        ({"max_steps": 0}, "max_steps"),
        ({"colours": 21}, "1 to 20"),
    ],
)
def test_a_spec_that_cannot_be_is_refused(options: dict, match: str) -> None:
    with pytest.raises(InputError, match=match):
        BoxWorldSpec(**options)


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=3), st.data())
def test_the_nth_bit_is_the_nth_bit(words: list[int], data) -> None:
    places_set = [64 * w + b for w, word in enumerate(words) for b in range(64) if word >> b & 1]
    if places_set:
        n = data.draw(st.integers(0, len(places_set) - 1))
        assert nth_bit(np.array([words], np.uint64), np.array([n]))[0] == places_set[n]


def test_eighty_cells_of_the_published_room_can_hold_a_content() -> None:
    assert len(places(12).cell) == 80 and len(places(12).agent_cell) == 110
    assert BoxWorldSpec().capacity == 15 and BoxWorldSpec(size=8, solution_lengths=(1,)).capacity == 6
