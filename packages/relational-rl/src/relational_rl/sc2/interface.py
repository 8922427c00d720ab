"""What a StarCraft II environment shows and takes, in plain values, and calls that are checked against it.

An interface is read off an environment's own specs (adapter.py); the networks are built from it and from nothing else. A call
names one of some hundred functions and gives each argument that this function has; which functions are available changes from
step to step.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

from offprints.errors import InputError


class InvalidCall(InputError):
    """A call that the game would not take: the function is unknown or not available, or its arguments do not fit."""


@dataclass(frozen=True)
class Layer:
    """One plane of the screen or of the minimap.

    Attributes:
        name: such as player_relative.
        scale: its values are below this.
        categorical: whether they are names, or quantities.
    """

    name: str
    scale: int
    categorical: bool


@dataclass(frozen=True)
class Argument:
    """A kind of argument that functions share.

    Attributes:
        name: such as screen or queued.
        sizes: one number of choices, or columns and rows where it is a point.
    """

    name: str
    sizes: tuple[int, ...]

    @property
    def spatial(self) -> bool:
        """Whether it is a point, x (column) before y (row)."""
        return len(self.sizes) == 2

    @property
    def choices(self) -> int:
        """How many values it has; of a point, cells."""
        return math.prod(self.sizes)

    def values(self, choice: int) -> tuple[int, ...]:
        """A choice as the game takes it: cell row * columns + column is the point (column, row)."""
        return (choice % self.sizes[0], choice // self.sizes[0]) if self.spatial else (choice,)

    def choice(self, values: Sequence[int]) -> int:
        """The other way round."""
        return values[1] * self.sizes[0] + values[0] if self.spatial else values[0]


@dataclass(frozen=True)
class Function:
    """What an agent may do.

    Attributes:
        id: the game's number for it.
        name: such as Move_screen.
        arguments: places in the interface's arguments, in the order that the game takes them.
    """

    id: int
    name: str
    arguments: tuple[int, ...]


@dataclass(frozen=True)
class Call:
    """A function with its arguments, as the game takes them.

    Attributes:
        function: the function's id.
        arguments: one tuple for each of its arguments: (column, row) of a point, (choice,) of the others.
    """

    function: int
    arguments: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True)
class Interface:
    """What one environment shows and takes.

    Attributes:
        screen: planes of the screen.
        minimap: planes of the minimap.
        screen_size: rows and columns of the screen.
        minimap_size: rows and columns of the minimap.
        player: numbers of the player's vector.
        functions: all that there are; an agent's "function" is a place in it.
        arguments: all kinds of arguments.
    """

    screen: tuple[Layer, ...]
    minimap: tuple[Layer, ...]
    screen_size: tuple[int, int]
    minimap_size: tuple[int, int]
    player: int
    functions: tuple[Function, ...]
    arguments: tuple[Argument, ...]

    @cached_property
    def by_id(self) -> dict[int, Function]:
        """The functions by their ids."""
        return {function.id: function for function in self.functions}

    def call(self, function: int, choices: Sequence[int]) -> Call:
        """An agent's choice as a call.

        Args:
            function: place of the function.
            choices: one for each kind of argument; those that the function does not have are passed over.
        """
        chosen = self.functions[function]
        values = tuple(self.arguments[place].values(int(choices[place])) for place in chosen.arguments)
        return Call(chosen.id, values)

    def check(self, call: Call, available: Collection[int]) -> None:
        """Refuse what the game would not take.

        Args:
            call: the call.
            available: ids of the functions that may be called now.

        Raises:
            InvalidCall: names the function, the argument and what would be right.
        """
        known = self.by_id.get(call.function)
        if known is None:
            raise InvalidCall(f"there is no function {call.function}")
        what = f"function {known.id} ({known.name})"
        if known.id not in available:
            raise InvalidCall(f"{what} is not available now; available: {sorted(available)}")
        kinds = [self.arguments[place] for place in known.arguments]
        if len(call.arguments) != len(kinds):
            names = ", ".join(kind.name for kind in kinds) or "none"
            raise InvalidCall(f"{what} takes {len(kinds)} arguments ({names}), not {len(call.arguments)}")
        for kind, values in zip(kinds, call.arguments, strict=True):
            if len(values) != len(kind.sizes):
                raise InvalidCall(
                    f"{what}: argument {kind.name} has {len(values)} numbers, not {len(kind.sizes)}"
                )
            for value, size in zip(values, kind.sizes, strict=True):
                if not 0 <= value < size:
                    raise InvalidCall(
                        f"{what}: argument {kind.name}={tuple(values)} is outside 0 to {size - 1}"
                    )

    def calls_with(self, *names: str) -> tuple[int, ...]:
        """Places of the functions that have one of these arguments."""
        wanted = {place for place, argument in enumerate(self.arguments) if argument.name in names}
        return tuple(place for place, function in enumerate(self.functions) if wanted & {*function.arguments})
