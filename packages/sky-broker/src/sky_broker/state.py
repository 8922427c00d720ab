"""What a broker knows of a run, in SQLite: every step is one transaction, so that a kill at any point leaves a state to go on from.

One broker at a time: a lock on a file beside the state is held by the process and goes with it, however it ends.
"""

from __future__ import annotations

import fcntl
import json
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from offprints.content import parse_json
from offprints.errors import InputError

_TABLES = """
CREATE TABLE IF NOT EXISTS run (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS tasks (name TEXT PRIMARY KEY, status TEXT NOT NULL, offer TEXT NOT NULL, hours REAL NOT NULL);
CREATE TABLE IF NOT EXISTS attempts (
    key TEXT PRIMARY KEY, task TEXT NOT NULL, location TEXT NOT NULL, status TEXT NOT NULL, error TEXT NOT NULL DEFAULT '',
    began REAL NOT NULL, ended REAL
);
CREATE TABLE IF NOT EXISTS objects (name TEXT PRIMARY KEY, location TEXT NOT NULL, sha256 TEXT NOT NULL, bytes INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS blocked (location TEXT PRIMARY KEY, reason TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS events (
    number INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, kind TEXT NOT NULL, task TEXT NOT NULL, detail TEXT NOT NULL
);
"""


class StateLocked(InputError):
    """Another broker works on this state."""


@dataclass(frozen=True)
class StoredObject:
    """Data that a store holds.

    Attributes:
        name: of a dataset, or task.output.
        location: cloud:region.
        sha256: of the content.
        bytes: of the content.
    """

    name: str
    location: str
    sha256: str
    bytes: int


@dataclass(frozen=True)
class Attempt:
    """One try to run a task.

    Attributes:
        key: task-number; an engine never runs a key twice.
        task: its name.
        location: where.
        status: begun, done, failed, refused (no machine), lost (the machine is gone) or unstarted.
        error: why, where it came to nothing.
        began: when it was written down, in seconds since 1970; 0 before that.
        ended: when its end was; None while it has none.
    """

    key: str
    task: str
    location: str
    status: str
    error: str = ""
    began: float = 0.0
    ended: float | None = None


