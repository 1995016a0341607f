"""Each kind of file in numbers: its containers, its encoders, what a quality means to them, how large and how fast.

Data and arithmetic; nothing is opened here but hardware encoders, to see whether they work on this machine.
"""

import functools
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import av
from av.error import FFmpegError

from engine.media.export_request import DEFAULT_QUALITY, Format

log = logging.getLogger("engine.media")

_PROBE_SIZE = (1280, 720)  # pixels; some encoders refuse very small pictures

SOUND_BIT_RATE = 256_000  # of lossy sound: transparent for stereo AAC and Opus
MUXERS: Mapping[str, str] = {
    ".mp4": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
    ".webm": "webm",
    ".gif": "gif",
    ".wav": "wav",
    ".flac": "flac",
}
# Index in front of the data, so that players and browsers start at once, tags with names of our own, and a clock that
# counts samples. A GIF is repeated for ever.
_QUICKTIME = {"movflags": "+faststart+use_metadata_tags", "movie_timescale": "48000"}
MUXER_OPTIONS: Mapping[str, Mapping[str, str]] = {".mp4": _QUICKTIME, ".mov": _QUICKTIME, ".gif": {"loop": "0"}}


@dataclass(frozen=True)
class Kind:
    """What is known of a format. `bits_per_pixel` is at the default quality, of pictures with ordinary detail."""

    suffixes: tuple[str, ...]  # the first is the usual one; none: a folder
    codec: str  # FFmpeg's name of what comes out
    encoder: str
    pixel_format: str
    deep_pixel_format: str  # for sources with more than 8 bits
    bits_per_pixel: float
    megapixels_per_s: float  # one processor core encodes about this much
    worst_crf: float = 0.0  # at quality 0; on a line with the next
    best_crf: float = 0.0  # at quality 100
    hardware: tuple[str, ...] = ()
    smallest_longer_side: int = 0  # pixels


# Bits per pixel and speeds are rules of thumb for pictures with ordinary detail: a flat one needs a tenth of it, a
# noisy one several times as much. They are for an estimate before anything is known; the run then says its own time.
KINDS: Mapping[Format, Kind] = {
    Format.H264: Kind(
        (".mp4", ".mov", ".mkv"), "h264", "libx264", "yuv420p", "yuv420p", 0.11, 16, 40, 12,
        ("h264_nvenc", "h264_videotoolbox", "h264_qsv", "h264_amf", "h264_mf"),
    ),
    Format.H265: Kind(
        (".mp4", ".mov", ".mkv"), "hevc", "libx265", "yuv420p", "yuv420p10le", 0.07, 5, 42, 15,
        ("hevc_nvenc", "hevc_videotoolbox", "hevc_qsv", "hevc_amf", "hevc_mf"),
        64,  # x265 4.1 writes beyond its memory with 34 x 18, 48 x 30 or 34 x 34 pixels, and not with a side of 64
    ),
    Format.PRORES: Kind((".mov", ".mkv"), "prores", "prores_ks", "yuv422p10le", "yuv422p10le", 3.54, 12),
    Format.AV1: Kind(
        (".mp4", ".mkv", ".webm"), "av1", "libsvtav1", "yuv420p", "yuv420p10le", 0.06, 7, 58, 16,
        ("av1_nvenc", "av1_qsv", "av1_amf"),
    ),
    Format.VP9: Kind((".webm", ".mkv", ".mp4"), "vp9", "libvpx-vp9", "yuv420p", "yuv420p10le", 0.08, 4, 58, 15),
    Format.FFV1: Kind((".mkv",), "ffv1", "ffv1", "yuv420p", "yuv420p", 5.0, 16),
    Format.GIF: Kind((".gif",), "gif", "gif", "pal8", "pal8", 3.0, 6),
    Format.PNG: Kind((), "png", "png", "rgb24", "rgb24", 11.0, 8),
    Format.WAV: Kind((".wav",), "pcm_s24le", "pcm_s24le", "", "", 0, 1),
    Format.FLAC: Kind((".flac",), "flac", "flac", "", "", 0, 1),
}  # fmt: skip


@dataclass(frozen=True)
class SoundKind:
    """How sound goes into a container, and what can go in as it is."""

    encoder: str
    layout_format: str
    copies: tuple[str, ...] = ()
    bit_rate: int | None = None


