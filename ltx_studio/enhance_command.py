"""`ltx-studio enhance`: a fuller prompt from a short one, written on this machine.

The prompt may come from standard input, which keeps it out of the system's list of processes: so the studio asks.
"""

import argparse
import json
import sys
from collections.abc import Callable
from contextlib import closing
from typing import Final

from engine.network import NetworkRecord

FROM_STDIN: Final = "-"


def add_enhance_arguments(
    parser: argparse.ArgumentParser, add_common_arguments: Callable[[argparse.ArgumentParser], None]
) -> None:
    parser.add_argument("prompt", metavar="PROMPT", help="the short one; - reads it from standard input")
    parser.add_argument("--model", metavar="NAME|PATH", help="whose text encoder writes; default: the best installed")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="another number, another text")
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:1, mps")
    parser.add_argument("--progress", choices=("text", "json", "none"), default="text", help="on stderr")
    add_common_arguments(parser)
    parser.set_defaults(command=_enhance)


def _enhance(options: argparse.Namespace, _network: NetworkRecord) -> int:
    from engine.pipelines.enhance import enhance  # noqa: PLC0415 - brings torch

    prompt = sys.stdin.read() if options.prompt == FROM_STDIN else options.prompt
    writing = enhance(prompt, model=options.model, seed=options.seed, device=options.device)
    shown = ""
    with closing(writing):
        while True:
            try:
                text = next(writing)
            except StopIteration as finished:
                result = str(finished.value)
                break
            if options.progress == "json":
                print(json.dumps({"event": "text", "text": text}), file=sys.stderr, flush=True)
            elif options.progress == "text" and text.startswith(shown):
                print(text[len(shown) :], end="", file=sys.stderr, flush=True)
                shown = text
    if shown:
        print(file=sys.stderr)
    print(json.dumps({"prompt": result}) if options.json else result)
    return 0
