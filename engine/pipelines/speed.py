"""How fast this machine is: what a benchmark measured, and what its own runs teach.

A phase's seconds are a sum over kinds of work, amount times seconds per unit. A benchmark, or a guess by the device's
data sheet, gives first values. Every finished run adds an observation of each phase; with them, the values are those
that explain the observations best without leaving the first ones further than needed (ridge regression on relative
errors, after a common factor). Memory is learnt the same way: measured peaks over counted ones.

Observations are kept for each device, precision and shape of model, because small matrices never run as fast as large
ones. All of it is a cache in the program's folder: losing it costs accuracy, not function.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from statistics import median
from typing import Any, get_args

from engine.folders import cache_folder
from engine.hardware import Device, Machine
from engine.pipelines.work import Work, WorkKind

KINDS: tuple[WorkKind, ...] = get_args(WorkKind)
Rates = Mapping[WorkKind, float]  # units per second

_RECORD_NAME = "speeds.json"
_SCHEMA = 2
_KEPT_OBSERVATIONS = 24  # of each phase
# How many observations the first values weigh as much as. Small, because a run says more than a benchmark.
_PRIOR_WEIGHT = 0.15
_SMALLEST_FACTOR = 0.05  # of a first value, which an odd observation must not turn into nothing

# First guesses, for one core of a CPU. 100 Gflop/s is a core with AVX2 at 3 GHz; convolutions, attention and the
# vocoder's narrow layers reach less of it.
_CPU_CORE: Rates = {
    "matrices": 60e9,
    "attention": 25e9,
    "convolutions": 30e9,
    "small_convolutions": 3e9,
    "sound": 3e9,
    "pixels": 20e6,
    "calls": 1500.0,
    "phases": 10.0,
}
# Of a GPU, relative to its data sheet: half of the peak in matrices and attention (0.2 of the reference: H200 and GB200
# reach 0.5), a fifth in convolutions.
_GPU_SHARES: Rates = {
    "matrices": 0.5,
    "attention": 0.4,
    "convolutions": 0.2,
    "small_convolutions": 0.2,
    "sound": 0.005,
}
_GPU_FIXED: Rates = {"pixels": 60e6, "calls": 1000.0, "phases": 2.0}
_GUESSED_PEAK = {"cuda": 80e12, "mps": 12e12}
# FP8 multiplied in hardware is nominally twice as fast; published: 1.24 times for a whole run (sglang 23137).
FP8_SPEEDUP = 1.4
GUESSED_COPY_BYTES_PER_S = {"cuda": 12e9, "mps": 20e9, "cpu": 5e9}
GUESSED_DISK_BYTES_PER_S = 1.5e9


@dataclass(frozen=True)
class Observation:
    """One phase of one run."""

    phase: str
    work: Work
    seconds: float


@dataclass(frozen=True)
class Learnt:
    """What the runs of one device, precision and model shape have shown."""

    observations: tuple[Observation, ...] = ()
    peaks: tuple[tuple[int, int], ...] = ()  # counted and measured bytes


@dataclass(frozen=True)
class Speeds:
    """Everything measured on this machine."""

    benchmarks: Mapping[str, Rates] = field(default_factory=dict[str, Rates])  # by device
    learnt: Mapping[str, Learnt] = field(default_factory=dict[str, Learnt])  # by device, precision and model

    def first_rates(self, device: Device, machine: Machine) -> Rates:
        """From the benchmark or, before one ran, from the data sheet."""
        benchmark = self.benchmarks.get(device_key(device), {})
        return {**guessed_rates(device, machine), **benchmark}

    def clock(self, key: str, first: Rates) -> "Clock":
        return Clock(first, self.learnt.get(key, Learnt()))


@dataclass(frozen=True)
class Clock:
    """Predicts the seconds of phases and the bytes of a run."""

    first: Rates
    learnt: Learnt

    def seconds(self, phase: str, work: Work) -> float:
        costs = self._costs(phase)
        return sum(amount * costs[kind] for kind, amount in work.items())

    def _costs(self, phase: str) -> Mapping[WorkKind, float]:
        """Seconds per unit of work."""
        first: dict[WorkKind, float] = {kind: 1 / self.first[kind] for kind in KINDS}
        observed = [item for item in self.learnt.observations if item.phase == phase]
        return _fitted(first, observed) if observed else first

    def measured_peak(self, counted_bytes: int, usual_ratio: float) -> int:
        """What a counted peak will be when measured: the line through what was seen, or the usual ratio."""
        peaks = self.learnt.peaks
        if not peaks:
            return int(counted_bytes * usual_ratio)
        return int(_line(peaks, counted_bytes, usual_ratio))


def guessed_rates(device: Device, machine: Machine) -> Rates:
    """By the data sheet, or by what such devices usually reach."""
    if device.kind == "cpu":
        shared: tuple[WorkKind, ...] = ("calls", "phases")  # one core decides
        return {kind: rate * (1 if kind in shared else machine.num_cores) for kind, rate in _CPU_CORE.items()}
    peak = device.peak_operations or _GUESSED_PEAK[device.kind]
    rates: dict[WorkKind, float] = {kind: peak * share for kind, share in _GPU_SHARES.items()}
    return {**rates, **_GPU_FIXED}


def device_key(device: Device) -> str:
    return f"{device.kind}:{device.name}"


def _fitted(first: Mapping[WorkKind, float], observed: Sequence[Observation]) -> Mapping[WorkKind, float]:
    """Costs that explain the observations: a common factor, then ridge regression around it.

    With u the cost of each kind over its first value, minimise the sum of ((predicted - seconds) / seconds)^2 plus
    `_PRIOR_WEIGHT` |u - 1|^2.
    """
    kinds: list[WorkKind] = [kind for kind in KINDS if any(item.work.get(kind) for item in observed)]
    predicted = [sum(amount * first[kind] for kind, amount in item.work.items()) for item in observed]
    factor = median(item.seconds / max(value, 1e-9) for item, value in zip(observed, predicted, strict=True))
    scaled: dict[WorkKind, float] = {kind: cost * factor for kind, cost in first.items()}
    rows = [[item.work.get(kind, 0.0) * scaled[kind] / item.seconds for kind in kinds] for item in observed]
    size = range(len(kinds))
    matrix = [[sum(row[i] * row[j] for row in rows) + (_PRIOR_WEIGHT if i == j else 0.0) for j in size] for i in size]
    target = [sum(row[i] for row in rows) + _PRIOR_WEIGHT for i in size]
    solution = _solved(matrix, target)
    for kind, value in zip(kinds, solution, strict=True):
        scaled[kind] *= max(value, _SMALLEST_FACTOR)
    return scaled


def _line(peaks: Sequence[tuple[int, int]], counted: int, usual_ratio: float) -> float:
    """`offset + ratio x counted`, fitted as the costs are, around the usual ratio and no offset."""
    factor = median(measured / max(before * usual_ratio, 1) for before, measured in peaks)
    ratio = usual_ratio * factor
    offset_unit = 0.1 * ratio * median(before for before, _ in peaks)
    rows = [(offset_unit / measured, ratio * before / measured) for before, measured in peaks]
    weights = (_PRIOR_WEIGHT, _PRIOR_WEIGHT)
    matrix = [
        [sum(row[i] * row[j] for row in rows) + (weights[i] if i == j else 0.0) for j in range(2)] for i in range(2)
    ]
    target = [sum(row[0] for row in rows), sum(row[1] for row in rows) + _PRIOR_WEIGHT]
    offset, slope = _solved(matrix, target)
    return max(offset * offset_unit + slope * ratio * counted, 0.0)


def _solved(matrix: list[list[float]], target: list[float]) -> list[float]:
    """The solution of a small positive definite system, by elimination."""
    rows = [[*row, value] for row, value in zip(matrix, target, strict=True)]
    for pivot in range(len(rows)):
        for row in rows[pivot + 1 :]:
            share = row[pivot] / rows[pivot][pivot]
            for column in range(pivot, len(row)):
                row[column] -= share * rows[pivot][column]
    solution = [0.0] * len(rows)
    for index in reversed(range(len(rows))):
        known = sum(rows[index][later] * solution[later] for later in range(index + 1, len(rows)))
        solution[index] = (rows[index][-1] - known) / rows[index][index]
    return solution


# --- the record -------------------------------------------------------------------------------------------------------


def learned_speeds() -> Speeds:
    """What was measured here; empty before the first time, or when the record is damaged."""
    path = _record_path()
    try:
        return _read(path, path.stat().st_mtime_ns)
    except OSError:
        return Speeds()


@lru_cache(maxsize=2)
def _read(path: Path, _changed: int) -> Speeds:
    with suppress(OSError, ValueError, AttributeError, TypeError, KeyError):
        values = json.loads(path.read_text(encoding="utf-8"))
        if values["schema"] == _SCHEMA:
            return Speeds(
                {name: _parse_rates(rates) for name, rates in values["benchmarks"].items()},
                {key: _parse_learnt(item) for key, item in values["runs"].items()},
            )
    return Speeds()


def remember_benchmark(device: Device, rates: Rates) -> None:
    """Keep what a benchmark measured."""
    speeds = learned_speeds()
    benchmarks = {**speeds.benchmarks, device_key(device): rates}
    _write(Speeds(benchmarks, speeds.learnt))


def remember(key: str, observations: Sequence[Observation], peak: tuple[int, int] | None) -> None:
    """Keep what a run took, for the next estimate. A cache: failing to write it is no error."""
    speeds = learned_speeds()
    before = speeds.learnt.get(key, Learnt())
    kept: list[Observation] = []
    useful = [item for item in observations if item.seconds > 0]
    for phase in dict.fromkeys(item.phase for item in (*before.observations, *useful)):
        kept += [item for item in (*before.observations, *useful) if item.phase == phase][-_KEPT_OBSERVATIONS:]
    peaks = before.peaks if peak is None else (*before.peaks, peak)[-_KEPT_OBSERVATIONS:]
    _write(Speeds(speeds.benchmarks, {**speeds.learnt, key: Learnt(tuple(kept), peaks)}))


def _write(speeds: Speeds) -> None:
    values = {
        "schema": _SCHEMA,
        "benchmarks": {name: dict(rates) for name, rates in speeds.benchmarks.items()},
        "runs": {
            key: {
                "observations": [[item.phase, dict(item.work), item.seconds] for item in learnt.observations],
                "peaks": learnt.peaks,
            }
            for key, learnt in speeds.learnt.items()
        },
    }
    path = _record_path()
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".part")
        partial.write_text(json.dumps(values), encoding="utf-8")
        partial.replace(path)


def _parse_rates(values: Mapping[str, Any]) -> Rates:
    """Of kinds that are still known, what is positive: a rate of nothing would be infinite seconds."""
    return {kind: float(values[kind]) for kind in KINDS if kind in values and float(values[kind]) > 0}


def _parse_learnt(values: Mapping[str, Any]) -> Learnt:
    observations = tuple(
        Observation(str(phase), _parse_rates(work), float(seconds))
        for phase, work, seconds in values["observations"]
        if float(seconds) > 0
    )
    return Learnt(observations, tuple((int(counted), int(measured)) for counted, measured in values["peaks"]))


def _record_path() -> Path:
    return cache_folder() / _RECORD_NAME
