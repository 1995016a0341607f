"""Timelines with some of everything, and edits of them, for tests of what keeps them."""

import random
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from engine.request import GenerationRequest, Retake
from engine.types import FrameRate, Size
from ltx_studio.domain.project import Step
from ltx_studio.domain.timeline import Clip, Marker, Media, Take, Timeline, Track, TrackKind, empty_timeline

NTSC = FrameRate(Fraction(30000, 1001))


def media(path: Path, *, rate: FrameRate = NTSC, seconds: Fraction = Fraction(5)) -> Media:
    return Media(path, seconds, rate, Size(640, 360))


def rich_timeline(folder: Path) -> Timeline:
    """Two linked clips with takes, an uneven fraction, a gain, a gap, a muted and a locked track, marks and markers."""
    clip, retake = folder / "media" / "ball.mkv", folder / "media" / "ball, take 2.mkv"
    outside = folder.parent / "footage" / "Caf\N{LATIN SMALL LETTER E WITH ACUTE}.mov"
    request = GenerationRequest("a ball spins", seed=7, edit=Retake(clip, 1.25, 2.5))
    takes = (Take(media(clip)), Take(media(retake), request, 0.125, 4, Fraction(1001, 30000)))
    sound = Media(outside, Fraction(12345, 1000), has_sound=True)
    picture = Clip(5, "ball", 0, 40, Fraction(7007, 30000), takes, chosen=1, link=9)
    later = Clip(6, "caf\N{LATIN SMALL LETTER E WITH ACUTE}", 52, 25, Fraction(0), (Take(media(outside)),))
    return Timeline(
        NTSC,
        (
            Track(1, TrackKind.PICTURE, "V2", is_muted=True),
            Track(2, TrackKind.PICTURE, "V1", (picture, later)),
            Track(3, TrackKind.SOUND, "A1", (Clip(7, "ball", 0, 40, picture.source_start, takes, link=9),)),
            Track(
                4,
                TrackKind.SOUND,
                "A2",
                (Clip(8, "sea", 3, 60, Fraction(1, 3), (Take(sound),), gain_db=-7.5),),
                is_locked=True,
            ),
        ),
        (Marker(10, 12, "hit"), Marker(11, 52)),
        mark_in=12,
        mark_out=48,
        next_id=12,
    )


def with_clip(timeline: Timeline, path: Path, *, length: int = 24) -> Timeline:
    """One more clip at the end of the first picture track."""
    index = next(number for number, track in enumerate(timeline.tracks) if track.kind is TrackKind.PICTURE)
    track = timeline.tracks[index]
    clip = Clip(timeline.next_id, path.stem, track.stop, length, Fraction(0), (Take(media(path)),))
    tracks = [*timeline.tracks]
    tracks[index] = replace(track, clips=(*track.clips, clip))
    return replace(timeline, tracks=tuple(tracks), next_id=timeline.next_id + 1)


def numbered_edits(folder: Path, count: int, *, rate: FrameRate = NTSC) -> list[Step]:
    """Edits named "edit 1" and so on, each of which adds a clip to an empty timeline."""
    timeline, steps = empty_timeline(rate), list[Step]()
    for number in range(1, count + 1):
        timeline = with_clip(timeline, folder / "media" / f"clip {number}.mkv")
        steps.append(Step(f"edit {number}", timeline, float(number)))
    return steps


def random_edit(timeline: Timeline, folder: Path, chance: random.Random) -> Timeline:
    """Another timeline: a clip more, one less, a new gain, name or marker."""
    clips = list(timeline.clips())
    kind = chance.choice(["add", "add", "remove", "gain", "mark"])
    if kind == "mark":
        marker = Marker(timeline.next_id, chance.randrange(5000), f"mark {timeline.next_id}")
        markers = tuple(sorted((*timeline.markers, marker), key=lambda item: item.frame))
        return replace(timeline, markers=markers, next_id=timeline.next_id + 1)
    if kind == "add" or not clips:
        return with_clip(timeline, folder / f"clip {timeline.next_id}.mkv", length=chance.randint(1, 90))
    one = chance.choice(clips)
    kept = [replace(one, gain_db=round(chance.uniform(-30, 6), 1))] if kind == "gain" else []
    tracks = tuple(_with_clip_replaced(track, one, kept) for track in timeline.tracks)
    return replace(timeline, tracks=tracks)


def _with_clip_replaced(track: Track, one: Clip, by: list[Clip]) -> Track:
    clips = [replacement for clip in track.clips for replacement in (by if clip is one else [clip])]
    return replace(track, clips=tuple(clips))
