"""The library as it is written down: every change is on the disk before the call returns.

One store belongs to one thread; any number of them may have the same file open. Ten thousand entries are searched
without reading more than their numbers; whole entries are read for what is on the screen.
"""

import json
import os
import sqlite3
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from engine.folders import data_folder
from engine.types import FrameRate, Size
from ltx_studio.domain.library import (
    Entry,
    Facts,
    Flag,
    Hit,
    Kind,
    Label,
    Marks,
    Query,
    settings_words,
    take_group_of,
)
from ltx_studio.domain.library_schema import DamagedLibrary, named_errors, open_database, transaction
from ltx_studio.domain.library_search import grouped, groups, statement_of

FILE_NAME = "library.sqlite3"
_DATABASE_SUFFIXES = ("", "-wal", "-shm")
_FROM_FILE = (
    *("path", "path_key", "name", "kind", "mtime_ns", "size_bytes", "created_s", "width", "height", "frames"),
    *("frame_rate", "duration_s", "has_sound", "take_group", "prompt", "settings", "request"),
)
_NO_MARKS = {"rating": "0", "flag": "''", "label": "''", "tags": "'[]'"}
# Marks belong to what was made, not to its name: another clip under the same name starts without.
_UPSERT = (
    f"INSERT INTO entries ({', '.join(_FROM_FILE)}) VALUES ({', '.join('?' * len(_FROM_FILE))}) "
    f"ON CONFLICT (path_key) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in _FROM_FILE)}, "
    + ", ".join(f"{name} = iif(request IS excluded.request, {name}, {none})" for name, none in _NO_MARKS.items())
    + ", is_missing = 0, trashed_s = NULL, trashed_to = NULL RETURNING id"
)
_MAX_PARAMETERS = 900  # of one statement; SQLite before 3.32 takes 999


class KnownFile(NamedTuple):
    """A file of the library, as it was when it was last read."""

    id: int
    path: Path
    mtime_ns: int
    size_bytes: int
    is_missing: bool


