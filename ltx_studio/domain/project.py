"""A project as a value: the sequence that is cut, its undo history, and what is known about the files it uses.

Everything here is pure. Not here: the JSON form (`project_document`), the folder on the disk (`project_store`), finding
files that moved (`project_media`).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from engine.errors import EngineError
from engine.types import FrameRate, Size
from ltx_studio.domain.timeline import Clip, Take, Timeline, empty_timeline

MAX_STEPS = 200  # of the undo history; the oldest go first
FIRST_RATE = FrameRate(Fraction(24))


class ProjectError(EngineError):
    """A project that cannot be opened or written."""

    code = "project"


@dataclass(frozen=True)
class FileMark:
    """How to know a file again: its length, and a hash of its two ends (`project_media.mark_of`)."""

    size_bytes: int
    fingerprint: str


@dataclass(frozen=True)
class Project:
    """What `project.json` says.

    `size` is the picture size of the sequence, None for that of its first clip. `unknown` holds the fields that a newer
    version wrote and this one has no name for, by the thing they belong to; they are written back as they were.
    """

    name: str
    timeline: Timeline = field(default_factory=lambda: empty_timeline(FIRST_RATE))
    size: Size | None = None
    marks: Mapping[Path, FileMark] = field(default_factory=dict)
    unknown: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def files(self) -> Iterator[Path]:
        """Every file of the timeline, each once, takes that are not shown included."""
        return files_of(self.timeline)


@dataclass(frozen=True)
class Step:
    """One edit: its name, and what it led to."""

    name: str
    after: Timeline
    at_s: float  # since the epoch


@dataclass(frozen=True)
class History:
    """Every state that undo and redo can reach; `position` is the number of steps that are done now."""

    base: Timeline
    steps: tuple[Step, ...] = ()
    position: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.position <= len(self.steps):
            raise ValueError(f"position {self.position} of {len(self.steps)} steps")

    @property
    def now(self) -> Timeline:
        return self.at(self.position)

    def at(self, position: int) -> Timeline:
        """The timeline after that many steps."""
        return self.steps[position - 1].after if position else self.base

    def done(self, step: Step, *, replaces: bool = False) -> "History":
        """With one more step, in place of those that were undone; `replaces`: and in place of the last one done."""
        kept = self.steps[: self.position - 1 if replaces and self.position else self.position]
        steps = (*kept, step)
        surplus = len(steps) - MAX_STEPS
        if surplus > 0:
            return History(steps[surplus - 1].after, steps[surplus:], MAX_STEPS)
        return History(self.base, steps, len(steps))

    def moved(self, position: int) -> "History":
        """Undone or redone to there."""
        return replace(self, position=position)

    def changed(self, change: Callable[[Timeline], Timeline]) -> "History":
        """Every state changed in the same way, such as files that have moved."""
        steps = tuple(replace(step, after=change(step.after)) for step in self.steps)
        return History(change(self.base), steps, self.position)

    def files(self) -> Iterator[Path]:
        """Every file that undo and redo can bring back, each once."""
        found: dict[Path, None] = {}
        for timeline in (self.base, *(step.after for step in self.steps)):
            found.update(dict.fromkeys(files_of(timeline)))
        return iter(found)


def files_of(timeline: Timeline) -> Iterator[Path]:
    """Every file of a timeline, each once."""
    return iter(dict.fromkeys(take.media.path for clip in timeline.clips() for take in clip.takes))


def with_files_moved(timeline: Timeline, moved: Mapping[Path, Path]) -> Timeline:
    """The same timeline with these files in their new places; what has no moved file is shared, not copied."""
    if not any(path in moved for path in files_of(timeline)):
        return timeline
    tracks = tuple(
        replace(track, clips=tuple(_clip_with_files_moved(clip, moved) for clip in track.clips))
        for track in timeline.tracks
    )
    return replace(timeline, tracks=tracks)


def _clip_with_files_moved(clip: Clip, moved: Mapping[Path, Path]) -> Clip:
    if not any(take.media.path in moved for take in clip.takes):
        return clip
    return replace(clip, takes=tuple(_take_with_files_moved(take, moved) for take in clip.takes))


def _take_with_files_moved(take: Take, moved: Mapping[Path, Path]) -> Take:
    path = moved.get(take.media.path)
    return take if path is None else replace(take, media=replace(take.media, path=path))
