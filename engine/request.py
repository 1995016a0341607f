"""What to make, as one frozen value: every mode, from a panel, the command line or a clip's own metadata.

A request says what is wanted, in the user's terms; `engine.pipelines.plan` turns it into stages. Fields left at None
take the model's or the preset's default. The JSON form carries a schema version, so old clips and projects still open.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

from engine.errors import RequestError
from engine.types import FrameRate, Size

SCHEMA_VERSION = 1

Precision = Literal["auto", "bf16", "fp8", "int8", "fp32"]
Memory = Literal["auto", "resident", "stream", "disk"]
NoiseMode = Literal["counter", "reference"]


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
class VideoReference:
    """A clip that an IC-LoRA reads beside the target."""

    path: Path
    strength: float = 1.0


@dataclass(frozen=True)
class LoraReference:
    """A LoRA file applied to the transformer in every stage."""

    path: Path
    strength: float = 1.0


@dataclass(frozen=True)
class GenerationRequest:
    """One clip to make."""

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
    audio: Path | None = None  # a sound file the picture follows
    reference_videos: tuple[VideoReference, ...] = ()
    loras: tuple[LoraReference, ...] = ()
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
        case ImageReference() | VideoReference() | LoraReference():
            return {item.name: _to_json(getattr(value, item.name)) for item in fields(value)}
        case _:
            return value


def _as_is(value: Any) -> Any:
    return value


def _image(value: Mapping[str, Any]) -> ImageReference:
    return ImageReference(Path(value["path"]), int(value.get("frame", 0)), float(value.get("strength", 1.0)))


_FROM_JSON = {
    "preset": Preset,
    "size": Size.parse,
    "frame_rate": FrameRate.parse,
    "audio": Path,
    "images": lambda items: tuple(_image(item) for item in items),
    "reference_videos": lambda items: tuple(
        VideoReference(Path(item["path"]), float(item.get("strength", 1.0))) for item in items
    ),
    "loras": lambda items: tuple(LoraReference(Path(item["path"]), float(item.get("strength", 1.0))) for item in items),
}
