"""What an export will make, before anything is made: pure, instant, the same answer in the window and on the command
line.

Says the size, the length, about how many bytes, what is copied unchanged and why not more, and what the user should
know. `export` obeys it.
"""

import os
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import Any

from engine.errors import RequestError
from engine.media.export_formats import (
    KINDS,
    MUXERS,
    SOUND_BIT_RATE,
    SoundKind,
    hardware_encoder,
    hardware_pixel_format,
    picture_bits_per_pixel,
    sound_kind,
)
from engine.media.export_request import (
    BIT_RATE_RANGE,
    GAIN_RANGE_DB,
    LARGEST_SIDE,
    LOUDNESS_RANGE_LUFS,
    ExportRequest,
    ExportSettings,
    Fit,
    Format,
)
from engine.media.export_source import Picture, Sound, Source
from engine.types import FrameRange, FrameRate, Size

SMALLEST_SIDE = 16  # pixels
RATE_RANGE = (1, 240)  # frames a second
_GIF_RATE = 50  # players slow down what is faster: a GIF counts hundredths of a second
_ENLARGED_AT = 1.01
_SAME_LENGTH_S = 0.1  # sound that is longer or shorter than the picture by no more is copied as it is
_OVERHEAD = 1.01  # what a container adds
_SAMPLE_RATE = 48_000
_FLAC_SHARE = 0.6  # of the plain samples' size, for ordinary sound


@dataclass(frozen=True)
class Note:
    """Something to know; `code` is for programs."""

    code: str
    message: str


@dataclass(frozen=True)
class PicturePlan:
    """The picture of the file."""

    frames: FrameRange  # of the clip
    scaled: Size  # what the clip's picture is scaled to, before it is cut or padded to `size`
    size: Size
    frame_rate: FrameRate
    num_frames: int
    encoder: str
    pixel_format: str
    is_copied: bool
    is_hardware: bool = False


@dataclass(frozen=True)
class SoundPlan:
    """The sound of the file."""

    kind: SoundKind
    sample_rate: int
    is_copied: bool


@dataclass(frozen=True)
class ExportPlan:
    """All that is decided."""

    request: ExportRequest = field(repr=False)
    suffix: str  # of the file; "" for a folder
    picture: PicturePlan | None
    sound: SoundPlan | None
    duration: Fraction  # seconds
    start: Fraction  # seconds into the clip
    estimated_bytes: int
    predicted_s: float
    notes: tuple[Note, ...]

    @property
    def duration_s(self) -> float:
        return float(self.duration)

    @property
    def is_copied(self) -> bool:
        """Whether nothing is encoded."""
        return all(part.is_copied for part in (self.picture, self.sound) if part is not None)

    def to_dict(self) -> dict[str, Any]:
        """For scripts."""
        picture, sound = self.picture, self.sound
        return {
            "format": self.request.settings.format.value,
            "width": picture.size.width if picture else None,
            "height": picture.size.height if picture else None,
            "fps": float(picture.frame_rate) if picture else None,
            "frames": picture.num_frames if picture else 0,
            "encoder": None if picture is None else "copy" if picture.is_copied else picture.encoder,
            "sound": None if sound is None else "copy" if sound.is_copied else sound.kind.encoder,
            "start_s": float(self.start),
            "duration_s": self.duration_s,
            "estimated_bytes": self.estimated_bytes,
            "predicted_s": round(self.predicted_s, 1),
            "notes": [{"code": note.code, "message": note.message} for note in self.notes],
        }


def plan_export(request: ExportRequest, source: Source, *, suffix: str | None = None) -> ExportPlan:
    """`suffix` is that of the file to be written, by default the format's usual one. Raises RequestError."""
    settings = request.settings
    suffix = _checked_suffix(settings.format, suffix)
    _check_numbers(request)
    notes: list[Note] = []
    picture = None
    if source.picture is None:
        start, end = _sound_range(request, source)
    else:
        frames = _frames(request, source.picture)
        start, end = source.picture.time_of(frames.start), source.picture.time_of(frames.stop)
        if settings.format.has_picture:
            picture = _plan_picture(settings, source.picture, frames, suffix, notes)
    if picture is None and settings.format.has_picture:
        raise RequestError("format", f"{source.path.name} has no picture.", remedy="Export it as WAV or FLAC.")
    duration = end - start if picture is None else picture.num_frames / picture.frame_rate.value
    is_whole = start == 0 and abs(float(end) - source.duration_s) < _SAME_LENGTH_S
    sound = _plan_sound(request, source, suffix, is_whole=is_whole, notes=notes)
    return ExportPlan(
        request=request,
        suffix=suffix,
        picture=picture,
        sound=sound,
        duration=duration,
        start=start,
        estimated_bytes=_estimated_bytes(settings, source, picture, sound, duration),
        predicted_s=_predicted_s(settings.format, source, picture, duration),
        notes=tuple(notes),
    )


