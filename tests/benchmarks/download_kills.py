"""Kill a real process again and again while it fetches a file, and look at what is left: prints one JSON object.

    python -m tests.benchmarks.download_kills [--kills 20] [--mebibytes 8] [--seed 0]

Every kill (SIGKILL, at a random moment from the process's start on) must leave either no file under its name or the
right one, and must not cost a piece that was finished before. At the end the file must be there, bit for bit.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from engine.weights.access import Access
from engine.weights.catalog import Place, PublishedFile
from engine.weights.fetch import fetch
from engine.weights.hashing import Digest
from engine.weights.partial import Identity, kept_bytes
from engine.weights.workers import Pace
from tests.fakes.hub import FakeHub, content_of

REPOSITORY, NAME = "Lightricks/LTX-test", "model.safetensors"
LONGEST_LIFE_S = 1.5  # of a process, from when it could fetch
PACE = Pace(connections=3, piece_bytes=32 << 10, pieces_per_range=16, first_delay_s=0.05)


@dataclass(frozen=True)
class Outcome:
    """What the kills did."""

    kills: int
    bytes_kept_at_each_kill: list[int]
    bytes_lost_by_kills: int  # finished pieces that a later process did not find: must be 0
    wrong_files_seen: int  # must be 0
    fetched_by_the_last_process: int
    is_right: bool


def place_in(folder: Path) -> Place:
    file = PublishedFile(REPOSITORY, NAME, "to be tested", "none", has_terms=False, size_bytes=None, sha256=None)
    return Place(file, folder / NAME)


def run(folder: Path, *, kills: int, num_bytes: int, seed: int) -> Outcome:
    """Kill so many processes, let the next one finish."""
    moments, content = random.Random(seed), content_of(num_bytes, seed=seed)
    path = place_in(folder).path
    kept: list[int] = []
    lost = wrong = 0
    slow = num_bytes / (kills + 1) / LONGEST_LIFE_S  # so that the file cannot be complete before the last kill
    with FakeHub({f"{REPOSITORY}/{NAME}": content}, bytes_per_s=slow / PACE.connections) as hub:
        identity = Identity(num_bytes, Digest("sha256", hub.hash_of(f"{REPOSITORY}/{NAME}")))
        while len(kept) < kills:
            with subprocess.Popen(command(hub.url, folder), stdout=subprocess.PIPE) as process:
                assert process.stdout is not None
                if len(kept) % 4:  # every fourth is killed while it starts
                    process.stdout.readline()
                time.sleep(moments.uniform(0.0, LONGEST_LIFE_S))
                process.kill()
            kept.append(kept_bytes(path, identity))
            lost += max(0, kept[-2] - kept[-1]) if len(kept) > 1 and not path.exists() else 0
            wrong += path.exists() and path.read_bytes() != content
        hub.bytes_per_s = None
        last = subprocess.run(command(hub.url, folder), stdout=subprocess.PIPE, text=True, check=True)
    is_right = path.read_bytes() == content
    return Outcome(kills, kept, lost, wrong, json.loads(last.stdout.splitlines()[-1])["fetched_bytes"], is_right)


def command(url: str, folder: Path) -> list[str]:
    return [sys.executable, "-m", "tests.benchmarks.download_kills", "--fetch", url, str(folder)]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--mebibytes", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fetch", nargs=2, metavar=("URL", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.fetch:
        url, folder = options.fetch
        events = fetch([place_in(Path(folder))], Access(url), pace=PACE)
        print(type(next(events)).__name__, flush=True)  # the queue is ready: whoever wants to kill may begin
        *_, last = events
        print(json.dumps({"fetched_bytes": getattr(last, "fetched_bytes", 0)}))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        outcome = run(Path(folder), kills=options.kills, num_bytes=options.mebibytes << 20, seed=options.seed)
    print(json.dumps(asdict(outcome), indent=1))
    return 0 if outcome.is_right and not outcome.wrong_files_seen and not outcome.bytes_lost_by_kills else 1


if __name__ == "__main__":
    sys.exit(main())
