"""Edits of a clip that is there: what the user sets in the Edit panel, what it asks of the engine, what becomes of it.

No Qt, nothing opened. A target is the clip that is edited, on the timeline or in the player; a draft is what is set for
it; `requests_of` makes requests of both. A result comes back as a take of the slot it was made for (`with_take`), and
which stretches of the clip a plan keeps, blends and makes is drawn over it (`zones_on`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from fractions import Fraction
from math import ceil, floor
from pathlib import Path
from typing import Literal

from engine.errors import RequestError
from engine.pipelines.edit_values import EditWindow
from engine.pipelines.edit_values import Zone as EngineZone
from engine.request import Edit, Extend, Foley, GenerationRequest, LipDub, Retake
from engine.types import FrameRange, FrameRate
from ltx_studio.domain.prompt_words import spoken
from ltx_studio.domain.timeline import Clip, Edge, EditRefused, Take, Timeline, TrackKind
from ltx_studio.domain.timeline_details import add_take, choose_take, rate_take
from ltx_studio.domain.timeline_draft import Draft
from ltx_studio.domain.timeline_edits import ripple_trim
from ltx_studio.domain.timeline_zones import Zone, ZoneKind, Zones

MAX_TAKES = 8
REJECTED = -1
FIRST_EXTENSION_S = 2.0
SPEAKER = "The person"  # who says a new line, in the prompt
# What a seam's score means; see `engine.media.seams`.
UNSEEN_SEAM, VISIBLE_SEAM = 2.0, 5.0


class EditMode(StrEnum):
    """What is done to the clip."""

    RETAKE = "retake"
    EXTEND = "extend"
    FOLEY = "foley"
    LIPDUB = "lipdub"


@dataclass(frozen=True)
class EditDraft:
    """What is set in the panel. `prompt` is None while it is the clip's own."""

    mode: EditMode = EditMode.RETAKE
    prompt: str | None = None
    picture: bool = True
    sound: bool = True
    strength: float = 1.0
    seconds: float = FIRST_EXTENSION_S  # of an extension
    at: Literal["start", "end"] = "end"
    line: str = ""  # the new words
    language: str = ""
    voice: Path | None = None  # None: the clip's own
    keep_background: bool = True
    seed: int | None = None
    is_seed_locked: bool = False
    num_takes: int = 1


@dataclass(frozen=True)
class Target:
    """The clip that is edited. Frames are the timeline's where it lies on it (`slot`), else the clip's own."""

    path: Path
    name: str
    rate: FrameRate
    span: FrameRange  # what is seen of the clip
    marked: FrameRange | None  # what of it is marked
    offset: Fraction  # seconds in the file of frame 0
    has_picture: bool = True
    has_sound: bool = True
    slot: int | None = None  # the timeline's clip; None: the one in the player

    def seconds(self, frame: int) -> float:
        """Where in the file a frame is."""
        return float(frame / self.rate.value + self.offset)

    @property
    def marked_s(self) -> tuple[float, float] | None:
        if self.marked is None:
            return None
        return max(self.seconds(self.marked.start), 0.0), self.seconds(self.marked.stop)

    @property
    def whole_s(self) -> tuple[float, float]:
        return self.seconds(self.span.start), self.seconds(self.span.stop)


def target_on(timeline: Timeline, clip: Clip) -> Target:
    """A clip of the timeline; of a sound, the picture it belongs to. Marks count as far as they lie on the clip."""
    pictures = {item.id for track in timeline.tracks_of(TrackKind.PICTURE) for item in track.clips}
    group = timeline.linked(clip.id)
    shown = next((item for item in group if item.id in pictures), clip)
    offset = shown.source_start - shown.start / timeline.rate.value + shown.take.offset
    media = shown.media
    marked = _common(shown.span, timeline.marked)
    return Target(
        media.path,
        shown.name,
        timeline.rate,
        shown.span,
        marked,
        offset,
        media.has_picture,
        media.has_sound,
        shown.id,
    )


def target_in_player(
    path: Path, *, rate: FrameRate, num_frames: int, has_sound: bool, marks: tuple[int | None, int | None]
) -> Target:
    """A clip that is only looked at; `marks` are the player's first and last marked frame."""
    first, last = marks
    marked = None
    if first is not None or last is not None:
        marked = FrameRange(first or 0, num_frames if last is None else last + 1)
    return Target(path, path.stem, rate, FrameRange(0, num_frames), marked, Fraction(0), True, has_sound)


