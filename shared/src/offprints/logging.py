"""Console, run.log and progress: rich on a terminal, a plain line now and then without one.

Logs and progress go to stderr, results to stdout, so that results can be piped.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.logging import RichHandler
from rich.markup import escape

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

_PLAIN_WIDTH = 120
_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def console(stderr: bool = False) -> Console:
    """A rich console on stdout (or stderr); without a terminal it is 120 columns wide unless COLUMNS says otherwise."""
    made = Console(stderr=stderr)
    if not made.is_terminal and "COLUMNS" not in os.environ:
        made = Console(stderr=stderr, width=_PLAIN_WIDTH)
    return made


@contextmanager
def logging_to(
    file: Path | None, names: tuple[str, ...], screen: Console, level: int = logging.INFO
) -> Iterator[None]:
    """Send the loggers `names` to the console and, if given, to a file, for the length of the block.

    Args:
        file: run.log, appended to; None writes no file.
        names: loggers, such as ("offprints", "conve").
        screen: console for stderr, shared with the progress bar so that lines go above it.
        level: of the console; the file gets INFO at least.
    """
    handlers: list[logging.Handler] = [_screen_handler(screen, level)]
    if file is not None:
        handlers.append(logging.FileHandler(file, encoding="utf-8"))
        handlers[-1].setFormatter(logging.Formatter(_FORMAT))
    loggers = [logging.getLogger(name) for name in dict.fromkeys(names)]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(min(level, logging.INFO))
        for handler in handlers:
            logger.addHandler(handler)
    try:
        yield
    finally:
        for logger, earlier in zip(loggers, levels, strict=True):
            logger.setLevel(earlier)
            for handler in handlers:
                logger.removeHandler(handler)
        for handler in handlers:
            handler.close()


class Progress:
    """Progress of one piece of work, with the metrics that matter.

    Made by `progress` (or `Run.progress`).
    """

    def __init__(self, total: int, description: str, done: int = 0) -> None:
        self.total = total
        self.description = description
        self.done = done
        self._values: dict[str, float] = {}

    def advance(self, steps: int = 1, values: Mapping[str, float] | None = None) -> None:
        """Go on by `steps` and, if given, show new values of metrics beside the bar."""
        self.done += steps
        self._values.update(values or {})
        self._show()

    def begin_at(self, done: int) -> None:
        """Say that `done` steps had been done before this process began; costs them no time in the estimate."""
        self.done = done

    @property
    def metrics(self) -> str:
        """The metrics as they are shown, such as "valid/mrr 0.3251"."""
        return "  ".join(f"{name} {float(value):.4g}" for name, value in self._values.items())

    def _show(self) -> None:
        """Quiet."""


@contextmanager
def progress(
    total: int, description: str, log: logging.Logger, screen: Console | None, done: int = 0
) -> Iterator[Progress]:
    """Show the progress of a block: a bar on a terminal, else a log line every 15 seconds and one at the end.

    Args:
        total: number of steps.
        description: what is being done.
        log: takes the lines.
        screen: the console of stderr; None shows nothing.
        done: steps done before, by a run that resumes.
    """
    if screen is None:
        yield Progress(total, description, done)
    elif screen.is_terminal:
        with _bar(screen) as bar:
            yield _BarProgress(total, description, done, bar)
    else:
        lines = LineProgress(total, description, done, log)
        yield lines
        lines.finish()


class LineProgress(Progress):
    """Progress as log lines, for files and pipes."""

    def __init__(
        self,
        total: int,
        description: str,
        done: int,
        log: logging.Logger,
        interval: float = 15.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(total, description, done)
        self._log = log
        self._interval = interval
        self._clock = clock
        self._began = self._spoke = clock()
        self._begun_at = done
        self._said = -1

    def begin_at(self, done: int) -> None:
        super().begin_at(done)
        self._begun_at = done

    def _show(self) -> None:
        now = self._clock()
        if now - self._spoke >= self._interval:
            self._spoke = now
            self._say()

    def finish(self) -> None:
        """Say the last state, unless it was said already."""
        if self._said != self.done:
            self._say()

    def _say(self) -> None:
        self._said = self.done
        new = self.done - self._begun_at
        passed = self._clock() - self._began
        left = passed / new * (self.total - self.done) if new else 0.0
        when = f"{left:.0f} s left" if self.done < self.total else f"in {passed:.0f} s"
        self._log.info("%s %d/%d, %s  %s", self.description, self.done, self.total, when, self.metrics)


class _BarProgress(Progress):
    def __init__(self, total: int, description: str, done: int, bar: RichProgress) -> None:
        super().__init__(total, description, done)
        self._bar = bar
        self._task = bar.add_task(escape(description), total=total, completed=done, metrics="")

    def _show(self) -> None:
        self._bar.update(self._task, completed=self.done, metrics=escape(self.metrics))


def _bar(screen: Console) -> RichProgress:
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    return RichProgress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("[bold]{task.fields[metrics]}"),
        console=screen,
    )


def _screen_handler(screen: Console, level: int) -> logging.Handler:
    handler: logging.Handler
    if screen.is_terminal:
        handler = RichHandler(console=screen, show_path=False, log_time_format="[%X]")
    else:
        handler = logging.StreamHandler(screen.file)
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
    handler.setLevel(level)
    handler.addFilter(lambda record: not getattr(record, "file_only", False))
    return handler
