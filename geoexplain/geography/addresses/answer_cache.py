"""A cache on disk of the answers of a reverse geocoder, so that no request is repeated.

It is an SQLite file that is committed after each answer, so that a process may be killed at any time.
"""

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from geoexplain.errors import DataError
from geoexplain.geography.address import Location
from geoexplain.words import printable

APPLICATION = 0x67656F78
"""SQLite's application_id of such files."""

STEPS_PER_DEG = 100_000
"""Coordinates are rounded to 1e-5 degrees, a metre, in the cache and in requests."""

PATIENCE_S = 30.0
"""Longest wait for another process that writes to the same file."""

LONGEST_QUEUE = 60
"""Largest number of turns to wait for other processes that send requests to the same server."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
    source TEXT NOT NULL, lat INTEGER NOT NULL, lon INTEGER NOT NULL, answer TEXT NOT NULL,
    PRIMARY KEY (source, lat, lon)
) WITHOUT ROWID
"""

TURNS = "CREATE TABLE IF NOT EXISTS turns (server TEXT PRIMARY KEY, next_s REAL NOT NULL) WITHOUT ROWID"

Address = tuple[Location, ...]
"""Locations, fine to coarse; empty if the server has no address there."""


@dataclass(frozen=True, eq=False)
class AnswerCache:
    """The answers of one `source`, which identifies server, language and zoom."""

    connection: sqlite3.Connection
    source: str
    name: str

    def get(self, lat: int, lon: int) -> Address | None:
        """Return the answer for a coordinate in STEPS_PER_DEG, or None. Raises DataError for a damaged file."""
        with _convert_errors(self.name):
            query = "SELECT answer FROM answers WHERE source = ? AND lat = ? AND lon = ?"
            row = self.connection.execute(query, (self.source, lat, lon)).fetchone()
            return None if row is None else tuple(_location(entry) for entry in json.loads(row[0]))

    def put(self, lat: int, lon: int, address: Address) -> None:
        """Store an answer. Raises DataError when it cannot be written."""
        answer = json.dumps([[step.key, step.name, step.kind] for step in address], ensure_ascii=False)
        with _convert_errors(self.name), self.connection:
            values = (self.source, lat, lon, answer)
            self.connection.execute("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?)", values)

    def turn_s(self, server: str, every_s: float) -> float:
        """Reserve the next request to a server and return the seconds until then.

        All processes that share the file send one request every `every_s` seconds together. Raises DataError when the
        reservation cannot be written.
        """
        with _convert_errors(self.name), self.connection:
            self.connection.execute("BEGIN IMMEDIATE")
            row = self.connection.execute("SELECT next_s FROM turns WHERE server = ?", (server,)).fetchone()
            now_s = time.time()
            # Bounded, in case the clock was set back.
            wait_s = 0.0 if row is None else min(max(row[0] - now_s, 0.0), LONGEST_QUEUE * every_s)
            values = (server, now_s + wait_s + every_s)
            self.connection.execute("INSERT OR REPLACE INTO turns VALUES (?, ?)", values)
        return wait_s


@contextmanager
def open_cache(file: Path, source: str) -> Iterator[AnswerCache]:
    """Open the cache in a file, which is created if missing. Raises DataError for any other kind of file."""
    name = printable(file.name)
    with _convert_errors(name):
        connection = sqlite3.connect(file, timeout=PATIENCE_S)
    with closing(connection):
        with _convert_errors(name):
            (application,) = connection.execute("PRAGMA application_id").fetchone()
            (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if tables and application != APPLICATION:
                raise DataError(f"{name}: expected a cache of addresses, got another database: choose another file.")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            with connection:
                connection.execute(f"PRAGMA application_id = {APPLICATION}")
                connection.execute(SCHEMA)
                connection.execute(TURNS)
        yield AnswerCache(connection, source, name)


def _location(entry: list[str]) -> Location:
    key, name, kind = entry
    return Location(str(key), str(name), str(kind))


@contextmanager
def _convert_errors(name: str) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, ValueError, TypeError) as error:
        raise DataError(
            f"{name}: expected a cache of addresses to read and write, got '{printable(str(error))}': choose another "
            "file, or delete it."
        ) from None
