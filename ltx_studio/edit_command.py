"""The verbs that edit a clip: `retake`, `extend`, `lipdub`, `foley`.

Each takes the clip, perhaps a prompt (else the clip's own is used, if it was made here), and the options of `generate`
that make sense for a clip whose size, length and rate are given. `--plan` only says what would happen. Like the rest
of the command line, importing this module imports neither torch nor Qt.
"""

import argparse
import math
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import RequestError
from engine.network import NetworkRecord
from engine.request import Edit, Extend, Foley, GenerationRequest, LipDub, Retake

_TIME = re.compile(r"(?:(?:(?P<hours>\d+):)?(?P<minutes>\d+):)?(?P<seconds>\d+(?:\.\d*)?|\.\d+)")


@dataclass(frozen=True)
class EditTools:
    """What these verbs share with `generate` and `plan`."""

    add_making_arguments: Callable[[argparse.ArgumentParser], None]
    making_fields: Callable[[argparse.Namespace], dict[str, Any]]
    make: Callable[[argparse.Namespace, GenerationRequest], int]
    say_plan: Callable[[dict[str, Any], argparse.Namespace], int]


def add_edit_verbs(add_parser: Callable[..., argparse.ArgumentParser], tools: EditTools) -> None:
    """Add every verb to the command line's own."""
    retake = add_parser("retake", help="make a stretch of a clip again; everything else stays as it is")
    _add_clip_arguments(retake, tools, prompt_help="what to see and hear there; default: the clip's own prompt")
    retake.add_argument("--from", dest="start", type=_time, required=True, metavar="T", help="seconds, or [H:]M:S")
    retake.add_argument("--to", dest="end", type=_time, required=True, metavar="T")
    kept = retake.add_mutually_exclusive_group()
    kept.add_argument("--keep-audio", action="store_true", help="only the picture is made again")
    kept.add_argument("--keep-video", action="store_true", help="only the sound is made again")
    retake.add_argument(
        "--strength", type=_number, default=1.0, metavar="F", help="how much noise: 1 makes it from nothing (default)"
    )
    _set_edit(retake, tools, _retake)

    extend = add_parser("extend", help="go on after a clip's end, or lead up to its start")
    _add_clip_arguments(extend, tools, prompt_help="what to see and hear; default: the clip's own prompt")
    extend.add_argument("--seconds", type=_number, required=True, metavar="S")
    extend.add_argument("--at", choices=("start", "end"), default="end")
    _set_edit(extend, tools, lambda options: Extend(options.clip, options.seconds, options.at))

    lipdub = add_parser("lipdub", help="other words, or another voice, on the lips of who speaks")
    words_help = 'who speaks and how, and the new words in "quotation marks"; optional with --audio'
    _add_clip_arguments(lipdub, tools, prompt_help=words_help)
    lipdub.add_argument("--audio", type=Path, metavar="PATH", help="a voice track to follow, from the range's start on")
    lipdub.add_argument("--from", dest="start", type=_time, metavar="T", help="seconds, or [H:]M:S; default: the start")
    lipdub.add_argument("--to", dest="end", type=_time, metavar="T", help="default: the clip's end")
    lipdub.add_argument("--drop-background", action="store_true", help="do not keep what is heard behind the old voice")
    _set_edit(
        lipdub,
        tools,
        lambda options: LipDub(
            options.clip, options.start, options.end, options.audio, keep_background=not options.drop_background
        ),
    )

    foley = add_parser("foley", help="new sound for a clip, picture untouched")
    _add_clip_arguments(foley, tools, prompt_help="what to hear; default: the clip's own prompt")
    _set_edit(foley, tools, lambda options: Foley(options.clip))


def _add_clip_arguments(parser: argparse.ArgumentParser, tools: EditTools, *, prompt_help: str) -> None:
    parser.add_argument("clip", type=Path, metavar="CLIP")
    parser.add_argument("prompt", nargs="?", default="", metavar="PROMPT", help=prompt_help)
    tools.add_making_arguments(parser)
    parser.add_argument(
        "-o", "--output", type=Path, help="the clip to write: .mkv stays exact outside of what is new; .mp4, .mov"
    )
    parser.add_argument("--plan", action="store_true", help="only say what would happen; nothing is loaded")
    parser.add_argument("--progress", choices=("bar", "json", "none"), default="bar", help="on stderr")


def _set_edit(parser: argparse.ArgumentParser, tools: EditTools, edit: Callable[[argparse.Namespace], Edit]) -> None:
    def command(options: argparse.Namespace, _network: NetworkRecord) -> int:
        request = GenerationRequest(prompt=options.prompt, edit=edit(options), **tools.making_fields(options))
        if options.plan:
            return _plan(request, options, tools)
        if options.output is None:
            raise RequestError("output", "There is no file to write.", remedy="Name it with -o.")
        return tools.make(options, request)

    parser.set_defaults(command=command)


def _plan(request: GenerationRequest, options: argparse.Namespace, tools: EditTools) -> int:
    from engine.pipelines.plan import plan  # noqa: PLC0415 - numpy, not needed for --help
    from ltx_studio.starter import with_model  # noqa: PLC0415

    request, notice = with_model(request)
    if notice is not None:
        print(f"note: {notice.message}", file=sys.stderr)  # noqa: T201
    return tools.say_plan(plan(request).to_dict(), options)


def _retake(options: argparse.Namespace) -> Retake:
    return Retake(
        options.clip,
        options.start,
        options.end,
        picture=not options.keep_video,
        sound=not options.keep_audio,
        strength=options.strength,
    )


def _time(text: str) -> float:
    """Seconds, or hours, minutes and seconds."""
    match = _TIME.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time such as 1.5 or 1:02.5")
    return 3600 * int(match["hours"] or 0) + 60 * int(match["minutes"] or 0) + float(match["seconds"])


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from error
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number")
    return value
