"""Timelines as CMX 3600 edit lists: one picture track, four sound tracks, whole frames, names in comments.

The picture that is seen is what counts: clips of upper tracks are cut into the one track there is. Muted tracks are
left out. An edit list counts source and record in the sequence's frames and does not say its rate; ours do, in a
comment. Record times begin at one o'clock, as tapes did; when reading, the hour that the first edit begins in is taken
as zero.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import count
from pathlib import Path

from engine.types import FrameRange, FrameRate
from ltx_studio.domain.interchange import (
    Imported,
    InterchangeError,
    Loss,
    Options,
    Place,
    Probe,
    Written,
    file_of,
    is_whole,
    lost_in_clips,
    nearest_frame,
    placed,
    source_in,
)
from ltx_studio.domain.timeline import Clip, Media, Take, Timeline, TrackKind

MAX_SOUND_TRACKS = 4
MAX_EVENTS = 999
_REEL_LENGTH = 8
_RATE_COMMENT = "LTX STUDIO RATE"
_EVENT = re.compile(
    r"(?P<number>\d+)\s+(?P<reel>\S+)\s+(?P<channels>\S+)\s+(?P<kind>\S+)(?:\s+(?P<frames>\d+))?"
    r"\s+(?P<source_in>\d\d[:;]\d\d[:;]\d\d[:;.]\d\d)\s+(?P<source_out>\d\d[:;]\d\d[:;]\d\d[:;.]\d\d)"
    r"\s+(?P<record_in>\d\d[:;]\d\d[:;]\d\d[:;.]\d\d)\s+(?P<record_out>\d\d[:;]\d\d[:;]\d\d[:;.]\d\d)"
)


# --- timecode ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Count:
    """How frames are numbered. `drops`: the first two numbers of a minute (four at 59.94) are left out, except in every
    tenth minute, so that the numbers keep up with the clock (SMPTE ST 12-1).
    """

    nominal: int  # numbers in a second
    drops: int = 0  # numbers left out a minute

    @classmethod
    def of(cls, rate: FrameRate, *, drops: bool) -> "Count":
        nominal = round(rate.value)
        can_drop = rate.value in (Fraction(30000, 1001), Fraction(60000, 1001))
        return cls(nominal, nominal // 15 if drops and can_drop else 0)

    def text(self, frame: int) -> str:
        """The number of a frame, hours to frames."""
        number = frame
        if self.drops:
            per_minute = 60 * self.nominal - self.drops
            per_ten = 10 * per_minute + self.drops
            tens, rest = divmod(frame, per_ten)
            minutes = 0 if rest < 60 * self.nominal else 1 + (rest - 60 * self.nominal) // per_minute
            number += self.drops * (9 * tens + minutes)
        seconds, frames = divmod(number, self.nominal)
        hours, seconds = divmod(seconds, 3600)
        separator = ";" if self.drops else ":"
        return f"{hours:02}:{seconds // 60:02}:{seconds % 60:02}{separator}{frames:02}"

    def frame(self, text: str) -> int:
        """The frame with this number. Raises ValueError for a number that there is not."""
        hours, minutes, seconds, frames = (int(part) for part in re.split(r"[:;.]", text))
        if minutes > 59 or seconds > 59 or frames >= self.nominal:
            raise ValueError(f"{text} is no timecode at {self.nominal} frames a second")
        minutes += 60 * hours
        if self.drops and seconds == 0 and frames < self.drops and minutes % 10:
            raise ValueError(f"{text} is a number that drop-frame timecode leaves out")
        return (minutes * 60 + seconds) * self.nominal + frames - self.drops * (minutes - minutes // 10)


# --- writing ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Event:
    record: FrameRange
    channel: str
    clip: Clip


def written(timeline: Timeline, *, name: str, options: Options) -> Written:
    """Raises InterchangeError for an empty timeline and for one with more edits than the format can number."""
    losses = lost_in_clips(timeline)
    events = sorted(_events(timeline, losses), key=lambda event: (event.record.start, event.channel != "V"))
    if not events:
        raise InterchangeError("There is nothing to see or to hear on the timeline.", remedy="Put a clip on it first.")
    if len(events) > MAX_EVENTS:
        raise InterchangeError(
            f"An edit list holds {MAX_EVENTS} edits, and this timeline has {len(events)}.",
            remedy="Use OpenTimelineIO or Final Cut Pro XML.",
        )
    counting = Count.of(timeline.rate, drops=options.counts_drop_frames)
    if options.counts_drop_frames and not counting.drops:
        losses.append(Loss("", "Drop-frame timecode exists for 29.97 and 59.94 alone; this list is non-drop."))
    if counting.nominal > 30:
        losses.append(Loss("", f"Timecode with {counting.nominal} numbers a second, which older programs do not read."))
    if counting.nominal > 99:
        raise InterchangeError("Timecode counts no more than 99 frames a second.", remedy="Use OpenTimelineIO.")
    zero = counting.frame(f"{options.start_hour:02}:00:00:00")
    reels = _Reels()
    lines = [f"TITLE: {_one_line(name)}", f"FCM: {'DROP FRAME' if counting.drops else 'NON-DROP FRAME'}"]
    lines += [f"* {_RATE_COMMENT}: {timeline.rate}", ""]
    for number, event in enumerate(events, start=1):
        begins = source_in(event.clip) + (event.record.start - event.clip.start) / timeline.rate.value
        first = nearest_frame(begins, timeline.rate)
        if not is_whole(begins, timeline.rate):
            losses.append(Loss(event.clip.name, "it begins between two frames and was moved to the nearest one."))
        if first < 0:
            raise InterchangeError(f"{event.clip.name} begins before its file does.", remedy="Trim its start first.")
        times = (first, first + len(event.record), zero + event.record.start, zero + event.record.stop)
        codes = " ".join(counting.text(time) for time in times)
        lines.append(f"{number:03}  {reels.of(event.clip.media):<8} {event.channel:<5} C        {codes}")
        lines.append(f"* FROM CLIP NAME: {_one_line(event.clip.name)}")
        lines.append(f"* SOURCE FILE: {event.clip.media.path.absolute()}")
    losses += [Loss(marker.name, "a marker, which edit lists do not have.") for marker in timeline.markers]
    return Written("\n".join(lines) + "\n", tuple(dict.fromkeys(losses)))


def _events(timeline: Timeline, losses: list[Loss]) -> Iterator[_Event]:
    for track in timeline.tracks:
        if track.is_muted and track.clips:
            losses.append(Loss(track.name, "the track is muted and was left out."))
    pictures = [track for track in timeline.tracks_of(TrackKind.PICTURE) if not track.is_muted]
    if sum(bool(track.clips) for track in pictures) > 1:
        losses.append(Loss("", "Picture tracks above each other: the list holds what is seen, on one track."))
    for start, stop, clip in _seen(timeline):
        if clip.media.has_picture:
            yield _Event(FrameRange(start, stop), "V", clip)
    for number, track in enumerate(timeline.tracks_of(TrackKind.SOUND)):
        if track.is_muted:
            continue
        if number >= MAX_SOUND_TRACKS:
            if track.clips:
                losses.append(Loss(track.name, f"more than {MAX_SOUND_TRACKS} sound tracks."))
            continue
        for clip in track.clips:
            if clip.gain_db:
                losses.append(Loss(clip.name, f"a gain of {clip.gain_db:g} dB."))
            yield _Event(clip.span, "A" if number == 0 else f"A{number + 1}", clip)


def _seen(timeline: Timeline) -> Iterator[tuple[int, int, Clip]]:
    """Stretches of the timeline that show one clip."""
    edges = {
        edge for track in timeline.tracks_of(TrackKind.PICTURE) for it in track.clips for edge in (it.start, it.stop)
    }
    ordered = sorted(edges)
    begun: tuple[int, Clip] | None = None
    for edge in ordered:
        clip = timeline.shown_at(edge)
        if begun is not None and clip is not begun[1]:
            yield begun[0], edge, begun[1]
            begun = None
        if begun is None and clip is not None:
            begun = (edge, clip)


class _Reels:
    """A name of eight letters for every file, each once."""

    def __init__(self) -> None:
        self._names: dict[Path, str] = {}

    def of(self, media: Media) -> str:
        if media.path not in self._names:
            stem = re.sub(r"[^A-Z0-9]", "", media.path.stem.upper())[:_REEL_LENGTH] or "REEL"
            taken = set(self._names.values()) | {"AX", "BL"}  # which mean a file, and black
            names = (
                stem if number == 1 else f"{stem[: _REEL_LENGTH - len(str(number))]}{number}" for number in count(1)
            )
            self._names[media.path] = next(name for name in names if name not in taken)
        return self._names[media.path]


def _one_line(text: str) -> str:
    return " ".join(text.split())


# --- reading ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Line:
    """One event, with what its comments say."""

    reel: str
    channels: str
    kind: str
    times: tuple[int, int, int, int]  # source in, source out, record in, record out
    name: str = ""
    file: str = ""


def parsed(text: str, *, folder: Path, probe: Probe, rate: FrameRate | None) -> Imported:
    """Raises InterchangeError where the rate is not known, ValueError for what is no edit list."""
    lines = text.splitlines()
    stated = re.search(rf"^\*\s*{_RATE_COMMENT}:\s*(\S+)", text, re.MULTILINE)
    rate = FrameRate(Fraction(stated[1])) if stated else rate
    if rate is None:
        raise InterchangeError("An edit list does not say its frame rate.", remedy="Choose the rate it was made at.")
    losses: list[Loss] = []
    events = _lines(lines, rate, losses)
    if not events:
        raise ValueError("it holds no edits")
    hour = 3600 * round(rate.value)
    zero = min(event.times[2] for event in events) // hour * hour
    if re.search(r"\d;\d\d\b", text):
        zero = _drop_hour(min(event.times[2] for event in events), rate)
    title = re.search(r"^TITLE:\s*(.*?)\s*$", text, re.MULTILINE)
    timeline, more = placed(rate, list(_clips(events, zero, rate, folder, probe, losses)))
    return Imported(title[1] if title else "", timeline, (*losses, *more))


def _drop_hour(first: int, rate: FrameRate) -> int:
    counting = Count.of(rate, drops=True)
    return counting.frame(f"{counting.text(first)[:2]}:00:00;00")


def _lines(lines: list[str], rate: FrameRate, losses: list[Loss]) -> list[_Line]:
    drops = False
    events: list[_Line] = []
    for line in lines:
        stripped = line.strip()
        event = _EVENT.match(stripped)
        if stripped.upper().startswith("FCM:"):
            drops = "NON" not in stripped.upper()
        elif event is not None:
            codes = [event[name] for name in ("source_in", "source_out", "record_in", "record_out")]
            counts = [Count.of(rate, drops=drops or ";" in code) for code in codes]
            times = tuple(counting.frame(code) for counting, code in zip(counts, codes, strict=True))
            assert len(times) == 4
            events.append(_Line(event["reel"], event["channels"], event["kind"], times))
        elif stripped.startswith("*") and events:
            events[-1] = _with_comment(events[-1], stripped[1:].strip())
        elif re.match(r"M2\s", stripped):
            losses.append(Loss(events[-1].name if events else "", "a change of speed."))
    return events


def _with_comment(event: _Line, comment: str) -> _Line:
    key, _, value = (part.strip() for part in comment.partition(":"))
    match key.upper():
        case "FROM CLIP NAME" | "KEY CLIP NAME":
            return replace(event, name=value)
        case "TO CLIP NAME":
            return replace(event, name=value)
        case "SOURCE FILE" | "FROM CLIP" | "MEDIA PATH" | "SOURCE FILE NAME" | "FROM FILE":
            return replace(event, file=value)
        case _:
            return event


def _clips(
    events: list[_Line], zero: int, rate: FrameRate, folder: Path, probe: Probe, losses: list[Loss]
) -> Iterator[tuple[Place, Clip]]:
    longest: dict[Path, Fraction] = {}
    for event in events:
        path = _path(event, folder)
        longest[path] = max(longest.get(path, Fraction(0)), event.times[1] / rate.value)
    found: dict[Path, Media] = {}
    for path, seconds in longest.items():
        found[path] = probe(path) or Media(path, max(seconds, 1 / rate.value), rate)
    ids = count(1)
    links: dict[tuple[object, ...], int] = {}
    pictures = {(_path(it, folder), it.times) for it in events if TrackKind.PICTURE in _kinds(it)}
    sounds = {(_path(it, folder), it.times) for it in events if TrackKind.SOUND in _kinds(it)}
    for event in events:
        name = event.name or event.reel
        source_start, _, record_start, record_stop = event.times
        if event.kind[:1] in ("D", "W", "K"):
            losses.append(Loss(name, "a transition, which became a cut."))
        if event.reel.upper() in ("BL", "BLACK") or record_stop <= record_start:
            continue
        if event.times[1] - source_start != record_stop - record_start:
            losses.append(Loss(name, "a change of speed: source and record are not equally long."))
        path = _path(event, folder)
        key = (path, event.times)
        link = links.setdefault(key, next(ids)) if key in pictures and key in sounds else None
        for kind, lane in _places(event.channels):
            clip = Clip(
                next(ids),
                name,
                record_start - zero,
                record_stop - record_start,
                source_start / rate.value,
                (Take(found[path]),),
                link=link,
            )
            yield Place(kind, lane), clip


def _path(event: _Line, folder: Path) -> Path:
    """The file that a comment names; else one of the clip's or the reel's name, for the user to find."""
    named = None if not event.file else file_of(event.file, folder) if "://" in event.file else folder / event.file
    return named or folder / (event.name or event.reel)


def _kinds(event: _Line) -> set[TrackKind]:
    return {kind for kind, _ in _places(event.channels)}


def _places(channels: str) -> Iterator[tuple[TrackKind, int]]:
    """V; A to A4; AA for the first two; B for picture and first sound; several with a stroke between them."""
    for channel in channels.upper().split("/"):
        if channel.startswith(("V", "B")):
            yield TrackKind.PICTURE, 0
        if channel in ("A", "A1", "AA", "B"):
            yield TrackKind.SOUND, 0
        if channel == "AA":
            yield TrackKind.SOUND, 1
        elif number := re.fullmatch(r"A([2-9])", channel):
            yield TrackKind.SOUND, int(number[1]) - 1


def says_its_rate(path: Path) -> bool:
    """Whether the list is one of ours; what cannot be read is left to `parsed`."""
    try:
        return _RATE_COMMENT in path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return True
