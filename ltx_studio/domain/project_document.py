"""A project as JSON, and back: exact fractions as text, files by relative path, unknown fields kept, old forms updated.

A file inside the project's folder is written relative to it, with forward slashes on every system; any other file with
its full path, and in the table of files also relative to the folder, so that a project and its footage can move
together. Clips that did not change since the last call are not written anew, so a document shares its parts with the
one before it: comparing the two is cheap, and so is writing after every edit.

Not here: reading and writing files (`project_store`).
"""

import os
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Any

from engine.errors import RequestError
from engine.request import GenerationRequest
from engine.types import FrameRate, Size
from ltx_studio.domain.project import FIRST_RATE, FileMark, Project, ProjectError
from ltx_studio.domain.timeline import Clip, Marker, Media, Take, Timeline, Track, TrackKind

FORMAT = "ltx-studio-project"
VERSION = 1
# The document of version n becomes one of version n + 1. Never change one that was released; append.
MIGRATIONS: Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}

Document = dict[str, Any]
Unknown = dict[str, Mapping[str, Any]]
_INSIDE = "./"  # how a request writes a file of the project's folder; whatever else it names is not touched
_FILE_KEYS = ("path", "clip", "audio", "voice")  # of a request, and of what is inside it

_PROJECT_KEYS = {"format", "version", "name", "saved_s", "edit", "size", "files", "timeline"}
_TIMELINE_KEYS = {"rate", "tracks", "markers", "mark_in", "mark_out", "next_id"}
_TRACK_KEYS = {"id", "kind", "name", "muted", "locked", "clips"}
_CLIP_KEYS = {"id", "name", "start", "length", "source_start", "takes", "chosen", "link", "gain_db"}
_TAKE_KEYS = {"media", "request", "seam_score", "rating", "offset"}
_MARKER_KEYS = {"id", "frame", "name"}


def updated(document: Document, *, to: int = VERSION, migrations: Mapping[int, Any] = MIGRATIONS) -> Document:
    """The document in the newest form. Raises ProjectError for one of a newer program, ValueError for none of ours."""
    version = document.get("version")
    if document.get("format") != FORMAT or not isinstance(version, int) or version < 1:
        raise ValueError("it is not a project of LTX Studio")
    if version > to:
        raise ProjectError(
            "The project was saved by a newer version of LTX Studio.", remedy="Update LTX Studio to open it."
        )
    for number in range(version, to):
        document = {**migrations[number](document), "version": number + 1}
    return document


