"""Making a file for somebody else out of a clip: an iterator of frozen events, the last one `Exported`.

for event in export(ExportRequest(clip), output):
    ...

The caller's for-loop is the progress bar and the stop button: closing the iterator stops between two packets and
leaves nothing behind. The file appears whole under its name, by a rename, or not at all; so does the folder of a
picture sequence. What will be made is decided by `export_plan`; this obeys it.
"""

import shutil
import time
from collections.abc import Generator, Iterator
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import av
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from engine.errors import RequestError
from engine.events import Notice, Progress
from engine.media.export_formats import MUXERS
from engine.media.export_picture import (
    Palette,
    Paletted,
    converted,
    geometry_steps,
    one_by_one,
    rgb,
    shown_frames,
    stamped,
    wanted_frames,
)
from engine.media.export_plan import ExportPlan, plan_export
from engine.media.export_request import ExportRequest, Format
from engine.media.export_sink import Sink, copied, kept_tags
from engine.media.export_sound import PreparedSound, prepare_sound
from engine.media.export_source import Source, read_source
from engine.media.write import check_writable, named_errors, partial_path, published

_LISTENING_SHARE = 0.1  # of the whole, for loudness; the rest is the picture's
_PALETTE_SHARE = 0.3
_PNG_LEVEL = 3  # zlib's; half the time of its default, 4 % larger
_ETA_AFTER_S = 1.0


@dataclass(frozen=True)
class ExportResult:
    """A finished export."""

    path: Path
    format: str
    width: int | None
    height: int | None
    frames: int
    fps: float | None
    duration_s: float
    bytes: int
    encoder: str | None  # "copy" where the picture is the clip's own; None for sound alone
    sound: str | None  # the same of the sound
    loudness_lufs: float | None  # measured, where a loudness was asked for
    true_peak_db: float | None
    seconds: float  # it took

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {**asdict(self), "path": str(self.path)}


@dataclass(frozen=True)
class Exported:
    """The file is in its place."""

    result: ExportResult


ExportEvent = Progress | Notice | Exported


def export(
    request: ExportRequest, output: Path | str, *, source: Source | None = None
) -> Generator[ExportEvent, None, None]:
    """Raises RequestError before anything is written, MediaError, StorageFull. `source` saves reading the clip again.

    A file that is there already is replaced at the end; a folder that is there already and not empty is refused.
    """
    output = Path(output).absolute()
    source = source or read_source(request.clip)
    plan = plan_export(request, source, suffix=output_suffix(request.settings.format, output))
    check_output(plan, output)
    for note in plan.notes:
        yield Notice(note.code, note.message)
    meter = _Meter()
    sound = None
    if plan.sound is not None and not plan.sound.is_copied:
        sound = yield from _listen(plan, source, meter)
    if plan.suffix == "":
        yield from _write_pictures(plan, source, output, meter)
    else:
        with published(output) as part:
            yield from _write_file(plan, source, sound, part, meter)
    yield Exported(_result(plan, output, sound, meter))


def output_suffix(format: Format, output: Path) -> str:  # noqa: A002 - the field's name
    """Of the file; a folder's name may have a dot in it."""
    suffix = output.suffix.lower()
    return "" if format is Format.PNG and suffix not in {*MUXERS, ".png"} else suffix


def check_output(plan: ExportPlan, output: Path) -> None:
    """Raises RequestError for a place that cannot be written, and for the clip itself."""
    if output.resolve() == plan.request.clip.resolve():
        raise RequestError(
            "output", "That is the clip itself, which is never overwritten.", remedy="Choose another name."
        )
    if plan.suffix:
        check_writable(output, suffixes=MUXERS)
        return
    if output.is_dir() and any(output.iterdir()):
        raise RequestError("output", f"The folder {output} is not empty.", remedy="Choose a new folder.")
    if output.is_file():
        raise RequestError("output", f"{output} is a file.", remedy="Choose the name of a new folder.")
    check_writable(output.with_name(f"{output.name}.gif"), suffixes={".gif"})


