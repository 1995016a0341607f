"""The library's database file: what is in it, how it is opened, and how older ones are brought up to date.

SQLite in WAL mode: readers never wait, every commit is on the disk before it is acknowledged. The schema's version is
the file's `user_version`; a file of an older version is copied aside before it is changed. Nothing in it is the only
copy of a request: clips carry theirs, so a lost library is made again from the files, without the user's marks.
"""

import sqlite3
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from engine.errors import StorageFull
from ltx_studio.domain.library import LibraryError

BUSY_TIMEOUT_S = 5.0  # writers hold the file for milliseconds

# Version n is what the first n of these make. Never edit one that was released; append.
MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE entries (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        path TEXT NOT NULL,
        path_key TEXT NOT NULL UNIQUE,  -- the path as the file system compares it
        name TEXT NOT NULL,
        kind TEXT NOT NULL,
        mtime_ns INTEGER NOT NULL,
        size_bytes INTEGER NOT NULL,
        created_s REAL NOT NULL,
        width INTEGER NOT NULL,
        height INTEGER NOT NULL,
        frames INTEGER NOT NULL,
        frame_rate TEXT NOT NULL,
        duration_s REAL NOT NULL,
        has_sound INTEGER NOT NULL,
        take_group TEXT NOT NULL,
        rating INTEGER NOT NULL DEFAULT 0,
        flag TEXT NOT NULL DEFAULT '',
        label TEXT NOT NULL DEFAULT '',
        tags TEXT NOT NULL DEFAULT '[]',  -- as JSON
        is_missing INTEGER NOT NULL DEFAULT 0,
        trashed_s REAL,
        trashed_to TEXT,
        prompt TEXT NOT NULL,
        settings TEXT NOT NULL,  -- what a search finds it by, besides the prompt
        request TEXT  -- what made it, as JSON
    );
    -- What lists are made from, without the long texts: searching reads nothing else of most entries.
    CREATE INDEX entries_in_short ON entries (
        trashed_s, created_s, id, take_group, flag, rating, label, is_missing, duration_s, tags
    );
    CREATE INDEX entries_by_time ON entries (created_s);
    CREATE INDEX entries_by_group ON entries (take_group);
    CREATE VIRTUAL TABLE words USING fts5 (
        prompt, settings, tags, name,
        content = 'entries', content_rowid = 'id',
        tokenize = "unicode61 remove_diacritics 2", prefix = '1 2 3'
    );
    CREATE TRIGGER entry_added AFTER INSERT ON entries BEGIN
        INSERT INTO words (rowid, prompt, settings, tags, name)
        VALUES (new.id, new.prompt, new.settings, new.tags, new.name);
    END;
    CREATE TRIGGER entry_removed AFTER DELETE ON entries BEGIN
        INSERT INTO words (words, rowid, prompt, settings, tags, name)
        VALUES ('delete', old.id, old.prompt, old.settings, old.tags, old.name);
    END;
    CREATE TRIGGER entry_reworded AFTER UPDATE OF prompt, settings, tags, name ON entries
    WHEN (old.prompt, old.settings, old.tags, old.name) IS NOT (new.prompt, new.settings, new.tags, new.name) BEGIN
        INSERT INTO words (words, rowid, prompt, settings, tags, name)
        VALUES ('delete', old.id, old.prompt, old.settings, old.tags, old.name);
        INSERT INTO words (rowid, prompt, settings, tags, name)
        VALUES (new.id, new.prompt, new.settings, new.tags, new.name);
    END;
    """,
)


def open_database(path: Path, migrations: Sequence[str] = MIGRATIONS) -> sqlite3.Connection:
    """A connection for this thread, its file made or brought up to date. Raises LibraryError or StorageFull."""
    with named_errors(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LibraryError(
                f"The library's folder {path.parent} cannot be made: {error.strerror}.",
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


class DamagedLibrary(LibraryError):
    """The file is no database any more."""


@contextmanager
def named_errors(path: Path) -> Generator[None]:
    """SQLite's errors as ours."""
    try:
        yield
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "")
        if name == "SQLITE_FULL":
            raise StorageFull(path, "the disk is full.", remedy="Free some space; no clip is lost.") from error
        if name.startswith("SQLITE_CORRUPT") or name == "SQLITE_NOTADB":
            raise DamagedLibrary(
                f"The library's file {path} is damaged.", remedy="A new one is made from your clips."
            ) from error
        if name.startswith("SQLITE_BUSY"):
            raise LibraryError(
                f"The library's file {path} is held by another program.", remedy="Close that program and try again."
            ) from error
        if name in {"SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_PERM"} or name.startswith("SQLITE_IOERR"):
            raise LibraryError(
                f"The library's file {path} cannot be written.", remedy="Check the folder's permissions and its disk."
            ) from error
        raise


def _prepare(connection: sqlite3.Connection, path: Path, migrations: Sequence[str]) -> None:
    if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")  # a commit outlives a power cut, not the program alone
    version = _version(connection)
    if version > len(migrations):
        raise LibraryError(
            f"The library's file {path} was written by a newer version of this program.", remedy="Update LTX Studio."
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
