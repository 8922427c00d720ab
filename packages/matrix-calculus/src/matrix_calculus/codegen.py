"""Programs from tensors: straight lines of numpy, torch or JAX, in which nothing is computed twice.

A product of many factors is contracted in pairs, in the order that takes least (`contraction`), and what raises the order, such as a unit
matrix, comes last. Each pair becomes a matrix product where it is one.
"""

from __future__ import annotations

import keyword
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from offprints.errors import InputError

from matrix_calculus.contraction import Tree, contraction_tree
from matrix_calculus.expression import (
    Elementwise,
    Identity,
    Node,
    Pairing,
    Product,
    SizeOf,
    Sum,
    Symbol,
    Whole,
    digest,
    is_number,
    order,
)
from matrix_calculus.factoring import factored
from matrix_calculus.functions import ELEMENTWISE
from matrix_calculus.shapes import Size, concrete, parts_of

BACKENDS = ("numpy", "torch", "jax")
_GUESS = 64  # elements along an axis of unknown size, when costs are compared
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def source(
    outputs: Mapping[str, Node],
    inputs: Sequence[Symbol],
    backend: str = "numpy",
    name: str = "function",
    sizes: Mapping[str, int] | None = None,
) -> str:
    """A Python function that computes tensors; several are returned as a tuple.

    Args:
        outputs: name -> tensor.
        inputs: its arguments, in this order. Numbers for sizes are read off their shapes.
        backend: "numpy", "torch" or "jax".
        name: of the function.
        sizes: guesses for named sizes, by which the order of multiplications is chosen.

    Raises:
        InputError: there is no such backend, or a size stands in no input's shape.
    """
    if backend not in BACKENDS:
        raise InputError(f"there is no backend {backend!r}; there are {', '.join(BACKENDS)}")
    writer = _Writer(backend, dict(sizes or {}), {one.name: one for one in inputs})
    results = [writer.array(writer.value(node), node) for node in factored(outputs.values())]
    arguments = ", ".join(writer.input_name(one.name) for one in inputs)
    lines = [f"def {name}({arguments}):", *(f"    {line}" for line in writer.lines)]
    lines.append(f"    return {', '.join(results)}")
    return "\n".join([*_IMPORTS[backend], "", "", *lines, ""])


def function(
    outputs: Mapping[str, Node],
    inputs: Sequence[Symbol],
    backend: str = "numpy",
    sizes: Mapping[str, int] | None = None,
) -> Callable[..., Any]:
    """The function of `source`, ready to be called.

    Args:
        outputs: name -> tensor.
        inputs: its arguments.
        backend: see `source`.
        sizes: see `source`.
    """
    text = source(outputs, inputs, backend, "function", sizes)
    made: dict[str, Any] = {}
    # Our own lines: of what a user typed, only the names of declared symbols are in them, and those are identifiers.
    exec(compile(text, "<derived>", "exec"), made)
    compiled: Callable[..., Any] = made["function"]
    return compiled


_IMPORTS = {
    "numpy": ["import numpy as np"],
    "torch": ["import torch"],
    "jax": ["import jax", "import jax.numpy as jnp"],
}
_TAKEN = {"np", "torch", "jax", "jnp", "function", "max", "abs", "float", "range", "tuple"}


@dataclass
class _Item:
    """Part of a product: source, and the index of each of its axes."""

    text: str
    indices: tuple[int, ...]
    key: bytes


