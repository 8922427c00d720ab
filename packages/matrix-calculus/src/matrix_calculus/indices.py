"""Index notation, for derivatives that no matrix can hold."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from matrix_calculus.expression import Elementwise, Identity, Node, Pairing, Product, Sum, Whole, order
from matrix_calculus.forms import Form
from matrix_calculus.notation import forms_of
from matrix_calculus.shapes import Size

_LETTERS = "ijklmnpqrstuvwabcdefgh"


@dataclass(frozen=True)
class IndexForm:
    """A tensor by its indices.

    Attributes:
        axes: letter of each axis.
        terms: coefficient, letters that are summed over, and the factors with their letters.
        shape: of the tensor.
    """

    axes: tuple[str, ...]
    terms: tuple[tuple[Fraction, tuple[str, ...], tuple[tuple[Form | str, tuple[str, ...]], ...]], ...]
    shape: tuple[Size, ...]


def index_form(node: Node) -> tuple[IndexForm, dict[str, IndexForm]]:
    """A tensor of any number of axes, by indices; parts that have no matrix form are defined apart.

    Returns:
        The form, and the forms of the parts T1, T2, ... that it names.
    """
    forms = forms_of(node)
    named: dict[bytes, str] = {}
    parts: dict[str, IndexForm] = {}
    for one in order([node]):
        if one.key != node.key and one.key not in forms and not isinstance(one, Pairing | Product | Sum):
            named[one.key] = f"T{len(named) + 1}"
            parts[named[one.key]] = _indexed_function(one, forms, named, parts)
    return _indexed(node, forms, named, parts), parts


def _indexed_function(
    one: Node, forms: dict[bytes, Form], named: dict[bytes, str], parts: dict[str, IndexForm]
) -> IndexForm:
    """A function of a tensor that has no matrix form: its argument gets a name of its own."""
    assert isinstance(one, Elementwise | Whole)
    inner = one.argument
    if inner.key not in named and inner.key not in forms:
        named[inner.key] = f"T{len(named) + 1}"
        parts[named[inner.key]] = _indexed(inner, forms, named, parts)
    axes = tuple(_LETTERS[: one.rank])
    name = named.get(inner.key, "")
    power = f"^({one.power})" if isinstance(one, Elementwise) and one.function == "pow" else ""
    text = f"({name}){power}" if power else f"{one.function}({name})"
    return IndexForm(axes, ((Fraction(1), (), ((text, axes),)),), one.shape)


def _indexed(
    node: Node, forms: dict[bytes, Form], named: dict[bytes, str], parts: dict[str, IndexForm]
) -> IndexForm:
    axes = tuple(_LETTERS[: node.rank])
    terms = []
    for scale, one in node.terms if isinstance(node, Sum) else [(Fraction(1), node)]:
        if isinstance(one, Product):
            letters = tuple(_letter(index) for index in range(len(one.sizes)))
            factors = []
            for inner, indices in one.factors:
                factors.append(
                    (_named(inner, forms, named, parts), tuple(letters[index] for index in indices))
                )
            terms.append((scale * one.coefficient, letters[one.rank :], tuple(factors)))
        else:
            terms.append((scale, (), ((_named(one, forms, named, parts), axes),)))
    return IndexForm(axes, tuple(terms), node.shape)


def _letter(index: int) -> str:
    return _LETTERS[index] if index < len(_LETTERS) else f"i{index}"


def _named(
    node: Node, forms: dict[bytes, Form], named: dict[bytes, str], parts: dict[str, IndexForm]
) -> Form | str:
    if isinstance(node, Identity | Pairing):
        return "δ" if isinstance(node, Identity) else "π"
    if node.key in forms:
        return forms[node.key]
    if node.key not in named:
        named[node.key] = f"T{len(named) + 1}"
        parts[named[node.key]] = _indexed(node, forms, named, parts)
    return named[node.key]