class _Meter:
    """How far the export is."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._share_done = 0.0
        self._share = 1.0

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def part(self, start: float, end: float) -> None:
        """What is reported from now on is this part of the whole."""
        self._share_done, self._share = start, end - start

    def at(self, stage: str, step: int, num_steps: int) -> Progress:
        fraction = min(self._share_done + self._share * step / max(num_steps, 1), 1.0)
        elapsed = self.seconds
        eta_s = elapsed * (1 - fraction) / fraction if elapsed > _ETA_AFTER_S and fraction > 0.01 else None
        return Progress("write", stage, step, num_steps, fraction, eta_s)

    @property
    def done(self) -> float:
        return self._share_done


def _listen(plan: ExportPlan, source: Source, meter: _Meter) -> Generator[ExportEvent, None, PreparedSound]:
    is_measured = plan.request.settings.loudness_lufs is not None
    end = 1.0 if plan.picture is None else _LISTENING_SHARE if is_measured else 0.0
    seconds = max(round(float(plan.duration)), 1)
    with closing(prepare_sound(plan, source)) as work:
        step = 0
        while True:
            try:
                next(work)
            except StopIteration as stop:
                prepared: PreparedSound = stop.value
                break
            step += 1
            meter.part(0.0, end)
            # How often it has to listen is not known before; two thirds of the way is reached after two passes.
            yield meter.at("sound", step, step + seconds)
    for note in prepared.notes:
        yield Notice(note.code, note.message)
    meter.part(0.0 if plan.picture is None else end, 1.0)
    return prepared


def _result(plan: ExportPlan, output: Path, sound: PreparedSound | None, meter: _Meter) -> ExportResult:
    values = plan.to_dict()
    loudness = sound.loudness if sound is not None else None
    files = [output] if output.is_file() else list(output.iterdir())
    return ExportResult(
        path=output,
        format=values["format"],
        width=values["width"],
        height=values["height"],
        frames=values["frames"],
        fps=values["fps"],
        duration_s=values["duration_s"],
        bytes=sum(file.stat().st_size for file in files),
        encoder=values["encoder"],
        sound=values["sound"],
        loudness_lufs=None if loudness is None else round(loudness.integrated_lufs, 2),
        true_peak_db=None if loudness is None else round(loudness.true_peak_db, 2),
        seconds=round(meter.seconds, 2),
    )


# --- one file ---------------------------------------------------------------------------------------------------------


def _write_file(
    plan: ExportPlan, source: Source, sound: PreparedSound | None, part: Path, meter: _Meter
) -> Generator[ExportEvent, None, None]:
    with Sink(plan, source, part, None if sound is None else sound.clip) as sink:
        if plan.picture is None or source.picture is None:
            num_blocks = sink.num_sound_blocks
            for index in range(num_blocks):
                sink.feed_sound_block()
                yield meter.at("sound", index + 1, num_blocks)
        elif plan.picture.is_copied or (plan.sound is not None and plan.sound.is_copied):
            yield from _copy(plan, source, sink, meter)
        else:
            frames = _encodable(plan, source)
            if plan.request.settings.format is Format.GIF:
                frames = yield from _paletted(plan, source, meter)
            yield from _encode(plan, frames, sink, meter)
        sink.finish()


def _encodable(plan: ExportPlan, source: Source) -> Iterator[av.VideoFrame]:
    assert plan.picture is not None and source.picture is not None
    shown = shown_frames(source, wanted_frames(plan.picture, source.picture))
    return converted(shown, plan.picture, source.picture, plan.picture.pixel_format)


def _encode(
    plan: ExportPlan, frames: Iterator[av.VideoFrame], sink: Sink, meter: _Meter
) -> Generator[ExportEvent, None, None]:
    picture = plan.picture
    assert picture is not None
    yield meter.at("picture", 0, picture.num_frames)
    stamped_frames = (stamped(frame, index, picture.frame_rate.value) for index, frame in enumerate(frames))
    for frame in chain(stamped_frames, (None,)):
        for num_done in sink.encode(frame):
            yield meter.at("picture", num_done, picture.num_frames)


def _copy(plan: ExportPlan, source: Source, sink: Sink, meter: _Meter) -> Generator[ExportEvent, None, None]:
    """What is copied goes packet by packet in the clip's order; what is not is encoded beside it."""
    picture = plan.picture
    assert picture is not None
    if not picture.is_copied:  # then the sound is: all of it first costs little memory, and the muxer sorts it in
        held = list(copied(plan, source, sink))
        for index, frame in enumerate(_encodable(plan, source)):
            time_s = index / picture.frame_rate.value
            while held and held[0].pts is not None and held[0].pts * (held[0].time_base or 0) <= time_s:
                sink.mux(held.pop(0))
            for num_done in sink.encode(stamped(frame, index, picture.frame_rate.value)):
                yield meter.at("picture", num_done, picture.num_frames)
        for num_done in sink.encode(None):
            yield meter.at("picture", num_done, picture.num_frames)
        for packet in held:
            sink.mux(packet)
        return
    num_copied = 0
    for packet in copied(plan, source, sink):
        is_picture = packet.stream.type == "video"
        sink.mux(packet)
        if is_picture:
            num_copied += 1
            sink.feed_sound_until(num_copied / picture.frame_rate.value)
            yield meter.at("picture", num_copied, picture.num_frames)


