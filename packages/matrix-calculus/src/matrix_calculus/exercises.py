"""The rule book as exercises: each formula of the paper as it stands, and with something else in the place of its variable.

Nothing is stored but the questions: the answer that a learner's is compared with is derived. Progress is a small JSON file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from offprints.atomic import write_text
from offprints.content import parse_json, read_text
from offprints.errors import InputError

from matrix_calculus import printing
from matrix_calculus.derive import Derivation, derive
from matrix_calculus.grade import Verdict, grade
from matrix_calculus.rules import RULES, Rule
from matrix_calculus.syntax import Term, parse

_INSTEAD = ("{}", "2*{}", "sin({})", "exp({})", "tanh({})")
"""What stands in the place of the variable: the formula itself, and four exercises in the chain rule."""


@dataclass(frozen=True)
class Exercise:
    """A question.

    Attributes:
        number: from 1 on.
        rule: that it is about.
        expression: to be differentiated.
        wrt: by what.
        symbols: name -> declaration.
    """

    number: int
    rule: Rule
    expression: str
    wrt: str
    symbols: Mapping[str, str]

    @property
    def question(self) -> str:
        """To the learner."""
        known = ", ".join(f"{name}: {kind}" for name, kind in self.symbols.items())
        return f"{self.number}. {self.rule.section}: differentiate {self.expression} by {self.wrt}  ({known}; numerator layout)"

    def derive(self) -> Derivation:
        """The answer, derived."""
        return derive(self.expression, self.wrt, self.symbols)

    def grade(self, answer: str) -> Verdict:
        """What an answer is worth."""
        return grade(self.expression, self.wrt, answer, self.symbols)


def exercises() -> tuple[Exercise, ...]:
    """All of them: five for each formula of the paper, the plain ones first."""
    found: list[Exercise] = []
    for instead in _INSTEAD:
        for rule in RULES:
            put = parse(instead.format(rule.wrt))
            expression = printing.text(_put(parse(rule.expression), rule.wrt, put))
            found.append(Exercise(len(found) + 1, rule, expression, rule.wrt, rule.symbols))
    return tuple(found)


def _put(term: Term, name: str, instead: Term) -> Term:
    if term.op == "name" and term.value == name:
        return instead
    return Term(term.op, tuple(_put(one, name, instead) for one in term.args), term.value)


@dataclass
class Progress:
    """What a learner has done.

    Attributes:
        path: of the file.
        tries: exercise number -> answers given.
        solved: numbers of solved exercises, in their order.
    """

    path: Path
    tries: dict[int, int]
    solved: list[int]

    @classmethod
    def load(cls, path: Path) -> Progress:
        """Read a file; where there is none, nothing has been done.

        Args:
            path: of the file.

        Raises:
            InputError: it is not a file of progress.
        """
        if not path.exists():
            return cls(path, {}, [])
        try:
            content = parse_json(read_text(path), path)
            tries = {int(number): int(count) for number, count in content["tries"].items()}
            solved = [int(number) for number in content["solved"]]
            if min(tries.values(), default=0) < 0 or set(solved) - {one.number for one in exercises()}:
                raise ValueError("a negative count, or an exercise that there is not")
            return cls(path, tries, solved)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            raise InputError(f"{path} is not a file of practice: {error!r}") from error

    def record(self, exercise: Exercise, verdict: Verdict) -> None:
        """Count an answer, and write the file.

        Args:
            exercise: that was answered.
            verdict: of the answer.
        """
        self.tries[exercise.number] = self.tries.get(exercise.number, 0) + 1
        if verdict.right and exercise.number not in self.solved:
            self.solved.append(exercise.number)
        write_text(self.path, json.dumps({"tries": self.tries, "solved": self.solved}, indent=2) + "\n")

    def next(self) -> Exercise | None:
        """The first exercise that is not solved; None when all are."""
        return next((one for one in exercises() if one.number not in self.solved), None)
