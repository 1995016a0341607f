"""A timeline for other editors, and theirs for us: OpenTimelineIO, Final Cut Pro XML and CMX 3600 edit lists.

Each format says less than a timeline holds, and more. Whatever gets lost on the way is reported, line by line, never
dropped in silence. The three formats are written and read here and not by OpenTimelineIO's own package: that keeps
frame rates as fractions (23.976 stays 24000/1001), keeps a compiled dependency out of every installation, and its
adapter for Final Cut writes NTSC rates that no program reads. The tests have the package read what we write.

Not here: the formats (`interchange_otio`, `interchange_fcpxml`, `interchange_edl`), finding files (`project_media`).
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import floor
from pathlib import Path

from engine.errors import EngineError
from engine.types import FrameRate
from ltx_studio.domain.project_files import named_errors, write_whole
from ltx_studio.domain.timeline import Clip, Media, Timeline, Track, TrackKind

Probe = Callable[[Path], Media | None]  # the facts about a file, None where it is not there


class InterchangeError(EngineError):
    """A file of another editor that cannot be read, or a timeline that a format cannot hold at all."""

    code = "interchange"


@dataclass(frozen=True)
class Loss:
    """Something that the other side will not see. `where` names the clip, track or marker; empty: all of it."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" if self.where else self.what


@dataclass(frozen=True)
class Written:
    """A timeline in another format."""

    content: str
    losses: tuple[Loss, ...]


@dataclass(frozen=True)
class Imported:
    """A timeline of another editor."""

    name: str
    timeline: Timeline
    losses: tuple[Loss, ...]


@dataclass(frozen=True)
class Options:
    """How to write. `counts_drop_frames` matters at 29.97 and 59.94 alone; an edit list begins at `start_hour`."""

    counts_drop_frames: bool = False
    start_hour: int = 1


SUFFIXES = (".otio", ".fcpxml", ".edl")


def save(timeline: Timeline, path: Path, *, name: str, options: Options | None = None) -> tuple[Loss, ...]:
    """Write the file; what is returned is what the other editor will not see. Raises InterchangeError, ProjectError."""
    written = as_text(timeline, path.suffix, name=name, options=options)
    with named_errors(path, "Choose another folder."):
        write_whole(path, written.content.encode())
    return written.losses


def as_text(timeline: Timeline, suffix: str, *, name: str, options: Options | None = None) -> Written:
    """Raises InterchangeError for a suffix of no format, and for what the format cannot hold at all."""
    from ltx_studio.domain import interchange_edl, interchange_fcpxml, interchange_otio  # noqa: PLC0415 - they use this

    options = options or Options()
    match suffix.lower():
        case ".otio":
            return interchange_otio.written(timeline, name=name)
        case ".fcpxml":
            return interchange_fcpxml.written(timeline, name=name, options=options)
        case ".edl":
            return interchange_edl.written(timeline, name=name, options=options)
        case _:
            raise _unknown(suffix)


def load(path: Path, *, probe: Probe, rate: FrameRate | None = None) -> Imported:
    """Read a file of another editor. `rate` is for edit lists, which do not say theirs.

    `probe` looks at the media; where a file is not there, what the other editor says about it is believed. Raises
    InterchangeError.
    """
    from ltx_studio.domain import (  # noqa: PLC0415 - they use this
        interchange_edl,
        interchange_fcpxml_reading,
        interchange_otio,
    )

    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InterchangeError(f"{path}: {error.strerror or error}.", remedy="Choose another file.") from error
    except UnicodeDecodeError:
        text = path.read_bytes().decode("latin-1")  # edit lists of older systems
    folder = path.absolute().parent
    try:
        match path.suffix.lower():
            case ".otio":
                imported = interchange_otio.parsed(text, folder=folder, probe=probe)
            case ".fcpxml":
                imported = interchange_fcpxml_reading.parsed(text, folder=folder, probe=probe)
            case ".edl":
                imported = interchange_edl.parsed(text, folder=folder, probe=probe, rate=rate)
            case suffix:
                raise _unknown(suffix)
    except (KeyError, ValueError, TypeError, AttributeError, IndexError, ZeroDivisionError, OverflowError) as error:
        raise InterchangeError(
            f"{path.name} cannot be read: {error}.", remedy="Export it again from the other program, or choose another."
        ) from error
    return replace(imported, name=imported.name or path.stem)


def _unknown(suffix: str) -> InterchangeError:
    return InterchangeError(
        f"{suffix or 'A file without a suffix'} is none of the formats for other editors.",
        remedy=f"Choose one of {', '.join(SUFFIXES)}.",
    )


