"""The frames of an export: which frame of the clip each one shows, its size and shape, its colours.

Pixels are touched only where something changes: a clip of our own goes into H.264 with the very values it was decoded
to. Scaling is Lanczos. Colours keep the clip's matrix and curve, and every file says in its tags which they are.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import cast

import av
import numpy as np
from av.error import BlockingIOError, EOFError  # noqa: A004 - FFmpeg's, not Python's
from av.filter import Graph
from av.filter.context import FilterContext
from av.video.frame import PictureType
from av.video.reformatter import ColorRange, Colorspace

from engine.errors import MediaError
from engine.media.export_plan import PicturePlan
from engine.media.export_source import Picture, Source, decoded_frames, is_untagged
from engine.media.read import YUV_TO_RGB, Pixels
from engine.types import Size

_HIGH_DEFINITION_LINES = 720  # untagged pictures: BT.709 from here on, BT.601 below, as players do
_BT709, _BT601 = 1, 6  # AVCOL_PRI_, _TRC_ and _SPC_: BT709 and SMPTE170M
_MATRIX_NAMES = {1: "bt709", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 9: "bt2020nc"}
_TURNS = {1: "cclock", 3: "clock"}
Step = tuple[str, str]


@dataclass(frozen=True)
class Colours:
    """What the file's tags say, in FFmpeg's numbers."""

    primaries: int
    transfer: int
    matrix: int


def output_colours(picture: Picture) -> Colours:
    """The clip's own; where it is silent, what players take it for."""
    assumed = _BT709 if picture.stored.height >= _HIGH_DEFINITION_LINES else _BT601
    is_rgb = picture.matrix == 0 and not picture.pixel_format.startswith("yuv")
    matrix = _BT709 if is_rgb else assumed if is_untagged(picture.matrix) else picture.matrix
    default = assumed if is_untagged(picture.matrix) and not is_rgb else _BT709
    return Colours(
        default if is_untagged(picture.primaries) else picture.primaries,
        default if is_untagged(picture.transfer) else picture.transfer,
        matrix,
    )


def wanted_frames(plan: PicturePlan, picture: Picture) -> list[int]:
    """For each frame of the file, the frame of the clip that it shows."""
    if plan.num_frames == len(plan.frames) and plan.frame_rate == picture.frame_rate and picture.times is None:
        return list(range(plan.frames.start, plan.frames.stop))
    start = picture.time_of(plan.frames.start)
    moments = (start + Fraction(index) / plan.frame_rate.value for index in range(plan.num_frames))
    return [min(max(picture.frame_at(moment), plan.frames.start), plan.frames.stop - 1) for moment in moments]


def shown_frames(source: Source, wanted: list[int]) -> Iterator[av.VideoFrame]:
    """The frames of the clip as they are stored, one for each of `wanted`, which ascends.

    Where the clip ends before its headers say, its last frame stays. Raises MediaError where nothing can be decoded.
    """
    frames = decoded_frames(source, wanted[0])
    index, current = wanted[0] - 1, None
    for number in wanted:
        while index < number:
            following = next(frames, None)
            if following is None:
                break
            index, current = index + 1, following
        if current is None:
            raise MediaError(source.path, "no frame of the range can be decoded.", remedy="Choose another range.")
        yield current


def converted(
    frames: Iterator[av.VideoFrame], plan: PicturePlan, picture: Picture, pixel_format: str
) -> Iterator[av.VideoFrame]:
    """Upright, in the planned shape and format; frames that are right already pass as they are."""
    steps = geometry_steps(plan, picture)
    is_right = not steps and pixel_format == picture.pixel_format and not picture.is_full_range
    if is_right:
        yield from frames
        return
    colours = output_colours(picture)
    matrix = f":out_color_matrix={_MATRIX_NAMES[colours.matrix]}" if colours.matrix in _MATRIX_NAMES else ""
    if is_untagged(picture.matrix) and colours.matrix in _MATRIX_NAMES and picture.pixel_format.startswith("yuv"):
        matrix += f":in_color_matrix={_MATRIX_NAMES[colours.matrix]}"
    scale = ("scale", f"{plan.scaled.width}:{plan.scaled.height}:flags={_SCALER}:out_range=tv{matrix}")
    turned = [step for step in steps if step[0] in {"transpose", "hflip", "vflip"}]
    shaped = [step for step in steps if step[0] in {"crop", "pad"}]
    run = one_by_one([*turned, scale, *shaped, ("setsar", "1"), ("format", pixel_format)])
    for frame in frames:
        yield run(frame)


_SCALER = "lanczos+accurate_rnd+full_chroma_int+full_chroma_inp"


