"""What a planned change would do to a clip, as ranges to be drawn over it: kept, blended and new."""

from dataclasses import dataclass
from enum import StrEnum

from engine.types import FrameRange


class ZoneKind(StrEnum):
    """What happens to a range."""

    KEPT = "kept"  # identical to what it was
    BLENDED = "blended"
    NEW = "new"  # made again


@dataclass(frozen=True)
class Zone:
    """One range, in frames of the timeline."""

    span: FrameRange
    kind: ZoneKind


@dataclass(frozen=True)
class Zones:
    """Over one clip, on its picture, its sound or both; what lies outside of the clip is not drawn."""

    clip_id: int
    zones: tuple[Zone, ...]
    on_picture: bool = True
    on_sound: bool = True
    sound_zones: tuple[Zone, ...] | None = None  # where those of the sound are others; None: the same
