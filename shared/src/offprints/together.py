"""Work that many threads ask for at once, done in one pass: a pass takes all that has come in while the last one ran."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


class Busy(RuntimeError):
    """So many wait already that no more are taken; to be asked again later."""


class Together(Generic[Asked, Answer]):
    """Answers what several threads ask, all that waits in one pass.

    No thread of its own: whoever comes first makes the pass, and finds the others' work beside its own.

    Args:
        answer: answers to all that is asked, in order.
        waiting: how many may wait for the next pass.
    """

    def __init__(self, answer: Callable[[list[Asked]], list[Answer]], waiting: int = 64) -> None:
        self.answer, self.waiting = answer, waiting
        self._queue: list[tuple[Asked, Future[Answer]]] = []
        self._queue_lock = threading.Lock()
        self._one_pass = threading.Lock()

    def ask(self, asked: Asked) -> Answer:
        """The answer, when its pass has been made.

        Raises:
            Busy: `waiting` others wait already.
        """
        mine: Future[Answer] = Future()
        with self._queue_lock:
            if len(self._queue) >= self.waiting:
                raise Busy(f"{self.waiting} requests wait already; ask again later")
            self._queue.append((asked, mine))
        with self._one_pass:
            if not mine.done():
                self._make_pass()
        return mine.result()

    def _make_pass(self) -> None:
        with self._queue_lock:
            taken, self._queue = self._queue, []
        try:
            answers = self.answer([asked for asked, _ in taken])
        except BaseException as error:
            # Nobody may wait for ever for a pass that failed.
            for _, future in taken:
                future.set_exception(error)
            raise
        for (_, future), answer in zip(taken, answers, strict=True):
            future.set_result(answer)
