"""What this machine has: compute devices, their memory, the main memory, how fast its disk is. No torch at import.

What does not change (names, sizes, what a GPU can multiply) is asked once in a process; free memory every time.
"""

import ctypes
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

import psutil

from engine.folders import cache_folder, data_folder

DeviceKind = Literal["cuda", "mps", "cpu"]
GIB = 2**30

# What the system, its desktop and other programs take of a machine that is only imagined.
IMAGINED_DESKTOP_VRAM_BYTES = GIB // 2
IMAGINED_SYSTEM_RAM_BYTES = 3 * GIB

_DISK_PROBE_BYTES = 256 * 2**20
_DISK_BLOCK_BYTES = 8 * 2**20
_DISK_RECORD = "disk.json"
# Multiply-adds of bf16 with an fp32 sum, in operations per core and clock: NVIDIA's data sheets. Consumer cards run
# them at a half or a quarter of the rate of the same chips in workstations.
_OPERATIONS_PER_CORE = {(8, 0): 32, (9, 0): 32, (10, 0): 64}
_OPERATIONS_PER_CORE_GEFORCE, _OPERATIONS_PER_CORE_OTHERS = 4, 8
# Of a PCIe lane in both encodings' practice: some 85 % of 0.985 GB/s at generation 3, twice that with each later one.
_BYTES_PER_LANE_GENERATION_3 = 0.84e9


@dataclass(frozen=True)
class Device:
    """One device that can run the model."""

    kind: DeviceKind
    index: int
    name: str
    total_bytes: int
    free_bytes: int
    capability: tuple[int, int] | None = None  # NVIDIA's generation of a GPU, such as (8, 9)
    peak_operations: float | None = None  # bf16 operations per second by its data sheet
    copy_bytes_per_s: float | None = None  # from main memory, by its slot

    @property
    def torch_name(self) -> str:
        return f"cuda:{self.index}" if self.kind == "cuda" else self.kind


