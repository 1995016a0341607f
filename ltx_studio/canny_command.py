"""`ltx-studio canny`: the edges of a clip or a picture, for `generate --reference-video` with a union-control LoRA."""

import argparse
import json
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from engine.errors import RequestError
from engine.network import NetworkRecord

DEFAULT_LOW, DEFAULT_HIGH, DEFAULT_FRAMES = 100, 200, 121


def add_canny_arguments(
    parser: argparse.ArgumentParser, add_common_arguments: Callable[[argparse.ArgumentParser], None]
) -> None:
    parser.add_argument("source", type=Path, metavar="CLIP|PICTURE")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, help="the clip to write: .mp4, .mov, .mkv; of a picture also .png"
    )
    thresholds = "above HIGH (0 to 2040) an edge begins, down to LOW it goes on; default: 100 200"
    parser.add_argument(
        "--thresholds", type=int, nargs=2, metavar=("LOW", "HIGH"), default=(DEFAULT_LOW, DEFAULT_HIGH), help=thresholds
    )
    parser.add_argument(
        "--frames", type=int, default=DEFAULT_FRAMES, metavar="N", help="of a clip made from a picture; default: 121"
    )
    parser.add_argument("--progress", choices=("text", "json", "none"), default="text", help="on stderr")
    add_common_arguments(parser)
    parser.set_defaults(command=_canny)


def _canny(options: argparse.Namespace, _network: NetworkRecord) -> int:
    from engine.media.canny import write_edges  # noqa: PLC0415 - numpy, not needed for --help

    if options.frames < 1:
        raise RequestError("frames", f"A clip of {options.frames} frames cannot be made.", remedy="Choose 1 or more.")
    low, high = options.thresholds
    num_done = 0
    writing = write_edges(options.source, options.output, low=low, high=high, num_frames=options.frames)
    with closing(writing):
        for num_done, total in writing:
            if options.progress == "json":
                print(json.dumps({"event": "frame", "done": num_done, "total": total}), file=sys.stderr, flush=True)
            elif options.progress == "text" and sys.stderr.isatty():
                print(f"\r{num_done}/{total} frames", end="", file=sys.stderr, flush=True)
    path = options.output.resolve()
    print(json.dumps({"path": str(path), "frames": num_done}) if options.json else path)
    return 0
