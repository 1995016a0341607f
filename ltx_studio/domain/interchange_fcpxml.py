"""Timelines as Final Cut Pro XML 1.10, which DaVinci Resolve and Premiere (by way of converters) read as well.

The lowest picture track is the primary storyline, its holes filled with gaps. Everything else is connected to the
storyline element it begins over, in a lane: 1 and up for pictures, -1 and down for sounds. A picture and its own sound
are one element, as Final Cut shows them. All times are exact fractions of a second.

Not here: reading it (`interchange_fcpxml_reading`).
"""

from dataclasses import dataclass, field
from fractions import Fraction
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from engine.types import FrameRate, Size
from ltx_studio.domain.interchange import (
    InterchangeError,
    Loss,
    Options,
    Written,
    is_whole,
    linked_pairs,
    lost_in_clips,
    source_in,
)
from ltx_studio.domain.timeline import Clip, Media, Timeline, Track, TrackKind

VERSION = "1.10"
SAMPLE_RATE = 48_000
# Final Cut's own spelling of a frame's duration, by frames per second.
_FRAME_DURATIONS = {
    Fraction(24000, 1001): "1001/24000s",
    Fraction(24): "100/2400s",
    Fraction(25): "100/2500s",
    Fraction(30000, 1001): "1001/30000s",
    Fraction(30): "100/3000s",
    Fraction(50): "100/5000s",
    Fraction(60000, 1001): "1001/60000s",
    Fraction(60): "100/6000s",
}
_CONFORM_NAMES = {Fraction(24000, 1001): "23.98", Fraction(30000, 1001): "29.97", Fraction(60000, 1001): "59.94"}
_DEFAULT_SIZE = Size(1920, 1080)


def written(timeline: Timeline, *, name: str, options: Options) -> Written:
    """Raises InterchangeError for a timeline without clips, of which Final Cut makes nothing."""
    if timeline.length == 0:
        raise InterchangeError("The timeline is empty.", remedy="Put a clip on it first.")
    return _Writing(timeline, name, options).written()


@dataclass
class _Element:
    """One element of the primary storyline, and where it lies. Times inside it are counted from `local_start`."""

    element: Element
    start: int
    stop: int
    local_start: Fraction
    anchored: list[tuple[Fraction, Element]] = field(default_factory=list[tuple[Fraction, Element]])
    markers: list[Element] = field(default_factory=list[Element])

    def finish(self) -> None:
        """Children in the order that the format demands."""
        for _, element in sorted(self.anchored, key=lambda item: item[0]):
            self.element.append(element)
        self.element.extend(self.markers)


