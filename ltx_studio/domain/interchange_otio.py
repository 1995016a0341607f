"""Timelines as OpenTimelineIO, the JSON that editors and pipelines share (opentimeline.io, schema versions as of 0.17).

Tracks go from the bottom up there. Takes are the media references of a clip, the shown one being active. What other
programs have no word for (fractions, ids, links, gains, requests) stands in `metadata.ltx_studio` and comes back from
there, unless another program has changed what it belongs to: then its change counts.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from engine.errors import RequestError
from engine.request import GenerationRequest
from engine.types import FrameRate, Size
from ltx_studio.domain.interchange import Imported, Loss, Place, Probe, Written, file_of, nearest_frame, placed
from ltx_studio.domain.timeline import Clip, Marker, Media, Take, Timeline, Track, TrackKind

KEY = "ltx_studio"
Json = dict[str, Any]

_KINDS = {TrackKind.PICTURE: "Video", TrackKind.SOUND: "Audio"}
# Two of these are one moment: what is left of a fraction after a float and back.
_SAME = Fraction(1, 1_000_000)


# --- writing ----------------------------------------------------------------------------------------------------------


def written(timeline: Timeline, *, name: str) -> Written:
    """The whole timeline; reading it again gives an equal one."""
    pictures = reversed(timeline.tracks_of(TrackKind.PICTURE))
    tracks = [_track(track, timeline) for track in (*pictures, *timeline.tracks_of(TrackKind.SOUND))]
    own = {"rate": str(timeline.rate), "next_id": timeline.next_id}
    own |= {"mark_in": timeline.mark_in, "mark_out": timeline.mark_out, "order": [it.id for it in timeline.tracks]}
    stack = _item("Stack.1", "tracks", None) | {
        "children": tracks,
        "markers": [_marker(marker, timeline.rate) for marker in timeline.markers],
    }
    document = {
        "OTIO_SCHEMA": "Timeline.1",
        "metadata": {KEY: own},
        "name": name,
        "global_start_time": _time(Fraction(0), timeline.rate),
        "tracks": stack,
    }
    losses = [
        Loss(clip.name, f"a gain of {clip.gain_db:g} dB, which other programs do not read from this format.")
        for clip in timeline.clips()
        if clip.gain_db
    ]
    return Written(json.dumps(document, indent=4, ensure_ascii=False) + "\n", tuple(losses))


def _track(track: Track, timeline: Timeline) -> Json:
    children: list[Json] = []
    frame = 0
    for clip in track.clips:
        if clip.start > frame:
            children.append(_item("Gap.1", "", _range(Fraction(0), clip.start - frame, timeline.rate)))
        children.append(_clip(clip, timeline.rate))
        frame = clip.stop
    values = _item("Track.1", track.name, None, {"id": track.id, "locked": track.is_locked})
    return values | {"enabled": not track.is_muted, "kind": _KINDS[track.kind], "children": children}


def _clip(clip: Clip, rate: FrameRate) -> Json:
    own: Json = {"id": clip.id, "source_start": str(clip.source_start), "link": clip.link, "gain_db": clip.gain_db}
    begins = clip.source_start + clip.take.offset
    values = _item("Clip.2", clip.name, _range(begins * rate.value, clip.length, rate), own)
    references = {f"take {number}": _reference(take) for number, take in enumerate(clip.takes, start=1)}
    return values | {"media_references": references, "active_media_reference_key": f"take {clip.chosen + 1}"}


def _reference(take: Take) -> Json:
    media = take.media
    rate = media.frame_rate or FrameRate(Fraction(48_000))  # of sound alone: its samples, as other programs count it
    own: Json = {
        "duration": str(media.duration),
        "frame_rate": None if media.frame_rate is None else str(media.frame_rate),
        "size": None if media.size is None else str(media.size),
        "has_sound": media.has_sound,
        "offset": str(take.offset),
        "rating": take.rating,
        "seam_score": take.seam_score,
        "request": None if take.request is None else take.request.to_dict(),
    }
    return {
        "OTIO_SCHEMA": "ExternalReference.1",
        "metadata": {KEY: own},
        "name": media.path.name,
        "available_range": _range(Fraction(0), media.duration * rate.value, rate),
        "available_image_bounds": None,
        "target_url": media.path.absolute().as_uri(),
    }


def _marker(marker: Marker, rate: FrameRate) -> Json:
    return {
        "OTIO_SCHEMA": "Marker.2",
        "metadata": {KEY: {"id": marker.id}},
        "name": marker.name,
        "color": "RED",
        "marked_range": _range(Fraction(marker.frame), 0, rate),
        "comment": "",
    }


def _item(schema: str, name: str, source_range: Json | None, own: Json | None = None) -> Json:
    return {
        "OTIO_SCHEMA": schema,
        "metadata": {} if own is None else {KEY: own},
        "name": name,
        "source_range": source_range,
        "effects": [],
        "markers": [],
        "enabled": True,
    }


def _range(start: Fraction, duration: Fraction | int, rate: FrameRate) -> Json:
    return {
        "OTIO_SCHEMA": "TimeRange.1",
        "duration": _time(Fraction(duration), rate),
        "start_time": _time(start, rate),
    }


def _time(frames: Fraction, rate: FrameRate) -> Json:
    return {"OTIO_SCHEMA": "RationalTime.1", "rate": float(rate), "value": float(frames)}


# --- reading ----------------------------------------------------------------------------------------------------------


def parsed(text: str, *, folder: Path, probe: Probe) -> Imported:
    """Raises ValueError, KeyError or TypeError for what is not a timeline."""
    document = json.loads(text)
    if not isinstance(document, dict) or _schema(document) != "Timeline":
        raise ValueError("it holds no timeline of OpenTimelineIO")
    return _Reading(document, folder, probe).imported()


class _Reading:
    """One timeline being read: what was found so far."""

    def __init__(self, document: Json, folder: Path, probe: Probe) -> None:
        self._document = document
        self._folder = folder
        self._probe = probe
        self._own = _own(document)
        self._losses: list[Loss] = []
        self._rate = self._find_rate()
        self._next_id = int(self._own.get("next_id", 1))

    def imported(self) -> Imported:
        stack = self._document["tracks"]
        children = [child for child in stack["children"] if self._is_track(child)]
        name = str(self._document.get("name") or "")
        own_ids = [_own(child).get("id") for child in children]
        if self._is_ours(children):
            by_id = {_own(child)["id"]: self._track(child) for child in children}
            order = self._own.get("order") or own_ids
            tracks = tuple(by_id[number] for number in order)
            marks = {"mark_in": self._own.get("mark_in"), "mark_out": self._own.get("mark_out")}
            timeline = Timeline(self._rate, tracks, self._markers(stack), **marks, next_id=self._next_id)
            return Imported(name, timeline, tuple(self._losses))
        clips: list[tuple[Place, Clip]] = []
        lanes = {TrackKind.PICTURE: 0, TrackKind.SOUND: 0}
        states: dict[tuple[TrackKind, int], bool] = {}
        for child in children:
            kind = TrackKind.SOUND if child.get("kind") == "Audio" else TrackKind.PICTURE
            place = Place(kind, lanes[kind], str(child.get("name") or ""))
            states[kind, lanes[kind]] = not child.get("enabled", True)
            lanes[kind] += 1
            clips += [(place, clip) for clip in self._clips(child)]
        timeline, losses = placed(self._rate, clips)
        timeline = _with_muted(timeline, states)
        self._next_id = timeline.next_id
        markers = self._markers(stack)
        timeline = replace(timeline, markers=markers, next_id=self._next_id)
        return Imported(name, timeline, (*self._losses, *losses))

    def _find_rate(self) -> FrameRate:
        if "rate" in self._own:
            return FrameRate(Fraction(self._own["rate"]))
        times = [self._document.get("global_start_time")]
        for track in self._document["tracks"]["children"]:
            times += [(child.get("source_range") or {}).get("duration") for child in track.get("children", [])]
        rates = [time["rate"] for time in times if time]
        if not rates:
            self._losses.append(Loss("", "It does not say its frame rate; 24 is assumed."))
            return FrameRate(Fraction(24))
        return _rate_of(rates[0])

    def _is_ours(self, children: list[Json]) -> bool:
        """Whether every track and clip still has the id it was written with, each once."""
        things = [*children, *(item for child in children for item in child["children"] if _schema(item) == "Clip")]
        ids = [_own(thing).get("id") for thing in things]
        return "rate" in self._own and None not in ids and len(set(ids)) == len(ids)

    def _is_track(self, child: Json) -> bool:
        if _schema(child) != "Track":
            self._losses.append(Loss(str(child.get("name") or ""), f"a {_schema(child)} beside the tracks."))
            return False
        return True

    def _track(self, child: Json) -> Track:
        own = _own(child)
        kind = TrackKind.SOUND if child.get("kind") == "Audio" else TrackKind.PICTURE
        clips = tuple(self._clips(child))
        is_muted, is_locked = not child.get("enabled", True), bool(own.get("locked", False))
        return Track(own["id"], kind, str(child["name"]), clips, is_muted, is_locked)

    def _clips(self, track: Json) -> Iterator[Clip]:
        if track.get("source_range") is not None:
            self._losses.append(Loss(str(track["name"]), "the range of the track that was shown."))
        time = Fraction(0)  # seconds since the beginning of the track
        for child in track["children"]:
            schema = _schema(child)
            if schema == "Transition":
                self._losses.append(Loss(str(child.get("name") or ""), "a transition, which became a cut."))
                continue
            start, duration = self._source_range(child)
            begins, time = time, time + duration
            if schema == "Gap":
                continue
            frame, stop = nearest_frame(begins, self._rate), nearest_frame(time, self._rate)
            name = str(child.get("name") or "")
            if schema != "Clip":
                self._losses.append(Loss(name, f"a {schema} inside the track, which became a gap."))
            elif stop <= frame:
                self._losses.append(Loss(name, "it is shorter than a frame and was left out."))
            else:
                if (begins * self._rate.value).denominator != 1 or (time * self._rate.value).denominator != 1:
                    self._losses.append(Loss(name, "its edges lie between frames and were moved to the nearest ones."))
                yield from self._clip(child, name, frame, stop - frame, start)

    def _clip(self, child: Json, name: str, frame: int, length: int, start: Fraction) -> Iterator[Clip]:
        for effect in child.get("effects") or []:
            self._losses.append(Loss(name, f"the effect {effect.get('name') or _schema(effect)}."))
        if not child.get("enabled", True):
            self._losses.append(Loss(name, "it was switched off, and is seen or heard here."))
        for marker in child.get("markers") or []:
            self._losses.append(Loss(name, f"the marker {marker.get('name') or ''} on the clip."))
        references = _references(child)
        active = child.get("active_media_reference_key", "DEFAULT_MEDIA")
        keys = [key for key, reference in references.items() if _schema(reference) == "ExternalReference"]
        takes = {key: take for key in keys if (take := self._take(references[key], name, start, length)) is not None}
        if active not in takes:
            self._losses.append(Loss(name, "no file is named for it, so it became a gap."))
            return
        own, take = _own(child), takes[active]
        slot_start = start - _available_start(references[active]) - take.offset
        exact = Fraction(own["source_start"]) if "source_start" in own else slot_start
        yield Clip(
            id=int(own["id"]) if "id" in own else self._new_id(),
            name=name,
            start=frame,
            length=length,
            source_start=exact if abs(exact - slot_start) < _SAME else slot_start,
            takes=tuple(takes.values()),
            chosen=list(takes).index(active),
            link=own.get("link"),
            gain_db=float(own.get("gain_db", 0.0)),
        )

    def _take(self, reference: Json, name: str, start: Fraction, length: int) -> Take | None:
        path = file_of(str(reference["target_url"]), self._folder)
        if path is None:
            self._losses.append(Loss(name, f"{reference['target_url']} is not on this machine."))
            return None
        own = _own(reference)
        if "duration" in own:
            rate, size = own.get("frame_rate"), own.get("size")
            media = Media(
                path,
                Fraction(own["duration"]),
                None if rate is None else FrameRate(Fraction(rate)),
                None if size is None else Size.parse(size),
                bool(own.get("has_sound", True)),
            )
            return Take(
                media, _request(own), own.get("seam_score"), int(own.get("rating", 0)), Fraction(own.get("offset", 0))
            )
        return Take(self._probe(path) or _stated(reference, path, self._rate, start + length / self._rate.value))

    def _source_range(self, child: Json) -> tuple[Fraction, Fraction]:
        """Start and duration in seconds."""
        span = child.get("source_range")
        if span is None and _schema(child) == "Clip":
            reference = _references(child).get(child.get("active_media_reference_key", "DEFAULT_MEDIA")) or {}
            span = reference.get("available_range")
        if span is None:
            raise ValueError(f"{child.get('name') or _schema(child)} does not say how long it is")
        return _seconds(span["start_time"]), _seconds(span["duration"])

    def _markers(self, stack: Json) -> tuple[Marker, ...]:
        markers: list[Marker] = []
        for item in stack.get("markers") or []:
            frame = nearest_frame(_seconds(item["marked_range"]["start_time"]), self._rate)
            own = _own(item)
            number = int(own["id"]) if "id" in own and "rate" in self._own else self._new_id()
            markers.append(Marker(number, max(frame, 0), str(item.get("name") or "")))
        return tuple(sorted(markers, key=lambda marker: marker.frame))

    def _new_id(self) -> int:
        self._next_id += 1
        return self._next_id - 1


def _with_muted(timeline: Timeline, states: Mapping[tuple[TrackKind, int], bool]) -> Timeline:
    tracks: list[Track] = []
    for kind in TrackKind:
        mine = timeline.tracks_of(kind)
        for position, track in enumerate(mine):
            lane = len(mine) - 1 - position if kind is TrackKind.PICTURE else position
            tracks.append(replace(track, is_muted=states.get((kind, lane), False)))
    return replace(timeline, tracks=tuple(tracks))


def _references(clip: Json) -> dict[str, Json]:
    """Of a clip of either version: the first had one reference."""
    if "media_references" in clip:
        return {key: reference for key, reference in clip["media_references"].items() if reference}
    reference = clip.get("media_reference")
    return {"DEFAULT_MEDIA": reference} if reference else {}


def _stated(reference: Json, path: Path, rate: FrameRate, needed: Fraction) -> Media:
    """What the other program says about a file that is not there."""
    span = reference.get("available_range")
    if span is None:
        return Media(path, needed, rate)
    return Media(path, _seconds(span["duration"]), _rate_of(span["duration"]["rate"]))


def _available_start(reference: Json) -> Fraction:
    """A file's own first time, such as its time of day; ours begin at zero."""
    span = reference.get("available_range")
    return Fraction(0) if span is None else _seconds(span["start_time"])


def _request(own: Json) -> GenerationRequest | None:
    values = own.get("request")
    try:
        return None if values is None else GenerationRequest.from_dict(values)
    except RequestError:  # of a newer version; the file itself has it as well
        return None


def _seconds(time: Json) -> Fraction:
    value = Fraction(str(time["value"])).limit_denominator(1_000_000)
    return value / _rate_of(time["rate"]).value


def _rate_of(number: float) -> FrameRate:
    return FrameRate.parse(float(number))


def _own(thing: Mapping[str, Any]) -> Json:
    metadata = thing.get("metadata") or {}
    own = metadata.get(KEY)
    return own if isinstance(own, dict) else {}


def _schema(thing: Mapping[str, Any]) -> str:
    return str(thing["OTIO_SCHEMA"]).partition(".")[0]
