"""What the lane of exports says of its job, as the studio sees it. No Qt."""

from dataclasses import dataclass

from engine.events import Progress
from engine.jobs.queue import Job

NO_JOB = 0  # jobs are numbered from 1; what is said of this one is about the lane itself


@dataclass(frozen=True)
class ExportUpdate:
    """One job of the lane at one moment."""

    job_id: int
    job: Job | None = None  # when it begins or ends, as the queue has it then
    progress: Progress | None = None
    problem: str = ""  # why the lane itself stopped

    @property
    def changes_queue(self) -> bool:
        """Whether a list of jobs shows other states now."""
        return self.job is not None
