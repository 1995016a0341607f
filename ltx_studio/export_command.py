"""The command line's `export`: a clip as a file for somebody else, now or through the queue.

Trimmed, in another format, size or frame rate, at a wanted loudness, as pictures or as sound alone; where nothing
changes it is copied. What will be made is said before, and with `--plan` it is all that happens.
"""

import argparse
import json
import re
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import RequestError
from engine.media.export_request import AddedAudio, ExportRequest, ExportSettings, Fit, Format
from engine.types import FrameRate, Size

if TYPE_CHECKING:
    from engine.media.export import ExportResult
    from engine.media.export_plan import ExportPlan
    from engine.media.export_source import Source
    from ltx_studio.queue_command import SharedOptions

_BIT_RATE = re.compile(r"(\d+(?:\.\d+)?)\s*([kKmM]?)")
_SECONDS = re.compile(r"(\d+(?:\.\d+)?)s?")
_FRAME = re.compile(r"(\d+)f")
_CLOCK = re.compile(r"(?:(\d+):)?(\d{1,2}):(\d{1,2}(?:\.\d+)?)")
_TIMECODE = re.compile(r"(\d+):(\d{1,2}):(\d{1,2})[:;](\d{1,3})")
_TIME_WORDS = "seconds such as 1.5, a frame such as 36f, or a time such as 00:00:01:12"


def add_export_arguments(parser: argparse.ArgumentParser, shared: "SharedOptions") -> None:
    """Give the parser of `export` its options and its command, which returns the exit code."""
    parser.add_argument("clip", type=Path, nargs="?", metavar="CLIP", help="the clip to export")
    parser.add_argument("-o", "--output", type=Path, help="the file to write; a folder's name for a PNG sequence")
    parser.add_argument("--preset", metavar="NAME", help="start from this preset; options change it")
    parser.add_argument("--presets", action="store_true", help="list the presets, and do nothing else")
    parser.add_argument("--from", dest="start", metavar="T", help=f"where to begin: {_TIME_WORDS}")
    parser.add_argument("--to", dest="end", metavar="T", help="where to end; that moment is not part of it")
    parser.add_argument("--codec", choices=[item.value for item in Format], help="default: by the file's name")
    parser.add_argument("--size", type=_checked(Size.parse, "a size such as 1080x1920"), metavar="WxH")
    parser.add_argument("--fit", choices=[item.value for item in Fit], help="how another shape goes into the size")
    parser.add_argument("--fps", type=_checked(FrameRate.parse, "a frame rate such as 24 or 30000/1001"), metavar="F")
    amount = parser.add_mutually_exclusive_group()
    amount.add_argument("--quality", type=int, metavar="N", help="1 to 100, of the picture")
    amount.add_argument("--bitrate", type=_checked(_bit_rate, "a bit rate such as 8M or 800k"), metavar="M")
    parser.add_argument("--hardware", action="store_true", help="let the graphics card encode where it can")
    parser.add_argument("--no-sound", action="store_true", help="the picture alone")
    parser.add_argument("--loudness", type=float, metavar="LUFS", help="such as -14 for the web, -23 for broadcast")
    parser.add_argument("--true-peak", type=float, metavar="DB", help="with --loudness; default: -1")
    parser.add_argument("--gain", type=float, default=0.0, metavar="DB", help="of the clip's own sound")
    parser.add_argument("--add-audio", type=Path, metavar="PATH", help="another sound below the clip's own")
    parser.add_argument("--add-audio-at", type=float, default=0.0, metavar="S", help="where it begins, in seconds")
    parser.add_argument("--add-audio-gain", type=float, default=0.0, metavar="DB")
    parser.add_argument("--no-metadata", action="store_true", help="leave out how the clip was made, and all else")
    parser.add_argument("--plan", action="store_true", help="say what would be made; nothing is written")
    parser.add_argument("--queue", action="store_true", help="put it into the queue instead of making it now")
    parser.add_argument("--progress", choices=("bar", "json", "none"), default="bar", help="on stderr")
    shared.add_common_arguments(parser)
    parser.set_defaults(command=lambda options, _network: _run(options, shared))


def _run(options: argparse.Namespace, shared: "SharedOptions") -> int:
    from engine.media.export import output_suffix  # noqa: PLC0415 - PyAV, not needed for --help
    from engine.media.export_plan import plan_export  # noqa: PLC0415
    from engine.media.export_source import read_source  # noqa: PLC0415

    if options.presets:
        return _list_presets(options)
    if options.clip is None:
        raise RequestError("clip", "There is no clip to export.", remedy="Name one: export CLIP -o OUT.")
    if options.output is None and not options.plan:
        raise RequestError("output", "There is no file to write.", remedy="Name one: export CLIP -o OUT.")
    source = read_source(options.clip)
    request = _request(options, source)
    suffix = None if options.output is None else output_suffix(request.settings.format, options.output)
    plan = plan_export(request, source, suffix=suffix)
    if options.plan:
        return _say_plan(options, plan)
    if options.queue:
        return _queue(options, request, source)
    return _export(options, request, source, shared)


def _export(options: argparse.Namespace, request: ExportRequest, source: "Source", shared: "SharedOptions") -> int:
    from engine.media.export import Exported, export  # noqa: PLC0415

    show, display = shared.display(options)
    result: ExportResult | None = None
    with display, closing(export(request, options.output, source=source)) as events:
        for event in events:
            if isinstance(event, Exported):
                result = event.result
            else:
                show(event)
    assert result is not None, "an export that raises nothing ends with its result"
    if options.json:
        return _print(json.dumps(result.to_dict()))
    return _print(_result_line(result))