class Places:
    """How the files of a project in `folder` are written and found again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()

    def written(self, path: Path) -> str:
        """Relative to the folder where it is inside, else the full path; always with forward slashes."""
        if path.is_relative_to(self.folder):
            return path.relative_to(self.folder).as_posix()
        return path.as_posix()

    def relative(self, path: Path) -> str | None:
        """Relative to the folder also where it is outside; None on another drive."""
        try:
            return Path(os.path.relpath(path, self.folder)).as_posix()
        except ValueError:
            return None

    def read(self, text: str) -> Path:
        """The full path, without a look at the disk."""
        return self.folder / PurePosixPath(text)

    def found(self, text: str, relative: object) -> Path:
        """The full path; where no file is there and one is at the relative place, that one."""
        path = self.read(text)
        if isinstance(relative, str) and not path.exists():
            beside = Path(os.path.normpath(self.folder / PurePosixPath(relative)))
            if beside.exists():
                return beside
        return path


# --- writing ----------------------------------------------------------------------------------------------------------


class Writer:
    """Makes documents of one project. It remembers the clips of the last timeline and of no other.

    `unknown` are the fields that come back without being understood (`Project.unknown`).
    """

    def __init__(self, places: Places, unknown: Mapping[str, Mapping[str, Any]]) -> None:
        self.places = places
        self._unknown = unknown
        self._clips: dict[int, tuple[Clip, Document]] = {}  # by the identity of the clip, which it keeps alive

    def project(self, project: Project, *, edit: int, saved_s: float) -> Document:
        """The whole document; `edit` is the number of the last edit that is in it."""
        return {
            "format": FORMAT,
            "version": VERSION,
            **self.around(project),
            "edit": edit,
            "saved_s": saved_s,
            "timeline": self.timeline(project.timeline),
        }

    def around(self, project: Project) -> Document:
        """What undo does not touch: everything but the timeline."""
        return {
            "name": project.name,
            "size": None if project.size is None else str(project.size),
            "files": {self.places.written(path): self._mark(path, mark) for path, mark in project.marks.items()},
            **_known(self._unknown, "project"),
        }

    def timeline(self, timeline: Timeline) -> Document:
        before, self._clips = self._clips, {}
        document = {
            "rate": str(timeline.rate),
            "tracks": [self._track(track, before) for track in timeline.tracks],
            "markers": [
                {"id": item.id, "frame": item.frame, "name": item.name, **_known(self._unknown, f"marker {item.id}")}
                for item in timeline.markers
            ],
            "next_id": timeline.next_id,
            **_known(self._unknown, "timeline"),
        }
        return _without_defaults(document, mark_in=timeline.mark_in, mark_out=timeline.mark_out)

    def _mark(self, path: Path, mark: FileMark) -> Document:
        values: Document = {"size_bytes": mark.size_bytes, "fingerprint": mark.fingerprint}
        relative = None if path.is_relative_to(self.places.folder) else self.places.relative(path)
        return values if relative is None else {**values, "relative": relative}

    def _track(self, track: Track, before: Mapping[int, tuple[Clip, Document]]) -> Document:
        clips: list[Document] = []
        for clip in track.clips:
            entry = before.get(id(clip)) or (clip, self._clip(clip))
            self._clips[id(clip)] = entry
            clips.append(entry[1])
        document: Document = {"id": track.id, "kind": track.kind.value, "name": track.name}
        document |= {"clips": clips, **_known(self._unknown, f"track {track.id}")}
        return _without_defaults(document, muted=track.is_muted or None, locked=track.is_locked or None)

    def _clip(self, clip: Clip) -> Document:
        document = {
            "id": clip.id,
            "name": clip.name,
            "start": clip.start,
            "length": clip.length,
            "source_start": str(clip.source_start),
            "takes": [self._take(take, clip.id) for take in clip.takes],
            "chosen": clip.chosen,
            **_known(self._unknown, f"clip {clip.id}"),
        }
        return _without_defaults(document, link=clip.link, gain_db=clip.gain_db or None)

    def _take(self, take: Take, clip_id: int) -> Document:
        media = take.media
        path = self.places.written(media.path)
        facts: Document = {"path": path, "duration": str(media.duration)}
        facts = _without_defaults(
            facts | _known(self._unknown, f"media {clip_id} {path}"),
            frame_rate=None if media.frame_rate is None else str(media.frame_rate),
            size=None if media.size is None else str(media.size),
            silent=None if media.has_sound else True,
        )
        request = None if take.request is None else _with_files(take.request.to_dict(), self._request_file)
        return _without_defaults(
            {"media": facts, **_known(self._unknown, f"take {clip_id} {path}")},
            request=request,
            seam_score=take.seam_score,
            rating=take.rating or None,
            offset=str(take.offset) if take.offset else None,
        )

    def _request_file(self, text: str) -> str:
        path = Path(text)
        return _INSIDE + self.places.written(path) if path.is_relative_to(self.places.folder) else text


def _without_defaults(document: Document, **values: object) -> Document:
    """With those of the values that are not None."""
    return document | {key: value for key, value in values.items() if value is not None}


def _known(unknown: Mapping[str, Mapping[str, Any]], thing: str) -> dict[str, Any]:
    return dict(unknown.get(thing, {}))


def _with_files(values: Any, place: Callable[[str], str]) -> Any:
    """A request's document with every file name in it passed through `place`."""
    if isinstance(values, dict):
        return {
            key: place(value) if key in _FILE_KEYS and isinstance(value, str) else _with_files(value, place)
            for key, value in values.items()
        }
    return [_with_files(value, place) for value in values] if isinstance(values, list) else values


# --- reading ----------------------------------------------------------------------------------------------------------


