"""Kill the installation of both stages at random moments, start it again, and see that nothing was lost or done twice.

    python -m tests.benchmarks.install_kills [--trials 20] [--seed 1]
    python -m tests.benchmarks.install_kills --real FOLDER [--target linux-cpu] [--trials 2]

The first form serves small wheels made on the spot; the second serves the wheels that the project's own locks name,
from a folder that has all of them, and runs the installer's own smoke tests (a window, and torch decoding a picture).
Either way the whole installer runs as it does for a user: its process, uv, a local HTTP server.

After the kills of a trial the installation must end ready, with files of the same hashes as one that was never killed,
and with no request for a wheel that was whole before. Then one random installed file is spoilt, and Repair must find
and mend that one alone.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from installers.kits import make_kit
from ltx_studio.installation.kit import find_uv
from ltx_studio.installation.layout import Layout
from ltx_studio.installation.manifest import Manifest
from ltx_studio.installation.state import Part, Record, State
from tests.fakes.kits import ROOT, TARGET, small_kit
from tests.fakes.wheels import WheelServer

BYTES_PER_S = 24e6  # of each connection, so that a good part of the time is fetching


@dataclass(frozen=True)
class Bench:
    """A kit, what serves its wheels, and the target to install."""

    kit: Path
    server: WheelServer
    target: str

    def command(self, home: Path, verb: str, *more: str) -> list[str]:
        python = getattr(sys, "_base_executable", sys.executable)  # not this environment's
        script = self.kit / "installers" / "install.py"
        return [python, "-I", str(script), verb, *more, "--home", str(home), "--json"]

    def environ(self) -> dict[str, str]:
        return {**os.environ, "LTX_STUDIO_WHEELS_URL": self.server.url, "OMP_NUM_THREADS": "1"}

    def run(self, home: Path, verb: str, *more: str, kill_after_s: float | None = None, kills_uv: bool = True) -> str:
        """What the installer said; killed after so long where that comes first, with its children or without."""
        process = subprocess.Popen(
            self.command(home, verb, *more),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self.environ(),
            start_new_session=True,
        )
        try:
            said, _ = process.communicate(timeout=kill_after_s)
        except subprocess.TimeoutExpired:
            if kills_uv:
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
                assert process.stdout is not None
                process.stdout.close()
            process.wait()
            return "killed"
        if process.returncode != 0:
            raise SystemExit(f"{verb} ended with {process.returncode}:\n{said[-2000:]}")
        return said

    def install(self, home: Path, **more: float | bool | None) -> str:
        kill_after_s = more.get("kill_after_s")
        assert kill_after_s is None or isinstance(kill_after_s, float)
        kills_uv = bool(more.get("kills_uv", True))
        return self.run(home, "engine", "--target", self.target, kill_after_s=kill_after_s, kills_uv=kills_uv)


def real_kit(folder: Path, scratch: Path) -> None:
    from installers.package_files import build_wheel

    wheel = build_wheel(ROOT, scratch, epoch=1_700_000_000)
    make_kit(folder, root=ROOT, studio_wheel=wheel, uv=find_uv())


def digests(home: Path) -> dict[str, str]:
    """What each part consists of; both must be ready."""
    installation = Record(home).read()
    layout = Layout.of(home, installation)
    found: dict[str, str] = {}
    for part in Part:
        slot = installation.slot(part)
        assert slot.state is State.READY, (part, slot)
        assert slot.current is not None
        manifest = Manifest.read(layout.manifest(slot.current, is_engine=part is Part.ENGINE))
        assert manifest is not None
        # The commands begin with the path of their Python, which is another for each trial's folder.
        content = {name: entry for name, entry in manifest.files.items() if entry.wheel}
        found[part.value] = Manifest(content).digest
    return found


def trial(bench: Bench, home: Path, total_s: float, expected: dict[str, str], chance: random.Random) -> str:
    """One to three kills, then a run to the end. Returns what was seen; raises AssertionError."""
    moments: list[str] = []
    whole: set[str] = set()
    bench.server.sent.clear()
    for _ in range(chance.randint(1, 3)):
        kill_after_s = chance.uniform(0.05, total_s)
        kills_uv = chance.random() < 0.5
        said = bench.install(home, kill_after_s=kill_after_s, kills_uv=kills_uv)
        moments.append(f"{kill_after_s:.1f} s {_where(home)}{'' if kills_uv else ' (uv lived on)'}")
        whole = {path.name for path in (home / "wheels").glob("*.whl")}
        bench.server.requests.clear()
        if said != "killed":
            break
    bench.install(home)
    asked = {request.split()[0] for request in bench.server.requests}
    assert not asked & whole, f"fetched again: {asked & whole}"
    assert digests(home) == expected, "other files than without kills"
    sizes = {path.name: path.stat().st_size for path in bench.server.folder.glob("*.whl")}
    total = sum(size for name, size in sizes.items() if name in bench.server.sent)
    num_again = sum(bench.server.sent.values()) - total
    return f"killed at {', '.join(moments)}; {100 * max(0, num_again) / total:.1f} % of the bytes twice"


def _timed(call: Callable[[], object]) -> float:
    started = time.monotonic()
    call()
    return time.monotonic() - started


def _where(home: Path) -> str:
    try:
        installation = Record(home).read()
    except Exception as error:
        return f"UNREADABLE {error}"
    part = Part.SHELL if installation.shell.current is None else Part.ENGINE
    return f"{part.value} {installation.slot(part).state.value}"


def spoil_and_repair(bench: Bench, home: Path, chance: random.Random) -> str:
    """Spoil one installed file of each part; Repair must name exactly those, and make them as they were."""
    expected = digests(home)
    installation = Record(home).read()
    layout = Layout.of(home, installation)
    spoilt: list[str] = []
    for part in Part:
        current = installation.slot(part).current
        assert current is not None
        environment = layout.environment(current, is_engine=part is Part.ENGINE)
        manifest = Manifest.read(layout.manifest(current, is_engine=part is Part.ENGINE))
        assert manifest is not None
        name = chance.choice([name for name, entry in sorted(manifest.files.items()) if entry.size_bytes])
        path = environment / name
        data = bytearray(path.read_bytes())
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        path.write_bytes(data)
        spoilt.append(name)
    said = [json.loads(line) for line in bench.run(home, "repair").splitlines()]
    mended = [name for line in said if line["event"] == "mended" for name in line["files"]]
    assert mended == spoilt, (mended, spoilt)
    assert digests(home) == expected
    again = [json.loads(line) for line in bench.run(home, "repair").splitlines()]
    assert not [name for line in again if line["event"] == "mended" for name in line["files"]]
    return ", ".join(spoilt)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--real", type=Path, metavar="FOLDER", help="all wheels of the locks")
    parser.add_argument("--target", default=TARGET)
    options = parser.parse_args(arguments)
    chance = random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="install-kills-") as name:
        scratch = Path(name)
        published = options.real or scratch / "published"
        if options.real:
            real_kit(scratch / "kit", scratch / "build")
        else:
            small_kit(scratch / "kit", published, file_bytes=400_000, num_files=12)
        with WheelServer(published.absolute(), bytes_per_s=BYTES_PER_S) as server:
            bench = Bench(scratch / "kit", server, options.target)
            total_s = min(_timed(lambda folder=folder: bench.install(scratch / folder)) for folder in ("warm", "calm"))
            expected = digests(scratch / "calm")
            print(f"without kills: {total_s:.1f} s, {expected}")
            for number in range(options.trials):
                home = scratch / f"trial-{number}"
                print(f"{number + 1:3}: {trial(bench, home, total_s, expected, chance)}", flush=True)
                if number == options.trials - 1:
                    print(f"     repaired: {spoil_and_repair(bench, home, chance)}")
                shutil.rmtree(home)
            print(f"     repaired: {spoil_and_repair(bench, scratch / 'calm', chance)}")
    print("every trial ended ready, with the same files, and nothing whole was fetched twice")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
