"""What this machine has: compute devices, their memory, the main memory. Live readings, no torch at import."""

import os
import platform
import sys
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Literal

import psutil

DeviceKind = Literal["cuda", "mps", "cpu"]
GIB = 2**30


@dataclass(frozen=True)
class Device:
    """One device that can run the model."""

    kind: DeviceKind
    index: int
    name: str
    total_bytes: int
    free_bytes: int

    @property
    def torch_name(self) -> str:
        return f"cuda:{self.index}" if self.kind == "cuda" else self.kind


@dataclass(frozen=True)
class Machine:
    """The devices, best first (the CPU is always last), and the main memory."""

    devices: tuple[Device, ...]
    ram_total_bytes: int
    ram_free_bytes: int
    num_cores: int

    @property
    def best_device(self) -> Device:
        return self.devices[0]

    def device(self, name: str) -> Device | None:
        """By torch's name: "cuda", "cuda:1", "mps", "cpu"; "auto" is the best one."""
        if name == "auto":
            return self.best_device
        return next((item for item in self.devices if name in {item.torch_name, item.kind}), None)

    def with_memory(self, *, vram_gib: float | None = None, ram_gib: float | None = None) -> "Machine":
        """The same machine as if it had other amounts of memory, all of it free; for plans of what would happen."""
        machine = self
        if vram_gib is not None:
            size = int(vram_gib * GIB)
            gpu = replace(self.best_device, total_bytes=size, free_bytes=size)
            if gpu.kind == "cpu":
                gpu = Device("cuda", 0, "a GPU that is not there", size, size)
                machine = replace(machine, devices=(gpu, *self.devices))
            else:
                machine = replace(machine, devices=(gpu, *self.devices[1:]))
        if ram_gib is not None:
            size = int(ram_gib * GIB)
            devices = tuple(
                replace(item, total_bytes=size, free_bytes=size) if item.kind == "cpu" else item
                for item in machine.devices
            )
            machine = replace(machine, devices=devices, ram_total_bytes=size, ram_free_bytes=size)
        return machine


def current_machine() -> Machine:
    """Ask the system now."""
    memory = psutil.virtual_memory()
    cpu = Device("cpu", 0, platform.processor() or platform.machine(), memory.total, memory.available)
    return Machine(
        devices=(*_cuda_devices(), *_apple_devices(memory), cpu),
        ram_total_bytes=memory.total,
        ram_free_bytes=memory.available,
        num_cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
    )


def process_memory_bytes() -> int:
    """Main memory this process holds now."""
    return psutil.Process().memory_info().rss


def _cuda_devices() -> list[Device]:
    import pynvml  # noqa: PLC0415 - loads the driver's library

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []
    devices: list[Device] = []
    try:
        for index in range(pynvml.nvmlDeviceGetCount()):
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            memory: Any = pynvml.nvmlDeviceGetMemoryInfo(handle)
            name = pynvml.nvmlDeviceGetName(handle)
            devices.append(Device("cuda", index, str(name), int(memory.total), int(memory.free)))
    finally:
        with suppress(pynvml.NVMLError):
            pynvml.nvmlShutdown()
    return devices


def _apple_devices(memory: Any) -> list[Device]:
    """Apple silicon shares its main memory with the GPU."""
    if sys.platform != "darwin" or platform.machine() != "arm64":
        return []
    return [Device("mps", 0, "Apple GPU", memory.total, memory.available)]