class Reader:
    """Makes values of documents of one project, equal parts of equal documents shared. Raises ValueError."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._clips: dict[int, tuple[Document, Clip]] = {}  # by the identity of the document, which it keeps alive
        self._moved: dict[str, Path] = {}
        self.unknown: Unknown = {}

    def project(self, document: Document) -> Project:
        """Raises ValueError for anything that is not a sound document of the newest version."""
        try:
            return self._project(document)
        except (KeyError, TypeError, AttributeError, IndexError, ZeroDivisionError) as error:
            raise ValueError(f"the project has a damaged part: {error!r}") from error

    def around(self, document: Document) -> Project:
        """What `Writer.around` wrote, as a project with an empty timeline. Raises ValueError."""
        empty = {"rate": str(FIRST_RATE), "tracks": [], "next_id": 1}
        return self.project({**document, "timeline": empty})

    def timeline(self, document: Document) -> Timeline:
        """Raises ValueError."""
        try:
            return self._timeline(document)
        except (KeyError, TypeError, AttributeError, IndexError, ZeroDivisionError) as error:
            raise ValueError(f"the timeline has a damaged part: {error!r}") from error

    def _project(self, document: Document) -> Project:
        marks: dict[Path, FileMark] = {}
        for text, mark in document.get("files", {}).items():
            path = self._moved[text] = self._places.found(text, mark.get("relative"))
            marks[path] = FileMark(int(mark["size_bytes"]), str(mark["fingerprint"]))
        self._keep("project", document, _PROJECT_KEYS)
        size, timeline = document.get("size"), self._timeline(document["timeline"])
        return Project(
            str(document["name"]), timeline, None if size is None else Size.parse(size), marks, dict(self.unknown)
        )

    def _timeline(self, document: Document) -> Timeline:
        self._keep("timeline", document, _TIMELINE_KEYS)
        return Timeline(
            FrameRate(Fraction(document["rate"])),
            tuple(self._track(track) for track in document["tracks"]),
            tuple(self._marker(marker) for marker in document.get("markers", [])),
            document.get("mark_in"),
            document.get("mark_out"),
            int(document["next_id"]),
        )

    def _marker(self, document: Document) -> Marker:
        self._keep(f"marker {document['id']}", document, _MARKER_KEYS)
        return Marker(int(document["id"]), int(document["frame"]), str(document.get("name", "")))

    def _track(self, document: Document) -> Track:
        self._keep(f"track {document['id']}", document, _TRACK_KEYS)
        return Track(
            int(document["id"]),
            TrackKind(document["kind"]),
            str(document["name"]),
            tuple(self._clip(clip) for clip in document["clips"]),
            bool(document.get("muted", False)),
            bool(document.get("locked", False)),
        )

    def _clip(self, document: Document) -> Clip:
        known = self._clips.get(id(document))
        if known is None:
            known = self._clips[id(document)] = (document, self._new_clip(document))
        return known[1]

    def _new_clip(self, document: Document) -> Clip:
        self._keep(f"clip {document['id']}", document, _CLIP_KEYS)
        return Clip(
            id=int(document["id"]),
            name=str(document["name"]),
            start=int(document["start"]),
            length=int(document["length"]),
            source_start=Fraction(document["source_start"]),
            takes=tuple(self._take(take, document["id"]) for take in document["takes"]),
            chosen=int(document.get("chosen", 0)),
            link=document.get("link"),
            gain_db=float(document.get("gain_db", 0.0)),
        )

    def _take(self, document: Document, clip_id: int) -> Take:
        facts = document["media"]
        path = str(facts["path"])
        self._keep(f"media {clip_id} {path}", facts, {"path", "duration", "frame_rate", "size", "silent"})
        self._keep(f"take {clip_id} {path}", document, _TAKE_KEYS)
        rate, size = facts.get("frame_rate"), facts.get("size")
        media = Media(
            self._moved.get(path) or self._places.read(path),
            Fraction(facts["duration"]),
            None if rate is None else FrameRate(Fraction(rate)),
            None if size is None else Size.parse(size),
            not facts.get("silent", False),
        )
        return Take(
            media,
            self._request(document.get("request"), f"take {clip_id} {path}"),
            document.get("seam_score"),
            int(document.get("rating", 0)),
            Fraction(document.get("offset", 0)),
        )

    def _request(self, document: Document | None, thing: str) -> GenerationRequest | None:
        """None also for a request that only a newer version understands: it is kept, and comes back when saved."""
        if document is None:
            return None
        try:
            return GenerationRequest.from_dict(_with_files(document, self._request_file))
        except RequestError:
            self.unknown[thing] = {**self.unknown.get(thing, {}), "request": document}
            return None

    def _request_file(self, text: str) -> str:
        return str(self._places.read(text)) if text.startswith(_INSIDE) else text

    def _keep(self, thing: str, document: Document, known: set[str]) -> None:
        rest = {key: value for key, value in document.items() if key not in known}
        if rest:
            self.unknown[thing] = rest


def as_steps(value: object) -> Sequence[Document]:
    """A list of objects, as JSON has it. Raises ValueError."""
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise ValueError("a list of objects is missing")
    return value
