"""The queue's database file: how it is opened, what is in it, and how older ones are brought up to date.

SQLite in WAL mode: readers never wait, one writer at a time, every commit on the disk before it is acknowledged. The
schema's version is the file's `user_version`; a file of an older version is copied aside before it is changed.
"""

import sqlite3
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from engine.errors import StorageFull
from engine.jobs.queue import QueueError

BUSY_TIMEOUT_S = 10.0  # writers hold the file for milliseconds

# Version n is what the first n of these make. Never edit one that was released; append.
MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE batches (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        title TEXT NOT NULL,
        created_s REAL NOT NULL
    );
    CREATE TABLE jobs (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        uid TEXT NOT NULL UNIQUE,
        batch_id INTEGER REFERENCES batches (id),
        lane TEXT NOT NULL,
        state TEXT NOT NULL DEFAULT 'waiting',
        priority INTEGER NOT NULL,
        rank INTEGER NOT NULL,
        overtaken INTEGER NOT NULL DEFAULT 0,
        title TEXT NOT NULL,
        output TEXT NOT NULL,
        output_key TEXT NOT NULL UNIQUE,  -- no two jobs ever write the same file
        warm_key TEXT NOT NULL,
        predicted_s REAL NOT NULL,
        fraction REAL NOT NULL DEFAULT 0,
        eta_s REAL,
        created_s REAL NOT NULL,
        started_s REAL,
        heartbeat_s REAL,
        finished_s REAL,
        interruptions INTEGER NOT NULL DEFAULT 0,
        wish TEXT,
        error_code TEXT,
        error_message TEXT,
        error_remedy TEXT,
        -- What lists do not show comes last: SQLite then skips the pages it overflows to.
        owner TEXT,  -- who runs it, as JSON
        made TEXT,  -- fingerprint of the finished file, written before the file gets its name
        work TEXT NOT NULL,  -- what to make, as JSON
        result TEXT  -- what was made, as JSON
    );
    CREATE INDEX jobs_in_line ON jobs (state, lane, priority DESC, rank);
    CREATE UNIQUE INDEX jobs_by_rank ON jobs (lane, rank);
    CREATE INDEX jobs_by_batch ON jobs (batch_id);
    CREATE TABLE settings (
        name TEXT PRIMARY KEY,
        value TEXT NOT NULL
    );
    """,
)


def open_database(path: Path, migrations: Sequence[str] = MIGRATIONS) -> sqlite3.Connection:
    """A connection for this thread, its file made or brought up to date. Raises QueueError or StorageFull."""
    with named_errors(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise QueueError(
                f"The queue's folder {path.parent} cannot be made: {error.strerror}.",
                remedy="Free some space, or choose another data folder.",
            ) from error
        connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
        try:
            _prepare(connection, path, migrations)
        except BaseException:
            connection.close()
            raise
        return connection


@contextmanager
def transaction(connection: sqlite3.Connection, path: Path) -> Generator[None]:
    """All of it or nothing, with nobody else writing; on the disk when the block has ended."""
    with named_errors(path):
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            connection.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):  # a full disk has rolled back already
                connection.execute("ROLLBACK")
            raise


@contextmanager
def named_errors(path: Path) -> Generator[None]:
    """SQLite's errors as ours."""
    try:
        yield
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "")
        if name == "SQLITE_FULL":
            raise StorageFull(
                path, "the disk is full.", remedy="Free some space; nothing of the queue is lost."
            ) from error
        if name in {"SQLITE_CORRUPT", "SQLITE_NOTADB"}:
            raise QueueError(
                f"The queue's file {path} is damaged.",
                remedy="Move it out of its folder; an empty queue takes its place.",
            ) from error
        if name.startswith("SQLITE_BUSY"):
            raise QueueError(
                f"The queue's file {path} is held by another program.", remedy="Close that program and try again."
            ) from error
        if name in {"SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_PERM"} or name.startswith("SQLITE_IOERR"):
            raise QueueError(
                f"The queue's file {path} cannot be written.", remedy="Check the folder's permissions and its disk."
            ) from error
        raise


def _prepare(connection: sqlite3.Connection, path: Path, migrations: Sequence[str]) -> None:
    if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")  # a commit outlives a power cut, not the program alone
    connection.execute("PRAGMA foreign_keys = ON")
    version = _version(connection)
    if version > len(migrations):
        raise QueueError(
            f"The queue's file {path} was written by a newer version of this program.", remedy="Update LTX Studio."
        )
    if version == len(migrations):
        return
    if version > 0:
        _copy_aside(connection, path.with_name(f"{path.name}.v{version}"))
    with transaction(connection, path):
        for script in migrations[_version(connection) :]:  # read again: another process may have been quicker
            for statement in _statements(script):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(migrations)}")


def _version(connection: sqlite3.Connection) -> int:
    return connection.execute("PRAGMA user_version").fetchone()[0]


def _statements(script: str) -> Generator[str]:
    """One by one, because `executescript` would end the transaction."""
    statement = ""
    for line in script.splitlines():
        statement += line + "\n"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _copy_aside(connection: sqlite3.Connection, destination: Path) -> None:
    copy = sqlite3.connect(destination)
    try:
        connection.backup(copy)
    finally:
        copy.close()
