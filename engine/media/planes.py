"""Decoded frames as they are stored: kept, converted and mixed in their own pixel format.

A frame that is only kept never goes through RGB. A new picture is converted to the format, matrix and range of the
frames around it, and mixing happens there: with a weight of 0 the old samples come out bit for bit.
"""

from collections.abc import Iterator
from typing import cast

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray

from engine.media.read import matrix_of
from engine.media.write import RGB_TO_YUV

Pixels = NDArray[np.uint8]
Samples = NDArray[np.uint8] | NDArray[np.uint16]

# Formats that hold the very same samples in another order, for those FFV1 does not know. The full-range ones differ
# in their name alone.
_SAME_SAMPLES = {
    **{"yuvj420p": "yuv420p", "yuvj422p": "yuv422p", "yuvj444p": "yuv444p", "yuvj440p": "yuv440p"},
    **{"nv12": "yuv420p", "nv21": "yuv420p", "nv16": "yuv422p", "nv24": "yuv444p"},
    **{"p010le": "yuv420p10le", "p210le": "yuv422p10le", "p410le": "yuv444p10le"},
    **{"yuyv422": "yuv422p", "uyvy422": "yuv422p", "yvyu422": "yuv422p", "y210le": "yuv422p10le"},
    **{"gbrp": "bgr0", "gbrap": "bgra", "rgb24": "bgr0", "bgr24": "bgr0", "0rgb": "bgr0", "rgb0": "bgr0"},
    **{"rgba": "bgra", "argb": "bgra", "abgr": "bgra", "pal8": "bgra", "gray16be": "gray16le"},
    **{"rgb48be": "rgb48le", "rgba64be": "rgba64le", "gray10be": "gray10le", "gray12be": "gray12le"},
}

_MATRICES = {  # AVColorSpace of ISO/IEC 23091-2 -> swscale's own numbers
    **{1: Colorspace.ITU709, 4: Colorspace.FCC, 5: Colorspace.ITU601, 6: Colorspace.ITU601},
    **{7: Colorspace.SMPTE240M, 9: Colorspace.BT2020, 10: Colorspace.BT2020},
}


def lossless_format(pixel_format: str) -> str | None:
    """The pixel format in which FFV1 stores these very samples; None where there is none."""
    if pixel_format in _ffv1_formats():
        return pixel_format
    if pixel_format.endswith("be") and pixel_format[:-2] + "le" in _ffv1_formats():
        return pixel_format[:-2] + "le"
    return _SAME_SAMPLES.get(pixel_format)


def stored_as(frame: av.VideoFrame, pixel_format: str) -> av.VideoFrame:
    """The same samples in another order; `pixel_format` as `lossless_format` gives it. Times and tags are kept.

    For any other pixel format the nearest colours, BT.709 in limited range where red, green and blue are given up.
    """
    if frame.format.name == pixel_format:
        return frame
    if is_rgb(frame.format.name) and not is_rgb(pixel_format):
        limited = frame.reformat(
            format=pixel_format,
            dst_colorspace=Colorspace.ITU709,
            src_color_range=ColorRange.JPEG,
            dst_color_range=ColorRange.MPEG,
            interpolation=RGB_TO_YUV,
        )
        tagged_like(limited, frame, color_range=ColorRange.MPEG)
        limited.colorspace = Colorspace.ITU709
        return limited
    if frame.format.name.startswith("yuvj"):  # not a conversion: swscale would squeeze the range
        same = av.VideoFrame(frame.width, frame.height, pixel_format)
        for source, target in zip(planes(frame), planes(same), strict=True):
            target[...] = source
        return tagged_like(same, frame, color_range=ColorRange.JPEG)
    turned = frame.reformat(format=pixel_format, src_color_range=_range(frame), dst_color_range=_range(frame))
    return tagged_like(turned, frame)


def from_upright(pixels: Pixels, like: av.VideoFrame, *, quarter_turns: int) -> av.VideoFrame:
    """RGB, (height, width, 3) upright, in the format, matrix and range of `like`, turned back as it is stored."""
    stored = np.ascontiguousarray(np.rot90(pixels, -quarter_turns))
    assert stored.shape == (like.height, like.width, 3), (stored.shape, like.width, like.height)
    frame = av.VideoFrame.from_ndarray(stored, format="rgb24")
    if is_rgb(like.format.name):
        return tagged_like(frame.reformat(format=like.format.name), like)
    turned = frame.reformat(
        format=like.format.name,
        dst_colorspace=matrix_of(like) or _MATRICES.get(like.colorspace),
        src_color_range=ColorRange.JPEG,
        dst_color_range=_range(like),
        interpolation=RGB_TO_YUV,
    )
    return tagged_like(turned, like)


def mixed(old: av.VideoFrame, new: av.VideoFrame, weight: float) -> av.VideoFrame:
    """`old` for a weight of 0, `new` for 1, rounded to the nearest level between; both in one format."""
    assert old.format.name == new.format.name, (old.format.name, new.format.name)
    if weight == 1:
        return new
    result = av.VideoFrame(old.width, old.height, old.format.name)
    for first, second, target in zip(planes(old), planes(new), planes(result), strict=True):
        blend = first.astype(np.float32)
        blend += np.float32(weight) * (second.astype(np.float32) - blend)
        target[...] = np.rint(blend).astype(target.dtype)
    return tagged_like(result, old)


def planes(frame: av.VideoFrame) -> Iterator[Samples]:
    """Views of the samples of each plane, (rows, samples in a row), without the padding of rows."""
    components = frame.format.components
    wide = max(component.bits for component in components) > 8
    dtype = (">u2" if frame.format.is_big_endian else "<u2") if wide else "u1"
    for index, plane in enumerate(frame.planes):
        per_pixel = sum(component.plane == index for component in components)
        if frame.format.name in {"bgr0", "0rgb", "rgb0", "0bgr"}:
            per_pixel = 4
        rows = np.frombuffer(cast("memoryview[int]", plane), dtype).reshape(plane.height, -1)
        yield cast("Samples", rows[:, : plane.width * per_pixel])


def tagged_like(frame: av.VideoFrame, like: av.VideoFrame, *, color_range: int | None = None) -> av.VideoFrame:
    """The frame with the colour tags and times of another; returns the frame itself."""
    frame.colorspace, frame.color_range = like.colorspace, like.color_range if color_range is None else color_range
    frame.color_primaries, frame.color_trc = like.color_primaries, like.color_trc
    frame.pts, frame.time_base, frame.duration = like.pts, like.time_base, like.duration
    return frame


def is_rgb(pixel_format: str) -> bool:
    """Whether the samples are red, green and blue."""
    return av.VideoFormat(pixel_format).is_rgb


def _range(frame: av.VideoFrame) -> int:
    if frame.format.name.startswith("yuvj") or frame.color_range == ColorRange.JPEG:
        return ColorRange.JPEG
    return ColorRange.JPEG if frame.format.is_rgb else ColorRange.MPEG


def _ffv1_formats() -> frozenset[str]:
    return frozenset(item.name for item in av.Codec("ffv1", "w").video_formats or ())
