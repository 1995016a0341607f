"""Exports in words: formats, what will be made, and why something cannot be chosen."""

from typing import TYPE_CHECKING

from PySide6.QtCore import QCoreApplication

from engine.media.export_request import ExportRequest, Fit, Format
from engine.types import FrameRate
from ltx_studio.ui import words

if TYPE_CHECKING:
    from engine.media.export_plan import ExportPlan
    from engine.media.export_source import Source

SEPARATOR = " \N{MIDDLE DOT} "


def tr(text: str) -> str:
    return QCoreApplication.translate("export", text)


def format_name(format: Format) -> str:  # noqa: A002 - the field's name
    return {
        Format.H264: tr("H.264"),
        Format.H265: tr("H.265"),
        Format.PRORES: tr("ProRes 422 HQ"),
        Format.AV1: tr("AV1"),
        Format.VP9: tr("VP9"),
        Format.FFV1: tr("FFV1, lossless"),
        Format.GIF: tr("GIF"),
        Format.PNG: tr("PNG sequence"),
        Format.WAV: tr("WAV, sound alone"),
        Format.FLAC: tr("FLAC, sound alone"),
    }[format]


def fit_name(fit: Fit) -> str:
    return {
        Fit.FIT: tr("Whole picture"),
        Fit.WITHIN: tr("At most this size"),
        Fit.FILL: tr("Fill, cut the rest"),
        Fit.PAD: tr("Black bars"),
    }[fit]


def rate(value: FrameRate) -> str:
    number = f"{float(value):.3f}".rstrip("0").rstrip(".")
    return tr("{rate} fps").format(rate=number)


def num_bytes(count: int) -> str:
    """Decimal units, as file managers and upload limits count."""
    for unit, size in ((tr("GB"), 10**9), (tr("MB"), 10**6), (tr("kB"), 10**3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return tr("{count} bytes").format(count=count)


def seconds(value: float) -> str:
    return tr("{seconds} s").format(seconds=f"{value:.2f}".rstrip("0").rstrip("."))


def clip_facts(source: "Source") -> str:
    """What the clip is, in a line."""
    parts: list[str] = []
    if source.picture is not None:
        parts += [words.size(source.picture.shown), rate(source.picture.frame_rate)]
    parts.append(seconds(source.duration_s))
    parts.append(tr("with sound") if source.sound is not None else tr("silent"))
    return SEPARATOR.join(parts)


def summary(plan: "ExportPlan") -> str:
    """What will be made, in a line."""
    parts = [format_name(plan.request.settings.format)]
    if plan.picture is not None:
        parts += [words.size(plan.picture.size), rate(plan.picture.frame_rate)]
    parts += [seconds(plan.duration_s), tr("about {size}").format(size=num_bytes(plan.estimated_bytes))]
    return SEPARATOR.join(parts)


def job_title(request: ExportRequest) -> str:
    return tr("Export of {name}").format(name=request.clip.name)


def job_facts(request: ExportRequest) -> str:
    """What was asked for, where it is not as the clip is."""
    settings = request.settings
    parts = [format_name(settings.format)]
    if settings.size is not None:
        parts.append(words.size(settings.size))
    if settings.frame_rate is not None:
        parts.append(rate(settings.frame_rate))
    if request.start_s is not None or request.end_s is not None:
        start = seconds(request.start_s or 0.0)
        parts.append(
            tr("from {start}").format(start=start)
            if request.end_s is None
            else tr("{start} to {end}").format(start=start, end=seconds(request.end_s))
        )
    if settings.loudness_lufs is not None:
        parts.append(tr("{loudness} LUFS").format(loudness=f"{settings.loudness_lufs:g}"))
    return SEPARATOR.join(parts)