def geometry_steps(plan: PicturePlan, picture: Picture) -> list[Step]:
    """What turns, scales, cuts and pads the clip's picture; empty where its shape stays."""
    steps: list[Step] = []
    upright = picture.stored
    match picture.quarter_turns:
        case 2:
            steps += [("hflip", ""), ("vflip", "")]
        case 1 | 3 as turns:
            steps.append(("transpose", _TURNS[turns]))
            upright = Size(upright.height, upright.width)
        case _:
            pass
    if plan.scaled != upright:
        steps.append(("scale", f"{plan.scaled.width}:{plan.scaled.height}:flags={_SCALER}"))
    scaled, size = plan.scaled, plan.size
    if scaled.width > size.width or scaled.height > size.height:
        across, down = (scaled.width - size.width) // 2, (scaled.height - size.height) // 2
        steps.append(("crop", f"{size.width}:{size.height}:{across}:{down}:exact=1"))
    elif scaled != size:
        across, down = (size.width - scaled.width) // 2, (size.height - scaled.height) // 2
        steps.append(("pad", f"{size.width}:{size.height}:{across}:{down}:black"))
    return steps


def one_by_one(steps: list[Step]) -> Callable[[av.VideoFrame], av.VideoFrame]:
    """A filter that gives one frame for each; it is built for the first one's shape, and again when that changes."""
    graph: Graph | None = None
    shape: tuple[int, int, str] | None = None

    def run(frame: av.VideoFrame) -> av.VideoFrame:
        nonlocal graph, shape
        if shape != (frame.width, frame.height, frame.format.name):
            shape = (frame.width, frame.height, frame.format.name)
            graph = Graph()
            chained(graph, frame, steps).link_to(graph.add("buffersink"))
            graph.configure()
        assert graph is not None
        graph.push(frame)
        made = graph.pull()
        assert isinstance(made, av.VideoFrame)
        return made

    return run


def chained(graph: Graph, frame: av.VideoFrame, steps: list[Step]) -> FilterContext:
    """A source for frames like this one, and the steps behind it."""
    last = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base or Fraction(1, 1000)
    )
    for name, arguments in steps:
        step = graph.add(name, arguments) if arguments else graph.add(name)
        last.link_to(step)
        last = step
    return last


def stamped(frame: av.VideoFrame, index: int, rate: Fraction) -> av.VideoFrame:
    """As the encoder wants it: timed by its number, and free to become any kind of frame."""
    frame.pts, frame.time_base, frame.duration = index, 1 / rate, 1
    frame.pict_type = PictureType.NONE
    return frame


def rgb(frame: av.VideoFrame, picture: Picture, *, is_upright: bool) -> Pixels:
    """(height, width, 3) in sRGB, the values that `read.read_frames` gives."""
    matrix = None
    if is_untagged(int(frame.colorspace)):
        matrix = Colorspace.ITU709 if frame.height >= _HIGH_DEFINITION_LINES else Colorspace.ITU601
    made = frame.reformat(
        format="rgb24", src_colorspace=matrix, dst_color_range=ColorRange.JPEG, interpolation=YUV_TO_RGB
    )
    turns = 0 if is_upright else picture.quarter_turns
    return np.ascontiguousarray(np.rot90(cast(Pixels, made.to_ndarray()), turns))


# --- GIF --------------------------------------------------------------------------------------------------------------


class Palette:
    """256 colours for all frames that are added, chosen with more weight where the picture moves."""

    def __init__(self, like: av.VideoFrame) -> None:
        self._graph = Graph()
        chained(self._graph, like, [("palettegen", "stats_mode=diff")]).link_to(self._graph.add("buffersink"))
        self._graph.configure()

    def add(self, frame: av.VideoFrame) -> None:
        self._graph.push(frame)

    def finish(self) -> av.VideoFrame:
        self._graph.push(None)
        made = self._graph.pull()
        assert isinstance(made, av.VideoFrame)
        return made


class Paletted:
    """Frames in a palette's colours; dithered, where the picture changes alone, so that still parts stay still."""

    def __init__(self, palette: av.VideoFrame, like: av.VideoFrame) -> None:
        graph = Graph()
        self._source = graph.add_buffer(
            width=like.width, height=like.height, format=like.format, time_base=Fraction(1, 100)
        )
        colours = graph.add_buffer(
            width=palette.width, height=palette.height, format=palette.format, time_base=Fraction(1, 100)
        )
        use = graph.add("paletteuse", "dither=sierra2_4a:diff_mode=rectangle")
        self._sink = graph.add("buffersink")
        self._source.link_to(use, 0, 0)
        colours.link_to(use, 0, 1)
        use.link_to(self._sink)
        graph.configure()
        palette.pts = 0
        colours.push(palette)
        colours.push(None)
        self._graph = graph  # keeps the filters alive

    def push(self, frame: av.VideoFrame | None) -> list[av.VideoFrame]:
        """What is ready; None says that no more frames come."""
        self._source.push(frame)
        ready: list[av.VideoFrame] = []
        while True:
            try:
                made = self._sink.pull()
            except (BlockingIOError, EOFError):
                return ready
            assert isinstance(made, av.VideoFrame)
            ready.append(made)
