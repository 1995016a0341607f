"""What to make, as one frozen value: every mode, from a panel, the command line or a clip's own metadata.

A request says what is wanted, in the user's terms; `engine.pipelines.plan` turns it into stages. Fields left at None
take the model's or the preset's default. The JSON form carries a schema version, so old clips and projects still open.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

from engine.errors import RequestError
from engine.types import FrameRange, FrameRate, Size

SCHEMA_VERSION = 1

Precision = Literal["auto", "bf16", "fp8", "int8", "fp32"]
Memory = Literal["auto", "resident", "stream", "disk"]
NoiseMode = Literal["counter", "reference"]
AudioFit = Literal["pad", "loop"]  # what follows a sound that is shorter than its clip: silence, or itself again


class Preset(StrEnum):
    """One dial for quality: stages, steps, sampler and guidance."""

    DRAFT = "draft"
    FAST = "fast"
    STANDARD = "standard"
    HIGH = "high"


@dataclass(frozen=True)
class GuidanceScales:
    """How strongly one stream is pushed away from each extra pass; the neutral values run no extra pass."""

    cfg: float = 1.0  # away from the negative prompt; 1 is neutral
    stg: float = 0.0  # away from a pass with self-attention skipped; 0 is neutral
    modality: float = 1.0  # away from a pass without the other stream; 1 is neutral
    rescale: float = 0.0  # how much of the plain prediction's spread to restore, 0 to 1


@dataclass(frozen=True)
class Guidance:
    """Guidance of both streams."""

    video: GuidanceScales = GuidanceScales()
    audio: GuidanceScales = GuidanceScales()
    stg_blocks: tuple[int, ...] = ()  # blocks whose self-attention the perturbed pass skips
    skip_step: int = 0  # predict only every (n+1)-th step

    def is_neutral(self) -> bool:
        """Whether a single pass per step is enough."""
        return all((scales.cfg, scales.stg, scales.modality) == (1, 0, 1) for scales in (self.video, self.audio))


@dataclass(frozen=True)
class ImageReference:
    """A picture the clip shows at a frame; negative frames count from the end."""

    path: Path
    frame: int = 0
    strength: float = 1.0


@dataclass(frozen=True)
class Trim:
    """The part of a file that is used, in seconds of the file. Where a file ends before, so does the part."""

    start_s: float = 0.0
    end_s: float | None = None  # None: to the file's end

    @property
    def is_possible(self) -> bool:
        """Whether it is a stretch of time at all."""
        end_s = math.inf if self.end_s is None else self.end_s
        return math.isfinite(self.start_s) and 0 <= self.start_s < end_s

    def frames(self, rate: FrameRate, num_frames: int) -> FrameRange:
        """Of a clip with so many frames; both ends go to the nearest frame."""
        start = min(round(rate.frames_in(self.start_s)), num_frames)
        stop = num_frames if self.end_s is None else min(round(rate.frames_in(self.end_s)), num_frames)
        return FrameRange(start, max(stop, start))


WHOLE = Trim()


@dataclass(frozen=True)
class VideoReference:
    """A clip that an IC-LoRA reads beside the target."""

    path: Path
    strength: float = 1.0
    trim: Trim = WHOLE


@dataclass(frozen=True)
class LoraReference:
    """A LoRA file applied to the transformer."""

    path: Path
    strength: float = 1.0
    refine_strength: float | None = None  # in the stages that refine at full size; None: the same

    def strength_in(self, *, refines: bool) -> float:
        """In one kind of stage."""
        return self.refine_strength if refines and self.refine_strength is not None else self.strength

    @property
    def is_off(self) -> bool:
        """Whether it acts in no stage."""
        return self.strength == 0 and self.refine_strength in (None, 0)


@dataclass(frozen=True)
class Retake:
    """Make [start_s, end_s) of a clip again; all outside it, and what is not asked for, stays as it is."""

    clip: Path
    start_s: float
    end_s: float
    picture: bool = True
    sound: bool = True
    strength: float = 1.0  # 1 makes the window from nothing; less starts nearer to what is there, 0 excluded


@dataclass(frozen=True)
class Extend:
    """Go on after a clip's end, or lead up to its start."""

    clip: Path
    seconds: float
    at: Literal["start", "end"] = "end"


