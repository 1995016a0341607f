"""What is decided for the real 22B on machines of every size: 1280x704, 121 frames, reviewed line by line.

How to read a decision: precision, where the transformer's blocks are, how many of the 48 stay on the device, and the
traffic light. The review asked of each line: does the transformer stay whole wherever it can; is bf16 kept where it
fits; do 8 GiB of GPU and 16 GiB of RAM suffice; is the disk the last resort, and amber.

- FP8 blocks of the 22B take 17.3 GiB (official FP8 files, with a few blocks in bf16, 19.1), bf16 blocks 34.6 GiB.
- The dev model refines with a LoRA of 7.5 GiB, whose factors travel with their blocks: fewer blocks stay.
- 16 GiB of RAM, less what the system takes, hold what a 16 GiB GPU cannot, but not what an 8 or 12 GiB one cannot.
- Apple's GPUs and processors have no FP8 to multiply and no second memory to stream from: INT8, then disk.

Alone: `pytest tests/engine/pipelines/test_plan_machines.py`.
"""

import pytest

from engine.hardware import GIB, Device, Machine
from engine.pipelines.plan import Plan, plan
from engine.pipelines.policy import Budget
from engine.pipelines.speed import Speeds
from engine.request import GenerationRequest, Preset
from engine.types import Size

MODELS = (
    ("ltx-2.3-distilled", Preset.FAST),
    ("ltx-2.3-distilled-fp8", Preset.FAST),
    ("ltx-2.3-dev", Preset.STANDARD),
    ("ltx-2.3-dev-fp8", Preset.STANDARD),
)
# A typical card of each size: name, capability, bf16 operations per second by its data sheet, bytes per second of its
# slot.
CARDS = {
    8: ("NVIDIA GeForce RTX 3070", (8, 6), 40.6e12, 26e9),
    12: ("NVIDIA GeForce RTX 3060", (8, 6), 25.5e12, 26e9),
    16: ("NVIDIA GeForce RTX 4080", (8, 9), 97e12, 26e9),
    24: ("NVIDIA GeForce RTX 4090", (8, 9), 165e12, 26e9),
    48: ("NVIDIA L40S", (8, 9), 362e12, 26e9),
    80: ("NVIDIA H100", (9, 0), 989e12, 52e9),
}
SYSTEM_BYTES, DESKTOP_BYTES = 3 * GIB, GIB // 2  # what is not free

# Of each model above, in its order.
EXPECTED = {
    "nvidia 8+16": ("fp8 disk 9 amber", "fp8 disk 7 amber", "fp8 disk 5 amber", "fp8 disk 4 amber"),
    "nvidia 8+32": ("fp8 stream 9 green", "fp8 stream 7 green", "fp8 stream 5 green", "fp8 stream 4 green"),
    "nvidia 8+64": ("fp8 stream 9 green", "fp8 stream 7 green", "fp8 stream 5 green", "fp8 stream 4 green"),
    "nvidia 12+16": ("fp8 disk 20 amber", "fp8 disk 16 amber", "fp8 disk 12 amber", "fp8 disk 10 amber"),
    "nvidia 12+32": ("fp8 stream 20 green", "fp8 stream 16 green", "fp8 stream 12 green", "fp8 stream 10 green"),
    "nvidia 12+64": ("fp8 stream 20 green", "fp8 stream 16 green", "fp8 stream 12 green", "fp8 stream 10 green"),
    "nvidia 16+16": ("fp8 stream 31 green", "fp8 stream 26 green", "fp8 disk 20 amber", "fp8 disk 18 amber"),
    "nvidia 16+32": ("fp8 stream 31 green", "fp8 stream 26 green", "fp8 stream 20 green", "fp8 stream 18 green"),
    "nvidia 16+64": ("fp8 stream 31 green", "fp8 stream 26 green", "fp8 stream 20 green", "fp8 stream 18 green"),
    "nvidia 24+16": ("fp8 resident 48 green", "fp8 resident 48 green", "fp8 stream 36 green", "fp8 stream 32 green"),
    "nvidia 24+32": ("fp8 resident 48 green", "fp8 resident 48 green", "fp8 stream 36 green", "fp8 stream 32 green"),
    "nvidia 24+64": ("fp8 resident 48 green", "fp8 resident 48 green", "fp8 stream 36 green", "fp8 stream 32 green"),
    "nvidia 48+16": (
        "bf16 resident 48 green",
        "fp8 resident 48 green",
        "bf16 resident 48 green",
        "fp8 resident 48 green",
    ),
    "nvidia 48+32": (
        "bf16 resident 48 green",
        "fp8 resident 48 green",
        "bf16 resident 48 green",
        "fp8 resident 48 green",
    ),
    "nvidia 48+64": (
        "bf16 resident 48 green",
        "fp8 resident 48 green",
        "bf16 resident 48 green",
        "fp8 resident 48 green",
    ),
    "nvidia 80+16": (
        "bf16 resident 48 green",
        "fp8 resident 48 green",
        "bf16 resident 48 green",
        "fp8 resident 48 green",
    ),
    "nvidia 80+32": (
        "bf16 resident 48 green",
        "fp8 resident 48 green",
        "bf16 resident 48 green",
        "fp8 resident 48 green",
    ),
    "nvidia 80+64": (
        "bf16 resident 48 green",
        "fp8 resident 48 green",
        "bf16 resident 48 green",
        "fp8 resident 48 green",
    ),
    "apple 16": ("int8 disk 21 amber", "int8 disk 21 amber", "int8 disk 14 amber", "int8 disk 14 amber"),
    "apple 24": ("int8 disk 36 amber", "int8 disk 36 amber", "int8 disk 24 amber", "int8 disk 24 amber"),
    "apple 32": ("int8 resident 48 green", "int8 resident 48 green", "int8 disk 34 amber", "int8 disk 34 amber"),
    "apple 48": (
        "int8 resident 48 green",
        "int8 resident 48 green",
        "int8 resident 48 green",
        "int8 resident 48 green",
    ),
    "apple 64": (
        "bf16 resident 48 green",
        "bf16 resident 48 green",
        "bf16 resident 48 green",
        "bf16 resident 48 green",
    ),
    "apple 96": (
        "bf16 resident 48 green",
        "bf16 resident 48 green",
        "bf16 resident 48 green",
        "bf16 resident 48 green",
    ),
    "apple 128": (
        "bf16 resident 48 green",
        "bf16 resident 48 green",
        "bf16 resident 48 green",
        "bf16 resident 48 green",
    ),
    "cpu 16": ("int8 disk 18 amber", "fp8 disk 15 amber", "int8 disk 11 amber", "fp8 disk 9 amber"),
    "cpu 32": ("int8 resident 48 amber", "fp8 resident 48 amber", "int8 disk 40 amber", "fp8 disk 36 amber"),
    "cpu 64": ("int8 resident 48 amber", "fp8 resident 48 amber", "int8 resident 48 amber", "fp8 resident 48 amber"),
    "cpu 128": ("fp32 resident 48 amber", "fp32 resident 48 amber", "fp32 resident 48 amber", "fp32 resident 48 amber"),
}


