"""The memory policy: what the user overrides, what a policy keeps, and what it warns of.

Alone: `pytest tests/engine/pipelines/test_residency.py`.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.hardware import GIB, Device, Machine
from engine.model.tiles import choose_tiling
from engine.pipelines.plan import Plan, plan
from engine.pipelines.residency import PIECE_TOKENS
from engine.pipelines.speed import Speeds
from engine.request import GenerationRequest, Preset
from engine.types import Size
from engine.weights.residency import Precision, Residency

DISTILLED, DEV = "ltx-2.3-distilled", "ltx-2.3-dev"


def machine(vram_gib: float, ram_gib: float = 64, capability: tuple[int, int] = (8, 9)) -> Machine:
    gpu = Device("cuda", 0, "a GPU", int(vram_gib * GIB), int(vram_gib * GIB), capability)
    ram = int(ram_gib * GIB)
    return Machine((gpu, Device("cpu", 0, "a processor", ram, ram)), ram, ram, 8)


def planned(model: str = DISTILLED, where: Machine | None = None, **fields: Any) -> Plan:
    return plan(replace(GenerationRequest("a ball", model=model), **fields), where or machine(24), speeds=Speeds())


# --- overrides --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("memory", ["stream", "disk"])
def test_asking_for_streaming_keeps_no_block(memory: Any) -> None:
    blocks = planned(where=machine(80), memory=memory).policy.transformer

    assert blocks.residency == Residency(memory, 0)


def test_resident_is_done_where_it_does_not_fit_and_said() -> None:
    result = planned(where=machine(8), memory="resident")

    assert result.policy.transformer.residency == Residency("resident", 0)
    assert (result.light, result.fits) == ("red", False)
    assert "needs more memory" in result.warnings[-1]


@pytest.mark.parametrize(
    ("precision", "storage"),
    [("bf16", Precision.PLAIN), ("fp8", Precision.FP8), ("int8", Precision.INT8), ("fp32", Precision.PLAIN)],
)
def test_a_precision_that_is_asked_for_is_taken(precision: Any, storage: Precision) -> None:
    policy = planned(where=machine(24), precision=precision).policy

    assert (policy.precision, policy.storage) == (precision, storage)
    assert policy.compute == ("fp32" if precision == "fp32" else "bf16")


def test_a_processor_streams_from_disk_and_says_why() -> None:
    result = planned(device="cpu", memory="stream")

    assert result.policy.transformer.kind == "disk"
    assert any("blocks come from disk instead" in warning for warning in result.warnings)


def test_what_an_fp8_file_loses_is_not_found_again_in_bf16() -> None:
    warnings = planned("ltx-2.3-distilled-fp8", machine(80), precision="bf16").warnings

    assert any("no more precise" in warning for warning in warnings)


def test_a_gpu_without_bf16_gets_int8_and_a_warning() -> None:
    result = planned(where=machine(11, capability=(7, 5)))

    assert result.policy.precision == "int8"
    assert any("bf16 in hardware" in warning for warning in result.warnings)


@pytest.mark.parametrize(("capability", "multiplies"), [((8, 6), False), ((8, 9), True), ((9, 0), True)])
def test_fp8_is_multiplied_where_the_file_and_the_gpu_can(capability: tuple[int, int], multiplies: bool) -> None:
    where = machine(24, capability=capability)

    assert planned("ltx-2.3-distilled-fp8", where).policy.multiplies_fp8 == multiplies
    assert not planned(DISTILLED, where).policy.multiplies_fp8


# --- what fits --------------------------------------------------------------------------------------------------------


def test_a_small_model_stays_loaded_in_fp32_on_a_processor(tiny_model: Path) -> None:
    result = planned(str(tiny_model), machine(8), device="cpu", size=Size(256, 192), frames=17)

    assert (result.policy.precision, result.policy.compute) == ("fp32", "fp32")
    assert result.keeps_everything
    assert result.policy.pieces.feed_forward is None


def test_layers_are_cut_before_blocks_move_out() -> None:
    roomy, tight = planned(where=machine(23)).policy, planned(where=machine(20.95)).policy

    assert (roomy.transformer.kind, roomy.pieces.feed_forward) == ("resident", None)
    assert (tight.transformer.kind, tight.pieces.feed_forward) == ("resident", PIECE_TOKENS)


def test_guidance_passes_share_a_sweep_only_where_they_fit() -> None:
    large = Size(1920, 1088)

    together = planned(DEV, machine(24), preset=Preset.STANDARD, size=large, frames=121)
    apart = planned(DEV, machine(8), preset=Preset.STANDARD, size=large, frames=481)

    assert together.policy.passes_at_once == 4
    assert apart.policy.passes_at_once < 4
    assert apart.task.stages[0].sweeps > 30


def test_the_decoder_gets_smaller_tiles_where_the_official_one_does_not_fit() -> None:
    size = Size(1920, 1088)

    official, smaller = planned(where=machine(24), size=size), planned(where=machine(6), size=size)

    assert official.policy.tiling == choose_tiling(size)
    assert smaller.policy.tiling.width * smaller.policy.tiling.frames < official.policy.tiling.width * 80


def test_pictures_too_large_for_the_gpu_are_joined_in_main_memory() -> None:
    result = planned(where=machine(8, ram_gib=64), size=Size(3840, 2176), frames=121)

    assert result.policy.blends_in_ram
    assert result.estimate.peak_ram_bytes > 4 * GIB


def test_streamed_blocks_take_main_memory_only_if_they_come_from_there() -> None:
    stream = planned(where=machine(8, ram_gib=64)).estimate
    disk = planned(where=machine(8, ram_gib=64), memory="disk").estimate

    assert stream.peak_ram_bytes > 10 * GIB
    assert disk.peak_ram_bytes < 4 * GIB


def test_a_disk_that_is_slower_than_the_gpu_sets_the_pace() -> None:
    slow, fast = machine(8, ram_gib=16), replace(machine(8, ram_gib=16), disk_bytes_per_s=50e9)

    on_slow = planned(where=replace(slow, disk_bytes_per_s=0.2e9)).estimate
    on_fast = planned(where=fast).estimate

    # Eight sweeps over 39 blocks of 0.36 GiB at 0.2 GB/s.
    assert on_slow.stage_seconds["base"] > 500
    assert on_fast.stage_seconds["base"] < on_slow.stage_seconds["base"] / 2
