"""Which fragment of the logic a formula lies in, and what is known of the languages of that fragment.

The classes are cited results, not results of this package: see `Fragment.source`.
"""

from __future__ import annotations

from dataclasses import dataclass

from hard_attention.formulas import Formula, nodes
from hard_attention.simplification import simplify

_PAST, _FUTURE = {"S", "Sn", "Y", "P", "O", "H"}, {"U", "Un", "X", "Fs", "F", "G"}


@dataclass(frozen=True)
class Fragment:
    """The smallest of the named fragments that a formula lies in.

    Attributes:
        name: such as LTL[Y, S].
        languages: the class of its languages.
        attention: the softmax heads that compute it here.
        source: where the class is shown.
        star_free: whether every language of the fragment is star-free; None where it need not be.
    """

    name: str
    languages: str
    attention: str
    source: str
    star_free: bool | None


def fragment(root: Formula) -> Fragment:
    """Name the fragment of a formula, after simplification.

    Args:
        root: the formula.
    """
    used = {node.op for node in nodes(simplify(root))}
    past, future = used & _PAST, used & _FUTURE
    if "last" in used and past:
        future |= {"U"}  # the last position is the one that no other follows
    if used & {"le", "lt", "eq"}:
        return Fragment(
            "LTL[S, U] with counting" if past | future else "Boolean combinations of counts",
            "contains PARITY, MAJORITY, a^n b^n and the Dyck language of one bracket",
            "uniform heads, and a head that tells the sign of a count",
            "Barcelo et al. 2024 (arXiv 2310.03817)",
            None,
        )
    if "at" in used:
        return Fragment(
            "LTL[S, U] with lookups",
            "in AC0; contains PALINDROME",
            "one head for each S and U, and for each lookup one that finds its place by digits",
            "Hao, Angluin and Frank 2022 (arXiv 2204.06618)",
            None,
        )
    if "pred" in used:
        return Fragment(
            "LTL[S, U] with predicates of the user",
            "first-order logic with these unary numerical predicates",
            "one head for each S and U",
            "Barcelo et al. 2024 (arXiv 2310.03817)",
            None,
        )
    if "mod" in used:
        return Fragment(
            "LTL[S, U] with mod",
            "regular languages in AC0",
            "one head for each S and U, position columns j = r mod m",
            "Yang, Chiang and Angluin 2024 (arXiv 2310.13897)",
            None,
        )
    if not past | future:
        names = "no temporal operator"
        return Fragment(names, "decided at the position itself", "no head", "by definition", True)
    if future:
        name = "LTL[S, U]" if past and future else ("LTL[X]" if future == {"X"} else "LTL[U]")
        if name == "LTL[X]":
            return Fragment(
                name,
                "decided by the next few letters (n-grams)",
                "heads of constant distance",
                "by definition",
                True,
            )
        return Fragment(
            name,
            "star-free",
            "one head for each S and U; the future needs the length in the position embedding",
            "Kamp 1968; Yang, Chiang and Angluin 2024 (arXiv 2310.13897)",
            True,
        )
    if past == {"Y"}:
        return Fragment(
            "LTL[Y]",
            "decided by the last few letters (n-grams)",
            "heads of constant distance",
            "by definition",
            True,
        )
    if past <= {"P", "O", "H"}:
        return Fragment(
            "LTL[P]",
            "what softmax of fixed precision without position embedding recognises under a strict future mask",
            "one head for each P",
            "Li and Cotterell 2025 (arXiv 2505.23623)",
            True,
        )
    return Fragment(
        "LTL[Y, S]",
        "star-free",
        "one head for each S",
        "Kamp 1968; Yang, Chiang and Angluin 2024 (arXiv 2310.13897)",
        True,
    )
