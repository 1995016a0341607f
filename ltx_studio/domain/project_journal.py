"""The journal of a project: every edit as one line, on the disk before it is acknowledged.

The first line holds a whole state and the undo history that led to it; each line after it is one edit, undo or redo.
Lines carry a number and a checksum. A line that was cut off by a crash ends what is read: it was never acknowledged.
Whatever has been read can be written again as one first line, which is how the file is kept short.

Not here: when the journal is read and what for (`project_store`).
"""

import json
import os
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ltx_studio.domain.project import History, Project, Step
from ltx_studio.domain.project_document import Document, Reader, Writer, as_steps
from ltx_studio.domain.project_patch import Patch, PatchMismatch, difference, patched

FORMAT_VERSION = 1
Record = Mapping[str, Any]


@dataclass(frozen=True)
class Log:
    """A journal as it was read."""

    number: int  # of its last record
    is_whole: bool  # nothing follows
    is_damaged: bool  # whole lines follow that cannot be used; a last line that was cut off is no damage
    start: Record
    records: tuple[Record, ...]


@dataclass(frozen=True)
class Replay:
    """What a journal says at one of its numbers."""

    history: History
    around: Project  # all but the timeline, which is an empty one
    timeline_document: Document  # as it stands in the journal
    around_document: Document


def line_of(record: Record) -> bytes:
    content = json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(content), content)


def read_log(path: Path) -> Log | None:
    """Up to the first line that is not ours or out of order; None where not even the first one is. Raises OSError."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    records: list[Record] = []
    num_bytes = 0
    for line in content.splitlines(keepends=True):
        record = _record_of(line)
        if record is None or (records and record.get("number") != records[-1]["number"] + 1):
            break
        records.append(record)
        num_bytes += len(line)
    if not records or records[0].get("kind") != "start" or records[0].get("journal") != FORMAT_VERSION:
        return None
    rest = content[num_bytes:]
    return Log(records[-1]["number"], not rest, b"\n" in rest, records[0], tuple(records[1:]))


def _record_of(line: bytes) -> Record | None:
    checksum, _, content = line.rstrip(b"\n").partition(b" ")
    try:
        if not line.endswith(b"\n") or int(checksum, 16) != zlib.crc32(content):
            return None
        record = json.loads(content)
    except ValueError:
        return None
    return record if isinstance(record, dict) and isinstance(record.get("number"), int) else None


# --- records ----------------------------------------------------------------------------------------------------------


def start_record(history: History, around: Document, writer: Writer, *, number: int) -> Record:
    """The first line of a journal, whose first edit will have the next number. `around` has no timeline."""
    documents = _documents(history, writer)
    base = before = next(documents)
    steps: list[Document] = []
    for step, after in zip(history.steps, documents, strict=True):
        steps.append({"name": step.name, "at_s": step.at_s, "patch": difference(before, after)})
        before = after
    return {
        "kind": "start",
        "journal": FORMAT_VERSION,
        "number": number,
        "base": base,
        "steps": steps,
        "position": history.position,
        "around": around,
    }


def edit_record(number: int, step: Step, patch: Patch, *, replaces: bool) -> Record:
    """`patch` leads from the timeline before the edit to the one after it; the same for an edit that replaces one."""
    record = {"kind": "edit", "number": number, "name": step.name, "at_s": step.at_s, "patch": patch}
    return {**record, "replaces": True} if replaces else record


def move_record(number: int, position: int) -> Record:
    return {"kind": "move", "number": number, "to": position}


def around_record(number: int, patch: Patch) -> Record:
    return {"kind": "around", "number": number, "patch": patch}


def _documents(history: History, writer: Writer) -> Iterator[Document]:
    yield writer.timeline(history.base)
    for step in history.steps:
        yield writer.timeline(step.after)


# --- reading them again -----------------------------------------------------------------------------------------------


def replay(log: Log, reader: Reader, *, up_to: int | None = None) -> Replay:
    """The state after record `up_to`, or after the last one. Raises ValueError for lines that contradict each other."""
    assert up_to is None or up_to >= log.start["number"], (up_to, log.start["number"])
    try:
        return _replay(log, reader, up_to)
    except (KeyError, TypeError, AttributeError, PatchMismatch) as error:
        raise ValueError(f"the journal contradicts itself: {error!r}") from error


def _replay(log: Log, reader: Reader, up_to: int | None) -> Replay:
    records = [record for record in log.records if up_to is None or record["number"] <= up_to]
    around = log.start["around"]
    for record in records:
        if record["kind"] == "around":
            around = patched(around, record["patch"])
    project = reader.around(around)  # first, since it is what tells the reader where files are now
    documents = [log.start["base"]]
    steps: list[Step] = []
    for item in as_steps(log.start["steps"]):
        documents.append(patched(documents[-1], item["patch"]))
        steps.append(Step(item["name"], reader.timeline(documents[-1]), item["at_s"]))
    history = History(reader.timeline(documents[0]), tuple(steps), log.start["position"])
    for record in records:
        match record["kind"]:
            case "edit":
                document = patched(documents[history.position], record["patch"])
                replaces = bool(record.get("replaces", False))
                first = history.position - 1 if replaces and history.position else history.position
                documents = [*documents[: first + 1], document]
                step = Step(record["name"], reader.timeline(document), record["at_s"])
                history = history.done(step, replaces=replaces)
                documents = documents[-len(history.steps) - 1 :]
            case "move":
                history = history.moved(record["to"])
            case "around":
                pass
            case kind:
                raise ValueError(f"there is no record of the kind {kind!r}")
    return Replay(history, project, documents[history.position], around)


# --- the file ---------------------------------------------------------------------------------------------------------


class JournalFile:
    """Appends to the journal. After an append that failed the file has to be written anew."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("ab", buffering=0)
        self.is_sound = True

    @property
    def num_bytes(self) -> int:
        return self._file.tell()

    def append(self, record: Record) -> None:
        """On the disk when this returns. Raises OSError."""
        self.is_sound = False
        line = line_of(record)
        written = self._file.write(line)
        if written != len(line):
            raise OSError(28, "No space left on device")  # a short write: the disk is full
        os.fsync(self._file.fileno())
        self.is_sound = True

    def close(self) -> None:
        self._file.close()
