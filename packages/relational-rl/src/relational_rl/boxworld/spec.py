"""Which Box-World: the size of the room, the boxes in it, and the rules."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from offprints.errors import InputError

from relational_rl.boxworld.codes import COLOURS

RULES = ("authors", "legacy")
PALETTES = ("authors", "distinct")
SPLITS = (None, "train", "test")
_WITHHELD_SEED = 1806_01830


@dataclass(frozen=True)
class BoxWorldSpec:
    """A distribution of levels, and what a step does; checked when it is made.

    A box is two pixels side by side, its content to the left and its lock to the right. The solution is a chain: the loose key
    opens the first box, whose key opens the second, and so on to the gem. The counts are those asked for: a level too dense to
    be placed is drawn again, with other counts, so that dense levels are rarer than the counts say.

    Attributes:
        size: rows and columns of the room, without its wall; 6 to 62.
        solution_lengths: numbers of boxes on the way to the gem, each as likely.
        forward: numbers of branches that lead away from the solution, each as likely.
        branch_length: boxes of such a branch.
        backward: numbers of boxes with a key of the solution behind a lock that none of its keys opens, each as likely.
        max_steps: an episode is cut off (truncated) at this step.
        colours: of keys and locks, up to 20.
        withheld: None; "train": no box of a solution pairs a lock and a content colour that are withheld; "test": at least one
            box does, which needs solutions of two boxes or more.
        withheld_pairs: how many (lock, content) pairs of colours are withheld; which ones is fixed.
        rules: "authors", or "legacy": the rules of a widely copied clone, where opening a lock takes the content at once, the
            loose key gives 1, and the box of the gem gives 10 in place of 1 and 10.
        palette: "authors" or "distinct".
        reference_time_limit: end one step later, as a terminal state: what the authors' program does.

    Raises:
        InputError: an option does not fit, or no such level could ever be placed.

    Source: Section 4.1 of the paper; the authors' program for all that it leaves open. The paper does not say which pairs were
    withheld, nor how many: both are ours.
    """

    size: int = 12
    solution_lengths: tuple[int, ...] = (1, 2, 3, 4)
    forward: tuple[int, ...] = (0, 1, 2, 3, 4)
    branch_length: int = 1
    backward: tuple[int, ...] = (0,)
    max_steps: int = 120
    colours: int = COLOURS
    withheld: str | None = None
    withheld_pairs: int = 12
    rules: str = "authors"
    palette: str = "authors"
    reference_time_limit: bool = False

    def __post_init__(self) -> None:
        for name in ("solution_lengths", "forward", "backward"):
            object.__setattr__(self, name, tuple(int(count) for count in getattr(self, name)))
        longest = max(self.solution_lengths, default=0)
        self._require("size", 6 <= self.size <= 62, "6 to 62")
        self._require("colours", 1 <= self.colours <= COLOURS, f"1 to {COLOURS}")
        self._require(
            "solution_lengths", min(self.solution_lengths, default=0) >= 1, "one or more, each >= 1"
        )
        self._require("forward", min(self.forward, default=-1) >= 0, "one or more, each >= 0")
        self._require("backward", min(self.backward, default=-1) >= 0, "one or more, each >= 0")
        self._require("branch_length", self.branch_length >= 1, "1 or more")
        self._require("max_steps", self.max_steps >= 1, "1 or more")
        self._require("rules", self.rules in RULES, f"one of {', '.join(RULES)}")
        self._require("palette", self.palette in PALETTES, f"one of {', '.join(PALETTES)}")
        self._require("withheld", self.withheld in SPLITS, "null, train or test")
        # Distractors take ids above the solution's; the highest id is never drawn, as in the authors' program.
        spare = self.colours - 1 - longest
        branches = max(self.forward) > 0
        needed = 2 if branches and self.branch_length > 1 else 1 if branches or max(self.backward) > 0 else -1
        if spare < needed:
            raise InputError(
                f"colours={self.colours} are too few for solution_lengths up to {longest}"
                + (" and distractors of other colours" if needed > 0 else "")
                + f": at least {longest + 1 + max(0, needed)} are needed"
            )
        if self.withheld is not None:
            pairs = self.colours * (self.colours - 1)
            self._require("withheld_pairs", 1 <= self.withheld_pairs <= pairs // 2, f"1 to {pairs // 2}")
        if self.withheld == "test" and min(self.solution_lengths) < 2:
            raise InputError(
                "withheld=test needs solution_lengths of 2 or more: one box has no pair of colours"
            )
        fewest = 1 + min(self.solution_lengths) + min(self.forward) * self.branch_length + min(self.backward)
        if fewest > self.capacity:
            raise InputError(
                f"a room of size={self.size} holds {self.capacity} things that do not touch, but every such level has "
                f"{fewest} or more (the loose key, {min(self.solution_lengths)} boxes and its branches)"
            )

    def _require(self, name: str, fits: bool, right: str) -> None:
        if not fits:
            raise InputError(f"Box-World option {name}={getattr(self, name)!r} is not valid: {right}")

    @property
    def side(self) -> int:
        """Rows and columns of the board, with its wall."""
        return self.size + 2

    @property
    def capacity(self) -> int:
        """More things than this cannot be placed: 2 x 3 blocks that do not overlap, the loose key's one column narrower."""
        rows, columns = (self.size - 1) // 2, (self.size - 2) // 3
        return rows * columns + ((self.size - 2) % 3 == 2)

    @property
    def last_step(self) -> int:
        """The step at which time is up."""
        return self.max_steps + self.reference_time_limit

    @cached_property
    def withheld_table(self) -> NDArray[np.bool_]:
        """(colours, colours) whether a box with this lock (row) and this content (column) is withheld."""
        table = np.zeros((self.colours, self.colours), np.bool_)
        if self.withheld is not None:
            pairs = np.argwhere(~np.eye(self.colours, dtype=np.bool_))
            chosen = np.random.Generator(np.random.Philox(_WITHHELD_SEED)).permutation(len(pairs))
            rows = pairs[chosen[: self.withheld_pairs]]
            table[rows[:, 0], rows[:, 1]] = True
        return table
