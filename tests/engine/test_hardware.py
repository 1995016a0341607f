"""Facts of the machine: imagined memory, the disk's speed, and the peak of this process.

Alone: `pytest tests/engine/test_hardware.py`.
"""

import subprocess
import sys

import pytest

from engine.hardware import (
    GIB,
    Device,
    Machine,
    PeakMemory,
    current_machine,
    known_disk_speed,
    measure_disk_speed,
    operations_per_core,
    return_large_blocks,
)

MIB = 2**20


def machine() -> Machine:
    cpu = Device("cpu", 0, "a processor", 64 * GIB, 50 * GIB)
    return Machine((cpu,), 64 * GIB, 50 * GIB, 8)


def test_an_imagined_gpu_comes_first_and_leaves_the_desktop_its_share() -> None:
    imagined = machine().with_memory(vram_gib=8)

    gpu = imagined.best_device
    assert (gpu.kind, gpu.total_bytes, gpu.free_bytes) == ("cuda", 8 * GIB, 8 * GIB - GIB // 2)
    assert imagined.devices[-1] == machine().devices[0]


def test_imagined_main_memory_is_the_processors_too_and_leaves_the_system_its_share() -> None:
    imagined = machine().with_memory(ram_gib=16)

    assert (imagined.ram_total_bytes, imagined.ram_free_bytes) == (16 * GIB, 13 * GIB)
    assert imagined.devices[0].free_bytes == 13 * GIB


def test_little_imagined_memory_is_mostly_free() -> None:
    assert machine().with_memory(ram_gib=1).ram_free_bytes == 3 * GIB // 4


def test_this_machine_has_a_processor_with_memory() -> None:
    here = current_machine()

    assert here.devices[-1].kind == "cpu"
    assert 0 < here.ram_free_bytes <= here.ram_total_bytes


@pytest.mark.parametrize(
    ("name", "capability", "cores", "clock_hz", "teraflops"),
    [
        ("NVIDIA GeForce RTX 4090", (8, 9), 16_384, 2.52e9, 165),
        ("NVIDIA GeForce RTX 3070", (8, 6), 5_888, 1.725e9, 40.6),
        ("NVIDIA L40S", (8, 9), 18_176, 2.52e9, 362),
        ("NVIDIA A100-SXM4-80GB", (8, 0), 6_912, 1.41e9, 312),
        ("NVIDIA H100 80GB HBM3", (9, 0), 16_896, 1.83e9, 989),
    ],
)
def test_peaks_are_those_of_the_data_sheets(
    name: str, capability: tuple[int, int], cores: int, clock_hz: float, teraflops: float
) -> None:
    assert cores * clock_hz * operations_per_core(name, capability) / 1e12 == pytest.approx(teraflops, rel=0.02)


def test_the_disk_is_measured_once_and_remembered() -> None:
    assert known_disk_speed() is None

    measured = measure_disk_speed(num_bytes=8 * MIB)

    assert measured is not None
    assert measured > 0
    assert current_machine().disk_bytes_per_s == known_disk_speed() == pytest.approx(measured)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system counts from the process's beginning")
def test_the_peak_is_that_of_the_time_since_it_was_asked_for() -> None:
    earlier = bytearray(b"x" * (256 * MIB))
    del earlier
    peak = PeakMemory()
    before = peak.bytes

    block = bytearray(b"x" * (64 * MIB))
    del block

    grown = peak.bytes - before
    assert 60 * MIB < grown < 160 * MIB


HOLD_AND_FREE = """
import subprocess
import sys
import numpy as np
from engine.hardware import process_memory_bytes, return_large_blocks
if sys.argv[1] == "returned":
    assert return_large_blocks()
np.full(8 << 20, 1, np.uint8)  # from here on glibc would keep blocks of this size
before = process_memory_bytes()
blocks = [np.full(8 << 20, 1, np.uint8) for _ in range(16)]
last = np.full(100_000, 1, np.uint8)  # stays behind them, where it keeps a heap from shrinking
del blocks
print(process_memory_bytes() - before)
"""


@pytest.mark.skipif(sys.platform != "linux" or not return_large_blocks(), reason="another C library")
def test_large_blocks_go_back_to_the_system_when_they_are_freed() -> None:
    def kept(mode: str) -> int:
        command = [sys.executable, "-c", HOLD_AND_FREE, mode]
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    assert kept("returned") < 4 * MIB
    assert kept("untouched") > 64 * MIB
