"""The makers of nodes: what they return is simplified already.

`product` removes unit tensors, gathers powers, cancels inverses and finds one form for products that differ in the order of their factors
or in the names of their indices; `add` collects like terms; `elementwise` folds numbers. Each rule holds for all values where both sides
are defined.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction

from matrix_calculus.exact import exact, folded, raised
from matrix_calculus.expression import (
    Elementwise,
    Factor,
    Identity,
    Label,
    Labelled,
    Node,
    Product,
    SizeOf,
    Sum,
    Symbol,
    Whole,
    digest,
    is_number,
)
from matrix_calculus.opening import opened, without_deltas
from matrix_calculus.pairings import unpaired
from matrix_calculus.shapes import Size, parts_of

_MOST_SPREAD = 3  # terms; multiplying out longer sums could double them with every layer
_ROUNDS = 3  # of telling indices apart by what they touch


def number(value: Fraction | int, shape: Sequence[Size] = ()) -> Node:
    """A number, at every place of a shape."""
    return _finish(Fraction(value), [], tuple(range(len(shape))), dict(enumerate(shape)))


def size_of(size: Size) -> Node:
    """A size as a number."""
    factors = [number(one) if isinstance(one, int) else SizeOf(one) for one in parts_of(size)]
    return factors[0] if len(factors) == 1 else times(*factors)


def times(*factors: Node) -> Node:
    """Element by element; scalars go with any shape."""
    shape = max((one.shape for one in factors), key=len)
    axes = tuple(range(len(shape)))
    return product([(one, axes[: one.rank]) for one in factors], axes, dict(enumerate(shape)))


def transpose(node: Node) -> Node:
    """Of a matrix; a vector or scalar stays as it is."""
    return node if node.rank < 2 else product([(node, (0, 1))], (1, 0))


def product(
    factors: Iterable[Labelled],
    out: Sequence[Label],
    sizes: Mapping[Label, Size] | None = None,
    coefficient: Fraction | int = 1,
) -> Node:
    """coefficient · Σ Π factors, with the indices `out` left; an index that stands twice in `out` makes a diagonal.

    Args:
        factors: nodes with a label for each axis; a label that is not in `out` is summed over.
        out: labels of the result's axes.
        sizes: of labels that no factor has.
        coefficient: an exact number.
    """
    known: dict[Label, Size] = dict(sizes or {})
    plain, deltas, live, scale = opened(factors, known, Fraction(coefficient))
    result = list(out)
    for place, label in enumerate(result):
        if label in result[:place]:
            result[place] = fresh = ("twice", place)
            known[fresh] = known[label]
            deltas.append((label, fresh))
    if scale == 0:
        return number(0, [known[label] for label in result])
    plain = unpaired(plain, deltas, result, live)
    plain, kept, live = without_deltas(plain, deltas, result, live)
    gathered, again = _gathered(plain, result)
    gathered += [(Identity(known[i]), (i, j)) for i, j in kept]
    touched = {label for _, labels in gathered for label in labels}
    for label in [one for one in known if one in live and one not in touched and one not in result]:
        gathered.append((size_of(known[label]), ()))  # what is constant along an index is summed over it
        again = True
    if again:  # there are numbers, products or unit tensors among the factors now
        return product(gathered, result, known, scale)
    spread = _spread(gathered, result, known, scale)
    return _finish(scale, gathered, tuple(result), known) if spread is None else spread


def _spread(
    factors: list[Labelled], out: Sequence[Label], known: Mapping[Label, Size], scale: Fraction
) -> Node | None:
    """A sum with a unit tensor in it is multiplied out where it is summed over: the unit tensor vanishes."""
    for at, (node, labels) in enumerate(factors):
        if (
            not isinstance(node, Sum)
            or len(node.terms) > _MOST_SPREAD
            or len(factors) < 2
            or set(labels) <= set(out)
        ):
            continue
        if any(isinstance(inner, Identity) for _, term in node.terms for inner in (term, *term.inner)):
            rest = [one for place, one in enumerate(factors) if place != at]
            parts = [(one, product([*rest, (term, labels)], out, known, scale)) for one, term in node.terms]
            return add(parts, [known[label] for label in out])
    return None


def _gathered(factors: list[Labelled], out: Sequence[Label]) -> tuple[list[Labelled], bool]:
    """Powers of one base under one set of indices become one factor; inverses meet what they invert."""
    place = {label: at for at, label in enumerate(out)}
    powers: dict[tuple[bytes, tuple[Label, ...]], tuple[Node, tuple[Label, ...], Fraction, Node | None]] = {}
    for node, labels in factors:
        if len(labels) == 2 and symmetric(node):
            labels = tuple(sorted(labels, key=lambda label: (place.get(label, len(out)), repr(label))))
        base, power = (
            (node.argument, node.power or Fraction(1))
            if isinstance(node, Elementwise) and node.function == "pow"
            else (node, Fraction(1))
        )
        before = powers.get((base.key, labels))
        powers[base.key, labels] = (
            (base, labels, power, node) if before is None else (base, labels, before[2] + power, None)
        )
    _merge_steps(powers)
    found: list[Labelled] = []
    again = False
    for base, labels, power, as_given in powers.values():
        node = as_given or (number(1, base.shape) if power == 0 else elementwise("pow", base, power))
        again = again or as_given is None
        found.append((node, labels))
    return _cancelled(found, set(out), again)


def _merge_steps(
    powers: dict[tuple[bytes, tuple[Label, ...]], tuple[Node, tuple[Label, ...], Fraction, Node | None]],
) -> None:
    """[z > 0]² = [z > 0]; z [z > 0] = max(0, z) [z > 0] = max(0, z); |z| sign(z) = z."""
    for key, (base, labels, power, given) in list(powers.items()):
        if not isinstance(base, Elementwise) or base.function not in ("step", "sign"):
            continue
        inner = base.argument
        if base.function == "step":
            if power > 1:
                powers[key] = (base, labels, Fraction(1), base)
            relu = elementwise("relu", inner)
            plain, cut = powers.get((inner.key, labels)), powers.get((relu.key, labels))
            if cut is not None and cut[2] > 0:
                del powers[key]
            elif plain is not None and plain[2] == 1 and power > 0:
                del powers[inner.key, labels], powers[key]
                powers[relu.key, labels] = (relu, labels, Fraction(1), relu)
        elif given is not None and power == 1:
            size = elementwise("abs", inner)
            found = powers.get((size.key, labels))
            if found is not None and found[2] == 1 and (inner.key, labels) not in powers:
                del powers[size.key, labels], powers[key]
                powers[inner.key, labels] = (inner, labels, Fraction(1), None)


def _cancelled(factors: list[Labelled], out: set[Label], again: bool) -> tuple[list[Labelled], bool]:
    """inv(A) A and A inv(A) become unit matrices."""
    uses: dict[Label, int] = {}
    for _, labels in factors:
        for label in labels:
            uses[label] = uses.get(label, 0) + 1
    for at, (node, labels) in enumerate(factors):
        if not (isinstance(node, Whole) and node.function == "inv"):
            continue
        for beside, (other, theirs) in enumerate(factors):
            if other.key != node.argument.key:
                continue
            turned = symmetric(other)
            for a, b in ((labels[0], labels[1]), (labels[1], labels[0])):
                # inv(A)[a, b] A[b, c] sums over b to δ[a, c]; read from the right, inv(A)[b, a] after A[c, b].
                ours_first = (a, b) == labels
                for c, d in (theirs, theirs[::-1]) if turned else (theirs if ours_first else theirs[::-1],):
                    if c == b and b not in out and uses[b] == 2 and a != b and d != b:
                        rest = [one for place, one in enumerate(factors) if place not in (at, beside)]
                        return [*rest, (Identity(node.shape[0]), (a, d))], True
    return factors, again


def _finish(
    scale: Fraction, factors: list[Labelled], out: tuple[Label, ...], known: Mapping[Label, Size]
) -> Node:
    """Number the indices in one way, and make the node."""
    numbers = _numbered(factors, out)
    placed = [(node, tuple(numbers[label] for label in labels)) for node, labels in factors]
    placed = [(node, _sorted(node, indices)) for node, indices in placed]
    sizes = tuple(known[label] for label in numbers)
    rank = len(out)
    if len(placed) == 1 and sorted(placed[0][1]) == list(range(rank)):
        node, indices = placed[0]
        unturned = indices == tuple(range(rank))
        if scale == 1 and unturned:
            return node
        if isinstance(node, Sum) and (scale == -1 or not unturned):
            turned = [(one, product([(inner, indices)], range(rank))) for one, inner in node.terms]
            whole = add([(one if scale != -1 else -one, inner) for one, inner in turned], sizes[:rank])
            return (
                whole if abs(scale) == 1 else product([(whole, tuple(range(rank)))], range(rank), None, scale)
            )
    return _made(scale, placed, sizes, sizes[:rank])


def symmetric(node: Node) -> bool:
    """Whether a square matrix equals its transpose, by its form."""
    if node.rank != 2 or node.shape[0] != node.shape[1]:
        return False
    cached = node.__dict__.get("_symmetric")
    if cached is None:
        node.__dict__["_symmetric"] = False  # until it is known: turning the axes asks the same question
        cached = node.__dict__["_symmetric"] = _symmetric(node)
    return bool(cached)


def _symmetric(node: Node) -> bool:
    if isinstance(node, Identity):
        return True
    if isinstance(node, Symbol):
        return node.structure in ("symmetric", "diagonal")
    if isinstance(node, Elementwise) or (isinstance(node, Whole) and node.function == "inv"):
        return symmetric(node.inner[0])
    if isinstance(node, (Product, Sum)):
        return transpose(node).key == node.key
    return False


def _made(
    scale: Fraction, factors: Sequence[Factor], sizes: tuple[Size, ...], shape: tuple[Size, ...]
) -> Product:
    scale = exact(scale)
    contents = sorted((node.key, indices) for node, indices in factors)
    return Product(
        scale, tuple(factors), sizes, shape, digest("product", str(scale), contents, sizes, len(shape))
    )


def _sorted(node: Node, indices: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted(indices)) if len(indices) == 2 and symmetric(node) else indices


def _numbered(factors: list[Labelled], out: tuple[Label, ...]) -> dict[Label, int]:
    """A number for each label: the result's first, then the others in an order that only depends on what they touch."""
    colours: dict[Label, object] = {label: ("out", at) for at, label in enumerate(out)}
    inner = {label: None for _, labels in factors for label in labels if label not in colours}
    numbers = {label: at for at, label in enumerate(out)}
    if not inner:
        return numbers
    colours.update(dict.fromkeys(inner, b""))

    def signature(node: Node, labels: tuple[Label, ...]) -> tuple[object, ...]:
        seen = [repr(colours[label]) for label in labels]
        return (node.key, *(sorted(seen) if len(seen) == 2 and symmetric(node) else seen))

    for _ in range(_ROUNDS if len(inner) > 1 else 0):
        touched: dict[Label, list[bytes]] = {label: [] for label in inner}
        for node, labels in factors:
            mark = signature(node, labels)
            for at, label in enumerate(labels):
                if label in touched:
                    touched[label].append(digest(mark, 0 if symmetric(node) else at))
        colours.update({label: digest(colours[label], *sorted(marks)) for label, marks in touched.items()})
    for _, labels in sorted(factors, key=lambda one: repr(signature(*one))):
        for label in sorted(labels, key=lambda one: repr(colours[one])):
            numbers.setdefault(label, len(numbers))
    return numbers


