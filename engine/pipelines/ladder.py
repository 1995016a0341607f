"""What a run does when memory runs out: one rung down, and on from where it was.

A rung is the policy with less memory in one respect, in the order of what it costs: parts that only wait for the next
run, then blocks that stay on the device, then the size of the pieces that a layer or the decoder works on, and at last
main memory. Which of them helps depends on the phase and on which memory it was. Precision is never touched: the clip
is the one that was asked for.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import torch

from engine.errors import OutOfMemory
from engine.pipelines.decisions import Choice
from engine.pipelines.estimate import estimate
from engine.pipelines.memory import TokenPieces
from engine.pipelines.plan import Plan
from engine.pipelines.policy import Layers, MemoryPolicy, ResidencyKind
from engine.pipelines.residency import smaller_tilings
from engine.pipelines.speed import learned_speeds

Memory = Literal["device", "ram"]  # the same where they are one: CPU, Apple
WorkPhase = Literal["text", "references", "denoise", "decode"]

_PIECES = (4096, 2048, 1024)  # tokens; shorter pieces leave a GPU idle and save little
# What PyTorch, CUDA's libraries and Metal say when memory runs out, where they have no error type for it.
_RAM_MESSAGES = ("DefaultCPUAllocator", "could not be allocated on the host", "std::bad_alloc")
_DEVICE_MESSAGES = ("out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED")


@dataclass(frozen=True)
class Rung:
    """A policy that needs less memory, and in words how."""

    policy: MemoryPolicy
    words: str


def which_memory(error: BaseException) -> Memory | None:
    """Which memory an error says has run out; None if it says something else."""
    match error:
        case torch.OutOfMemoryError():
            return "device"
        case OutOfMemory() | MemoryError():
            return "ram"
        case RuntimeError() if any(message in str(error) for message in _RAM_MESSAGES):
            return "ram"
        case RuntimeError() if any(message in str(error) for message in _DEVICE_MESSAGES):
            return "device"
        case _:
            return None


def next_rung(plan: Plan, phase: WorkPhase, memory: Memory) -> Rung | None:
    """One rung down from the plan's policy; None below the last one."""
    is_shared = plan.device.kind != "cuda"
    return next(iter(_rungs(plan, phase, "device" if is_shared else memory)), None)


def on_rung(plan: Plan, rung: Rung) -> Plan:
    """The plan with the rung's policy, and what that costs."""
    task = replace(
        plan.task,
        stages=[replace(load, passes_at_once=rung.policy.passes_at_once) for load in plan.task.stages],
    )
    cost = estimate(task, rung.policy, device=plan.device, machine=plan.machine, speeds=learned_speeds())
    choice = Choice("after memory ran out", rung.words, "the run went on with less")
    return replace(plan, policy=rung.policy, task=task, estimate=cost, choices=(*plan.choices, choice))


def _rungs(plan: Plan, phase: WorkPhase, memory: Memory) -> Iterator[Rung]:
    """Everything that would help, cheapest first."""
    policy = plan.policy
    if policy.kept:
        layers = policy.text_encoder
        if layers.kind == "resident":
            layers = Layers("disk", 0, layers.num_blocks)
        alone = replace(policy, kept=frozenset(), text_encoder=layers, prompts_at_once=1)
        yield Rung(alone, "only the part at work stays in memory")
    match phase:
        case "text":
            yield from _text_rungs(policy)
        case "denoise" if memory == "ram":
            yield from _to_disk(policy)
        case "denoise":
            yield from _streaming_rungs(plan)
            yield from _piece_rungs(plan)
            yield from _to_disk(policy)
        case "decode":
            yield from _decode_rungs(plan, memory)
        case "references":
            pass


def _text_rungs(policy: MemoryPolicy) -> Iterator[Rung]:
    layers = policy.text_encoder
    if layers.kind != "disk" or layers.resident_blocks:
        fewer = replace(policy, text_encoder=Layers("disk", 0, layers.num_blocks))
        yield Rung(fewer, "the text encoder comes layer by layer from disk")
    if policy.prompts_at_once > 1:
        yield Rung(replace(policy, prompts_at_once=1), "one prompt at a time")


def _streaming_rungs(plan: Plan) -> Iterator[Rung]:
    policy, layers = plan.policy, plan.policy.transformer
    if layers.resident_blocks == 0 and layers.kind != "resident":
        return
    kind: ResidencyKind = "stream" if plan.device.kind == "cuda" and layers.kind != "disk" else "disk"
    source = "RAM" if kind == "stream" else "disk"
    num_resident = layers.resident_blocks // 2
    fewer = replace(policy, transformer=Layers(kind, num_resident, layers.num_blocks))
    yield Rung(fewer, f"{num_resident} of {layers.num_blocks} blocks stay in memory, the others come from {source}")


def _piece_rungs(plan: Plan) -> Iterator[Rung]:
    policy = plan.policy
    most_tokens = max(load.video_tokens for load in plan.task.stages)
    now = min(policy.pieces.feed_forward or most_tokens, most_tokens)
    for num_tokens in _PIECES:
        if num_tokens < now:
            smaller = replace(policy, pieces=TokenPieces(num_tokens, num_tokens))
            yield Rung(smaller, f"layers work on {num_tokens:,} tokens at a time")
            break
    if min(policy.passes_at_once, max(load.passes for load in plan.task.stages)) > 1:
        yield Rung(replace(policy, passes_at_once=1), "one guidance pass at a time")


def _to_disk(policy: MemoryPolicy) -> Iterator[Rung]:
    layers = policy.transformer
    if layers.kind == "stream":
        from_disk = replace(policy, transformer=replace(layers, kind="disk"))
        yield Rung(from_disk, "blocks come from disk instead of RAM")


def _decode_rungs(plan: Plan, memory: Memory) -> Iterator[Rung]:
    policy = plan.policy
    if plan.device.kind == "cuda" and memory == "device" and not policy.blends_in_ram:
        yield Rung(replace(policy, blends_in_ram=True), "tiles are joined in RAM")
    for tiling in smaller_tilings(plan.task.size, plan.task.frames, policy.tiling):
        smaller = replace(policy, tiling=tiling)
        yield Rung(smaller, f"tiles of {tiling.width}x{tiling.height} pixels and {tiling.frames} frames")
