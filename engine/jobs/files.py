"""A job's files: where it works, and how what it made gets its name.

A run writes into a hidden folder beside the job's output, named for the job alone. What lies there under the file's
name is whole, since every writer of ours renames into place; whatever else lies there is rubbish of a run that ended
early. So a half written file is never seen under a clip's name, and goes away with the folder.
"""

import os
import shutil
from contextlib import suppress
from pathlib import Path

from engine.errors import MediaError
from engine.folders import data_folder
from engine.jobs.queue import Job

_RUNS = "runs"


def queue_folder() -> Path:
    """Where the database is by default, and beside it a folder for each job that has begun."""
    return data_folder() / "queue"


def run_folder(queue: Path, job: Job) -> Path:
    """What a run keeps for the next attempt: latents after each stage. Lives until the job is done or given up.

    `queue` is the folder of the database.
    """
    return queue / _RUNS / job.uid


def work_folder(job: Job) -> Path:
    """Beside the output, so that giving the file its name is a rename."""
    return job.path.with_name(f".ltx-studio-{job.uid}")


def work_file(job: Job) -> Path:
    """What the run writes."""
    return work_folder(job) / f"clip{job.path.suffix}"


def make_folders(queue: Path, job: Job) -> None:
    """Raises MediaError where the output cannot be written."""
    parent = job.path.parent
    if not parent.is_dir():
        raise MediaError(
            parent, "the folder is not there.", remedy="Create it or connect its disk, then retry the job."
        )
    try:
        shutil.rmtree(work_folder(job), ignore_errors=True)
        work_folder(job).mkdir(exist_ok=True)
        run_folder(queue, job).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MediaError(
            error.filename or parent,
            f"the folder cannot be made: {error.strerror}.",
            remedy="Free some space or choose another folder, then retry the job.",
        ) from error


def fingerprint(path: Path) -> str | None:
    """What a rename keeps and no other file shares; None where there is none."""
    try:
        facts = path.stat()
    except OSError:
        return None
    return f"{facts.st_size}:{facts.st_mtime_ns}"


def publish(made: Path, output: Path) -> None:
    """Give the file its name, on the disk for good. Raises MediaError."""
    try:
        made.rename(output)
    except OSError as error:
        raise MediaError(
            output,
            f"the finished file could not be given its name: {error.strerror}.",
            remedy="Retry the job: what it made is kept, and is only to be renamed.",
        ) from error
    _flush_folder(output.parent)


def discard_work(job: Job) -> None:
    shutil.rmtree(work_folder(job), ignore_errors=True)


def discard_run(queue: Path, uid: str) -> None:
    shutil.rmtree(queue / _RUNS / uid, ignore_errors=True)


def kept_runs(queue: Path) -> list[str]:
    """The uids of jobs that have a run folder."""
    with suppress(FileNotFoundError):
        return [folder.name for folder in (queue / _RUNS).iterdir()]
    return []


def _flush_folder(folder: Path) -> None:
    """Until then a power cut may undo the rename. Windows and some network disks have no such call."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