def add(terms: Iterable[tuple[Fraction | int, Node]], shape: Sequence[Size]) -> Node:
    """Σ coefficient · node, with like terms collected.

    Args:
        terms: exact numbers and nodes of one shape.
        shape: theirs; that of the result where there are none.
    """
    collected: dict[bytes, tuple[Fraction, Node]] = {}
    waiting = [(Fraction(scale), node) for scale, node in terms][::-1]
    axes = tuple(range(len(shape)))
    if len(waiting) == 1:  # a multiple of a sum stays one
        return product([(waiting[0][1], axes)], axes, None, waiting[0][0])
    while waiting:
        scale, node = waiting.pop()
        if isinstance(node, Sum):
            waiting.extend((scale * inner, one) for inner, one in node.terms[::-1])
            continue
        if isinstance(node, Product) and node.coefficient not in (0, 1):
            scale, node = (
                scale * node.coefficient,
                _finish(Fraction(1), list(node.factors), axes, dict(enumerate(node.sizes))),
            )
            waiting.append((scale, node))
            continue
        before = collected.get(node.key, (Fraction(0), node))
        collected[node.key] = (exact(before[0] + scale), before[1])
    left = [(scale, node) for scale, node in collected.values() if scale != 0 and is_number(node) != 0]
    if not left:
        return number(0, shape)
    if len(left) == 1:
        return product([(left[0][1], axes)], axes, None, left[0][0])
    return Sum(tuple(left), tuple(shape))