@dataclass(frozen=True)
class Machine:
    """The devices, best first (the CPU is always last), the main memory, and the disk models lie on."""

    devices: tuple[Device, ...]
    ram_total_bytes: int
    ram_free_bytes: int
    num_cores: int
    disk_bytes_per_s: float | None = None  # None: not measured yet

    @property
    def best_device(self) -> Device:
        return self.devices[0]

    def device(self, name: str) -> Device | None:
        """By torch's name: "cuda", "cuda:1", "mps", "cpu"; "auto" is the best one."""
        if name == "auto":
            return self.best_device
        return next((item for item in self.devices if name in {item.torch_name, item.kind}), None)

    def with_memory(self, *, vram_gib: float | None = None, ram_gib: float | None = None) -> "Machine":
        """The same machine as if it had other amounts of memory; for plans of what would happen.

        All of it is free but what a desktop and its system usually take: 0.5 GiB of a GPU, 3 GiB of the RAM, and
        at most a quarter of either.
        """
        machine = self
        if vram_gib is not None:
            total = int(vram_gib * GIB)
            free = total - min(IMAGINED_DESKTOP_VRAM_BYTES, total // 4)
            gpu = self.best_device
            if gpu.kind == "cpu":
                gpu = Device("cuda", 0, "a GPU that is not there", total, free)
                machine = replace(machine, devices=(gpu, *self.devices))
            else:
                gpu = replace(gpu, total_bytes=total, free_bytes=free)
                machine = replace(machine, devices=(gpu, *self.devices[1:]))
        if ram_gib is not None:
            total = int(ram_gib * GIB)
            free = total - min(IMAGINED_SYSTEM_RAM_BYTES, total // 4)
            devices = tuple(
                replace(item, total_bytes=total, free_bytes=free) if item.kind == "cpu" else item
                for item in machine.devices
            )
            machine = replace(machine, devices=devices, ram_total_bytes=total, ram_free_bytes=free)
        return machine


def current_machine() -> Machine:
    """Ask the system now."""
    memory = psutil.virtual_memory()
    cpu = Device("cpu", 0, _processor_name(), memory.total, memory.available)
    return Machine(
        devices=(*_cuda_devices(), *_apple_devices(memory), cpu),
        ram_total_bytes=memory.total,
        ram_free_bytes=memory.available,
        num_cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        disk_bytes_per_s=known_disk_speed(),
    )


def process_memory_bytes() -> int:
    """Main memory this process holds now."""
    return psutil.Process().memory_info().rss


class PeakMemory:
    """The most main memory this process held since this was made.

    Linux can be asked to count anew. Elsewhere the system only knows the peak since the process began, which is the
    right answer once it rises above what it was at the start; before that, `bytes` is the largest value it has seen.
    """

    def __init__(self) -> None:
        self._largest_seen = process_memory_bytes()
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # proc(5): reset the peak
        self._peak_before = _peak_since_start()

    @property
    def bytes(self) -> int:
        self._largest_seen = max(self._largest_seen, process_memory_bytes())
        peak = _peak_since_start()
        is_new = sys.platform == "linux" or peak > self._peak_before
        return max(peak, self._largest_seen) if is_new else self._largest_seen


def _peak_since_start() -> int:
    if sys.platform == "win32":
        return psutil.Process().memory_info().peak_wset
    if sys.platform == "linux":
        with suppress(OSError, StopIteration, ValueError):
            lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
            return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) * 1024
        return 0
    import resource  # noqa: PLC0415 - not on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # macOS counts bytes


LARGEST_HEAP_BLOCK_BYTES = 2 * 2**20
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of mallopt(3)


@cache
def return_large_blocks() -> bool:
    """From now on, main memory that is freed goes back to the system at once, in blocks of 2 MiB and more.

    Left alone, glibc learns to keep blocks of up to 32 MiB: a run then takes up to a third more memory, and by chance,
    so that no plan can foretell it. It costs no time that can be measured. False where the C library is another one.
    """
    if sys.platform != "linux":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return all(mallopt(option, LARGEST_HEAP_BLOCK_BYTES) for option in (_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD))


# --- disk -------------------------------------------------------------------------------------------------------------


def known_disk_speed() -> float | None:
    """Bytes per second that `measure_disk_speed` found, if it ever ran here."""
    with suppress(OSError, ValueError, TypeError, KeyError):
        speed = float(json.loads((cache_folder() / _DISK_RECORD).read_text(encoding="utf-8"))["read_bytes_per_s"])
        return speed if speed > 0 else None
    return None


def measure_disk_speed(num_bytes: int = _DISK_PROBE_BYTES) -> float | None:
    """Write a file where models lie, read it back past the system's cache, and keep the speed in bytes per second.

    None where the folder cannot be written. Takes a second or two.
    """
    folder = data_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".disk-probe-") as file:
            block = os.urandom(_DISK_BLOCK_BYTES)  # a file system that compresses has nothing to gain
            for _ in range(max(num_bytes // len(block), 1)):
                file.write(block)
            file.flush()
            os.fsync(file.fileno())
            _leave_cache(file.fileno())
            file.seek(0)
            began, num_read = time.perf_counter(), 0
            while chunk := file.read(_DISK_BLOCK_BYTES):
                num_read += len(chunk)
            speed = num_read / max(time.perf_counter() - began, 1e-6)
        record = cache_folder() / _DISK_RECORD
        record.parent.mkdir(parents=True, exist_ok=True)
        record.write_text(json.dumps({"read_bytes_per_s": speed}), encoding="utf-8")
    except OSError:
        return None
    return speed


def _leave_cache(descriptor: int) -> None:
    """Let the next read come from the disk. Windows has no way for a file that is open; there the cache answers."""
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    elif sys.platform == "darwin":
        import fcntl  # noqa: PLC0415 - not on Windows

        fcntl.fcntl(descriptor, fcntl.F_NOCACHE, 1)


# --- devices ----------------------------------------------------------------------------------------------------------


@cache
def _processor_name() -> str:
    return platform.processor() or platform.machine()


def _cuda_devices() -> list[Device]:
    return [device for device in map(_with_free_memory, _static_cuda_devices()) if device is not None]


@cache
def _static_cuda_devices() -> Sequence[Device]:
    """Every GPU as it always is; the driver's library stays open, because opening it takes longer than a plan."""
    import pynvml  # noqa: PLC0415 - loads the driver's library

    try:
        pynvml.nvmlInit()
        return tuple(_static_cuda_device(index) for index in range(pynvml.nvmlDeviceGetCount()))
    except pynvml.NVMLError:
        return ()


def _static_cuda_device(index: int) -> Device:
    import pynvml  # noqa: PLC0415

    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    memory: Any = pynvml.nvmlDeviceGetMemoryInfo(handle)
    name = str(pynvml.nvmlDeviceGetName(handle))
    capability: tuple[int, int] | None = None
    peak_operations: float | None = None
    copy_bytes_per_s: float | None = None
    with suppress(pynvml.NVMLError):
        major, minor = pynvml.nvmlDeviceGetCudaComputeCapability(handle)
        capability = (int(major), int(minor))
        cores = int(pynvml.nvmlDeviceGetNumGpuCores(handle))
        clock_hz = 1e6 * int(pynvml.nvmlDeviceGetMaxClockInfo(handle, pynvml.NVML_CLOCK_SM))
        peak_operations = cores * clock_hz * operations_per_core(name, capability)
    with suppress(pynvml.NVMLError):
        generation = int(pynvml.nvmlDeviceGetMaxPcieLinkGeneration(handle))
        width = int(pynvml.nvmlDeviceGetMaxPcieLinkWidth(handle))
        copy_bytes_per_s = width * _BYTES_PER_LANE_GENERATION_3 * 2.0 ** (generation - 3)
    return Device("cuda", index, name, int(memory.total), 0, capability, peak_operations, copy_bytes_per_s)


def operations_per_core(name: str, capability: tuple[int, int]) -> int:
    """bf16 operations of one CUDA core per clock: 4 x 16384 cores x 2.52 GHz = 165 Tflop/s of a GeForce RTX 4090."""
    others = _OPERATIONS_PER_CORE_GEFORCE if "GeForce" in name and capability >= (8, 0) else _OPERATIONS_PER_CORE_OTHERS
    return _OPERATIONS_PER_CORE.get(capability, others)


def _with_free_memory(device: Device) -> Device | None:
    import pynvml  # noqa: PLC0415

    try:
        memory: Any = pynvml.nvmlDeviceGetMemoryInfo(pynvml.nvmlDeviceGetHandleByIndex(device.index))
    except pynvml.NVMLError:
        return None  # it was taken out, or its driver has crashed
    return replace(device, free_bytes=int(memory.free))


def _apple_devices(memory: Any) -> list[Device]:
    """Apple silicon shares its main memory with the GPU."""
    if sys.platform != "darwin" or platform.machine() != "arm64":
        return []
    return [Device("mps", 0, "Apple GPU", memory.total, memory.available)]