# --- what is asked for ------------------------------------------------------------------------------------------------


def usual_format(suffix: str) -> Format | None:
    """What a file of this name usually holds; no suffix is a folder of PNG files. None for one we do not write."""
    known = {".mp4": Format.H264, ".mov": Format.H264, ".mkv": Format.H264, ".webm": Format.VP9, "": Format.PNG}
    known |= {".gif": Format.GIF, ".wav": Format.WAV, ".flac": Format.FLAC}
    return known.get(suffix.lower())


def _checked_suffix(format: Format, suffix: str | None) -> str:  # noqa: A002 - the field's name
    suffixes = KINDS[format].suffixes or ("",)
    if suffix is None:
        return suffixes[0]
    if suffix.lower() in suffixes:
        return suffix.lower()
    if format is Format.PNG:
        raise RequestError(
            "output", "A PNG sequence is a folder of pictures.", remedy="Give the folder a name without an ending."
        )
    endings = " or ".join(suffixes)
    named = f"ends in {suffix}" if suffix else "has no ending"
    raise RequestError(
        "output", f"The file's name {named}, and this format needs {endings}.", remedy=f"End its name in {endings}."
    )


def _check_numbers(request: ExportRequest) -> None:
    settings = request.settings
    if settings.quality is not None and settings.bit_rate is not None:
        raise RequestError("quality", "Both a quality and a bit rate are given.", remedy="Give one of them.")
    for name, value in (("quality", settings.quality), ("bit_rate", settings.bit_rate)):
        if value is not None and not settings.format.is_lossy:
            raise RequestError(
                name,
                f"The format {settings.format.value} has no {name.replace('_', ' ')} to choose.",
                remedy="Leave it out, or choose H.264, H.265, AV1 or VP9.",
            )
    _check_within("quality", settings.quality, (1, 100), "")
    _check_within("bit_rate", settings.bit_rate, BIT_RATE_RANGE, " bits a second")
    _check_within("loudness", settings.loudness_lufs, LOUDNESS_RANGE_LUFS, " LUFS")
    _check_within("true_peak", settings.true_peak_db, (-20.0, 0.0), " dB")
    _check_within("gain", request.gain_db, GAIN_RANGE_DB, " dB")
    if settings.frame_rate is not None:
        _check_within("frame_rate", float(settings.frame_rate), RATE_RANGE, " frames a second")
    if settings.size is not None:
        for side in (settings.size.width, settings.size.height):
            _check_within("size", side, (SMALLEST_SIDE, LARGEST_SIDE), " pixels a side")
    if request.added is not None:
        _check_within("gain", request.added.gain_db, GAIN_RANGE_DB, " dB")


def _check_within(field_name: str, value: float | None, limits: tuple[float, float], unit: str) -> None:
    if value is not None and not limits[0] <= value <= limits[1]:
        raise RequestError(
            field_name,
            f"The {field_name.replace('_', ' ')} {value:g} cannot be had.",
            remedy=f"Choose {limits[0]:g} to {limits[1]:g}{unit}.",
        )


def _frames(request: ExportRequest, picture: Picture) -> FrameRange:
    """The range as frames of the clip, each end at the nearest."""
    total = float(picture.duration)
    _check_range(request, total)
    start = _nearest(picture, request.start_s) if request.start_s is not None else 0
    stop = _nearest(picture, request.end_s) if request.end_s is not None else picture.num_frames
    if start >= picture.num_frames or stop <= start:
        raise RequestError("range", "The range holds no frame.", remedy="Choose a longer one.")
    return FrameRange(start, stop)


