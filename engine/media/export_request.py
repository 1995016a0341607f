"""What to export, as one frozen value: a clip, and how the file for somebody else is to look and sound.

The same value is the window's form, the command line's arguments, a preset's content and a queued job. Fields left at
None follow the clip. Not here: what comes of it (`export_plan`), making it (`export`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Any

from engine.errors import RequestError
from engine.types import FrameRate, Size

SCHEMA_VERSION = 1
KIND = "export"
DEFAULT_QUALITY = 75
# The loudest a reconstructed signal may get, in dB below full scale: what EBU R 128 asks for, and what streaming
# platforms ask for because lossy codecs overshoot.
DEFAULT_TRUE_PEAK_DB = -1.0
LOUDNESS_RANGE_LUFS = (-36.0, -6.0)
GAIN_RANGE_DB = (-60.0, 24.0)
BIT_RATE_RANGE = (100_000, 400_000_000)  # bits a second
LARGEST_SIDE = 16_384  # pixels; what H.265 and AV1 can hold


class Format(StrEnum):
    """The kind of file."""

    H264 = "h264"
    H265 = "h265"
    PRORES = "prores"  # 422 HQ
    AV1 = "av1"
    VP9 = "vp9"
    FFV1 = "ffv1"  # lossless
    GIF = "gif"
    PNG = "png"  # one file for each frame, in a folder
    WAV = "wav"  # sound alone
    FLAC = "flac"

    @property
    def has_picture(self) -> bool:
        return self not in {Format.WAV, Format.FLAC}

    @property
    def may_have_sound(self) -> bool:
        return self not in {Format.GIF, Format.PNG}

    @property
    def is_lossy(self) -> bool:
        """Whether quality or a bit rate can be chosen."""
        return self in {Format.H264, Format.H265, Format.AV1, Format.VP9}


class Fit(StrEnum):
    """How a picture of another shape goes into the wanted size."""

    FIT = "fit"  # all of it, as large as fits; one side may come out smaller than wanted
    WITHIN = "within"  # the same, but a picture that is smaller already stays as it is
    FILL = "fill"  # all of the size, cut off at two sides
    PAD = "pad"  # all of it, with black bars


@dataclass(frozen=True)
class AddedAudio:
    """Another sound below the clip's own."""

    path: Path
    start_s: float = 0.0  # where it begins in the exported clip; below 0 its own beginning is left out
    gain_db: float = 0.0


@dataclass(frozen=True)
class ExportSettings:
    """Everything but the clip, its range and added sound: what a preset holds and the window remembers."""

    format: Format = Format.H264
    size: Size | None = None
    fit: Fit = Fit.FIT
    frame_rate: FrameRate | None = None
    quality: int | None = None  # 1 to 100; None with no bit rate: copied where possible, else `DEFAULT_QUALITY`
    bit_rate: int | None = None  # of the picture, bits a second; instead of a quality
    uses_hardware: bool = False
    has_sound: bool = True
    loudness_lufs: float | None = None
    true_peak_db: float = DEFAULT_TRUE_PEAK_DB
    keeps_metadata: bool = True

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; fields at their defaults are left out."""
        defaults = ExportSettings()
        names = [item.name for item in fields(self)]
        return {name: _to_json(getattr(self, name)) for name in names if getattr(self, name) != getattr(defaults, name)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "ExportSettings":
        """Raises RequestError for an unknown field or a value of the wrong kind."""
        return cls(**_parsed(values, _SETTINGS_PARSERS))


@dataclass(frozen=True)
class ExportRequest:
    """One file to make of a clip."""

    clip: Path
    settings: ExportSettings = ExportSettings()
    start_s: float | None = None  # None: from the beginning; snapped to the nearest frame
    end_s: float | None = None  # None: to the end; this moment is not part of it
    gain_db: float = 0.0  # of the clip's own sound
    added: AddedAudio | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON-able, with a schema version."""
        added = self.added
        return {
            "kind": KIND,
            "schema": SCHEMA_VERSION,
            "clip": str(self.clip),
            "settings": self.settings.to_dict(),
            "start_s": self.start_s,
            "end_s": self.end_s,
            "gain_db": self.gain_db,
            "added": None
            if added is None
            else {"path": str(added.path), "start_s": added.start_s, "gain_db": added.gain_db},
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "ExportRequest":
        """Raises RequestError for a newer schema, an unknown field, or a value of the wrong kind."""
        schema = values.get("schema", SCHEMA_VERSION)
        if schema != SCHEMA_VERSION or values.get("kind", KIND) != KIND:
            raise RequestError(
                "schema", "The export was written by another version of this program.", remedy="Update LTX Studio."
            )
        content = {name: value for name, value in values.items() if name not in {"schema", "kind"}}
        parsed = _parsed(content, _REQUEST_PARSERS)
        if "clip" not in parsed:
            raise RequestError("clip", "The export names no clip.", remedy="Choose a clip.")
        return cls(**parsed)


def _to_json(value: Any) -> Any:
    return str(value) if isinstance(value, Size | FrameRate | StrEnum) else value


def _optional(parse: Any) -> Any:
    return lambda value: None if value is None else parse(value)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(value)
    return value


def _added(value: Mapping[str, Any]) -> AddedAudio:
    return AddedAudio(Path(value["path"]), float(value.get("start_s", 0.0)), float(value.get("gain_db", 0.0)))


_SETTINGS_PARSERS: Mapping[str, Any] = {
    "format": Format,
    "size": _optional(Size.parse),
    "fit": Fit,
    "frame_rate": _optional(FrameRate.parse),
    "quality": _optional(int),
    "bit_rate": _optional(int),
    "uses_hardware": _flag,
    "has_sound": _flag,
    "loudness_lufs": _optional(float),
    "true_peak_db": float,
    "keeps_metadata": _flag,
}
_REQUEST_PARSERS: Mapping[str, Any] = {
    "clip": Path,
    "settings": ExportSettings.from_dict,
    "start_s": _optional(float),
    "end_s": _optional(float),
    "gain_db": float,
    "added": _optional(_added),
}


def _parsed(values: Mapping[str, Any], parsers: Mapping[str, Any]) -> dict[str, Any]:
    parsed: dict[str, Any] = {}
    for name, value in values.items():
        if name not in parsers:
            raise RequestError(name, f"The export has an unknown field '{name}'.")
        try:
            parsed[name] = parsers[name](value)
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise RequestError(name, f"The export's field '{name}' has an impossible value: {value!r}.") from error
    return parsed
