"""Finite automata, and whether a language is star-free: whether the syntactic monoid holds no group.

A regular language is definable in temporal logic without mod and counting exactly if it is star-free, that is, if no word permutes states of
its minimal automaton in a cycle of length 2 or more (Schutzenberger 1965, McNaughton and Papert 1971). PARITY has such a word: `a`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offprints.errors import InputError

from hard_attention.alphabet import Alphabet
from hard_attention.formulas import Formula, Node, letters, nodes
from hard_attention.simplification import to_core

MOST_STATES = 4096
MOST_ELEMENTS = 100_000


@dataclass(frozen=True)
class Automaton:
    """A complete deterministic automaton; state 0 is the first one.

    Attributes:
        alphabet: the letters.
        next: (states, letters) the state after a letter.
        accepting: (states,).
    """

    alphabet: Alphabet
    next: NDArray[np.int64]
    accepting: NDArray[np.bool_]

    def __post_init__(self) -> None:
        states = len(self.accepting)
        if self.next.shape != (states, len(self.alphabet)) or not states:
            raise InputError(
                f"next has the shape {self.next.shape}, and (states, letters) is needed, one state or more"
            )
        if self.next.min() < 0 or self.next.max() >= states:
            raise InputError(f"next leads to states outside 0..{states - 1}")

    def accepts(self, string: str) -> bool:
        """Whether the automaton ends in an accepting state."""
        state = 0
        for a in self.alphabet.encode(string):
            state = int(self.next[state, a])
        return bool(self.accepting[state])

    def minimal(self) -> Automaton:
        """The smallest automaton of the same language: reachable states, merged where no word tells them apart."""
        reached = [0]
        seen = {0}
        for state in reached:
            for after in self.next[state].tolist():
                if after not in seen:
                    seen.add(after)
                    reached.append(after)
        number = {state: k for k, state in enumerate(reached)}
        step = np.array([[number[s] for s in self.next[state].tolist()] for state in reached])
        classes = self.accepting[reached].astype(np.int64)
        while True:  # Moore: split until letters lead equals to equals
            rows = np.concatenate([classes[:, None], classes[step]], 1)
            _, first, split = np.unique(rows, axis=0, return_index=True, return_inverse=True)
            split = split.ravel()
            if len(first) == len(np.unique(classes)):
                break
            classes = split
        order = np.unique(split[np.sort(first)])
        start = int(split[0])
        rank = {start: 0} | {c: k + 1 for k, c in enumerate(c for c in order.tolist() if c != start)}
        merged = np.zeros((len(rank), len(self.alphabet)), np.int64)
        accepting = np.zeros(len(rank), bool)
        for state, c in enumerate(split.tolist()):
            merged[rank[c]] = [rank[int(split[s])] for s in step[state].tolist()]
            accepting[rank[c]] = self.accepting[reached[state]]
        return Automaton(self.alphabet, merged, accepting)


@dataclass(frozen=True)
class Monoid:
    """The syntactic monoid: what words do to the states of the minimal automaton.

    Attributes:
        size: elements, with the empty word's.
        group_word: a shortest word found that permutes some states in a cycle; None if the language is star-free.
        period: length of that cycle; 1 if there is none.
    """

    size: int
    group_word: str | None
    period: int

    @property
    def star_free(self) -> bool:
        """Whether no word permutes states."""
        return self.group_word is None


def monoid(automaton: Automaton) -> Monoid:
    """The syntactic monoid of an automaton's language.

    Args:
        automaton: minimal or not.

    Raises:
        InputError: it has more than 100,000 elements.
    """
    step = automaton.minimal().next.T
    identity = tuple(range(step.shape[1]))
    word: dict[tuple[int, ...], str] = {identity: ""}
    queue = [identity]
    group: str | None = None
    period = 1
    for element in queue:
        if group is None and word[element]:
            found = _period(element)
            if found > 1:
                group, period = word[element], found
        for letter, move in zip(automaton.alphabet.letters, step.tolist(), strict=True):
            after = tuple(move[state] for state in element)
            if after not in word:
                if len(word) == MOST_ELEMENTS:
                    raise InputError(f"the syntactic monoid has more than {MOST_ELEMENTS:,} elements")
                word[after] = word[element] + letter
                queue.append(after)
    return Monoid(len(word), group, period)


def require_star_free(automaton: Automaton) -> None:
    """Refuse a language that temporal logic without mod and counting cannot define.

    Raises:
        InputError: it is not star-free; names a word that permutes states, which no such formula can follow.
    """
    found = monoid(automaton)
    if not found.star_free:
        raise InputError(
            f"the language is not star-free: the word {found.group_word!r} permutes {found.period} states of its minimal "
            "automaton in a cycle. No formula of S and U defines it; (mod r m) or counting is needed"
        )


def automaton_of(root: Formula, alphabet: Alphabet) -> Automaton:
    """The automaton of a formula of the past: which strings satisfy it at their last position.

    A state is what the last position leaves to the next one: the truth of every S below it, and the place modulo every m.

    Args:
        root: without the future, counting and predicates of the user.
        alphabet: the letters.

    Raises:
        InputError: the formula looks ahead, counts, or has more than 4,096 states.
    """
    alphabet.check(letters(root))
    core = to_core(root)
    order = nodes(core)
    for node in order:
        if node.op in ("U", "last", "pred", "le", "lt", "eq", "at"):
            raise InputError(
                f"({node.op} ...) has no automaton here: only the past, without counting and lookups"
            )
    moduli = np.lcm.reduce([node.value[1] for node in order if isinstance(node.value, tuple)] or [1])
    since = [node for node in order if node.op == "S"]
    start = (
        0,
        0,
        (False,) * len(since),
        False,
    )  # place modulo, whether there was a position, each S at the next one, truth
    number = {start: 0}
    queue = [start]
    moves: list[list[int]] = []
    for place, begun, held, _ in queue:
        row = []
        for letter in alphabet.letters:
            now = (place + 1) % int(moduli)
            value = _values(order, since, held, letter, now, not begun)
            after = tuple(
                value[id(node.args[1])] or (value[id(node.args[0])] and before)
                for node, before in zip(since, held, strict=True)
            )
            state = (now, 1, after, value[id(core)])
            if state not in number:
                if len(number) == MOST_STATES:
                    raise InputError(f"the formula's automaton has more than {MOST_STATES:,} states")
                number[state] = len(queue)
                queue.append(state)
            row.append(number[state])
        moves.append(row)
    accepting = np.array([state[3] for state in queue])
    return Automaton(alphabet, np.array(moves), accepting).minimal()


def _values(
    order: Sequence[Node], since: Sequence[Node], held: Sequence[bool], letter: str, place: int, first: bool
) -> dict[int, bool]:
    truth = {id(node): before for node, before in zip(since, held, strict=True)}
    for node in order:
        args = [truth[id(child)] for child in node.args]
        if node.op == "S":
            continue
        if node.op == "mod":
            assert isinstance(node.value, tuple)
            truth[id(node)] = place % node.value[1] == node.value[0]
        else:
            simple = {
                "top": True,
                "bot": False,
                "first": first,
                "Q": node.value == letter,
                "not": not (args and args[0]),
                "and": all(args),
                "or": any(args),
            }
            truth[id(node)] = simple[node.op]
    return truth


def _period(element: tuple[int, ...]) -> int:
    """The longest cycle in which a map of states moves some of them."""
    longest = 1
    for state in range(len(element)):
        path: dict[int, int] = {}
        while state not in path:
            path[state] = len(path)
            state = element[state]
        longest = max(longest, len(path) - path[state])
    return longest