def _nearest(picture: Picture, seconds: float) -> int:
    """The border between frames nearest to a moment."""
    moment = Fraction(seconds)
    frame = picture.frame_at(max(moment, Fraction(0)))
    after = picture.time_of(frame + 1) if frame + 1 <= picture.num_frames else picture.duration
    return frame if moment - picture.time_of(frame) < after - moment else frame + 1


def _sound_range(request: ExportRequest, source: Source) -> tuple[Fraction, Fraction]:
    _check_range(request, source.duration_s)
    start = Fraction(request.start_s or 0)
    return start, Fraction(source.duration_s if request.end_s is None else min(request.end_s, source.duration_s))


def _check_range(request: ExportRequest, total_s: float) -> None:
    start, end = request.start_s or 0.0, total_s if request.end_s is None else request.end_s
    if start < 0 or start >= total_s:
        raise RequestError(
            "start_s", f"The range starts at {start:g} s, outside the clip.", remedy=f"Choose 0 to {total_s:.3f} s."
        )
    if end <= start:
        raise RequestError("end_s", f"The range ends at {end:g} s, not after its start.", remedy="Choose a later end.")
    if end > total_s + 0.05:
        raise RequestError(
            "end_s", f"The range ends at {end:g} s, after the clip.", remedy=f"The clip ends at {total_s:.3f} s."
        )


# --- the picture ------------------------------------------------------------------------------------------------------


def _plan_picture(
    settings: ExportSettings, picture: Picture, frames: FrameRange, suffix: str, notes: list[Note]
) -> PicturePlan:
    kind = KINDS[settings.format]
    rate = _output_rate(settings, picture, notes)
    scaled, size = _geometry(picture.shown, settings, needs_even=settings.format not in {Format.PNG, Format.GIF})
    _check_size(settings.format, size)
    _note_picture(settings, picture, scaled, size, notes)
    length = picture.time_of(frames.stop) - picture.time_of(frames.start)
    num_frames = len(frames) if _keeps_frames(picture, rate) else max(round(length * rate.value), 1)
    reason = _why_not_copied(settings, picture, frames, size=size, rate=rate, suffix=suffix)
    is_copied = not reason
    if is_copied:
        notes.append(Note("copied", "The picture is copied as it is, without any loss."))
    elif settings.format.is_lossy and settings.quality is None and settings.bit_rate is None:
        notes.append(Note("encoded", f"The picture is encoded again: {reason}."))
    encoder, pixel_format, is_hardware = kind.encoder, _pixel_format(settings.format, picture), False
    if settings.uses_hardware and settings.format.is_lossy and not is_copied:
        hardware = hardware_encoder(settings.format)
        if hardware is None:
            notes.append(Note("no_hardware", "No hardware encoder for this format works here; the processor encodes."))
        else:
            encoder, pixel_format, is_hardware = hardware, hardware_pixel_format(hardware), True
    return PicturePlan(frames, scaled, size, rate, num_frames, encoder, pixel_format, is_copied, is_hardware)


def _check_size(format: Format, size: Size) -> None:  # noqa: A002 - the field's name
    smallest = KINDS[format].smallest_longer_side
    if max(size.width, size.height) < smallest:
        message = f"A picture of {size} is too small for this format."
        raise RequestError("size", message, remedy=f"Choose a size with a side of {smallest} pixels or more.")


def _output_rate(settings: ExportSettings, picture: Picture, notes: list[Note]) -> FrameRate:
    rate = settings.frame_rate or picture.frame_rate
    if settings.format is Format.GIF and rate.value > _GIF_RATE:
        notes.append(Note("gif_rate", f"A GIF shows at most {_GIF_RATE} frames a second."))
        return FrameRate.parse(_GIF_RATE)
    if rate != picture.frame_rate:
        what = "left out" if rate.value < picture.frame_rate.value else "shown twice"
        message = f"From {_spoken_rate(picture.frame_rate)} to {_spoken_rate(rate)} frames a second: frames are {what}."
        notes.append(Note("rate", message))
    return rate


def _spoken_rate(rate: FrameRate) -> str:
    return f"{float(rate):.3f}".rstrip("0").rstrip(".")


def _keeps_frames(picture: Picture, rate: FrameRate) -> bool:
    """Whether every frame of the range is written once."""
    return rate == picture.frame_rate and picture.times is None