def _queue(options: argparse.Namespace, request: ExportRequest, source: "Source") -> int:
    from engine.jobs.exports import prepare_export  # noqa: PLC0415
    from engine.jobs.store import JobStore  # noqa: PLC0415

    new = prepare_export(request, options.output, source=source)
    with JobStore() as store:
        (job,) = store.add([new])
    if options.json:
        return _print(json.dumps({"job": job.id, "path": job.output, "predicted_s": round(job.predicted_s, 1)}))
    return _print(f"job {job.id}: {job.path}, made by 'queue run' or the studio")


# --- what is said -----------------------------------------------------------------------------------------------------


def _list_presets(options: argparse.Namespace) -> int:
    from engine.media.export_presets import export_presets  # noqa: PLC0415

    presets = export_presets().values()
    if options.json:
        values = [
            {"name": item.name, "title": item.title, "about": item.about, "settings": item.settings.to_dict()}
            for item in presets
        ]
        return _print(json.dumps({"presets": values}))
    return _print("\n".join(f"{item.name:12} {item.title}: {item.about}" for item in presets))


def _say_plan(options: argparse.Namespace, plan: "ExportPlan") -> int:
    values = plan.to_dict()
    if options.json:
        return _print(json.dumps(values))
    picture = "" if plan.picture is None else f"{plan.picture.size}, {plan.picture.num_frames} frames, "
    _print(f"{values['format']}: {picture}{plan.duration_s:.2f} s, about {plan.estimated_bytes / 1e6:.1f} MB")
    for note in plan.notes:
        _print(f"note: {note.message}")
    return 0


def _result_line(result: "ExportResult") -> str:
    parts = [f"{result.duration_s:.2f} s"]
    if result.width is not None:
        parts.insert(0, f"{result.width}x{result.height}")
    if result.loudness_lufs is not None:
        parts.append(f"{result.loudness_lufs:.1f} LUFS")
    parts.append(f"{result.bytes / 1e6:.1f} MB")
    return f"{result.path}  {', '.join(parts)}, made in {result.seconds:.1f} s"


def _print(text: str) -> int:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
    return 0


# --- what is asked for ------------------------------------------------------------------------------------------------


def _request(options: argparse.Namespace, source: "Source") -> ExportRequest:
    settings = _settings(options)
    rate = source.picture.frame_rate if source.picture is not None else None
    added = None
    if options.add_audio is not None:
        added = AddedAudio(options.add_audio, options.add_audio_at, options.add_audio_gain)
    return ExportRequest(
        clip=options.clip,
        settings=settings,
        start_s=None if options.start is None else parse_moment(options.start, rate, "from"),
        end_s=None if options.end is None else parse_moment(options.end, rate, "to"),
        gain_db=options.gain,
        added=added,
    )


def _settings(options: argparse.Namespace) -> ExportSettings:
    """The preset's, changed by what was given."""
    from engine.media.export_plan import usual_format  # noqa: PLC0415
    from engine.media.export_presets import find_preset  # noqa: PLC0415

    settings = ExportSettings()
    if options.preset is not None:
        settings = find_preset(options.preset).settings
    elif options.codec is None and options.output is not None:
        by_name = usual_format(options.output.suffix)
        if by_name is None:
            raise RequestError(
                "output",
                f"{options.output.name} does not end in a kind of file we can write.",
                remedy="End its name in .mp4, .mov, .mkv, .webm, .gif, .wav or .flac, or give a codec.",
            )
        settings = replace(settings, format=by_name)
    given: dict[str, Any] = {
        "format": None if options.codec is None else Format(options.codec),
        "size": options.size,
        "fit": None if options.fit is None else Fit(options.fit),
        "frame_rate": options.fps,
        "loudness_lufs": options.loudness,
        "true_peak_db": options.true_peak,
        "uses_hardware": options.hardware or None,
        "has_sound": False if options.no_sound else None,
        "keeps_metadata": False if options.no_metadata else None,
    }
    settings = replace(settings, **{name: value for name, value in given.items() if value is not None})
    if options.quality is not None or options.bitrate is not None:
        settings = replace(settings, quality=options.quality, bit_rate=options.bitrate)
    elif not settings.format.is_lossy:  # another format than the preset's, which has none to choose
        settings = replace(settings, quality=None, bit_rate=None)
    return settings


def parse_moment(text: str, rate: FrameRate | None, field: str) -> float:
    """Seconds into the clip, from seconds, a frame, a clock or a timecode. Raises RequestError."""
    text = text.strip()
    if found := _SECONDS.fullmatch(text):
        return float(found[1])
    if rate is not None and (found := _FRAME.fullmatch(text)):
        return rate.seconds(int(found[1]))
    if rate is not None and (found := _TIMECODE.fullmatch(text)):
        hours, minutes, seconds, frames = (int(part) for part in found.groups())
        per_second = max(-(-rate.value.numerator // rate.value.denominator), 1)
        total = (hours * 3600 + minutes * 60 + seconds) * per_second + frames
        return float(Fraction(total) / rate.value)
    if found := _CLOCK.fullmatch(text):
        return int(found[1] or 0) * 3600 + int(found[2]) * 60 + float(found[3])
    raise RequestError(field, f"{text!r} is no time of the clip.", remedy=f"Give {_TIME_WORDS}.")


def _bit_rate(text: str) -> int:
    found = _BIT_RATE.fullmatch(text.strip())
    if found is None:
        raise ValueError(text)
    return round(float(found[1]) * {"": 1, "k": 1000, "m": 1_000_000}[found[2].lower()])


def _checked(parse: Callable[[str], Any], wanted: str) -> Callable[[str], Any]:
    def convert(text: str) -> Any:
        try:
            return parse(text)
        except (ValueError, ZeroDivisionError) as error:
            raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}") from error

    return convert
