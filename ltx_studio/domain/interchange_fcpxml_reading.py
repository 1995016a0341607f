"""Final Cut Pro XML read as a timeline: what we write ourselves, and what Final Cut and Resolve write.

Understood are clips of both kinds, gaps, connected clips, secondary storylines and the picked clip of an audition. What
is inside compound and multicam clips is reported, as are effects, transitions and changes of speed.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from engine.types import FrameRate, Size
from ltx_studio.domain.interchange import Imported, Loss, Place, Probe, file_of, is_whole, nearest_frame, placed
from ltx_studio.domain.timeline import Clip, Marker, Media, Take, TrackKind

_EFFECTS = ("filter-video", "filter-audio", "adjust-transform", "adjust-crop", "adjust-blend")


@dataclass(frozen=True)
class _Asset:
    media: Media
    start: Fraction  # of its first frame, in its own time, such as the time of day


def parsed(text: str, *, folder: Path, probe: Probe) -> Imported:
    """Raises ValueError and KeyError for what is not Final Cut Pro XML."""
    if "<!ENTITY" in text:  # a few lines of which can fill the memory
        raise ValueError("it defines entities, which Final Cut Pro XML has no use for")
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise ValueError(f"it is not XML ({error})") from error
    if root.tag != "fcpxml":
        raise ValueError("it is not Final Cut Pro XML")
    return _Reading(root, folder, probe).imported()


class _Reading:
    def __init__(self, root: Element, folder: Path, probe: Probe) -> None:
        self._root = root
        self._folder = folder
        self._probe = probe
        self._losses: list[Loss] = []
        self._clips: list[tuple[Place, Clip]] = []
        self._markers: list[tuple[int, str]] = []
        self._muted: set[int] = set()
        self._next_id = 1
        self._rates: dict[str, FrameRate] = {}
        self._sizes: dict[str, Size] = {}
        for element in root.iter("format"):
            if "frameDuration" in element.attrib:
                self._rates[element.attrib["id"]] = FrameRate(1 / _seconds(element.attrib["frameDuration"]))
            if "width" in element.attrib:
                size = Size(int(element.attrib["width"]), int(element.attrib["height"]))
                self._sizes[element.attrib["id"]] = size
        self._elements = {element.attrib["id"]: element for element in root.iter("asset")}
        self._assets: dict[str, _Asset | None] = {}

    def imported(self) -> Imported:
        projects = list(self._root.iter("project"))
        sequences = [(project, sequence) for project in projects for sequence in project.iter("sequence")]
        if not sequences:
            raise ValueError("it holds no project")
        for other, _ in sequences[1:]:
            self._losses.append(Loss(other.attrib.get("name", ""), "a second project, which was left out."))
        project, sequence = sequences[0]
        self._rate = self._rates.get(sequence.attrib["format"]) or FrameRate(Fraction(24))
        spine = sequence.find("spine")
        if spine is None:
            raise ValueError("its project has no storyline")
        zero = _seconds(sequence.attrib.get("tcStart", "0s"))
        self._read_spine(spine, begins=Fraction(0), lane=0, zero=zero)
        timeline, losses = placed(self._rate, self._clips)
        tracks = tuple(
            replace(track, is_muted=bool(track.clips) and all(clip.id in self._muted for clip in track.clips))
            for track in timeline.tracks
        )
        left = self._muted - {clip.id for track in tracks if track.is_muted for clip in track.clips}
        for clip in timeline.clips():
            if clip.id in left:
                self._losses.append(Loss(clip.name, "it was switched off, and is seen or heard here."))
        next_id = timeline.next_id
        markers = tuple(
            Marker(next_id + index, frame, name) for index, (frame, name) in enumerate(sorted(self._markers))
        )
        timeline = replace(timeline, tracks=tracks, markers=markers, next_id=next_id + len(markers))
        return Imported(project.attrib.get("name", ""), timeline, (*self._losses, *losses))

    def _read_spine(self, spine: Element, *, begins: Fraction, lane: int, zero: Fraction) -> None:
        """`begins`: where the storyline begins in the sequence. Offsets of its elements are counted from `zero`."""
        time = begins
        for element in spine:
            if "offset" in element.attrib and element.tag != "transition":
                time = begins + _seconds(element.attrib["offset"]) - zero
            time += self._read_element(element, time, lane)

    def _read_element(self, element: Element, begins: Fraction, lane: int) -> Fraction:
        """Returns how long it is in its storyline."""
        name = element.attrib.get("name", "")
        duration = _seconds(element.attrib.get("duration", "0s"))
        local_start = _seconds(element.attrib.get("start", "0s"))
        match element.tag:
            case "gap":
                pass
            case "asset-clip":
                duration, local_start = self._read_asset_clip(element, begins, lane)
            case "clip" | "video" | "audio":
                self._read_clip(element, begins, lane)
            case "audition":
                options = [child for child in element if child.tag in ("asset-clip", "clip")]
                if not options:
                    return duration
                if len(options) > 1:
                    self._losses.append(Loss(name, f"{len(options) - 1} other takes of an audition."))
                return self._read_element(options[0], begins, lane)
            case "transition":
                self._losses.append(Loss(name, "a transition, which became a cut."))
                return Fraction(0)
            case "note" | "metadata":
                return Fraction(0)
            case kind:
                self._losses.append(Loss(name, f"a {kind}, which became a gap."))
        for child in element:
            self._read_connected(child, element, begins, local_start, duration)
        return duration

    def _read_connected(
        self, child: Element, parent: Element, begins: Fraction, local_start: Fraction, duration: Fraction
    ) -> None:
        """What hangs on a storyline element; its time is that inside the element."""
        name = child.attrib.get("name", parent.attrib.get("name", ""))
        if child.tag == "spine":
            offset = begins + _seconds(child.attrib.get("offset", "0s")) - local_start
            self._read_spine(child, begins=offset, lane=int(child.attrib.get("lane", "1")), zero=Fraction(0))
        elif "lane" in child.attrib:
            offset = begins + _seconds(child.attrib.get("offset", "0s")) - local_start
            self._read_element(child, offset, int(child.attrib["lane"]))
        elif child.tag in ("marker", "chapter-marker"):
            at = _seconds(child.attrib["start"]) - local_start
            if 0 <= at < duration:  # Final Cut keeps those of the parts that were cut away
                frame = nearest_frame(begins + at, self._rate)
                self._markers.append((frame, child.attrib.get("value", "")))
        elif child.tag == "timeMap":
            self._losses.append(Loss(name, "a change of speed."))
        elif child.tag in _EFFECTS and not _does_nothing(child):
            self._losses.append(Loss(name, f"the effect {child.attrib.get('name') or child.tag}."))

    def _read_asset_clip(self, element: Element, begins: Fraction, lane: int) -> tuple[Fraction, Fraction]:
        asset = self._asset(element.attrib["ref"])
        start = asset.start if asset is not None else Fraction(0)
        local_start = _seconds(element.attrib["start"]) if "start" in element.attrib else start
        length = asset.media.duration if asset is not None else Fraction(0)
        duration = _seconds(element.attrib["duration"]) if "duration" in element.attrib else length
        if asset is None:
            self._losses.append(Loss(element.attrib.get("name", ""), "its file is not on this machine."))
        else:
            wanted = element.attrib.get("srcEnable", "all")
            self._add(element, asset, begins, duration, local_start - start, lane, wanted)
        return duration, local_start

    def _read_clip(self, element: Element, begins: Fraction, lane: int) -> None:
        """A clip whose media hang inside it, or that is itself the medium."""
        duration = _seconds(element.attrib["duration"])
        local_start = _seconds(element.attrib.get("start", "0s"))
        media = [element] if "ref" in element.attrib else list(_media_inside(element))
        if not media:
            self._losses.append(Loss(element.attrib.get("name", ""), "a clip without a file, which became a gap."))
            return
        asset = self._asset(media[0].attrib["ref"])
        if asset is None:
            self._losses.append(Loss(element.attrib.get("name", ""), "its file is not on this machine."))
            return
        source = local_start - asset.start
        if media[0] is not element:
            inside = _seconds(media[0].attrib.get("start", "0s")) - _seconds(media[0].attrib.get("offset", "0s"))
            own = inside if "start" in media[0].attrib else asset.start - _seconds(media[0].attrib.get("offset", "0s"))
            source = local_start + own - asset.start
        kinds = {item.tag for item in media}
        wanted = "all" if len(kinds) > 1 or (element.tag == "clip" and media[0].find("audio") is not None) else None
        wanted = wanted or ("audio" if kinds == {"audio"} else "video")
        self._add(element, asset, begins, duration, source, lane, wanted)

    def _add(
        self,
        element: Element,
        asset: _Asset,
        begins: Fraction,
        duration: Fraction,
        source: Fraction,
        lane: int,
        wanted: str,
    ) -> None:
        name = element.attrib.get("name", asset.media.path.stem)
        frame, stop = nearest_frame(begins, self._rate), nearest_frame(begins + duration, self._rate)
        if stop <= frame:
            self._losses.append(Loss(name, "it is shorter than a frame and was left out."))
            return
        if frame < 0:
            self._losses.append(Loss(name, "it begins before the sequence does and was left out."))
            return
        if not is_whole(begins, self._rate) or not is_whole(begins + duration, self._rate):
            self._losses.append(Loss(name, "its edges lie between frames and were moved to the nearest ones."))
        is_seen = wanted != "audio" and asset.media.has_picture and lane >= 0
        is_heard = wanted != "video" and asset.media.has_sound
        link = self._new_id() if is_seen and is_heard else None
        gain_db = _gain(element)
        take = Take(asset.media)
        for kind, number in _places(is_seen, is_heard, lane):
            clip_id = self._new_id()
            gain = gain_db if kind is TrackKind.SOUND else 0.0
            clip = Clip(clip_id, name, frame, stop - frame, source, (take,), link=link, gain_db=gain)
            self._clips.append((Place(kind, number), clip))
            if element.attrib.get("enabled") == "0":
                self._muted.add(clip_id)

    def _asset(self, reference: str) -> _Asset | None:
        if reference not in self._assets:
            self._assets[reference] = self._read_asset(reference)
        return self._assets[reference]

    def _read_asset(self, reference: str) -> _Asset | None:
        element = self._elements.get(reference)
        if element is None:
            return None
        representation = element.find("media-rep")
        values: Mapping[str, str] = element.attrib if representation is None else representation.attrib
        path = file_of(values.get("src", ""), self._folder) if values.get("src") else None
        if path is None:
            return None
        start = _seconds(element.attrib.get("start", "0s"))
        format_id = element.attrib.get("format", "")
        has_picture = element.attrib.get("hasVideo") == "1"
        rate = self._rates.get(format_id, self._rate) if has_picture else None
        stated = Media(
            path,
            _seconds(element.attrib["duration"]),
            rate,
            self._sizes.get(format_id) if has_picture else None,
            element.attrib.get("hasAudio") == "1",
        )
        return _Asset(self._probe(path) or stated, start)

    def _new_id(self) -> int:
        self._next_id += 1
        return self._next_id - 1


def _places(is_seen: bool, is_heard: bool, lane: int) -> Iterator[tuple[TrackKind, int]]:
    """The tracks that an element of a lane goes to."""
    if is_seen:
        yield TrackKind.PICTURE, lane
    if is_heard:
        yield TrackKind.SOUND, lane if lane >= 0 else -lane - 1


def _media_inside(element: Element) -> Iterator[Element]:
    for child in element:
        if child.tag in ("video", "audio") and "lane" not in child.attrib and "ref" in child.attrib:
            yield child


def _does_nothing(effect: Element) -> bool:
    """Whether it leaves everything as it is: Resolve writes such a one into every clip."""
    values = [value for key, value in effect.attrib.items() if key not in ("enabled", "anchor", "tracking")]
    numbers = {number for value in values for number in value.split()}
    return effect.tag == "adjust-transform" and len(effect) == 0 and numbers <= {"0", "1"}


def _gain(element: Element) -> float:
    volume = element.find("adjust-volume")
    text = "0" if volume is None else volume.attrib.get("amount", "0").removesuffix("dB")
    return float(text)


def _seconds(text: str) -> Fraction:
    return Fraction(text.strip().removesuffix("s"))
