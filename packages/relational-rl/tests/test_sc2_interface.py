"""Specs in plain values, and calls that are checked against them."""

from __future__ import annotations

import pytest

from offprints.errors import InputError

from relational_rl.sc2 import Argument, Call, Function, Interface, InvalidCall, Layer

WIDE = Interface(
    screen=(Layer("height_map", 256, False),),
    minimap=(Layer("camera", 2, True),),
    screen_size=(16, 24),
    minimap_size=(8, 8),
    player=11,
    functions=(
        Function(0, "no_op", ()),
        Function(1, "move_camera", (1,)),
        Function(3, "select_rect", (3, 0, 2)),
        Function(331, "Move_screen", (4, 0)),
    ),
    arguments=(
        Argument("screen", (24, 16)),
        Argument("minimap", (8, 8)),
        Argument("screen2", (24, 16)),
        Argument("select_add", (2,)),
        Argument("queued", (2,)),
    ),
)
ALL = (0, 1, 3, 331)


def test_a_cell_is_row_by_row_and_a_point_is_column_before_row() -> None:
    assert WIDE.call(3, [5 * 24 + 23, 0, 0, 0, 1]) == Call(331, ((1,), (23, 5)))
    screen = WIDE.arguments[0]
    assert [screen.choice(screen.values(cell)) for cell in range(screen.choices)] == list(range(16 * 24))
    assert screen.values(16 * 24 - 1) == (23, 15)


def test_a_call_takes_the_functions_own_arguments_in_its_own_order() -> None:
    assert WIDE.call(2, [1, 63, 24, 1, 0]) == Call(3, ((1,), (1, 0), (0, 1)))
    assert WIDE.call(0, [1, 2, 3, 1, 1]) == Call(0, ())


def test_every_choice_of_every_function_is_valid() -> None:
    for place, function in enumerate(WIDE.functions):
        for corner in (0, -1):
            choices = [corner % kind.choices for kind in WIDE.arguments]
            WIDE.check(WIDE.call(place, choices), {function.id})


@pytest.mark.parametrize(
    "call, available, match",
    [
        (Call(2), ALL, "no function 2"),
        (Call(331, ((0,), (1, 1))), (0, 1), r"331 \(Move_screen\) is not available now; available: \[0, 1\]"),
        (Call(331, ((0,),)), ALL, r"takes 2 arguments \(queued, screen\), not 1"),
        (Call(0, ((0,),)), ALL, r"takes 0 arguments \(none\), not 1"),
        (Call(331, ((2,), (1, 1))), ALL, r"queued=\(2,\) is outside 0 to 1"),
        (Call(331, ((0,), (24, 1))), ALL, r"screen=\(24, 1\) is outside 0 to 23"),
        (Call(331, ((0,), (1, 16))), ALL, r"screen=\(1, 16\) is outside 0 to 15"),
        (Call(331, ((0,), (-1, 1))), ALL, r"screen=\(-1, 1\)"),
        (Call(331, ((0,), (1,))), ALL, "screen has 1 numbers, not 2"),
        (Call(331, ((0, 0), (1, 1))), ALL, "queued has 2 numbers, not 1"),
    ],
)
def test_what_the_game_would_not_take_is_refused(call: Call, available: tuple[int, ...], match: str) -> None:
    with pytest.raises(InvalidCall, match=match):
        WIDE.check(call, available)
    assert issubclass(InvalidCall, InputError)


def test_functions_are_found_by_their_arguments() -> None:
    assert WIDE.calls_with("screen", "screen2") == (2, 3)
    assert WIDE.calls_with("minimap") == (1,)