class LibraryStore:
    """The library's file, open. `now` is the clock, seconds since the epoch."""

    def __init__(self, path: Path | None = None, *, now: Callable[[], float] = time.time) -> None:
        """Raises LibraryError for a file that cannot be used; `path` defaults to the one in the data folder."""
        self.path = path or data_folder() / FILE_NAME
        self._now = now
        self._connection = open_database(self.path)
        self._connection.row_factory = sqlite3.Row

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    # --- reading ------------------------------------------------------------------------------------------------------

    def search(self, query: Query) -> list[Hit]:
        """The entries that a query asks for, in its order."""
        statement = statement_of(query)
        with named_errors(self.path), closing(self._connection.cursor()) as cursor:
            cursor.row_factory = None  # plain tuples: ten thousand Row objects would double the time
            rows = cursor.execute(statement.sql, statement.parameters).fetchall()
        return grouped(rows) if groups(query) else [Hit(row[0]) for row in rows]

    def entries(self, ids: Sequence[int]) -> dict[int, Entry]:
        """Those of these entries that there are."""
        return {row["id"]: _entry(row) for row in self._rows(ids)}

    def marks(self, ids: Sequence[int]) -> dict[int, Marks]:
        """The marks of those of these entries that there are."""
        return {row["id"]: _marks(row) for row in self._rows(ids, f"id, {', '.join(_NO_MARKS)}")}

    def count(self) -> int:
        """How many entries there are, in the trash or not."""
        with named_errors(self.path):
            return self._connection.execute("SELECT count(*) FROM entries").fetchone()[0]

    def tags(self) -> list[str]:
        """Every tag in use, in the order of the alphabet."""
        sql = "SELECT DISTINCT value FROM entries, json_each(entries.tags) WHERE tags <> '[]'"
        with named_errors(self.path):
            return sorted((row[0] for row in self._connection.execute(sql)), key=str.casefold)

    def known_files(self) -> list[KnownFile]:
        """Every file that is not in the trash."""
        sql = "SELECT id, path, mtime_ns, size_bytes, is_missing FROM entries WHERE trashed_s IS NULL"
        with named_errors(self.path):
            rows = self._connection.execute(sql).fetchall()
        return [KnownFile(row[0], Path(row[1]), row[2], row[3], bool(row[4])) for row in rows]

    def trashed(self) -> list[Entry]:
        """Entries whose file is in the trash, or was on its way there."""
        with named_errors(self.path):
            return [_entry(row) for row in self._connection.execute("SELECT * FROM entries WHERE trashed_s NOT NULL")]

    # --- files --------------------------------------------------------------------------------------------------------

    def add(self, files: Iterable[Facts], *, group: str | None = None) -> list[int]:
        """The entries of these files: new ones, or those that were there, whose marks stay. `group` names their shot.

        An entry whose file is gone from its place, and whose very file appears elsewhere, moves with it.
        """
        with transaction(self._connection, self.path):
            return [self._add(facts, group or take_group_of(facts)) for facts in files]

    def _add(self, facts: Facts, group: str) -> int:
        values = _columns(facts, group)
        moved = self._moved_from(facts)
        if moved is not None:
            assignments = ", ".join(f"{name} = ?" for name in _FROM_FILE)
            sql = f"UPDATE entries SET {assignments}, is_missing = 0 WHERE id = ?"
            self._connection.execute(sql, (*values, moved))
            return moved
        return self._connection.execute(_UPSERT, values).fetchone()[0]

    def _moved_from(self, facts: Facts) -> int | None:
        key = path_key(facts.path)
        sql = (
            "SELECT id, path, path_key FROM entries WHERE created_s = ? AND mtime_ns = ? AND size_bytes = ? "
            "AND request IS ? AND trashed_s IS NULL"
        )
        parameters = (facts.created_s, facts.mtime_ns, facts.size_bytes, _request_json(facts))
        same = self._connection.execute(sql, parameters).fetchall()
        if any(row["path_key"] == key for row in same) or self._has_path(key):
            return None
        return next((row["id"] for row in same if not Path(row["path"]).exists()), None)

    def _has_path(self, key: str) -> bool:
        return self._connection.execute("SELECT 1 FROM entries WHERE path_key = ?", (key,)).fetchone() is not None

    def set_missing(self, changes: Mapping[int, bool]) -> None:
        """Which files are not in their place now."""
        self._write("UPDATE entries SET is_missing = ? WHERE id = ?", [(is_in, key) for key, is_in in changes.items()])

    def set_trashed(self, places: Mapping[int, Path | None]) -> None:
        """These files go to the trash, or lie at this place in it."""
        now = self._now()
        self._write(
            "UPDATE entries SET trashed_s = coalesce(trashed_s, ?), trashed_to = ? WHERE id = ?",
            [(now, None if place is None else str(place), key) for key, place in places.items()],
        )

    def set_restored(self, ids: Collection[int]) -> None:
        """These files are back from the trash."""
        self._write("UPDATE entries SET trashed_s = NULL, trashed_to = NULL WHERE id = ?", [(key,) for key in ids])

    # --- the user's marks ---------------------------------------------------------------------------------------------

    def set_marks(self, marks: Mapping[int, Marks]) -> None:
        self._write(
            f"UPDATE entries SET {', '.join(f'{name} = ?' for name in _NO_MARKS)} WHERE id = ?",
            [(item.rating, item.flag, item.label, _tags_json(item), key) for key, item in marks.items()],
        )

    def forget(self, ids: Sequence[int]) -> "Forgotten":
        """Drop these entries; their files stay as they are. What is returned brings them back."""
        rows = [dict(row) for row in self._rows(ids)]
        self._write("DELETE FROM entries WHERE id = ?", [(key,) for key in ids])
        return Forgotten(rows)

    def remember(self, forgotten: "Forgotten") -> None:
        """Bring forgotten entries back, unless their files have been added again since."""
        for row in forgotten.rows:
            names = ", ".join(row)
            sql = f"INSERT INTO entries ({names}) VALUES ({', '.join('?' * len(row))}) ON CONFLICT DO NOTHING"
            self._write(sql, [tuple(row.values())])

    # --- inside -------------------------------------------------------------------------------------------------------

    def _write(self, sql: str, parameters: Sequence[tuple[Any, ...]]) -> None:
        with transaction(self._connection, self.path):
            self._connection.executemany(sql, parameters)

    def _rows(self, ids: Sequence[int], columns: str = "*") -> list[sqlite3.Row]:
        rows: list[sqlite3.Row] = []
        with named_errors(self.path):
            for start in range(0, len(ids), _MAX_PARAMETERS):
                part = ids[start : start + _MAX_PARAMETERS]
                sql = f"SELECT {columns} FROM entries WHERE id IN ({', '.join('?' * len(part))})"
                rows += self._connection.execute(sql, part).fetchall()
        return rows


