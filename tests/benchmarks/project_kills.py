"""What `kill -9` does to a project: nothing. Prints one JSON object, fails if an acknowledged edit was lost.

    python -m tests.benchmarks.project_kills [--kills 30] [--seed 0]

A process opens a project and edits, undoes, redoes, relinks and saves without a pause; it says what it is about to do
and, once the store has returned, that it is done. It is killed at random moments and started again. After every kill
`project.json` is whole and the project is in the state of the last edit that was acknowledged, or of the one after it
that was on its way. The last two kills of ten meet a damaged `project.json` as well.
"""

import argparse
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ltx_studio.domain import project_store
from ltx_studio.domain.project import History, Project, Step, with_files_moved
from ltx_studio.domain.project_document import Places, Writer
from ltx_studio.domain.project_files import MAX_BACKUPS
from ltx_studio.domain.project_store import ProjectStore
from ltx_studio.domain.timeline import empty_timeline
from tests.fakes.project import NTSC, random_edit

ROOT = Path(__file__).resolve().parents[2]
LONGEST_LIFE_S = 0.6  # of a process that edits
DAMAGED_OF_TEN = 2


@dataclass
class Report:
    """What was seen."""

    num_kills: int = 0
    num_acknowledged: int = 0
    num_recoveries_offered: int = 0
    num_unacknowledged_kept: int = 0  # edits that reached the disk and whose answer did not
    num_repairs: int = 0
    num_steps: int = 0  # of the undo history at the end
    seconds: float = 0.0


def digest(folder: Path, history: History) -> str:
    """Every state of a history, every name and where it stands, as one short text."""
    writer = Writer(Places(folder), {})
    states = [writer.timeline(history.at(number)) for number in range(len(history.steps) + 1)]
    names = [step.name for step in history.steps]
    return hashlib.sha256(json.dumps([states, names, history.position]).encode()).hexdigest()[:16]


def edit_until_killed(folder: Path, seed: int) -> None:
    """Runs in the process that is killed."""
    chance = random.Random(seed)
    project_store.MAX_JOURNAL_BYTES = 60_000  # so that it is written anew now and then
    project_store.BACKUP_EVERY_S = 0.05
    store = ProjectStore.open(folder)
    if store.recovery is not None:
        store.recover(is_wanted=True)
    print("ready", digest(folder, store.history), flush=True)
    number = 0
    while True:
        number += 1
        step = Step(f"edit {seed}.{number}", random_edit(store.history.now, folder, chance), time.time())
        position = chance.randint(max(0, len(store.history.steps) - 5), len(store.history.steps))
        match chance.choice(["edit"] * 6 + ["replace", "move", "relink"]):
            case "move":
                print("try", digest(folder, store.history.moved(position)), flush=True)
                store.move(position)
            case "relink":
                path = next(store.history.files(), folder / "none.mkv")
                moved = {path: path.with_name(f"moved {number}.mkv")}
                after = store.history.changed(lambda it, moved=moved: with_files_moved(it, moved))
                print("try", digest(folder, after), flush=True)
                store.change_history(store.project, lambda _, after=after: after)
            case kind:
                after = store.history.done(step, replaces=kind == "replace")
                print("try", digest(folder, after), flush=True)
                store.edit(step, replaces=kind == "replace")
        print("done", digest(folder, store.history), flush=True)
        if chance.random() < 0.3:
            store.save()


def kill_at_random_moments(folder: Path, *, num_kills: int, seed: int) -> Report:
    """Kill the process that edits that often, and look at the project after every kill."""
    chance = random.Random(seed)
    report = Report()
    began = time.perf_counter()
    ProjectStore.create(folder, Project(folder.name, empty_timeline(NTSC))).close()
    while report.num_kills < num_kills:
        command = [sys.executable, "-m", "tests.benchmarks.project_kills", "--edit", str(folder)]
        command += ["--seed", str(seed * 1000 + report.num_kills)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=_environment()) as process:
            assert process.stdout is not None
            first = process.stdout.readline()
            assert first.startswith("ready"), first
            time.sleep(chance.uniform(0, LONGEST_LIFE_S))
            process.kill()
            said = [first, *process.stdout.readlines()]
        report.num_kills += 1
        _check(folder, said, report, is_damaged=report.num_kills % 10 < DAMAGED_OF_TEN)
    report.seconds = round(time.perf_counter() - began, 1)
    return report


def _check(folder: Path, said: list[str], report: Report, *, is_damaged: bool) -> None:
    lines = [line.split() for line in said if line.endswith("\n")]
    done = [line[1] for line in lines if line[0] != "try"]
    allowed = {done[-1], lines[-1][1]}
    report.num_acknowledged += len(done) - 1
    json.loads((folder / "project.json").read_text(encoding="utf-8"))
    if is_damaged:
        content = (folder / "project.json").read_bytes()
        (folder / "project.json").write_bytes(content[: len(content) // 2])
    store = ProjectStore.open(folder)
    found = digest(folder, store.history)
    assert found in allowed, (found, lines[-3:])
    report.num_unacknowledged_kept += found != done[-1]
    report.num_recoveries_offered += store.recovery is not None
    report.num_repairs += store.repair is not None
    report.num_steps = len(store.history.steps)
    assert store.project == replace(store.project, timeline=store.history.now)
    assert len(store.backups()) <= MAX_BACKUPS + 1  # killed between the new one and the removal of an old one
    store.abandon()


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--edit", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.edit is not None:
        edit_until_killed(arguments.edit, arguments.seed)

    with tempfile.TemporaryDirectory() as folder:
        report = kill_at_random_moments(Path(folder) / "film", num_kills=arguments.kills, seed=arguments.seed)
    assert report.num_repairs > 0 or arguments.kills < DAMAGED_OF_TEN, report
    print(json.dumps(asdict(report), indent=2))


if __name__ == "__main__":
    main()
