"""Live readings of this machine. Alone: `pytest tests/engine/test_readings.py`."""

import time
from dataclasses import replace
from itertools import pairwise

import psutil
import pytest

from engine import readings as readings_module
from engine.hardware import Device, current_machine
from engine.readings import READINGS_PER_S, DeviceReading, Sampler, readings


def test_a_reading_knows_the_main_memory_and_ends_with_the_processor() -> None:
    reading = Sampler().sample()

    assert reading.ram_total_bytes == psutil.virtual_memory().total
    assert 0 < reading.process_bytes < reading.ram_used_bytes < reading.ram_total_bytes
    processor = reading.devices[-1]
    assert processor.device == "cpu"
    assert processor.load is not None
    assert 0 <= processor.load <= 1


def test_four_readings_a_second_take_less_than_half_a_percent_of_a_core() -> None:
    sampler = Sampler()
    sampler.sample()  # the first one opens what the others use
    began_s = time.process_time()

    for _ in range(40):
        sampler.sample()

    assert READINGS_PER_S * (time.process_time() - began_s) / 40 < 0.005


def test_readings_come_at_a_steady_pace() -> None:
    source = readings(per_second=50)

    times = [next(source).at_s for _ in range(4)]

    assert all(later - earlier > 0.005 for earlier, later in pairwise(times))
    assert times[-1] - times[0] >= 0.05


def test_a_gpu_whose_driver_does_not_answer_is_listed_with_nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = current_machine()
    gone = Device("cuda", 99, "a GPU that was taken out", 2**33, 2**33)
    monkeypatch.setattr(readings_module, "current_machine", lambda: replace(machine, devices=(gone, *machine.devices)))

    reading = Sampler().sample().devices[0]

    assert reading == DeviceReading("cuda:99", None, None, None, None, None)
