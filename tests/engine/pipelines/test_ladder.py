"""The ladder by itself: which rungs there are, in which order, and that each needs less than the one before.

Alone: `pytest tests/engine/pipelines/test_ladder.py`.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch

from engine.errors import MediaError, OutOfMemory
from engine.hardware import GIB, Device, Machine
from engine.pipelines.ladder import Memory, Rung, WorkPhase, next_rung, on_rung, which_memory
from engine.pipelines.plan import Plan, plan
from engine.pipelines.policy import peak_of
from engine.pipelines.shortfall import LEAST_SHARE, learned_shortfall, remember_failure, remember_success
from engine.pipelines.speed import Speeds
from engine.request import GenerationRequest, Preset
from engine.types import Size


def machine(vram_gib: float, ram_gib: float = 64) -> Machine:
    gpu = Device("cuda", 0, "a GPU", int(vram_gib * GIB), int(vram_gib * GIB), (8, 9))
    ram = int(ram_gib * GIB)
    return Machine((gpu, Device("cpu", 0, "a processor", ram, ram)), ram, ram, 8)


def planned(where: Machine, **fields: Any) -> Plan:
    values: dict[str, Any] = {"model": "ltx-2.3-dev", "preset": Preset.STANDARD, "frames": 121, **fields}
    return plan(GenerationRequest("a ball", size=Size(1920, 1088), **values), where, speeds=Speeds())


def rungs(result: Plan, phase: WorkPhase, memory: Memory) -> Iterator[tuple[Rung, Plan]]:
    while (rung := next_rung(result, phase, memory)) is not None:
        result = on_rung(result, rung)
        yield rung, result


def words(result: Plan, phase: WorkPhase, memory: Memory) -> list[str]:
    return [rung.words for rung, _ in rungs(result, phase, memory)]


def test_denoising_keeps_less_then_streams_more_then_cuts_smaller_and_ends_on_disk() -> None:
    steps = words(planned(machine(80)), "denoise", "device")

    first = [next(index for index, step in enumerate(steps) if part in step) for part in ("only the part", "blocks")]
    later = [
        next(index for index, step in enumerate(steps) if part in step) for part in ("tokens", "pass", "disk instead")
    ]
    assert [*first, *later] == sorted([*first, *later])
    assert "0 of 48 blocks" in steps[later[0] - 1]
    assert steps[-1] == "blocks come from disk instead of RAM"


def test_main_memory_that_runs_out_sends_blocks_to_disk_at_once() -> None:
    assert words(planned(machine(8)), "denoise", "ram")[-1] == "blocks come from disk instead of RAM"
    assert words(planned(machine(8), memory="disk"), "denoise", "ram") == ["only the part at work stays in memory"]


def test_decoding_joins_tiles_in_ram_and_then_makes_them_smaller() -> None:
    steps = words(planned(machine(24)), "decode", "device")

    assert steps[-1].startswith("tiles of 256x")
    assert any("joined in RAM" in step for step in steps)


def test_a_processor_has_one_memory_whatever_the_error_says() -> None:
    result = planned(machine(8), device="cpu")

    assert words(result, "denoise", "ram") == words(result, "denoise", "device")


@pytest.mark.parametrize("phase", ["text", "denoise", "decode"])
@pytest.mark.parametrize("vram_gib", [8, 24, 80])
def test_every_rung_needs_no_more_and_the_ladder_ends(phase: WorkPhase, vram_gib: float) -> None:
    result = planned(machine(vram_gib))
    needed = peak_of(result.task, result.policy, result.device).device_bytes
    count = 0
    for count, (_, lower) in enumerate(rungs(result, phase, "device"), 1):  # noqa: B007 - asked for below
        now = peak_of(lower.task, lower.policy, lower.device).device_bytes
        assert now <= needed
        assert lower.policy.precision == result.policy.precision
        needed = now
    assert count < 20


def test_a_plan_on_a_lower_rung_says_so() -> None:
    rung = next_rung(planned(machine(80)), "denoise", "device")
    assert rung is not None

    choices = on_rung(planned(machine(80)), rung).to_dict()["choices"]

    assert choices[-1] == {
        "what": "after memory ran out",
        "value": rung.words,
        "why": "the run went on with less",
    }


@pytest.mark.parametrize(
    ("error", "memory"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), "device"),
        (RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"), "device"),
        (RuntimeError("cublas: CUBLAS_STATUS_ALLOC_FAILED"), "device"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), "ram"),
        (MemoryError(), "ram"),
        (OutOfMemory("loading weights"), "ram"),
        (RuntimeError("shapes do not match"), None),
        (MediaError("clip.mp4", "is damaged."), None),
    ],
)
def test_errors_say_which_memory_ran_out(error: Exception, memory: Memory | None) -> None:
    assert which_memory(error) == memory


def test_a_real_refusal_of_the_allocator_is_recognised() -> None:
    with pytest.raises(RuntimeError) as refusal:
        torch.empty(2**60, dtype=torch.uint8)

    assert which_memory(refusal.value) == "ram"


# --- what is learnt ---------------------------------------------------------------------------------------------------


def test_a_failure_makes_the_next_plan_ask_for_less_until_runs_end_well_again() -> None:
    where = machine(24)
    before = planned(where)

    remember_failure(before.device, before.model, is_ram=False, counted_bytes=16 * GIB, free_bytes=24 * GIB)
    after = planned(where)

    assert after.policy.transformer.resident_blocks < before.policy.transformer.resident_blocks
    assert any(choice.what == "free memory" and "67%" in choice.value for choice in after.choices)
    for _ in range(17):
        remember_success(before.device, before.model)
    assert planned(where).policy == before.policy


def test_a_share_never_falls_below_half_and_concerns_its_device_alone() -> None:
    result = planned(machine(24))
    remember_failure(result.device, result.model, is_ram=False, counted_bytes=GIB, free_bytes=24 * GIB)

    assert learned_shortfall(result.device, result.model).device_share == LEAST_SHARE
    other = replace(result.device, name="another GPU")
    assert learned_shortfall(other, result.model).device_share == 1