def _common(span: FrameRange, marked: FrameRange | None) -> FrameRange | None:
    if marked is None or marked.start >= span.stop or marked.stop <= span.start:
        return None
    return FrameRange(max(marked.start, span.start), min(marked.stop, span.stop))


# --- requests ---------------------------------------------------------------------------------------------------------


def edit_of(draft: EditDraft, target: Target) -> Edit:
    """What the draft asks for. Raises RequestError where something is missing."""
    if not target.has_picture:
        raise RequestError("edit", f"“{target.name}” has no picture.", remedy="Put the playhead on a clip with one.")
    match draft.mode:
        case EditMode.RETAKE:
            if target.marked_s is None:
                raise RequestError(
                    "edit", "Nothing of this clip is marked.", remedy="Mark what is to be made again with I and O."
                )
            start_s, end_s = target.marked_s
            return Retake(target.path, start_s, end_s, draft.picture, draft.sound, draft.strength)
        case EditMode.EXTEND:
            return Extend(target.path, draft.seconds, draft.at)
        case EditMode.FOLEY:
            return Foley(target.path)
        case EditMode.LIPDUB:
            if draft.voice is None and not draft.line.strip():
                raise RequestError(
                    "edit", "There are no new words yet.", remedy="Write the line, or choose a file with the voice."
                )
            start_s, end_s = target.marked_s or (None, None)
            return LipDub(target.path, start_s, end_s, draft.voice, draft.keep_background)


def prompt_of(draft: EditDraft) -> str:
    """Empty for the clip's own; new words are put in front of what else is written."""
    own = (draft.prompt or "").strip()
    line = draft.line.strip()
    if draft.mode is not EditMode.LIPDUB or not line:
        return own
    pieces = spoken(speaker=SPEAKER, language=draft.language.strip(), line=line)
    said = "".join(before + text + after for _, before, text, after in pieces)
    return f"{said} {own}".strip()


def request_of(draft: EditDraft, target: Target, base: GenerationRequest) -> GenerationRequest:
    """Model, quality and style are those of `base`, what is being written. Raises RequestError, as `edit_of`."""
    return GenerationRequest(
        prompt_of(draft),
        negative_prompt=base.negative_prompt,
        model=base.model,
        preset=base.preset,
        seed=draft.seed,
        loras=base.loras,
        precision=base.precision,
        memory=base.memory,
        device=base.device,
        edit=edit_of(draft, target),
    )


def takes_of(request: GenerationRequest, seed: int, num_takes: int, num_seeds: int) -> list[GenerationRequest]:
    """The same with one seed after the other."""
    return [replace(request, seed=(seed + index) % num_seeds) for index in range(num_takes)]


# --- what a plan does to the clip -------------------------------------------------------------------------------------


def zones_on(target: Target, window: EditWindow) -> Zones | None:
    """In frames of the timeline; None for a clip that is not on it. What lies before its start is left out."""
    if target.slot is None:
        return None
    picture, sound = (_on_timeline(zones, target) for zones in (window.picture, window.sound))
    return Zones(target.slot, picture, sound_zones=sound)


def _on_timeline(zones: Sequence[EngineZone], target: Target) -> tuple[Zone, ...]:
    found: list[Zone] = []
    for zone in zones:
        start, stop = (round((Fraction(at) - target.offset) * target.rate.value) for at in (zone.start_s, zone.end_s))
        # A fade of sound is shorter than a frame; it still is to be seen.
        stop = max(stop, start + 1) if zone.kind.value == ZoneKind.BLENDED.value else stop
        if max(start, 0) < stop:
            found.append(Zone(FrameRange(max(start, 0), stop), ZoneKind(zone.kind.value)))
    return tuple(found)


# --- takes ------------------------------------------------------------------------------------------------------------


def slot_for(timeline: Timeline, edit: Edit, slot: int | None) -> Clip | None:
    """The clip that the result of an edit belongs to: the one it was asked for while that is there, else one that has
    what was edited among its takes, the one on show first. Picture clips only."""
    clips = [clip for track in timeline.tracks_of(TrackKind.PICTURE) for clip in track.clips]
    having = [clip for clip in clips if any(take.media.path == edit.clip for take in clip.takes)]
    asked = next((clip for clip in having if clip.id == slot), None)
    if asked is not None:
        return asked
    return min(having, key=lambda clip: clip.media.path != edit.clip, default=None)


