"""`ltx-studio project`: what is in a project's folder, and its sequence as one file or for another editor.

Projects are read as they are on the disk, also while a window has them open; nothing in their folder is changed.
"""

import argparse
import json
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

from engine.errors import RequestError
from engine.network import NetworkRecord
from engine.types import Size
from ltx_studio.queue_command import SharedOptions


def add_project_verbs(parser: argparse.ArgumentParser, shared: SharedOptions) -> None:
    """Give the parser of `project` its verbs."""
    verbs = parser.add_subparsers(metavar="VERB", required=True, parser_class=type(parser))

    info = verbs.add_parser("info", help="its clips, its length, and what is missing")
    info.add_argument("folder", type=Path, metavar="FOLDER")
    shared.add_common_arguments(info)
    info.set_defaults(command=lambda options, _network: _info(options))

    export = verbs.add_parser(
        "export", help=".mkv without loss, .mp4 or .mov to watch, .otio, .fcpxml or .edl for another editor"
    )
    export.add_argument("folder", type=Path, metavar="FOLDER")
    export.add_argument("-o", "--output", type=Path, required=True, metavar="FILE")
    export.add_argument("--size", type=_size, metavar="WxH", help="of the picture; default: that of the first clip")
    export.add_argument("--drop-frame", action="store_true", help="timecode for 29.97 and 59.94, in .fcpxml and .edl")
    export.add_argument("--progress", choices=("bar", "json", "none"), default="bar", help="on stderr")
    shared.add_common_arguments(export)

    def command(options: argparse.Namespace, network: NetworkRecord) -> int:
        return _export(options, shared)

    export.set_defaults(command=command)


def _size(text: str) -> Size:
    try:
        return Size.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _info(options: argparse.Namespace) -> int:
    from ltx_studio.domain.project_media import missing  # noqa: PLC0415 - not needed for --help
    from ltx_studio.domain.project_opening import peek  # noqa: PLC0415

    project = peek(options.folder)
    timeline = project.timeline
    gone = missing(project.files())
    facts: dict[str, Any] = {
        "name": project.name,
        "fps": float(timeline.rate),
        "frames": timeline.length,
        "duration_s": float(timeline.duration),
        "clips": sum(len(track.clips) for track in timeline.tracks),
        "tracks": len(timeline.tracks),
        "files": [str(path) for path in project.files()],
        "missing": [str(path) for path in gone],
    }
    if options.json:
        sys.stdout.write(json.dumps(facts) + "\n")
    else:
        seconds, rate = facts["duration_s"], facts["fps"]
        sys.stdout.write(f"{project.name}: {facts['clips']} clips, {seconds:.2f} s at {rate:g} frames a second\n")
        for path in gone:
            sys.stdout.write(f"missing: {path}\n")
    return 0


def _export(options: argparse.Namespace, shared: SharedOptions) -> int:
    from ltx_studio.domain.interchange import SUFFIXES, Options, save  # noqa: PLC0415 - not needed for --help
    from ltx_studio.domain.project_opening import peek  # noqa: PLC0415

    project = peek(options.folder)
    output = options.output.absolute()
    losses: tuple[str, ...] = ()
    if output.suffix.lower() in SUFFIXES:
        counting = Options(counts_drop_frames=options.drop_frame)
        losses = tuple(str(loss) for loss in save(project.timeline, output, name=project.name, options=counting))
    else:
        from ltx_studio.services.sequence_render import render  # noqa: PLC0415 - it loads FFmpeg

        size = options.size or project.size
        if size is not None and (size.width % 2 or size.height % 2):
            raise RequestError("size", f"A clip cannot be {size}.", remedy="Both sides must be even.")
        show, display = shared.display(options)
        with display, closing(render(project.timeline, output, size=size)) as events:
            for event in events:
                show(event)
    if options.json:
        sys.stdout.write(json.dumps({"path": str(output), "losses": list(losses)}) + "\n")
    else:
        sys.stdout.write(f"{output}\n")
        for loss in losses:
            sys.stderr.write(f"not in it: {loss}\n")
    return 0