def _geometry(shown: Size, settings: ExportSettings, *, needs_even: bool) -> tuple[Size, Size]:
    """What the picture is scaled to, and what of that, or around that, is written."""
    step = 2 if needs_even else 1

    def floored(size: Size) -> Size:
        return Size(max(size.width // step * step, step), max(size.height // step * step, step))

    wanted = settings.size
    is_small = wanted is not None and shown.width <= wanted.width and shown.height <= wanted.height
    if wanted is None or (is_small and settings.fit is Fit.WITHIN):
        return shown, floored(shown)  # an odd line is cut off, rather than everything scaled by a hair
    wanted = floored(wanted)
    across, down = Fraction(wanted.width, shown.width), Fraction(wanted.height, shown.height)
    if settings.fit is Fit.FILL:
        scale = max(across, down)
        return Size(
            max(ceil(shown.width * scale), wanted.width), max(ceil(shown.height * scale), wanted.height)
        ), wanted
    scale = min(across, down)
    inside = floored(Size(round(shown.width * scale), round(shown.height * scale)))
    return inside, wanted if settings.fit is Fit.PAD else inside


def _note_picture(settings: ExportSettings, picture: Picture, scaled: Size, size: Size, notes: list[Note]) -> None:
    shown = picture.shown
    if scaled.width > shown.width * _ENLARGED_AT or scaled.height > shown.height * _ENLARGED_AT:
        notes.append(Note("enlarged", f"The picture is enlarged from {shown}: larger, not sharper."))
    if scaled == shown and size != shown and settings.fit is not Fit.FILL and settings.fit is not Fit.PAD:
        notes.append(Note("odd_size", f"{shown} has an odd side, which this format cannot hold; it becomes {size}."))
    elif settings.size is not None and _is_odd(settings.size) and settings.format not in {Format.PNG, Format.GIF}:
        notes.append(Note("odd_size", f"This format needs even sides: {settings.size} becomes {size}."))
    if settings.size is not None and settings.fit is Fit.FILL:
        share = 1 - (size.width * size.height) / (scaled.width * scaled.height)
        if share > 0.02:
            notes.append(Note("cut", f"{share:.0%} of the picture is cut off at the sides."))
    if picture.has_alpha:
        notes.append(Note("alpha", "The transparency of the picture is left out."))
    if picture.is_hdr and settings.format in {Format.H264, Format.GIF, Format.PNG}:
        notes.append(Note("hdr", "The clip is HDR, and this format will show it flat; H.265 or ProRes keep it."))
    elif picture.bits > 8 and settings.format in {Format.H264, Format.GIF, Format.PNG}:
        notes.append(Note("bits", f"The clip has {picture.bits} bits a colour, and this file will have 8."))


def _is_odd(size: Size) -> bool:
    return bool(size.width % 2 or size.height % 2)


def _pixel_format(format: Format, picture: Picture) -> str:  # noqa: A002 - the field's name
    """Lossless keeps what is there; the others have one format for 8 bits and one for more."""
    kind = KINDS[format]
    if format is Format.FFV1:
        return picture.pixel_format.replace("yuvj", "yuv") if not picture.has_alpha else "yuv444p"
    return kind.deep_pixel_format if picture.bits > 8 else kind.pixel_format


def _why_not_copied(
    settings: ExportSettings, picture: Picture, frames: FrameRange, *, size: Size, rate: FrameRate, suffix: str
) -> str:
    """Why the picture cannot go into the file as it is; empty when it can."""
    checks = (
        (settings.quality is not None or settings.bit_rate is not None, "a quality was chosen"),
        (not suffix or suffix not in MUXERS or settings.format is Format.GIF, "the format needs it"),
        (KINDS[settings.format].codec != picture.codec, f"the clip is {picture.codec}"),
        (size != picture.stored or picture.quarter_turns != 0, "its size changes"),
        (rate != picture.frame_rate or picture.times is not None, "its frame rate changes"),
        (copied_packets(picture, frames) is None, "the range does not begin and end at key frames"),
    )
    return next((reason for fails, reason in checks if fails), "")


def copied_packets(picture: Picture, frames: FrameRange) -> range | None:
    """Which packets in file order are exactly these frames and begin with a key frame; None when none are."""
    if not picture.packets:
        return None
    order = sorted(range(picture.num_frames), key=lambda index: picture.packets[index].pts)
    wanted = order[frames.start : frames.stop]
    first, last = min(wanted), max(wanted)
    is_run = last - first + 1 == len(wanted) and picture.packets[first].is_key and first == wanted[0]
    # What is left out behind must not be needed: the next packet begins anew, or there is none.
    ends_well = last + 1 == picture.num_frames or picture.packets[last + 1].is_key
    return range(first, last + 1) if is_run and ends_well else None


# --- the sound --------------------------------------------------------------------------------------------------------


def _plan_sound(
    request: ExportRequest, source: Source, suffix: str, *, is_whole: bool, notes: list[Note]
) -> SoundPlan | None:
    settings = request.settings
    has_any = source.sound is not None or request.added is not None
    if not settings.format.may_have_sound:
        if has_any and settings.has_sound:
            notes.append(Note("no_sound", "A GIF has no sound." if suffix else "Pictures have no sound."))
        return None
    if not settings.format.has_picture and not has_any:
        raise RequestError(
            "format", f"{source.path.name} has no sound.", remedy="Choose another format, or add a sound file."
        )
    if not has_any or (not settings.has_sound and settings.format.has_picture):
        return None
    kind = sound_kind(settings.format, suffix)
    if source.sound is not None and source.sound.channels > 2:
        notes.append(Note("surround", f"The sound's {source.sound.channels} channels are mixed down to stereo."))
    is_copied = is_whole and settings.format.has_picture and _can_copy_sound(request, source, kind)
    rate = source.sound.sample_rate if is_copied and source.sound else _SAMPLE_RATE
    if not settings.format.has_picture and source.sound is not None and request.added is None:
        rate = source.sound.sample_rate
    return SoundPlan(kind, rate, is_copied)


def _can_copy_sound(request: ExportRequest, source: Source, kind: SoundKind) -> bool:
    sound = source.sound
    return (
        sound is not None
        and request.added is None
        and request.gain_db == 0
        and request.settings.loudness_lufs is None
        and request.settings.keeps_metadata  # encoders leave their name inside the sound itself
        and sound.codec in kind.copies
        and sound.channels <= 2
        and abs((sound.duration_s or 0.0) - source.duration_s) < _SAME_LENGTH_S
    )


# --- how large and how long -------------------------------------------------------------------------------------------


def _estimated_bytes(
    settings: ExportSettings,
    source: Source,
    picture: PicturePlan | None,
    sound: SoundPlan | None,
    duration: Fraction,
) -> int:
    seconds = float(duration)
    total = 0.0
    if picture is not None and source.picture is not None:
        if picture.is_copied:
            share = len(picture.frames) / source.picture.num_frames
            total += share * sum(packet.num_bytes for packet in source.picture.packets)
        elif settings.bit_rate is not None:
            total += settings.bit_rate * seconds / 8
        else:
            pixels = picture.size.width * picture.size.height * picture.num_frames
            total += pixels * picture_bits_per_pixel(KINDS[settings.format], settings.quality) / 8
    if sound is not None:
        total += _sound_bytes(settings.format, source.sound, sound, seconds)
    return round(total * _OVERHEAD)


def _sound_bytes(format: Format, source: Sound | None, sound: SoundPlan, seconds: float) -> float:  # noqa: A002
    if sound.is_copied and source is not None:
        return source.num_bytes
    if sound.kind.bit_rate is not None:
        return SOUND_BIT_RATE * seconds / 8
    plain = sound.sample_rate * 2 * 3 * seconds
    return plain * _FLAC_SHARE if format is Format.FLAC else plain


def _predicted_s(format: Format, source: Source, picture: PicturePlan | None, duration: Fraction) -> float:  # noqa: A002
    if picture is None or picture.is_copied or source.picture is None:
        return 0.5 + float(duration) / 200
    megapixels = picture.size.width * picture.size.height * picture.num_frames / 1e6
    speed = 150.0 if picture.is_hardware else KINDS[format].megapixels_per_s * (os.cpu_count() or 1)
    return 0.5 + megapixels / speed


def default_output(clip: Path, folder: Path, plan: ExportPlan) -> Path:
    """Where an export goes when nobody says: named for the clip, with its format where that changes."""
    return folder / (f"{clip.stem}{plan.suffix}" if plan.suffix else f"{clip.stem}-frames")