def _paletted(plan: ExportPlan, source: Source, meter: _Meter) -> Generator[ExportEvent, None, Iterator[av.VideoFrame]]:
    """Two looks at the clip: one for its colours, one for its frames."""
    assert plan.picture is not None and source.picture is not None
    planned, picture = plan.picture, source.picture
    wanted = wanted_frames(planned, picture)

    def frames() -> Iterator[av.VideoFrame]:
        shown = shown_frames(source, wanted)
        return (
            stamped(frame, index, planned.frame_rate.value)
            for index, frame in enumerate(converted(shown, planned, picture, "rgb24"))
        )

    start = meter.done
    meter.part(start, start + _PALETTE_SHARE)
    palette: Palette | None = None
    like: av.VideoFrame | None = None
    for index, frame in enumerate(frames()):
        like = frame
        palette = palette or Palette(frame)
        palette.add(frame)
        yield meter.at("colours", index + 1, planned.num_frames)
    assert palette is not None and like is not None
    meter.part(start + _PALETTE_SHARE, 1.0)
    paletted = Paletted(palette.finish(), like)

    def ready() -> Iterator[av.VideoFrame]:
        for frame in frames():
            yield from paletted.push(frame)
        yield from paletted.push(None)

    return ready()


# --- a folder of pictures ---------------------------------------------------------------------------------------------


def _write_pictures(
    plan: ExportPlan, source: Source, output: Path, meter: _Meter
) -> Generator[ExportEvent, None, None]:
    """PNG files that are numbered from 1, in a folder that appears when all of them are there."""
    assert plan.picture is not None and source.picture is not None
    planned, picture = plan.picture, source.picture
    steps = geometry_steps(planned, picture)
    run = one_by_one([*steps, ("setsar", "1"), ("format", picture.pixel_format)]) if steps else None
    info = PngInfo()
    for name, value in kept_tags(plan, source).items():
        info.add_itxt(name, value)
    part = partial_path(output)
    try:
        with named_errors(output):
            part.mkdir()
            for index, frame in enumerate(shown_frames(source, wanted_frames(planned, picture))):
                pixels = rgb(run(frame) if run else frame, picture, is_upright=run is not None)
                name = f"{source.path.stem}_{index + 1:06d}.png"
                Image.fromarray(pixels).save(part / name, pnginfo=info, compress_level=_PNG_LEVEL)
                yield meter.at("picture", index + 1, planned.num_frames)
            with suppress(OSError):
                output.rmdir()  # an empty one may be there
            part.rename(output)
    finally:
        shutil.rmtree(part, ignore_errors=True)