def take_of(clip: Clip, edit: Edit, made: Take, rate: FrameRate) -> Take:
    """`made` in the slot's time: what was put before the start of the clip moves it in its file."""
    source = next(take for take in clip.takes if take.media.path == edit.clip)
    media, offset = made.media, source.offset
    if isinstance(edit, Extend):
        if edit.at == "start":
            offset += media.duration - source.media.duration
    elif abs(media.duration - source.media.duration) < 1 / rate.value:
        media = replace(media, duration=source.media.duration)  # containers round it
    return replace(made, media=media, offset=offset)


def with_take(timeline: Timeline, slot: int, take: Take, *, choose: bool) -> Timeline:
    """A new take in a slot, on show where `choose`. A sound that is new to the slot gets a place on a sound track.
    Raises EditRefused."""
    after = add_take(timeline, slot, take, choose=False)
    if not choose:
        return after
    after = show_take(after, slot, after.find(slot).takes.index(take))
    return _with_sound(after, slot) if take.media.has_sound else after


def show_take(timeline: Timeline, slot: int, index: int) -> Timeline:
    """Show another take. Where the clip was seen to an end of its old one it is seen to that end of the new one, and
    never beyond; what comes later moves along. Raises EditRefused."""
    before, rate = timeline.find(slot), timeline.rate.value
    if not 0 <= index < len(before.takes):
        return choose_take(timeline, slot, index)  # which says it
    take, after = before.takes[index], timeline
    if (frames := ceil((before.source_stop(timeline.rate) - take.source_stop) * rate)) > 0:
        after = ripple_trim(after, slot, Edge.END, before.stop - frames)
    if (frames := ceil((take.source_start - before.source_start) * rate)) > 0:
        after = ripple_trim(after, slot, Edge.START, before.start + frames)
    return _grown(choose_take(after, slot, index), before, slot)


def reject(timeline: Timeline, slot: int) -> Timeline:
    """The take on show is rejected, and the one it was made from is shown. Raises EditRefused."""
    clip = timeline.find(slot)
    request = clip.take.request
    if request is None or request.edit is None:
        raise EditRefused("This take was not made by an edit.", remedy="Retake a part of it first.")
    after = rate_take(timeline, slot, clip.chosen, REJECTED)
    sources = [index for index, take in enumerate(clip.takes) if take.media.path == request.edit.clip]
    return show_take(after, slot, sources[0]) if sources else after


def best_other_takes(clip: Clip, most: int) -> tuple[Take, ...]:
    """To compare: the one on show first, then the newest that were not rejected."""
    others = [take for index, take in enumerate(clip.takes) if index != clip.chosen and take.rating != REJECTED]
    return (clip.take, *reversed(others))[:most]


def _grown(timeline: Timeline, before: Clip, slot: int) -> Timeline:
    """Where a clip was seen to an end of its take, it is seen to that end of the take on show."""
    rate, old = timeline.rate.value, before.take
    clip = timeline.find(slot)
    frames = floor((clip.take.source_stop - clip.source_stop(timeline.rate)) * rate)
    if frames > 0 and old.source_stop - before.source_stop(timeline.rate) < 1 / rate:
        timeline = ripple_trim(timeline, slot, Edge.END, clip.stop + frames)
    frames = floor((clip.source_start - clip.take.source_start) * rate)
    if frames > 0 and before.source_start - old.source_start < 1 / rate:
        timeline = ripple_trim(timeline, slot, Edge.START, clip.start - frames)
    return timeline


def _with_sound(timeline: Timeline, slot: int) -> Timeline:
    """With a sound clip linked to a picture that had none, where a sound track has room for it."""
    clip = timeline.find(slot)
    sounds = {item.id for track in timeline.tracks_of(TrackKind.SOUND) for item in track.clips}
    if any(item.id in sounds for item in timeline.linked(slot)):
        return timeline
    for track in timeline.tracks_of(TrackKind.SOUND):
        if track.is_locked or any(item.start < clip.stop and clip.start < item.stop for item in track.clips):
            continue
        draft = Draft(timeline)
        link = draft.new_id() if clip.link is None else clip.link
        draft.put(track.id, replace(clip, id=draft.new_id(), link=link))
        draft.swap(replace(clip, link=link))
        return draft.done()
    return timeline