# --- what the formats share -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Place:
    """Where an imported clip goes: the number of its lane among those of its kind, 0 being the lowest picture track
    and the first sound track.
    """

    kind: TrackKind
    lane: int
    name: str = ""  # of the track, if the other editor has one


def placed(rate: FrameRate, clips: Sequence[tuple[Place, Clip]]) -> tuple[Timeline, tuple[Loss, ...]]:
    """A timeline of these clips; one that overlaps another on its lane goes to the next lane that is free there."""
    lanes: dict[tuple[TrackKind, int], list[Clip]] = {}
    names: dict[tuple[TrackKind, int], str] = {}
    losses: list[Loss] = []
    for place, clip in sorted(clips, key=lambda item: (item[1].start, item[1].id)):
        lane = place.lane
        while any(other.start < clip.stop and clip.start < other.stop for other in lanes.get((place.kind, lane), [])):
            lane += 1
        if lane != place.lane:
            losses.append(Loss(clip.name, "it overlaps another clip and was put on a track of its own."))
        lanes.setdefault((place.kind, lane), []).append(clip)
        if place.name and lane == place.lane:
            names.setdefault((place.kind, lane), place.name)
    next_id = max((clip.id for _, clip in clips), default=0) + 1
    next_id = max(next_id, *(clip.link or 0 for _, clip in clips)) + 1 if clips else next_id
    tracks: list[Track] = []
    for kind, letter in ((TrackKind.PICTURE, "V"), (TrackKind.SOUND, "A")):
        count = max((lane for one, lane in lanes if one is kind), default=0) + 1
        numbers = range(count)
        for number in reversed(numbers) if kind is TrackKind.PICTURE else numbers:
            name = names.get((kind, number), f"{letter}{number + 1}")
            tracks.append(Track(next_id, kind, name, tuple(lanes.get((kind, number), []))))
            next_id += 1
    return Timeline(rate, tuple(tracks), next_id=next_id), tuple(losses)


def linked_pairs(timeline: Timeline) -> dict[int, tuple[Clip, Clip]]:
    """By the id of either: a picture and the one sound that belongs to it and shows the very same stretch of it."""
    groups: dict[int, list[tuple[TrackKind, Clip]]] = {}
    for track in timeline.tracks:
        for clip in track.clips:
            if clip.link is not None:
                groups.setdefault(clip.link, []).append((track.kind, clip))
    pairs: dict[int, tuple[Clip, Clip]] = {}
    for group in groups.values():
        by_kind = dict(group)
        if len(group) == 2 and len(by_kind) == 2:
            picture, sound = by_kind[TrackKind.PICTURE], by_kind[TrackKind.SOUND]
            if _stretch(picture) == _stretch(sound):
                pairs[picture.id] = pairs[sound.id] = (picture, sound)
    return pairs


def _stretch(clip: Clip) -> tuple[object, ...]:
    return clip.start, clip.length, clip.source_start + clip.take.offset, clip.media.path


def source_in(clip: Clip) -> Fraction:
    """Where in the shown take's file it begins, seconds."""
    return clip.source_start + clip.take.offset


def nearest_frame(seconds: Fraction, rate: FrameRate) -> int:
    """Halves up."""
    return floor(seconds * rate.value + Fraction(1, 2))


def is_whole(seconds: Fraction, rate: FrameRate) -> bool:
    """Whether a frame begins there."""
    return (seconds * rate.value).denominator == 1


def file_of(url: str, folder: Path) -> Path | None:
    """The file that a URL of another editor, or a path, names; None for one that is not on this machine."""
    scheme, separator, rest = url.partition("://")
    if separator and scheme.lower() != "file":
        return None
    path = _percent_decoded(rest if separator else url)
    if separator:
        host, slash, tail = path.partition("/")
        path = slash + tail if host.lower() in ("", "localhost") else f"//{host}/{tail}"
        if re.match(r"/[A-Za-z]:", path):  # file:///C:/films
            path = path[1:]
    return folder / path


def _percent_decoded(text: str) -> str:
    raw = re.sub(rb"%([0-9A-Fa-f]{2})", lambda found: bytes([int(found[1], 16)]), text.encode())
    return raw.decode("utf-8", errors="replace")


def lost_in_clips(timeline: Timeline) -> list[Loss]:
    """What neither Final Cut Pro XML nor an edit list can say about clips and tracks."""
    losses: list[Loss] = []
    for track in timeline.tracks:
        if track.is_locked:
            losses.append(Loss(track.name, "the lock of the track."))
        for clip in track.clips:
            if len(clip.takes) > 1:
                losses.append(Loss(clip.name, f"{len(clip.takes) - 1} takes that are not shown."))
    if timeline.mark_in is not None or timeline.mark_out is not None:
        losses.append(Loss("", "The marked range."))
    return losses