class RunState:
    """The state of one run.

    Args:
        path: of the SQLite file; made if it is not there.

    Raises:
        StateLocked: another broker has it open.
        InputError: the file is no state of a run.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = self.path.with_suffix(".lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            raise StateLocked(
                f"another broker works on {self.path}; wait for it, or give this run a state of its own"
            ) from None
        with ExitStack() as opened:
            opened.enter_context(self._lock)
            try:
                self._db = opened.enter_context(closing(sqlite3.connect(self.path, isolation_level=None)))
                self._db.execute("PRAGMA journal_mode=WAL")
                self._db.execute("PRAGMA synchronous=FULL")
                self._db.executescript(_TABLES)
                damage = self._db.execute("PRAGMA quick_check").fetchone()[0]
            except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
                damage = str(error)
            if damage != "ok":
                raise InputError(f"{self.path} is no state of a run, or a damaged one: {damage}")
            opened.pop_all()  # they stay open until `close`

    def close(self) -> None:
        """Let another broker have it."""
        self._db.close()
        self._lock.close()

    def __enter__(self) -> RunState:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of what the block writes, or none of it."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def get(self, key: str) -> Any:
        """A value of the run; None if it is not there."""
        rows = self._rows("SELECT value FROM run WHERE key = ?", (str,), key)
        return parse_json(rows[0][0], self.path) if rows else None

    def put(self, key: str, value: Any) -> None:
        """Keep a value of the run."""
        self._db.execute("INSERT OR REPLACE INTO run VALUES (?, ?)", (key, json.dumps(value)))

    def event(self, kind: str, task: str = "", detail: str = "") -> None:
        """Note that something happened."""
        row = (time.time(), kind, task, detail)
        self._db.execute("INSERT INTO events (at, kind, task, detail) VALUES (?, ?, ?, ?)", row)

    def events(self, kind: str | None = None) -> list[tuple[str, str, str]]:
        """Kind, task and detail of all events, or of one kind, in order."""
        rows = self._rows("SELECT kind, task, detail FROM events ORDER BY number", (str, str, str))
        return [row for row in rows if kind is None or row[0] == kind]

    def place(self, offers: Mapping[str, tuple[str, float]]) -> None:
        """Set where tasks that have not ended run: task -> offer as JSON, and hours."""
        for task, (offer, hours) in offers.items():
            self._db.execute(
                "INSERT INTO tasks VALUES (?, 'waiting', ?, ?) ON CONFLICT (name) DO UPDATE SET offer = ?, hours = ? "
                "WHERE status != 'done'",
                (task, offer, hours, offer, hours),
            )

    def tasks(self) -> dict[str, tuple[str, dict[str, Any], float]]:
        """Task -> status, offer and hours."""
        rows = self._rows("SELECT name, status, offer, hours FROM tasks", (str, str, str, float))
        found = {name: (status, parse_json(offer, self.path), hours) for name, status, offer, hours in rows}
        if wrong := [name for name, (_, offer, _) in found.items() if not isinstance(offer, dict)]:
            raise InputError(f"{self.path} is damaged: the offer of task {wrong[0]!r} is none")
        return found

    def set_status(self, task: str, status: str) -> None:
        """A task waits, runs or is done; what is done stays so."""
        self._db.execute("UPDATE tasks SET status = ? WHERE name = ? AND status != 'done'", (status, task))

    def begin(self, attempt: Attempt) -> None:
        """Note an attempt before it begins."""
        row = (attempt.key, attempt.task, attempt.location, attempt.status, attempt.error, time.time(), None)
        self._db.execute("INSERT INTO attempts VALUES (?, ?, ?, ?, ?, ?, ?)", row)

    def end(self, key: str, status: str, error: str = "") -> None:
        """Note how an attempt ended."""
        self._db.execute(
            "UPDATE attempts SET status = ?, error = ?, ended = ? WHERE key = ?",
            (status, error, time.time(), key),
        )

    def attempts(self, task: str | None = None) -> list[Attempt]:
        """All attempts, or those of a task, in order."""
        rows = self._rows(
            "SELECT key, task, location, status, error, began, ended FROM attempts ORDER BY rowid",
            (*(str,) * 5, float, (float, type(None))),
        )
        return [Attempt(*row) for row in rows if task is None or row[1] == task]

    def add_object(self, stored: StoredObject) -> None:
        """Note data that a store holds; a name is written once."""
        row = (stored.name, stored.location, stored.sha256, stored.bytes)
        self._db.execute("INSERT OR IGNORE INTO objects VALUES (?, ?, ?, ?)", row)

    def objects(self) -> dict[str, StoredObject]:
        """Name -> data."""
        rows = self._rows("SELECT name, location, sha256, bytes FROM objects", (str, str, str, int))
        return {row[0]: StoredObject(*row) for row in rows}

    def block(self, location: str, reason: str) -> None:
        """Place nothing more at a location."""
        self._db.execute("INSERT OR IGNORE INTO blocked VALUES (?, ?)", (location, reason))

    def blocked(self) -> list[str]:
        """The locations where nothing more is placed."""
        return [row[0] for row in self._rows("SELECT location FROM blocked ORDER BY location", (str,))]

    def _rows(
        self, query: str, kinds: Sequence[type | tuple[type, ...]], *values: str
    ) -> list[tuple[Any, ...]]:
        """What a query finds; SQLite itself lets any column hold anything."""
        try:
            rows = self._db.execute(query, values).fetchall()
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            raise InputError(f"{self.path} is damaged: {error}") from error
        for row in rows:
            if not all(map(isinstance, row, kinds)):
                raise InputError(f"{self.path} is damaged: {query} gives {row}")
        return rows