@dataclass(frozen=True)
class LipDub:
    """New words, or another voice, on the lips of who speaks in [start_s, end_s)."""

    clip: Path
    start_s: float | None = None  # None: from the beginning
    end_s: float | None = None  # None: to the end
    voice: Path | None = None  # a voice track to follow; None: the prompt says the words
    keep_background: bool = True


@dataclass(frozen=True)
class Foley:
    """New sound for a clip; its picture stays as it is."""

    clip: Path


Edit = Retake | Extend | LipDub | Foley


@dataclass(frozen=True)
class GenerationRequest:
    """One clip to make, or to edit."""

    prompt: str
    negative_prompt: str | None = None
    model: str | None = None  # catalogue name or path; None: the best that is installed
    preset: Preset = Preset.FAST
    size: Size | None = None
    frames: int | None = None
    seconds: float | None = None  # instead of frames
    frame_rate: FrameRate | None = None
    seed: int | None = None  # None: drawn when the run starts, and reported
    steps: int | None = None
    video_guidance: float | None = None
    audio_guidance: float | None = None
    modality_guidance: float | None = None
    silent: bool = False
    images: tuple[ImageReference, ...] = ()
    audio: Path | None = None  # a sound file the picture follows; what is longer than the clip is cut
    audio_fit: AudioFit = "pad"
    audio_trim: Trim = WHOLE  # the part of `audio` that is followed
    reference_videos: tuple[VideoReference, ...] = ()
    loras: tuple[LoraReference, ...] = ()
    edit: Edit | None = None  # None: a new clip
    precision: Precision = "auto"
    memory: Memory = "auto"
    device: str = "auto"
    noise: NoiseMode = "counter"

    def to_dict(self) -> dict[str, Any]:
        """A JSON object; `from_dict` reads it back to an equal request."""
        values: dict[str, Any] = {"schema": SCHEMA_VERSION}
        for item in fields(self):
            value = getattr(self, item.name)
            if value != item.default:
                values[item.name] = _to_json(value)
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "GenerationRequest":
        """Raises RequestError for a newer schema, an unknown field, or a value of the wrong kind."""
        schema = values.get("schema", SCHEMA_VERSION)
        if schema != SCHEMA_VERSION:
            raise RequestError(
                "schema",
                f"The request has schema {schema}; this version reads {SCHEMA_VERSION}.",
                remedy="Update LTX Studio.",
            )
        known = {item.name for item in fields(cls)}
        unknown = sorted(set(values) - known - {"schema"})
        if unknown:
            raise RequestError(unknown[0], f"The request has an unknown field '{unknown[0]}'.")
        parsed: dict[str, Any] = {}
        for name, value in values.items():
            if name != "schema":
                try:
                    parsed[name] = _FROM_JSON.get(name, _as_is)(value)
                except (TypeError, ValueError, KeyError, AttributeError) as error:
                    raise RequestError(
                        name, f"The request's field '{name}' has an impossible value: {value!r}."
                    ) from error
        if not isinstance(parsed.get("prompt"), str):
            raise RequestError("prompt", "The request has no prompt.")
        return cls(**parsed)

    def with_seed(self, seed: int) -> "GenerationRequest":
        return replace(self, seed=seed)


