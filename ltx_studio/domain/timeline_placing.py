"""Bringing new clips onto the timeline: inserted, laid over what is there, or added at the end.

Like every edit (`timeline_edits`), these take a timeline and return a new one, or raise EditRefused.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import floor

from engine.types import FrameRange, FrameRate
from ltx_studio.domain.timeline import Clip, EditRefused, Take, Timeline, Track, TrackKind
from ltx_studio.domain.timeline_draft import Draft, check_open


@dataclass(frozen=True)
class Material:
    """What is to be placed: takes of one slot, from `source_start` on, as long as asked or as the shown take lasts."""

    name: str
    takes: tuple[Take, ...]
    chosen: int = 0
    source_start: Fraction | None = None  # None: where the shown take begins
    length: int | None = None  # timeline frames; None: to the end of the shown take

    @property
    def take(self) -> Take:
        return self.takes[self.chosen]


def insert(
    timeline: Timeline,
    material: Material,
    frame: int,
    *,
    picture_track: int | None = None,
    sound_track: int | None = None,
) -> Timeline:
    """Place it at a frame; what lies across is cut, and everything from there on moves later on all open tracks."""
    draft, lanes = Draft(timeline), _lanes(timeline, material, picture_track, sound_track)
    links: dict[int, int] = {}
    for track in draft.open_tracks():
        draft.split(track.id, frame, links)
    draft.link_rest()
    start, length = _extent(material, timeline.rate)
    draft.shift(frame, length)
    _put(draft, material, lanes, FrameRange(frame, frame + length), start)
    return draft.done()


def overwrite(
    timeline: Timeline,
    material: Material,
    frame: int,
    *,
    picture_track: int | None = None,
    sound_track: int | None = None,
) -> Timeline:
    """Place it at a frame in the stead of what is there on its own tracks; nothing moves."""
    draft, lanes = Draft(timeline), _lanes(timeline, material, picture_track, sound_track)
    start, length = _extent(material, timeline.rate)
    span = FrameRange(frame, frame + length)
    links: dict[int, int] = {}
    for track in lanes:
        draft.clear(track.id, span, links)
    draft.link_rest()
    _put(draft, material, lanes, span, start)
    return draft.done()


def append(
    timeline: Timeline, material: Material, *, picture_track: int | None = None, sound_track: int | None = None
) -> Timeline:
    """Place it after everything that is there."""
    return overwrite(timeline, material, timeline.length, picture_track=picture_track, sound_track=sound_track)


def length_of(material: Material, rate: FrameRate) -> int:
    """How many frames it takes up at this rate. Raises EditRefused for less than one."""
    return _extent(material, rate)[1]


def _extent(material: Material, rate: FrameRate) -> tuple[Fraction, int]:
    take = material.take
    start = take.source_start if material.source_start is None else material.source_start
    available = floor((take.source_stop - start) * rate.value)
    length = available if material.length is None else material.length
    if length < 1:
        raise EditRefused(
            f"“{material.name}” is shorter than a frame of the timeline.", remedy="Choose a longer clip or range."
        )
    if start < take.source_start or length > available:
        raise EditRefused(f"“{material.name}” does not last that long.", remedy="Choose a shorter range of it.")
    return start, length


def _lanes(timeline: Timeline, material: Material, picture_track: int | None, sound_track: int | None) -> list[Track]:
    """The tracks it goes to: those asked for, else the first that is open of each kind the medium has."""
    lanes: list[Track] = []
    media = material.take.media
    for kind, is_there, wanted in (
        (TrackKind.PICTURE, media.has_picture, picture_track),
        (TrackKind.SOUND, media.has_sound, sound_track),
    ):
        if not is_there:
            continue
        tracks = timeline.tracks_of(kind) if wanted is None else (timeline.track(wanted),)
        lane = next((track for track in tracks if not track.is_locked), None)
        if lane is None:
            for track in tracks:
                check_open(track)
            raise EditRefused(f"There is no {kind} track.", remedy=f"Add a {kind} track first.")
        assert lane.kind is kind, (lane.name, kind)
        lanes.append(lane)
    return lanes


def _put(draft: Draft, material: Material, lanes: list[Track], span: FrameRange, source_start: Fraction) -> None:
    link = draft.new_id() if len(lanes) > 1 else None
    for track in lanes:
        draft.put(
            track.id,
            Clip(
                draft.new_id(),
                material.name,
                span.start,
                len(span),
                source_start,
                material.takes,
                material.chosen,
                link,
            ),
        )
        draft.check_room(track)