def machine(name: str) -> Machine:
    """ "nvidia 8+16" has 8 GiB of GPU memory and 16 of RAM; "apple 16" and "cpu 16" have 16 GiB for everything."""
    kind, _, sizes = name.partition(" ")
    *vram, ram = (int(size) for size in sizes.split("+"))
    total, free = ram * GIB, ram * GIB - SYSTEM_BYTES
    devices = [Device("cpu", 0, "a processor", total, free)]
    if kind == "apple":
        devices.insert(0, Device("mps", 0, "Apple GPU", total, free, peak_operations=15e12))
    if kind == "nvidia":
        title, capability, operations, copies = CARDS[vram[0]]
        memory = vram[0] * GIB
        devices.insert(0, Device("cuda", 0, title, memory, memory - DESKTOP_BYTES, capability, operations, copies))
    return Machine(tuple(devices), total, free, num_cores=16, disk_bytes_per_s=2.5e9)


def planned(model: str, preset: Preset, where: Machine) -> Plan:
    request = GenerationRequest("a red ball bounces", model=model, preset=preset, size=Size(1280, 704), frames=121)
    return plan(request, where, speeds=Speeds())


CASES = [
    pytest.param(name, model, preset, decision, id=f"{model} on {name}")
    for name, decisions in EXPECTED.items()
    for (model, preset), decision in zip(MODELS, decisions, strict=True)
]


@pytest.mark.parametrize(("name", "model", "preset", "decision"), CASES)
def test_every_machine_gets_the_reviewed_decision(name: str, model: str, preset: Preset, decision: str) -> None:
    result = planned(model, preset, machine(name))

    blocks = result.policy.transformer
    assert f"{result.policy.precision} {blocks.kind} {blocks.resident_blocks} {result.light}" == decision


@pytest.mark.parametrize(("name", "model", "preset", "decision"), CASES)
def test_every_machine_gets_a_plan_that_fits(name: str, model: str, preset: Preset, decision: str) -> None:
    where = machine(name)

    result = planned(model, preset, where)

    budget = Budget.of(result.device, where)
    assert result.fits, decision
    assert result.estimate.peak_device_bytes <= budget.device_bytes <= result.device.free_bytes
    assert result.estimate.peak_ram_bytes <= budget.ram_bytes <= where.ram_free_bytes


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("ram", [16, 32, 64])
def test_a_larger_gpu_never_keeps_fewer_blocks(model: tuple[str, Preset], ram: int) -> None:
    resident = [planned(*model, machine(f"nvidia {vram}+{ram}")).policy.transformer.resident_blocks for vram in CARDS]

    assert resident == sorted(resident)


@pytest.mark.parametrize("name", EXPECTED)
def test_every_choice_has_a_reason(name: str) -> None:
    choices = planned(*MODELS[0], machine(name)).choices

    assert {"precision", "transformer", "text encoder", "decoder tiles", "loaded"} <= {item.what for item in choices}
    assert all(item.value and item.why for item in choices)
