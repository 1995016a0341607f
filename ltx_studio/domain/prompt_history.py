"""Prompts that were used, and those the user wants to keep: a file of JSON lines that only ever grows at its end.

Each line is handed to the system in one call before it counts, so a crash of the program loses at most the line being
written, and a torn line is skipped by the next start. It does not wait for the disk, because the window would wait with
it, 20 ms and more on a busy one; what a power cut may take here is still in the job that the prompt was used for. Old
entries leave by rewriting the file under another name and renaming it. Several windows may write at once.
"""

import json
import logging
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engine.errors import MediaError
from engine.folders import data_folder
from ltx_studio.domain.prompt import Prompt

logger = logging.getLogger("studio.prompts")

MAX_ENTRIES = 5000  # favourites are kept beyond it; a prompt is about a kilobyte
_SLACK = 2  # the file is rewritten once it has this many times the lines it needs


@dataclass(frozen=True)
class Entry:
    """One prompt and when it was last used, in seconds since 1970."""

    prompt: Prompt
    negative: str
    used_at_s: float
    is_favourite: bool = False

    @property
    def key(self) -> tuple[str, str]:
        return self.prompt.text, self.negative


def history_path() -> Path:
    return data_folder() / "prompts.jsonl"


class PromptHistory:
    """The newest use of every prompt, newest first."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._entries: dict[tuple[str, str], Entry] = {}
        self._num_lines = 0
        self._load()

    def entries(self) -> list[Entry]:
        """Newest first."""
        return sorted(self._entries.values(), key=lambda entry: entry.used_at_s, reverse=True)

    def search(self, query: str, *, favourites_only: bool = False) -> list[Entry]:
        """The entries that contain every word of the query, whatever the case; newest first."""
        words = query.casefold().split()
        return [
            entry
            for entry in self.entries()
            if (entry.is_favourite or not favourites_only)
            and all(word in f"{entry.prompt.text}\n{entry.negative}".casefold() for word in words)
        ]

    def find(self, text: str, negative: str = "") -> Entry | None:
        """The entry of a prompt; with the same words and another negative prompt if need be."""
        exact = self._entries.get((text, negative))
        return exact or next((entry for entry in self.entries() if entry.prompt.text == text), None)

    def add(self, prompt: Prompt, negative: str = "", *, now_s: float | None = None) -> Entry | None:
        """Remember that a prompt was used; one of spaces alone is not. Raises MediaError when it cannot be written."""
        if not prompt.text.strip():
            return None
        known = self._entries.get((prompt.text, negative))
        is_favourite = known is not None and known.is_favourite
        entry = Entry(prompt, negative, time.time() if now_s is None else now_s, is_favourite)
        self._write(entry)
        return entry

    def set_favourite(self, entry: Entry, is_favourite: bool) -> Entry:
        """Raises MediaError when it cannot be written."""
        changed = replace(entry, is_favourite=is_favourite)
        self._write(changed)
        return changed

    def remove(self, entry: Entry) -> None:
        """Forget a prompt. Raises MediaError when it cannot be written."""
        self._append({"text": entry.prompt.text, "negative": entry.negative, "is_removed": True})
        self._entries.pop(entry.key, None)

    def _write(self, entry: Entry) -> None:
        self._append(_to_json(entry))
        self._entries[entry.key] = entry
        if self._num_lines > _SLACK * MAX_ENTRIES:
            self._rewrite()

    def _append(self, values: dict[str, Any]) -> None:
        line = json.dumps(values, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("ab") as file:
                # A line that a crash tore must not swallow this one.
                file.write(line if _ends_whole(self._path) else b"\n" + line)
        except OSError as error:
            raise _unwritable(self._path, error) from error
        self._num_lines += 1

    def _rewrite(self) -> None:
        """Only what is needed, by atomic rename."""
        entries = self.entries()
        kept = [entry for index, entry in enumerate(entries) if index < MAX_ENTRIES or entry.is_favourite]
        lines = (json.dumps(_to_json(entry), ensure_ascii=False) + "\n" for entry in reversed(kept))
        draft = self._path.with_suffix(".new")
        try:
            with draft.open("wb") as file:
                file.writelines(line.encode("utf-8", "surrogatepass") for line in lines)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self._path)
        except OSError as error:
            raise _unwritable(self._path, error) from error
        self._entries = {entry.key: entry for entry in kept}
        self._num_lines = len(kept)

    def _load(self) -> None:
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return
        except OSError as error:
            logger.warning("the prompt history cannot be read: %s", error)
            return
        self._apply(data.split(b"\n"))

    def _apply(self, lines: Iterable[bytes]) -> None:
        for line in lines:
            if not line:
                continue
            self._num_lines += 1
            try:
                values = json.loads(line.decode("utf-8", "surrogatepass"))
                if values.get("is_removed"):
                    self._entries.pop((values["text"], values["negative"]), None)
                    continue
                entry = _from_json(values)
            except (ValueError, KeyError, TypeError, AttributeError):
                logger.info("a line of the prompt history was torn and is left out")
                continue
            self._entries[entry.key] = entry


def _to_json(entry: Entry) -> dict[str, Any]:
    return {
        "runs": entry.prompt.to_json(),
        "negative": entry.negative,
        "used_at_s": entry.used_at_s,
        "is_favourite": entry.is_favourite,
    }


def _from_json(values: dict[str, Any]) -> Entry:
    return Entry(
        Prompt.from_json(values["runs"]),
        str(values["negative"]),
        float(values["used_at_s"]),
        bool(values["is_favourite"]),
    )


def _ends_whole(path: Path) -> bool:
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END) == 0:
            return True
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def _unwritable(path: Path, error: OSError) -> MediaError:
    return MediaError(
        path,
        f"the prompt history cannot be written: {error.strerror}.",
        remedy="Free some space or make the folder writable; your prompt is not lost.",
    )