def _to_json(value: Any) -> Any:
    match value:
        case Path():
            return str(value)
        case Preset():
            return value.value
        case Size() | FrameRate():
            return str(value)
        case tuple():
            return [_to_json(item) for item in value]
        case VideoReference(path, strength, trim):
            rest = {} if trim == WHOLE else {"trim": _to_json(trim)}  # as versions without it read it
            return {"path": str(path), "strength": strength, **rest}
        case ImageReference() | LoraReference() | Trim():
            return {item.name: _to_json(getattr(value, item.name)) for item in fields(value)}
        case Retake() | Extend() | LipDub() | Foley():
            kind = next(name for name, edit in _EDITS.items() if isinstance(value, edit))
            return {"kind": kind, **{item.name: _to_json(getattr(value, item.name)) for item in fields(value)}}
        case _:
            return value


def _as_is(value: Any) -> Any:
    return value


def _image(value: Mapping[str, Any]) -> ImageReference:
    return ImageReference(Path(value["path"]), int(value.get("frame", 0)), float(value.get("strength", 1.0)))


def _trim(value: Mapping[str, Any]) -> Trim:
    end_s = value.get("end_s")
    return Trim(float(value.get("start_s", 0.0)), None if end_s is None else float(end_s))


def _video(value: Mapping[str, Any]) -> VideoReference:
    return VideoReference(Path(value["path"]), float(value.get("strength", 1.0)), _trim(value.get("trim", {})))


def _lora(value: Mapping[str, Any]) -> LoraReference:
    refine_strength = value.get("refine_strength")
    return LoraReference(
        Path(value["path"]),
        float(value.get("strength", 1.0)),
        None if refine_strength is None else float(refine_strength),
    )


_EDITS: dict[str, type[Edit]] = {"retake": Retake, "extend": Extend, "lipdub": LipDub, "foley": Foley}


def _edit(values: Mapping[str, Any] | None) -> Edit | None:
    """Raises what a constructor raises for a field that is missing, unknown or of the wrong kind."""
    if values is None:
        return None
    rest = dict(values)
    match rest.pop("kind"):
        case "retake":
            edit = Retake(
                _taken_path(rest),
                float(rest.pop("start_s")),
                float(rest.pop("end_s")),
                _taken_truth(rest, "picture"),
                _taken_truth(rest, "sound"),
                float(rest.pop("strength", 1.0)),
            )
        case "extend":
            edit = Extend(_taken_path(rest), float(rest.pop("seconds")), _taken_at(rest))
        case "lipdub":
            start_s, end_s, voice = (rest.pop(name, None) for name in ("start_s", "end_s", "voice"))
            edit = LipDub(
                _taken_path(rest),
                None if start_s is None else float(start_s),
                None if end_s is None else float(end_s),
                None if voice is None else Path(voice),
                _taken_truth(rest, "keep_background"),
            )
        case "foley":
            edit = Foley(_taken_path(rest))
        case kind:
            raise ValueError(f"there is no edit of the kind {kind!r}")
    if rest:
        raise ValueError(f"an edit has no {next(iter(rest))!r}")
    return edit


def _taken_path(values: dict[str, Any]) -> Path:
    return Path(values.pop("clip"))


def _taken_truth(values: dict[str, Any], name: str) -> bool:
    value = values.pop(name, True)
    if not isinstance(value, bool):
        raise TypeError(f"{name} is true or false, got {value!r}")
    return value


def _taken_at(values: dict[str, Any]) -> Literal["start", "end"]:
    match values.pop("at", "end"):
        case "start":
            return "start"
        case "end":
            return "end"
        case at:
            raise ValueError(f"a clip is extended at its start or its end, not at {at!r}")


def _audio_fit(value: Any) -> AudioFit:
    match value:
        case "pad":
            return "pad"
        case "loop":
            return "loop"
        case _:
            raise ValueError(f"a sound is padded or looped, not {value!r}")


_FROM_JSON = {
    "edit": _edit,
    "audio_fit": _audio_fit,
    "preset": Preset,
    "size": Size.parse,
    "frame_rate": FrameRate.parse,
    "audio": Path,
    "images": lambda items: tuple(_image(item) for item in items),
    "audio_trim": _trim,
    "reference_videos": lambda items: tuple(_video(item) for item in items),
    "loras": lambda items: tuple(_lora(item) for item in items),
}