class _Writing:
    def __init__(self, timeline: Timeline, name: str, options: Options) -> None:
        self._timeline = timeline
        self._rate = timeline.rate
        self._name = name
        self._options = options
        self._resources = Element("resources")
        self._formats: dict[tuple[FrameRate | None, Size | None], str] = {}
        self._assets: dict[Media, str] = {}
        self._pairs = linked_pairs(timeline)
        self._losses = lost_in_clips(timeline)

    def written(self) -> Written:
        sizes = [clip.media.size for track in self._pictures() for clip in track.clips if clip.media.size is not None]
        format_id = self._format(self._rate, sizes[0] if sizes else _DEFAULT_SIZE)
        storyline = self._storyline()
        self._connect(storyline)
        self._mark(storyline)
        spine = Element("spine")
        for item in storyline:
            item.finish()
            spine.append(item.element)
        drops = self._options.counts_drop_frames and _can_drop(self._rate)
        sequence = Element(
            "sequence",
            {
                "format": format_id,
                "duration": _text(self._seconds(max(item.stop for item in storyline))),
                "tcStart": "0s",
                "tcFormat": "DF" if drops else "NDF",
                "audioLayout": "stereo",
                "audioRate": "48k",
            },
        )
        sequence.append(spine)
        project = Element("project", {"name": self._name})
        project.append(sequence)
        event = Element("event", {"name": self._name})
        event.append(project)
        library = Element("library")
        library.append(event)
        root = Element("fcpxml", {"version": VERSION})
        root.extend([self._resources, library])
        ElementTree.indent(root, "    ")
        body = ElementTree.tostring(root, encoding="unicode")
        return Written(f'<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE fcpxml>\n\n{body}\n', tuple(self._losses))

    def _pictures(self) -> list[Track]:
        """From the bottom up."""
        return list(reversed(self._timeline.tracks_of(TrackKind.PICTURE)))

    def _storyline(self) -> list[_Element]:
        lowest = self._pictures()[0].clips if self._pictures() else ()
        items: list[_Element] = []
        frame = 0
        for clip in lowest:
            if clip.start > frame:
                items.append(self._gap(frame, clip.start))
            element = self._clip_element(clip, lane=0, offset=self._seconds(clip.start))
            items.append(_Element(element, clip.start, clip.stop, source_in(clip)))
            frame = clip.stop
        length = max(self._timeline.length, *(marker.frame + 1 for marker in self._timeline.markers), 0)
        if frame < length:
            items.append(self._gap(frame, length))
        return items

    def _gap(self, start: int, stop: int) -> _Element:
        values = {"name": "Gap", "offset": _text(self._seconds(start)), "start": "0s"}
        values["duration"] = _text(self._seconds(stop - start))
        return _Element(Element("gap", values), start, stop, Fraction(0))

    def _connect(self, storyline: list[_Element]) -> None:
        for lane, track in enumerate(self._pictures()):
            if lane > 0:
                self._connect_track(track, lane, storyline)
        for lane, track in enumerate(self._timeline.tracks_of(TrackKind.SOUND), start=1):
            self._connect_track(track, -lane, storyline)

    def _connect_track(self, track: Track, lane: int, storyline: list[_Element]) -> None:
        for clip in track.clips:
            if lane < 0 and self._is_in_picture(clip):
                continue
            below = next(item for item in storyline if item.start <= clip.start < item.stop)
            offset = below.local_start + self._seconds(clip.start - below.start)
            below.anchored.append((offset, self._clip_element(clip, lane=lane, offset=offset)))

    def _mark(self, storyline: list[_Element]) -> None:
        for marker in self._timeline.markers:
            below = next(item for item in storyline if item.start <= marker.frame < item.stop)
            values = {"start": _text(below.local_start + self._seconds(marker.frame - below.start))}
            values |= {"duration": _text(1 / self._rate.value), "value": marker.name}
            below.markers.append(Element("marker", values))

    def _is_in_picture(self, sound: Clip) -> bool:
        """Whether it is written with its picture, as one element."""
        if sound.id not in self._pairs:
            return False
        picture, _ = self._pairs[sound.id]
        return self._is_muted(picture) == self._is_muted(sound)

    def _is_muted(self, clip: Clip) -> bool:
        return self._timeline.place_of(clip.id)[0].is_muted

    def _clip_element(self, clip: Clip, *, lane: int, offset: Fraction) -> Element:
        sound: Clip | None = clip if lane < 0 else None
        if lane >= 0 and clip.id in self._pairs and self._is_in_picture(self._pairs[clip.id][1]):
            sound = self._pairs[clip.id][1]
        media = clip.media
        begins = source_in(clip)
        if not is_whole(begins, self._rate):
            self._losses.append(Loss(clip.name, "it begins between two frames; other programs may move it by one."))
        values = {"ref": self._asset(media), "name": clip.name, "offset": _text(offset)}
        values |= {"start": _text(begins), "duration": _text(self._seconds(clip.length))}
        if lane != 0:
            values["lane"] = str(lane)
        if self._is_muted(clip):
            values["enabled"] = "0"
        if media.has_sound and media.has_picture and (lane < 0 or sound is None):
            values["srcEnable"] = "audio" if lane < 0 else "video"
        if sound is not None:
            values["audioRole"] = "dialogue"
        element = Element("asset-clip", values)
        if media.frame_rate is not None and media.frame_rate != self._rate and lane >= 0:
            rate = media.frame_rate.value
            name = _CONFORM_NAMES.get(rate, f"{float(rate):g}")
            element.append(Element("conform-rate", {"scaleEnabled": "0", "srcFrameRate": name}))
            self._losses.append(Loss(clip.name, f"{name} frames a second in a sequence of another rate."))
        if sound is not None and sound.gain_db:
            element.append(Element("adjust-volume", {"amount": f"{sound.gain_db:g}dB"}))
        return element

    def _asset(self, media: Media) -> str:
        if media not in self._assets:
            asset_id = self._assets[media] = f"r{len(self._formats) + len(self._assets) + 1}"
            values = {"id": asset_id, "name": media.path.name, "start": "0s", "duration": _text(media.duration)}
            if media.has_picture:
                values |= {"hasVideo": "1", "format": self._format(media.frame_rate, media.size), "videoSources": "1"}
            if media.has_sound:
                values |= {"hasAudio": "1", "audioSources": "1", "audioChannels": "2", "audioRate": str(SAMPLE_RATE)}
            asset = Element("asset", values)
            asset.append(
                Element("media-rep", {"kind": "original-media", "src": media.path.absolute().as_uri()}),
            )
            self._resources.append(asset)
        return self._assets[media]

    def _format(self, rate: FrameRate | None, size: Size | None) -> str:
        key = (rate, size)
        if key not in self._formats:
            format_id = self._formats[key] = f"r{len(self._formats) + len(self._assets) + 1}"
            values = {"id": format_id}
            if rate is not None:
                values["frameDuration"] = _FRAME_DURATIONS.get(rate.value, _text(1 / rate.value))
                if rate.value not in _FRAME_DURATIONS:
                    self._losses.append(Loss("", f"{float(rate):g} frames a second, which Final Cut does not know."))
            if size is not None:
                values |= {"width": str(size.width), "height": str(size.height), "colorSpace": "1-1-1 (Rec. 709)"}
            self._resources.append(Element("format", values))
        return self._formats[key]

    def _seconds(self, frames: int) -> Fraction:
        return frames / self._rate.value


def _can_drop(rate: FrameRate) -> bool:
    """Dropped numbers exist for 29.97 and 59.94."""
    return rate.value in (Fraction(30000, 1001), Fraction(60000, 1001))


def _text(seconds: Fraction) -> str:
    return f"{seconds.numerator}s" if seconds.denominator == 1 else f"{seconds.numerator}/{seconds.denominator}s"