def elementwise(function: str, argument: Node, power: Fraction | None = None) -> Node:
    """A function of each element.

    Args:
        function: a name of `functions.ELEMENTWISE`, or "pow".
        argument: any node.
        power: the exponent of "pow".

    Raises:
        InputError: a number becomes too large, or is divided by 0.
    """
    if function == "pow":
        assert power is not None
        if power == 0:
            return number(1, argument.shape)
        if power == 1:
            return argument
    value = is_number(argument)
    if value is not None:
        known = folded(function, value, power)
        if known is not None:
            return number(known, argument.shape)
    if isinstance(argument, Product):
        if argument.permutes:
            inner, indices = argument.factors[0]
            return product([(elementwise(function, inner, power), indices)], range(argument.rank))
        used = {index for _, indices in argument.factors for index in indices}
        axes = [index for index in range(argument.rank) if index in used]
        sizes: dict[Label, Size] = dict(enumerate(argument.sizes))
        if len(axes) < argument.rank:  # constant along an axis: the paper's scalar expansion
            inner = product(argument.factors, axes, sizes, argument.coefficient)
            return product([(elementwise(function, inner, power), tuple(axes))], range(argument.rank), sizes)
        plain = argument.factors and not any(isinstance(one, Identity) for one, _ in argument.factors)
        if plain and power is not None and power.denominator == 1 and len(argument.sizes) == argument.rank:
            powers = [(elementwise("pow", one, power), indices) for one, indices in argument.factors]
            return product(powers, range(argument.rank), sizes, raised(argument.coefficient, power))
    if isinstance(argument, Elementwise):
        if function == "pow" and argument.function == "pow" and power is not None and power.denominator == 1:
            assert argument.power is not None
            return elementwise("pow", argument.argument, argument.power * power)
        if function == "pow" and argument.function == "abs" and power is not None and power % 2 == 0:
            return elementwise("pow", argument.argument, power)
        if (function, argument.function) in (("log", "exp"), ("exp", "log")):
            return argument.argument
        if (function, argument.function) in (
            ("relu", "relu"),
            ("abs", "abs"),
            ("sign", "sign"),
            ("step", "step"),
        ):
            return argument
    return Elementwise(function, argument, power)


def whole(function: str, argument: Node) -> Node:
    """A function of a whole matrix or of its rows.

    Args:
        function: "inv", "det", "logdet", "logsumexp" or "softmax".
        argument: a square matrix, or a tensor with an axis at least.
    """
    if function in ("inv", "det", "logdet") and isinstance(argument, Product) and argument.permutes:
        inner, indices = argument.factors[0]
        made = whole(function, inner)
        return product([(made, indices)], (0, 1)) if function == "inv" else made
    if function == "inv":
        if isinstance(argument, Identity):
            return argument
        if isinstance(argument, Whole) and argument.function == "inv":
            return argument.argument
    return Whole(function, argument)