class Forgotten(NamedTuple):
    """Entries that were dropped, as they stood in the file."""

    rows: list[dict[str, Any]]


def open_or_renew(path: Path | None = None) -> tuple[LibraryStore, Path | None]:
    """The library; a damaged file is moved aside, and the second value says where to. Raises LibraryError.

    What is lost then are the user's marks; the entries come back when the clips' folders are scanned.
    """
    path = path or data_folder() / FILE_NAME
    try:
        return LibraryStore(path), None
    except DamagedLibrary:
        aside = path.with_name(f"{path.stem}.damaged-{time.strftime('%Y%m%d-%H%M%S')}{path.suffix}")
        for suffix in _DATABASE_SUFFIXES:
            part = path.with_name(path.name + suffix)
            if part.exists():
                part.replace(aside.with_name(aside.name + suffix))
        return LibraryStore(path), aside


def path_key(path: Path) -> str:
    """The same for all spellings of a path that this system takes for one."""
    return os.path.normcase(path.absolute())


def _columns(facts: Facts, group: str) -> tuple[Any, ...]:
    """In the order of `_FROM_FILE`."""
    size = facts.size or Size(0, 0)
    return (
        *(str(facts.path.absolute()), path_key(facts.path), facts.path.name, facts.kind),
        *(facts.mtime_ns, facts.size_bytes, facts.created_s, size.width, size.height, facts.frames),
        *("" if facts.frame_rate is None else str(facts.frame_rate), facts.duration_s, facts.has_sound, group),
        *(facts.prompt, settings_words(facts), _request_json(facts)),
    )


def _request_json(facts: Facts) -> str | None:
    return None if facts.request is None else json.dumps(facts.request, sort_keys=True, ensure_ascii=False)


def _tags_json(marks: Marks) -> str:
    return json.dumps(marks.tags, ensure_ascii=False)


def _entry(row: sqlite3.Row) -> Entry:
    facts = Facts(
        path=Path(row["path"]),
        kind=Kind(row["kind"]),
        mtime_ns=row["mtime_ns"],
        size_bytes=row["size_bytes"],
        size=Size(row["width"], row["height"]) if row["width"] else None,
        frames=row["frames"],
        frame_rate=FrameRate.parse(row["frame_rate"]) if row["frame_rate"] else None,
        duration_s=row["duration_s"],
        has_sound=bool(row["has_sound"]),
        request=None if row["request"] is None else json.loads(row["request"]),
    )
    return Entry(
        id=row["id"],
        facts=facts,
        marks=_marks(row),
        take_group=row["take_group"],
        is_missing=bool(row["is_missing"]),
        trashed_to=None if row["trashed_to"] is None else Path(row["trashed_to"]),
        is_trashed=row["trashed_s"] is not None,
    )


def _marks(row: sqlite3.Row) -> Marks:
    return Marks(row["rating"], Flag(row["flag"]), Label(row["label"]), tuple(json.loads(row["tags"])))
