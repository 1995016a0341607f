"""What the machine is doing right now: memory, load, temperature and power of each device, several times a second.

Asking must not be felt: handles of the driver's library are kept, and a reading costs a few calls that each take
microseconds. What a machine cannot tell is None. Of Apple's GPUs only the memory is known, which is the main memory;
their load and power take an administrator to read, and so does the power of processors.
"""

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psutil

from engine.hardware import Device, current_machine

READINGS_PER_S = 4
# A processor's sensors are files that take a millisecond to read, and heat changes slowly.
_SENSOR_INTERVAL_S = 2.0
# The sensors of processors, by the names of their drivers in Linux: Intel, AMD, ARM.
_PROCESSOR_SENSORS = ("coretemp", "k10temp", "zenpower", "cpu_thermal")


@dataclass(frozen=True)
class DeviceReading:
    """One device. Its own memory, so None for the CPU and Apple's GPUs, whose memory is the machine's."""

    device: str  # torch's name
    used_bytes: int | None
    total_bytes: int | None
    load: float | None  # 0 to 1
    temperature_c: float | None
    power_w: float | None


@dataclass(frozen=True)
class Reading:
    """The whole machine; the CPU is the last of its devices."""

    at_s: float  # `time.monotonic`
    ram_used_bytes: int
    ram_total_bytes: int
    process_bytes: int  # of main memory, by this process
    devices: tuple[DeviceReading, ...]


class Sampler:
    """Takes readings; loads are means since the reading before. Use it from one thread at a time."""

    def __init__(self) -> None:
        self._gpus = [_Gpu(device) if device.kind == "cuda" else device for device in current_machine().devices[:-1]]
        self._process = psutil.Process()
        self._heat: float | None = None
        self._felt_at_s = -_SENSOR_INTERVAL_S
        psutil.cpu_percent()  # counts from here on; the first answer would mean nothing

    def sample(self) -> Reading:
        """The machine now."""
        memory = psutil.virtual_memory()
        gpus = [gpu.reading() if isinstance(gpu, _Gpu) else _untold(gpu) for gpu in self._gpus]
        return Reading(
            at_s=time.monotonic(),
            ram_used_bytes=memory.total - memory.available,
            ram_total_bytes=memory.total,
            process_bytes=self._process.memory_info().rss,
            devices=(*gpus, self._cpu()),
        )

    def _cpu(self) -> DeviceReading:
        now_s = time.monotonic()
        if now_s - self._felt_at_s >= _SENSOR_INTERVAL_S:
            self._heat, self._felt_at_s = _processor_heat(), now_s
        return DeviceReading("cpu", None, None, psutil.cpu_percent() / 100, self._heat, None)


def readings(*, per_second: float = READINGS_PER_S) -> Iterator[Reading]:
    """Readings at a steady pace, until the caller stops asking; waits between them."""
    sampler, due_s = Sampler(), time.monotonic()
    while True:
        due_s = max(due_s + 1 / per_second, time.monotonic())  # what was missed is not caught up on
        time.sleep(max(due_s - time.monotonic(), 0))
        yield sampler.sample()


class _Gpu:
    """One of NVIDIA's, by a handle of the driver's library, which stays open."""

    def __init__(self, device: Device) -> None:
        import pynvml  # noqa: PLC0415 - loads the driver's library

        self._nvml: Any = pynvml
        self._name = device.torch_name
        self._handle: Any = None
        with suppress(pynvml.NVMLError):
            pynvml.nvmlInit()
            self._handle = pynvml.nvmlDeviceGetHandleByIndex(device.index)

    def reading(self) -> DeviceReading:
        nvml = self._nvml
        memory = self._ask(nvml.nvmlDeviceGetMemoryInfo)
        rates = self._ask(nvml.nvmlDeviceGetUtilizationRates)
        heat = self._ask(nvml.nvmlDeviceGetTemperature, nvml.NVML_TEMPERATURE_GPU)
        milliwatts = self._ask(nvml.nvmlDeviceGetPowerUsage)
        return DeviceReading(
            self._name,
            used_bytes=None if memory is None else int(memory.used),
            total_bytes=None if memory is None else int(memory.total),
            load=None if rates is None else rates.gpu / 100,
            temperature_c=None if heat is None else float(heat),
            power_w=None if milliwatts is None else milliwatts / 1000,
        )

    def _ask(self, question: Any, *details: Any) -> Any:
        """The driver's answer; None where it has none, or has crashed."""
        if self._handle is None:
            return None
        with suppress(self._nvml.NVMLError):
            return question(self._handle, *details)
        return None


def _untold(device: Device) -> DeviceReading:
    return DeviceReading(device.torch_name, None, None, None, None, None)


def _processor_heat() -> float | None:
    """The hottest of the processor's sensors; only Linux lets everybody read them."""
    ask: Any = getattr(psutil, "sensors_temperatures", None)
    if ask is None:
        return None
    with suppress(OSError):
        sensors: dict[str, list[Any]] = ask()
        heats = [item.current for name in _PROCESSOR_SENSORS for item in sensors.get(name, []) if item.current]
        return max(heats, default=None)
    return None
