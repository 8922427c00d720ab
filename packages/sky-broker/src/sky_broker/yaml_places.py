"""YAML that knows where each value stands, so that a message about it can say file, line and column."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import yaml

from offprints.errors import InputError
from offprints.plain_yaml import require_shallow
from offprints.user_errors import closest

T = TypeVar("T")
_INTEGER, _NUMBER, _TRUTH, _NOTHING = (
    f"tag:yaml.org,2002:{name}" for name in ("int", "float", "bool", "null")
)


@dataclass(frozen=True)
class Place:
    """A node of a YAML document.

    Attributes:
        node: of PyYAML.
        file: name for messages.
        path: keys from the root, such as "tasks.train.time".
    """

    node: yaml.Node
    file: str
    path: str = ""

    def wrong(self, why: str) -> InputError:
        """The error that something is wrong here."""
        mark = self.node.start_mark
        what = f"{self.path}: " if self.path else ""
        return InputError(f"{self.file}, line {mark.line + 1}, column {mark.column + 1}: {what}{why}")

    @property
    def is_mapping(self) -> bool:
        return isinstance(self.node, yaml.MappingNode)

    @property
    def is_list(self) -> bool:
        return isinstance(self.node, yaml.SequenceNode)

    @property
    def is_null(self) -> bool:
        return bool(self.node.tag == _NOTHING)

    def mapping(self, keys: Sequence[str] | None = None) -> dict[str, Place]:
        """The values of a mapping.

        Args:
            keys: those that it may have; None allows any.

        Raises:
            InputError: it is none, or a key is there twice or is none of them; names the nearest.
        """
        if not isinstance(self.node, yaml.MappingNode):
            raise self.wrong("keys with values were expected")
        found: dict[str, Place] = {}
        for key, value in self.node.value:
            here = Place(key, self.file, self.path)
            if not isinstance(key, yaml.ScalarNode):
                raise here.wrong("a key has to be a word")
            if key.value in found:
                raise here.wrong(f"the key {key.value!r} is there twice")
            if keys is not None and key.value not in keys:
                raise here.wrong(f"there is no key {key.value!r} here{closest(key.value, keys)}")
            found[key.value] = Place(value, self.file, f"{self.path}.{key.value}" if self.path else key.value)
        return found

    def items(self) -> list[Place]:
        """The items of a list; a single value is a list of one."""
        if isinstance(self.node, yaml.SequenceNode):
            return [Place(item, self.file, f"{self.path}[{n}]") for n, item in enumerate(self.node.value)]
        return [] if self.is_null else [self]

    def text(self) -> str:
        """A word or a number as it is written.

        Raises:
            InputError: it is a list or a mapping.
        """
        if not isinstance(self.node, yaml.ScalarNode) or self.is_null:
            raise self.wrong("a single value was expected")
        return str(self.node.value)

    def texts(self) -> tuple[str, ...]:
        """The words of a list, or of a single word."""
        return tuple(item.text() for item in self.items())

    def whole(self) -> int:
        """A whole number.

        Raises:
            InputError: it is none.
        """
        try:
            if self.node.tag != _INTEGER:
                raise ValueError
            return int(self.text())
        except ValueError:
            raise self.wrong(f"{self.node.value!r} is no whole number") from None

    def number(self) -> float:
        """A number.

        Raises:
            InputError: it is none.
        """
        try:
            return float(self.text().replace("_", ""))
        except ValueError as error:
            if isinstance(error, InputError):
                raise
            raise self.wrong(f"{self.node.value!r} is no number") from None

    def truth(self) -> bool:
        """True or false.

        Raises:
            InputError: it is neither.
        """
        if self.node.tag != _TRUTH:
            raise self.wrong("true or false was expected")
        return self.text().lower() in ("true", "yes", "on")

    def read(self, reader: Callable[[str], T]) -> T:
        """What a function makes of the text; its InputError gets the place.

        Raises:
            InputError: the function refused it.
        """
        return self.made(lambda: reader(self.text()))

    def made(self, maker: Callable[[], T]) -> T:
        """What a function makes; an InputError that names no line gets this place.

        Raises:
            InputError: the function refused it.
        """
        try:
            return maker()
        except InputError as error:
            if str(error).startswith(f"{self.file}, line "):
                raise
            raise self.wrong(str(error)) from None


def documents(text: str, file: str) -> Iterator[Place]:
    """The documents of a YAML text.

    Args:
        text: of the file.
        file: its name, for messages.

    Raises:
        InputError: it is no YAML, or nested deeper than 32 levels; says where.
    """
    try:
        require_shallow(text, file, aliases=True)
        for node in yaml.compose_all(text, Loader=yaml.SafeLoader):
            if node is not None:
                yield Place(node, file)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise InputError(f"{file}{where}: this is no YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise InputError(f"{file}: this is no YAML: {error}") from None
