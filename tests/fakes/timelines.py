"""Timelines of media that do not exist: cutting never opens a file."""

from fractions import Fraction
from pathlib import Path

from engine.types import FrameRate, Size
from ltx_studio.domain.timeline import Media, Take, Timeline, TrackKind, empty_timeline
from ltx_studio.domain.timeline_placing import Material, append

RATE = FrameRate(Fraction(24))


def media(
    name: str = "ball", frames: int = 121, rate: FrameRate = RATE, *, has_picture: bool = True, has_sound: bool = True
) -> Media:
    """`frames` of a clip, or a sound of the same length."""
    duration = frames / rate.value
    if not has_picture:
        return Media(Path(f"{name}.wav"), duration)
    return Media(Path(f"{name}.mp4"), duration, rate, Size(768, 448), has_sound)


def material(name: str = "ball", frames: int = 121, rate: FrameRate = RATE, **kinds: bool) -> Material:
    return Material(name, (Take(media(name, frames, rate, **kinds)),))


def sequence(*lengths: int, rate: FrameRate = RATE) -> Timeline:
    """Clips named a, b, c... one after the other, each of all its medium's frames, with sound."""
    timeline = empty_timeline(rate)
    for index, length in enumerate(lengths):
        timeline = append(timeline, material(chr(ord("a") + index), length, rate))
    return timeline


def trimmed_sequence(num_clips: int, length: int = 24, handle: int = 24) -> Timeline:
    """Clips that show `length` frames from the middle of a medium with `handle` more on either side."""
    timeline = empty_timeline(RATE)
    for index in range(num_clips):
        whole = material(chr(ord("a") + index % 26), length + 2 * handle)
        timeline = append(timeline, Material(whole.name, whole.takes, 0, Fraction(handle) / RATE.value, length))
    return timeline


def picture(timeline: Timeline, index: int) -> int:
    """The id of a clip on the first picture track."""
    return timeline.tracks_of(TrackKind.PICTURE)[0].clips[index].id


def sound(timeline: Timeline, index: int) -> int:
    """The id of a clip on the first sound track."""
    return timeline.tracks_of(TrackKind.SOUND)[0].clips[index].id


def spans(timeline: Timeline, kind: TrackKind = TrackKind.PICTURE) -> list[tuple[str, int, int]]:
    """Name, start and stop of what is on the first track of a kind."""
    return [(clip.name, clip.start, clip.stop) for clip in timeline.tracks_of(kind)[0].clips]
