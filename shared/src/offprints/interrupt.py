"""Ctrl-C and SIGTERM as KeyboardInterrupt, at a moment that the running code chooses."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_IMPATIENT = 1.0
"""Seconds after which a second Ctrl-C is meant; sooner it is the same one, sent on by torchrun or a process group."""


class Interrupts:
    """While `listening`, SIGINT and SIGTERM raise KeyboardInterrupt once: right away, or at the end of a `held` block.

    Python's own Ctrl-C can fall between two lines of an optimizer step, and a checkpoint saved then would hold half an update.

    Attributes:
        requested: whether a signal has come.
    """

    def __init__(self) -> None:
        self.requested = False
        self._pending = False
        self._holding = 0
        self._since = 0.0

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Handle the signals in the block. Does nothing outside the main thread, where Python allows no handlers."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        earlier = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        for number in earlier:
            signal.signal(number, self._receive)
        try:
            yield
        finally:
            for number, handler in earlier.items():
                signal.signal(number, handler)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Put off KeyboardInterrupt to the end of the block."""
        self._holding += 1
        try:
            yield
        finally:
            self._holding -= 1
            if self._pending and not self._holding:
                self._pending = False
                raise KeyboardInterrupt

    def _receive(self, number: int, frame: FrameType | None) -> None:
        again = self.requested
        if again and (number == signal.SIGTERM or time.monotonic() - self._since < _IMPATIENT):
            return
        self.requested = True
        self._since = time.monotonic()
        if self._holding and not again:
            self._pending = True
            return
        self._pending = False
        raise KeyboardInterrupt