@dataclass
class _Writer:
    backend: str
    guesses: dict[str, int]
    inputs: dict[str, Symbol]
    lines: list[str] = field(default_factory=list)
    known: dict[bytes, str] = field(default_factory=dict)
    plain: set[bytes] = field(default_factory=set)  # nodes that are Python numbers in the program

    @property
    def library(self) -> str:
        return {"numpy": "np", "torch": "torch", "jax": "jnp"}[self.backend]

    def input_name(self, name: str) -> str:
        clash = keyword.iskeyword(name) or name in _TAKEN or (name[0] == "t" and name[1:].isdigit())
        return f"{name}_" if clash else name

    def line(self, text: str, key: bytes) -> str:
        if text.isidentifier():  # it has a name already
            self.known[key] = text
            return text
        name = f"t{len(self.lines)}"
        self.lines.append(f"{name} = {text}")
        self.known[key] = name
        return name

    def value(self, root: Node) -> str:
        """The name of a tensor, once the lines that compute it are written."""
        for node in order([root]):
            if node.key not in self.known and is_number(node) is None:
                self._write(node)
        return self.ref(root)

    def array(self, name: str, node: Node) -> str:
        """A tensor's name, made an array where it is a plain number."""
        return self._scalar(name) if node.key in self.plain else name

    def ref(self, node: Node) -> str:
        """The name of a part; numbers are written where they are asked for."""
        if node.key not in self.known:
            self._write(node)
        return self.known[node.key]

    def _write(self, node: Node) -> None:
        if isinstance(node, Symbol):
            if node.name not in self.inputs:
                raise InputError(f"{node.name} is not among the arguments of the function")
            self.known[node.key] = self.input_name(node.name)
        elif isinstance(node, SizeOf):
            self.known[node.key] = self.length(node.size)
            self.plain.add(node.key)
        elif isinstance(node, Sum):
            self.line(self._sum(node), node.key)
            if all(one.key in self.plain or is_number(one) is not None for one in node.inner):
                self.plain.add(node.key)
        elif isinstance(node, Elementwise):
            self.line(self._elementwise(node), node.key)
        elif isinstance(node, Whole):
            self.line(self._whole(node), node.key)
        elif isinstance(node, Identity):
            self.line(self._eye(node.size), node.key)
        elif isinstance(node, Pairing):
            first, second = self.length(node.first), self.length(node.second)
            self.line(f"{self._eye(node.shape[0])}.reshape(-1, {first}, {second})", node.key)
        else:
            assert isinstance(node, Product)
            self._product(node)

    def length(self, size: Size) -> str:
        """A size as source."""
        if isinstance(size, int):
            return str(size)
        for symbol in self.inputs.values():
            if size in symbol.shape:
                return f"{self.input_name(symbol.name)}.shape[{symbol.shape.index(size)}]"
        if len(parts_of(size)) > 1:
            return " * ".join(self.length(one) for one in parts_of(size))
        raise InputError(
            f"the size {size} stands in the shape of no argument, so that a program cannot know it"
        )

    def _like(self) -> str:
        """Type and device of what is made anew: those of the first input."""
        name = self.input_name(next(iter(self.inputs)))
        if self.backend == "torch":
            return f"dtype={name}.dtype, device={name}.device"
        return f"dtype={self.library}.result_type({name}, {self.library}.float32)"

    def _eye(self, size: Size) -> str:
        return f"{self.library}.eye({self.length(size)}, {self._like()})"

    def _number(self, value: Any) -> str:
        return str(value.numerator) if value.denominator == 1 else repr(float(value))

    def _sum(self, node: Sum) -> str:
        text = ""
        for scale, inner in node.terms:
            plain = is_number(inner)
            name = self._number(plain) if plain is not None else self.ref(inner)
            sign = "-" if scale < 0 else "+"
            part = name if abs(scale) == 1 else f"{self._number(abs(scale))} * {name}"
            text += f" {sign} {part}" if text else (f"-{part}" if scale < 0 else part)
        return text

    def _elementwise(self, node: Elementwise) -> str:
        inner = self.ref(node.argument)
        plain = node.argument.key in self.plain
        if node.function == "pow":
            if plain:
                self.plain.add(node.key)
            assert node.power is not None
            special = {"2": f"{inner} * {inner}", "-1": f"1 / {inner}", "1/2": f"{inner} ** 0.5"}
            return special.get(str(node.power), f"{inner} ** {self._exponent(node)}")
        if plain:
            inner = self._scalar(inner)
        row = ELEMENTWISE[node.function]
        form = row.torch if self.backend == "torch" else row.numpy
        if self.backend == "jax":
            form = row.jax or row.numpy.replace("np.", "jnp.")
        return form.format(inner)

    @staticmethod
    def _exponent(node: Elementwise) -> str:
        assert node.power is not None
        text = str(node.power.numerator) if node.power.denominator == 1 else repr(float(node.power))
        return f"({text})" if node.power < 0 else text

    def _whole(self, node: Whole) -> str:
        inner, lib = self.ref(node.argument), self.library
        match node.function:
            case "inv":
                return f"{lib}.linalg.inv({inner})"
            case "det":
                return f"{lib}.linalg.det({inner})"
            case "logdet":
                return f"{lib}.linalg.slogdet({inner})[1]"
        if self.backend == "torch":
            return f"torch.{node.function}({inner}, -1)"
        if self.backend == "jax":
            return f"jax.nn.{node.function}({inner}, axis=-1)"
        top = self.line(f"{inner}.max(axis=-1, keepdims=True)", digest("top", node.argument.key))
        shifted = self.line(f"np.exp({inner} - {top})", digest("shifted", node.argument.key))
        total = self.line(f"{shifted}.sum(axis=-1, keepdims=True)", digest("total", node.argument.key))
        if node.function == "softmax":
            return f"{shifted} / {total}"
        return f"(np.log({total}) + {top})[..., 0]"

    # Products

    def _product(self, node: Product) -> None:
        scalars = [self.ref(one) for one, indices in node.factors if not indices]
        deltas = [indices for one, indices in node.factors if isinstance(one, Identity)]
        items = [
            self._diagonal(_Item(self.ref(one), indices, one.key))
            for one, indices in node.factors
            if indices and not isinstance(one, Identity)
        ]
        free = [axis for axis in range(node.rank) if axis not in {late for _, late in deltas}]
        items = self._contracted(items, set(free), node.sizes)
        if items and not items[0].indices:
            scalars.append(items.pop().text)
        scale = "" if node.coefficient == 1 and (items or scalars) else self._number(node.coefficient)
        weight = " * ".join([scale, *scalars] if scale else scalars)
        present = [axis for axis in free if items and axis in items[0].indices]
        text = self._turned(items[0], tuple(present)) if items else ""
        if weight and items:
            text = f"{weight} * {text}"
        bare = not items
        if bare:
            text = weight
        if deltas:
            if items and len(present) < len(free):
                text = self._spread(text, free, present, node)
            self.line(self._on_diagonals(text, free, deltas, node, bare), node.key)
        elif node.rank == 0:
            self.line(text, node.key)
            if bare and all(one.key in self.plain for one in node.inner):
                self.plain.add(node.key)
        elif len(present) < node.rank:
            self.line(self._spread(text, free, present, node), node.key)
        else:
            self.line(text, node.key)

    def _spread(self, text: str, free: list[int], present: list[int], node: Product) -> str:
        """The same along the axes that no factor has."""
        sizes = ", ".join(self.length(node.shape[axis]) for axis in free)
        if not present:
            return f"{text} * {self.library}.ones(({sizes},), {self._like()})"
        view = ", ".join(":" if axis in present else "None" for axis in free)
        inner = text if text.isidentifier() else f"({text})"
        return f"{self.library}.broadcast_to({inner}[{view}], ({sizes},))"

    def _scalar(self, text: str) -> str:
        """A lone number, as an array of no axes."""
        if self.backend == "torch":
            return f"torch.tensor({text}, {self._like()})"
        return f"{self.library}.asarray({text}, {self._like()})"

    def _diagonal(self, item: _Item) -> _Item:
        if len(set(item.indices)) == len(item.indices):
            return item
        kept = tuple(dict.fromkeys(item.indices))
        text = f"{self.library}.einsum({_subscripts([item.indices], kept)!r}, {item.text})"
        return self._named(text, kept, digest("diagonal", item.key, item.indices))

    def _named(self, text: str, indices: tuple[int, ...], key: bytes) -> _Item:
        key = digest(key, tuple(sorted(indices).index(one) for one in indices))
        name = self.known.get(key) or self.line(text, key)
        return _Item(name, indices, key)

    def _contracted(self, items: list[_Item], free: set[int], sizes: tuple[Size, ...]) -> list[_Item]:
        """Multiply in pairs until one item is left; what is summed in one item alone is summed first."""
        if not items:
            return []
        guesses = {
            one: self.guesses.get(one, _GUESS)
            for size in sizes
            for one in parts_of(size)
            if isinstance(one, str)
        }
        length = concrete(sizes, guesses)
        items = [self._summed(item, items, free) for item in items]
        indices = [frozenset(item.indices) for item in items]

        def multiplied(tree: Tree, outside: frozenset[int]) -> _Item:
            """The product of a branch; `outside` are the indices that are asked for beyond it."""
            if isinstance(tree, int):
                return items[tree]
            one, other = (
                multiplied(part, outside | _indices(beside, indices)) for part, beside in (tree, tree[::-1])
            )
            return self._pair(one, other, tuple(sorted({*one.indices, *other.indices} & outside)))

        return [multiplied(contraction_tree(indices, frozenset(free), length), frozenset(free))]

    def _summed(self, item: _Item, items: list[_Item], free: set[int]) -> _Item:
        rest = _others(items, item, item)
        lone = tuple(at for at, index in enumerate(item.indices) if index not in free and index not in rest)
        if not lone:
            return item
        kept = tuple(index for at, index in enumerate(item.indices) if at not in lone)
        axes = "" if not kept else str(lone[0]) if len(lone) == 1 else str(lone)
        return self._named(f"{item.text}.sum({axes})", kept, digest("sum", item.key, lone))

    def _pair(self, one: _Item, other: _Item, kept: tuple[int, ...]) -> _Item:
        shared = set(one.indices) & set(other.indices)
        summed = shared - set(kept)
        key = digest("pair", one.key, other.key, _pattern(one.indices, other.indices, kept))
        if not summed:
            return self._named(f"{self._view(one, kept)} * {self._view(other, kept)}", kept, key)
        if len(summed) == 1 and summed == shared and max(len(one.indices), len(other.indices)) <= 2:
            (index,) = summed
            left, right = one, other
            if len(kept) == 2 and kept[0] not in one.indices:
                left, right = other, one
            turned = left.text if left.indices[-1] == index else f"{left.text}.T"
            return self._named(
                f"{turned} @ {right.text}{'' if right.indices[0] == index else '.T'}", kept, key
            )
        form = _subscripts([one.indices, other.indices], kept)
        more = "" if self.backend == "torch" else ", optimize=True"
        return self._named(f"{self.library}.einsum({form!r}, {one.text}, {other.text}{more})", kept, key)

    def _view(self, item: _Item, kept: tuple[int, ...]) -> str:
        """An item with its axes in the order of `kept`, ready to be multiplied element by element."""
        text = self._turned(item, tuple(index for index in kept if index in item.indices))
        present = [index in item.indices for index in kept]
        if all(present) or not item.indices:
            return text
        first = present.index(True)
        # What lacks axes in front alone is aligned at the back by broadcasting.
        return (
            text
            if all(present[first:])
            else f"{text}[{', '.join(':' if one else 'None' for one in present)}]"
        )

    def _turned(self, item: _Item, indices: tuple[int, ...]) -> str:
        if item.indices == indices:
            return item.text
        if len(indices) == 2:
            return f"{item.text}.T"
        axes = tuple(item.indices.index(index) for index in indices)
        return f"{item.text}.permute{axes}" if self.backend == "torch" else f"{item.text}.transpose{axes}"

    def _on_diagonals(
        self, text: str, free: list[int], deltas: list[tuple[int, ...]], node: Product, bare: bool
    ) -> str:
        """Unit tensors between axes of the result, at the very end: they raise the order."""
        if node.rank == 2 and len(deltas) == 1:
            if bare:
                scale = "" if text == "1" else f"{text} * "
                return f"{scale}{self._eye(node.shape[0])}"
            name = self.line(text, digest("on the diagonal", node.key))
            return f"{self.library}.diag({name})"
        name = text if bare else self.line(text, digest("on the diagonal", node.key))
        operands = [] if bare else [(name, tuple(free))]
        operands += [(self._shared_eye(node.shape[late]), (early, late)) for early, late in deltas]
        covered = {index for _, indices in operands for index in indices}
        if bare and len(covered) < node.rank:
            lone = [axis for axis in range(node.rank) if axis not in covered]
            sizes = ", ".join(self.length(node.shape[axis]) for axis in lone)
            operands.append((f"{self.library}.ones(({sizes},), {self._like()})", tuple(lone)))
        form = _subscripts([indices for _, indices in operands], tuple(range(node.rank)))
        made = f"{self.library}.einsum({form!r}, {', '.join(one for one, _ in operands)})"
        return made if not bare or name == "1" else f"{name} * {made}"

    def _shared_eye(self, size: Size) -> str:
        unit = Identity(size)
        return self.known.get(unit.key) or self.line(self._eye(size), unit.key)


def _others(items: list[_Item], one: _Item, other: _Item) -> set[int]:
    return {index for item in items if item is not one and item is not other for index in item.indices}


def _indices(tree: Tree, indices: Sequence[frozenset[int]]) -> frozenset[int]:
    if isinstance(tree, int):
        return indices[tree]
    return _indices(tree[0], indices) | _indices(tree[1], indices)


def _pattern(*groups: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """Indices by their first appearance, so that equal work has an equal name in other products."""
    seen: dict[int, int] = {}
    return tuple(tuple(seen.setdefault(index, len(seen)) for index in group) for group in groups)


def _subscripts(groups: Sequence[tuple[int, ...]], kept: tuple[int, ...]) -> str:
    used = dict.fromkeys(index for group in (*groups, kept) for index in group)
    if len(used) > len(_LETTERS):
        raise InputError(f"a product has {len(used)} indices, more than {len(_LETTERS)}")
    letter = dict(zip(used, _LETTERS, strict=False))
    return (
        ",".join("".join(letter[i] for i in group) for group in groups)
        + "->"
        + "".join(letter[i] for i in kept)
    )
