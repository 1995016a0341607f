"""Seconds by phase, and how far a whole run is by what its plan predicted."""

import time
from collections.abc import Mapping


class RunClock:
    """Runs from when it is made. Its fraction never goes back, also where a phase is begun again."""

    def __init__(self, predicted_s: Mapping[str, float]) -> None:
        self.timings: dict[str, float] = {}
        self._predicted_s = dict(predicted_s)
        self._total_s = max(sum(self._predicted_s.values()), 1e-9)
        self._before_s = 0.0
        self._furthest = 0.0
        self._skipped_s = 0.0
        self._began_s = time.perf_counter()

    @property
    def elapsed_s(self) -> float:
        return time.perf_counter() - self._began_s

    def add(self, name: str, seconds: float) -> None:
        self.timings[name] = round(self.timings.get(name, 0.0) + seconds, 3)

    def done(self, name: str) -> None:
        """A phase is over, whatever it took."""
        self._before_s += self._predicted_s.pop(name, 0.0)

    def skip(self, name: str, part: float = 1.0) -> None:
        """This part of a phase was done by an earlier attempt: it counts as done, and took no time."""
        self._skipped_s += self._predicted_s.get(name, 0.0) * part
        if part == 1:
            self.done(name)

    def fraction(self, name: str, part: float) -> float:
        """Of the whole run, when `part` of a phase is done."""
        now = min((self._before_s + self._predicted_s.get(name, 0.0) * part) / self._total_s, 1.0)
        self._furthest = max(self._furthest, now)
        return self._furthest

    def eta_s(self, fraction: float) -> float | None:
        """Nothing to go by before a fiftieth of the run is done."""
        done_now = fraction - self._skipped_s / self._total_s
        return None if done_now < 0.02 else self.elapsed_s * (1 - fraction) / done_now
