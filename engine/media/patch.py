"""What is new in a clip that is otherwise kept: new pictures and new sound, and where they go.

Values only. How they get into a file is in `engine.pipelines.composite`, which chooses between the lossless route
(`lossless`) and copied packets (`splice`).

Frames are counted as in `source.SourceClip`: frame 0 is the first one shown. Samples are counted from the moment at
which that frame is shown, at the rate of the source's own sound track (at the new sound's rate where it has none).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.media.audio import SoundClip
from engine.types import FrameRange

Pixels = NDArray[np.uint8]

BLEND_FRAMES = 3  # at each side of a window: a hard cut of a model's picture against a camera's shows at any other size
FADE_S = 0.03  # `pipelines.composite` fades sound over this long: 20 to 40 ms hides a cut without doubling a syllable


@dataclass(frozen=True, eq=False)
class PicturePatch:
    """New pictures for the `num_frames` frames from `start`.

    `pictures` yields exactly `num_frames` arrays, uint8 RGB (height, width, 3) upright at the source's size, and is
    read once, in order. `start` may be negative (the clip then begins with `-start` frames that it did not have), and
    `start + num_frames` may lie beyond its end (it then goes on): that is all there is to extending a clip.
    The first and the last `blend_frames` of the pictures are mixed with the source's, linearly, wherever the patch has
    a neighbour and a source frame to mix with; every frame outside the patch stays as it is.
    """

    start: int
    num_frames: int
    pictures: Iterable[Pixels]
    blend_frames: int = BLEND_FRAMES

    def __post_init__(self) -> None:
        assert self.num_frames > 0, self.num_frames
        assert 0 <= self.blend_frames * 2 <= self.num_frames, (self.blend_frames, self.num_frames)

    @property
    def stop(self) -> int:
        return self.start + self.num_frames


@dataclass(frozen=True, eq=False)
class SoundPatch:
    """New sound from sample `start_sample` on, resampled to the source's rate; length decides where it ends.

    `start_sample` may be negative and the end may lie beyond the source's, as with pictures. The first and the last
    `fade_s` seconds of it are an equal-power mix of old and new, wherever there is old sound on the other side; what
    lies outside stays as it is. In a track with more than two channels the new sound goes to the front left and right
    and the other channels are silent meanwhile; in a mono track it is mixed down.
    """

    start_sample: int
    sound: SoundClip
    fade_s: float = FADE_S


@dataclass(frozen=True, eq=False)
class NewSoundtrack:
    """A whole new sound track in place of the source's, from the first picture to the end of the last one."""

    sound: SoundClip


@dataclass(frozen=True, eq=False)
class Patch:
    """All that changes in a clip; None keeps what is there."""

    picture: PicturePatch | None = None
    sound: SoundPatch | NewSoundtrack | None = None


class Route(Enum):
    """How a clip is put together again."""

    LOSSLESS = "lossless"  # every frame decoded and kept as it is, FFV1 and PCM in Matroska
    COPIED = "copied"  # untouched packets copied, the groups of pictures that hold the window encoded again
    ENCODED = "encoded"  # every frame encoded again, as `PutBack.reason` explains


@dataclass(frozen=True)
class PutBack:
    """How a patch goes into a file.

    `encoded` are the frames of the result that are compressed again with loss: none in the lossless route. `reason`
    is a sentence for the user where more than the window had to be encoded again, else empty.
    """

    path: Path
    route: Route
    num_frames: int
    encoded: FrameRange
    reason: str = ""


def with_blend(window: FrameRange, num_frames: int, blend_frames: int = BLEND_FRAMES) -> FrameRange:
    """The window with the frames on both sides that are mixed, within a clip of `num_frames` frames."""
    return FrameRange(max(window.start - blend_frames, 0), min(window.stop + blend_frames, num_frames))
