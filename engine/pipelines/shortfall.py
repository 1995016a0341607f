"""What ran out of memory on this machine, so that later plans ask for less.

A plan counts the bytes of a run and fits them into what is free. Where a run ran out all the same, something takes
memory that nobody counts: another program, a fragmented allocator, a driver. The share of the free memory that could
be counted on is kept for each device and shape of model, and planning takes that share for all there is. Every run that
ends well gives a little of it back, because the other program may be gone. A cache: losing it costs a failed attempt.
"""

import json
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from engine.folders import cache_folder
from engine.hardware import Device, Machine
from engine.pipelines.facts import ModelFacts
from engine.pipelines.speed import device_key

LEAST_SHARE = 0.5  # a plan for less than half of what is free would be no better for it
REGAINED_SHARE = 0.02  # by every run that ends well
_RECORD_NAME = "shortfalls.json"


@dataclass(frozen=True)
class Shortfall:
    """Of what is said to be free, how much can be counted on."""

    device_share: float = 1.0
    ram_share: float = 1.0

    def of(self, device: Device, machine: Machine) -> tuple[Device, Machine]:
        """Device and machine as if that was all."""
        smaller = replace(device, free_bytes=int(device.free_bytes * self.device_share))
        return smaller, replace(machine, ram_free_bytes=int(machine.ram_free_bytes * self.ram_share))


def learned_shortfall(device: Device, model: ModelFacts) -> Shortfall:
    """What runs of such a model on this device have shown."""
    with suppress(OSError, ValueError, TypeError, KeyError):
        values = json.loads(_record_path().read_text(encoding="utf-8"))[_key(device, model)]
        shares = [min(max(float(values[name]), LEAST_SHARE), 1.0) for name in ("device_share", "ram_share")]
        return Shortfall(*shares)
    return Shortfall()


def remember_failure(device: Device, model: ModelFacts, *, is_ram: bool, counted_bytes: int, free_bytes: int) -> None:
    """Memory ran out in a run that was counted to need `counted_bytes` of `free_bytes`."""
    before = learned_shortfall(device, model)
    share = min(max(counted_bytes / max(free_bytes, 1), LEAST_SHARE), 1.0)
    if is_ram:
        _write(_key(device, model), replace(before, ram_share=min(before.ram_share, share)))
    else:
        _write(_key(device, model), replace(before, device_share=min(before.device_share, share)))


def remember_success(device: Device, model: ModelFacts) -> None:
    """A run ended without running out."""
    before = learned_shortfall(device, model)
    if before != Shortfall():
        regained = (min(share + REGAINED_SHARE, 1.0) for share in (before.device_share, before.ram_share))
        _write(_key(device, model), Shortfall(*regained))


def _key(device: Device, model: ModelFacts) -> str:
    return f"{device_key(device)}|{model.generation}-{model.transformer.num_layers}x{model.transformer.video.width}"


def _write(key: str, shortfall: Shortfall) -> None:
    path = _record_path()
    with suppress(OSError):
        values: dict[str, dict[str, float]] = {}
        with suppress(OSError, ValueError):
            values = dict(json.loads(path.read_text(encoding="utf-8")))
        values[key] = {"device_share": shortfall.device_share, "ram_share": shortfall.ram_share}
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".part")
        partial.write_text(json.dumps(values), encoding="utf-8")
        partial.replace(path)


def _record_path() -> Path:
    return cache_folder() / _RECORD_NAME
