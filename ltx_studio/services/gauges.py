"""What the machine is doing right now, as a list of readings that anything can show.

Memory comes from `engine.hardware`; load, temperature and the disk's traffic are asked for here, of the driver and
the system. What a machine cannot tell is not in the list.
"""

import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import psutil

from engine.folders import data_folder
from engine.hardware import Machine


class GaugeKind(StrEnum):
    """What is measured, and so in which unit."""

    GPU_MEMORY = "gpu_memory"  # bytes
    MEMORY = "memory"  # bytes
    GPU_LOAD = "gpu_load"  # percent
    PROCESSOR_LOAD = "processor_load"  # percent
    GPU_TEMPERATURE = "gpu_temperature"  # degrees Celsius
    DISK = "disk"  # bytes read and written a second


@dataclass(frozen=True)
class Gauge:
    """One reading. `limit` is the end of its scale, None for one without; `free_bytes` is what a disk has left."""

    kind: GaugeKind
    value: float
    limit: float | None = None
    device_index: int = 0
    device_name: str = ""
    free_bytes: int | None = None

    @property
    def key(self) -> tuple[GaugeKind, int]:
        """The same for every reading of the same thing."""
        return self.kind, self.device_index

    @property
    def fraction(self) -> float | None:
        return None if self.limit is None else self.value / max(self.limit, 1.0)


class Sampler:
    """Takes readings; keeps the disk's counters, because traffic is a difference. Use it from one thread at a time."""

    def __init__(self) -> None:
        self._disk_bytes: int | None = None
        self._asked_at_s = 0.0
        psutil.cpu_percent()  # counts from here on; the first answer would mean nothing

    def sample(self, machine: Machine) -> tuple[Gauge, ...]:
        return (*_gpus(machine), *_main_memory(machine), *self._disk())

    def _disk(self) -> list[Gauge]:
        counters = psutil.disk_io_counters()
        if counters is None:
            return []
        now_s, total = time.monotonic(), counters.read_bytes + counters.write_bytes
        before, seconds = self._disk_bytes, now_s - self._asked_at_s
        self._disk_bytes, self._asked_at_s = total, now_s
        traffic = 0.0 if before is None else max(total - before, 0) / max(seconds, 1e-3)
        return [Gauge(GaugeKind.DISK, traffic, free_bytes=free_disk_bytes(data_folder()))]


def free_disk_bytes(folder: Path) -> int | None:
    """What is free where a folder is, or will be; None where nobody knows."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    with suppress(OSError):
        return shutil.disk_usage(folder).free
    return None


def _main_memory(machine: Machine) -> list[Gauge]:
    used = machine.ram_total_bytes - machine.ram_free_bytes
    return [
        Gauge(GaugeKind.MEMORY, used, machine.ram_total_bytes),
        Gauge(GaugeKind.PROCESSOR_LOAD, psutil.cpu_percent(), 100.0),
    ]


def _gpus(machine: Machine) -> list[Gauge]:
    """NVIDIA's. The memory of Apple's GPUs is the main memory, and their load takes an administrator to read."""
    gauges: list[Gauge] = []
    for device in machine.devices:
        if device.kind == "cuda":
            index, name = device.index, device.name
            used = device.total_bytes - device.free_bytes
            gauges.append(Gauge(GaugeKind.GPU_MEMORY, used, device.total_bytes, index, name))
            gauges.extend(_activity(index, name))
    return gauges


def _activity(index: int, name: str) -> list[Gauge]:
    import pynvml  # noqa: PLC0415 - loads the driver's library

    gauges: list[Gauge] = []
    with suppress(pynvml.NVMLError):
        pynvml.nvmlInit()
        try:
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            with suppress(pynvml.NVMLError):
                rates: Any = pynvml.nvmlDeviceGetUtilizationRates(handle)
                gauges.append(Gauge(GaugeKind.GPU_LOAD, float(rates.gpu), 100.0, index, name))
            with suppress(pynvml.NVMLError):
                degrees = float(pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU))
                gauges.append(Gauge(GaugeKind.GPU_TEMPERATURE, degrees, _slowdown_degrees(handle), index, name))
        finally:
            pynvml.nvmlShutdown()
    return gauges


def _slowdown_degrees(handle: Any) -> float | None:
    """Where the driver starts to slow the GPU down."""
    import pynvml  # noqa: PLC0415

    with suppress(pynvml.NVMLError):
        kind = pynvml.NVML_TEMPERATURE_THRESHOLD_SLOWDOWN
        return float(pynvml.nvmlDeviceGetTemperatureThreshold(handle, kind))
    return None