_AAC = SoundKind("aac", "fltp", ("aac",), SOUND_BIT_RATE)
_PCM = SoundKind("pcm_s24le", "s32", ("pcm_s16le", "pcm_s24le"))
_OPUS = SoundKind("libopus", "flt", ("opus",), SOUND_BIT_RATE)


def sound_kind(format: Format, suffix: str) -> SoundKind:  # noqa: A002 - the field's name
    """Masters keep 24 bits a sample; what is for watching is compressed."""
    match format:
        case Format.WAV | Format.PRORES | Format.FFV1:
            return _PCM
        case Format.FLAC:
            return SoundKind("flac", "s32", ("flac",))
        case _:
            return _OPUS if suffix == ".webm" else _AAC


def crf(kind: Kind, quality: int) -> float:
    """The encoder's own number for a quality of 1 to 100."""
    return kind.worst_crf + (kind.best_crf - kind.worst_crf) * quality / 100


def picture_bits_per_pixel(kind: Kind, quality: int | None) -> float:
    """Six steps of these encoders' scale double the bit rate, nine of AV1's and VP9's, which is longer."""
    if kind.worst_crf == 0:
        return kind.bits_per_pixel
    doubling = 6 if kind.worst_crf < 50 else 9
    steps = crf(kind, DEFAULT_QUALITY) - crf(kind, quality or DEFAULT_QUALITY)
    return kind.bits_per_pixel * math.pow(2, steps / doubling)


def encoder_options(format: Format, encoder: str, *, quality: int, bit_rate: int | None) -> dict[str, str]:  # noqa: A002
    """What an encoder is told beside the picture's shape. With a bit rate, peaks may be half as high again."""
    kind = KINDS[format]
    level = crf(kind, quality)
    rate = {"b": str(bit_rate), "maxrate": str(bit_rate * 3 // 2), "bufsize": str(bit_rate * 2)} if bit_rate else {}
    match encoder:
        case "libx264":
            return {"preset": "medium", **(rate or {"crf": f"{level:.1f}"})}
        case "libx265":
            quiet = {"x265-params": "log-level=error:info=0"}
            return {"preset": "fast", "forced-idr": "1", **quiet, **(rate or {"crf": f"{level:.1f}"})}
        case "libsvtav1":
            target = {"b": str(bit_rate)} if bit_rate else {"crf": str(round(level))}
            return {"preset": "8", **target}
        case "libvpx-vp9":
            speed = {"deadline": "good", "cpu-used": "4", "row-mt": "1"}
            return {**speed, **(rate or {"crf": str(round(level)), "b": "0"})}
        case "prores_ks":
            return {"profile": "3", "vendor": "apl0"}  # 3 is HQ; Apple's players look for their own name
        case "ffv1":
            return {"level": "3", "slicecrc": "1"}
        case _:
            return _hardware_options(encoder, level, bit_rate)


def _hardware_options(encoder: str, level: float, bit_rate: int | None) -> dict[str, str]:
    if bit_rate:
        return {"b": str(bit_rate), "maxrate": str(bit_rate * 3 // 2), "bufsize": str(bit_rate * 2)}
    number = str(round(level))
    match encoder.rpartition("_")[2]:
        case "nvenc":
            return {"preset": "p5", "rc": "vbr", "cq": number, "b": "0"}
        case "qsv":
            return {"global_quality": number}
        case "amf":
            return {"rc": "cqp", "qp_i": number, "qp_p": number}
        case "videotoolbox":
            return {"global_quality": str(round((52 - level) * 2 * 118)), "flags": "+qscale"}  # FF_QP2LAMBDA is 118
        case _:
            return {}


@functools.cache
def hardware_encoder(format: Format) -> str | None:  # noqa: A002
    """The first hardware encoder that this build of FFmpeg has and that opens on this machine.

    The first call for a format may take a second where there is a driver to load.
    """
    for name in KINDS[format].hardware:
        try:
            context = av.CodecContext.create(name, "w")
            assert isinstance(context, av.VideoCodecContext)
            context.width, context.height, context.pix_fmt = *_PROBE_SIZE, hardware_pixel_format(name)
            context.framerate, context.time_base = Fraction(24), Fraction(1, 24)
            context.open()
        except (FFmpegError, ValueError) as error:
            log.info("no hardware encoder %s: %s", name, error)
            continue
        return name
    return None


def hardware_pixel_format(encoder: str) -> str:
    return "nv12" if encoder.rpartition("_")[2] in {"qsv", "mf"} else "yuv420p"
