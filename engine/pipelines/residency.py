"""Choose the memory policy of a run, and say why.

In order of preference: the whole transformer on the device in the precision of its file; the whole transformer in
eight bits; as many eight-bit blocks as fit, the others arriving from pinned main memory while their predecessors
compute; the same from disk where main memory is short too. Layers are cut into pieces of tokens before blocks move
out, because that costs no time. The text encoder runs once for each prompt, layer by layer, unless it may stay.

What the request asks for is done, whether it fits or not: the plan's light and warnings say what to expect.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from engine.hardware import GIB, Device, Machine
from engine.model.tiles import Tiling, choose_tiling
from engine.pipelines.decisions import Choice
from engine.pipelines.facts import ModelFacts
from engine.pipelines.memory import TokenPieces
from engine.pipelines.policy import (
    Budget,
    ComputeType,
    Layers,
    MemoryPolicy,
    Part,
    ResidencyKind,
    Task,
    block_bytes,
    peak_of,
)
from engine.pipelines.sizes import WeightPrecision
from engine.request import GenerationRequest
from engine.types import Size

FP8_CAPABILITY = (8, 9)  # from here on, NVIDIA's GPUs multiply FP8
BF16_CAPABILITY = (8, 0)  # and from here on bf16
PIECE_TOKENS = 4096  # still enough rows for a matrix product to be as fast as it gets
# The longer side in pixels, and frames: the official tile first. Shorter than 48 frames, neighbours cannot overlap by
# the 24 without which they flicker.
_TILES = ((768, 80), (512, 80), (512, 48), (384, 48), (256, 48))
_KEPT_SHARE = 0.75  # of what may be planned with
# What is worth keeping for the next run, most wanted first: by the time it takes to load.
_KEPT_FIRST: tuple[Part, ...] = (
    "transformer",
    "video_decoder",
    "audio",
    "spatial_upsampler",
    "video_encoder",
    "connectors",
    "text_projection",
    "text_encoder",
)


@dataclass(frozen=True)
class Decision:
    """A policy with its reasons."""

    policy: MemoryPolicy
    choices: tuple[Choice, ...]
    warnings: tuple[str, ...]


class _Precision(NamedTuple):
    weights: WeightPrecision
    why: str


def decide(task: Task, device: Device, machine: Machine, request: GenerationRequest) -> Decision:
    """The policy for a task on a device."""
    budget = Budget.of(device, machine)
    fitting = _Fitting(task, budget)
    precisions = [_asked(request.precision)] if request.precision != "auto" else list(_precisions(task, device))
    policy, why = _choose(fitting, precisions, request.memory)
    policy = fitting.with_tiles(policy)
    policy = fitting.with_kept(policy)
    return Decision(policy, tuple(_explain(task, policy, device, why)), tuple(_warn(task, policy, device, request)))


def _asked(precision: WeightPrecision) -> _Precision:
    return _Precision(precision, "as asked")


def _precisions(task: Task, device: Device) -> Iterator[_Precision]:
    """What to try, best first; the last one is taken even if it does not fit whole."""
    stored = task.model.stored_precision
    is_fp8 = stored == "fp8"
    match device.kind:
        case "cpu":
            yield _Precision("fp32", "processors compute it faster than bf16")
            if is_fp8:
                yield _Precision("fp8", "as the file stores it; fp32 would need more memory than there is")
            else:
                yield _Precision("int8", "fp32 would need more memory than there is")
        case "mps":
            yield _Precision("bf16", "the precision of the model's own weights" if not is_fp8 else "Apple has no FP8")
            yield _Precision("int8", "bf16 does not fit, and Apple's GPUs have no FP8")
        case "cuda" if is_fp8:
            yield _Precision("fp8", f"as the file stores it; {_fp8_remark(device, task.model)}")
        case "cuda":
            yield _Precision("bf16", "the precision of the model's own weights")
            if (device.capability or BF16_CAPABILITY) < BF16_CAPABILITY:
                yield _Precision("int8", "bf16 does not fit, and this GPU is older than FP8")
            else:
                yield _Precision("fp8", f"bf16 does not fit; {_fp8_remark(device, task.model)}")


def _fp8_remark(device: Device, model: ModelFacts) -> str:
    if _multiplies_fp8(device, model):
        return "this GPU multiplies it"
    return "stored in FP8, multiplied in bf16"


def _multiplies_fp8(device: Device, model: ModelFacts) -> bool:
    """FP8 products also need the steps of the layers' inputs, which only official FP8 files hold."""
    is_able = device.kind == "cuda" and device.capability is not None and device.capability >= FP8_CAPABILITY
    return is_able and model.stored_precision == "fp8"


def _choose(fitting: "_Fitting", precisions: list[_Precision], memory: str) -> tuple[MemoryPolicy, str]:
    """Precision, residency and pieces; with the reason for the precision."""
    if memory in {"stream", "disk"}:
        weights, why = precisions[-1]
        kind: ResidencyKind = "stream" if memory == "stream" and fitting.budget.device.kind == "cuda" else "disk"
        return fitting.streamed(fitting.start(weights), kind, resident=0), why
    for weights, why in precisions:
        policy = fitting.whole(fitting.start(weights))
        if policy is not None:
            return policy, why
    weights, why = precisions[-1]
    policy = fitting.start(weights)
    if memory == "resident":
        return fitting.cut(policy), why
    return fitting.partly(policy), why


def smaller_tilings(size: Size, frames: int, tiling: Tiling) -> Iterator[Tiling]:
    """The tiles that would be tried after this one, those that cut a clip no smaller left out."""

    def cut(item: Tiling) -> tuple[int, int, int]:
        return min(item.width, size.width), min(item.height, size.height), min(item.frames, frames)

    now = cut(tiling)
    for long_side, num_frames in _TILES:
        item = choose_tiling(size, long_side=long_side, frames=num_frames)
        smaller = cut(item)
        if smaller != now and all(one <= other for one, other in zip(smaller, now, strict=True)):
            yield item


class _Fitting:
    """Tries policies against a budget."""

    def __init__(self, task: Task, budget: Budget) -> None:
        self.task = task
        self.budget = budget
        self.num_blocks = task.model.transformer.num_layers
        self.most_passes = max(stage.passes for stage in task.stages)
        self.most_tokens = max(stage.video_tokens for stage in task.stages)

    def start(self, weights: WeightPrecision) -> MemoryPolicy:
        """Everything of the transformer on the device, nothing cut, nothing kept."""
        device = self.budget.device
        compute: ComputeType = "fp32" if weights == "fp32" or (device.kind == "cpu" and weights != "bf16") else "bf16"
        return MemoryPolicy(
            precision=weights,
            compute=compute,
            multiplies_fp8=weights == "fp8" and _multiplies_fp8(device, self.task.model),
            transformer=Layers.all_resident(self.num_blocks),
            text_encoder=Layers("disk", 0, self.task.model.num_text_states - 1),
            kept=frozenset(),
            prompts_at_once=1,
            passes_at_once=self.most_passes,
            pieces=TokenPieces(),
            tiling=self._tiling(*_TILES[-1]),
            blends_in_ram=device.kind == "cuda",
        )

    def fits(self, policy: MemoryPolicy) -> bool:
        peak = peak_of(self.task, policy, self.budget.device)
        return peak.device_bytes <= self.budget.device_bytes and peak.ram_bytes <= self.budget.ram_bytes

    def _fits_device(self, policy: MemoryPolicy) -> bool:
        return peak_of(self.task, policy, self.budget.device).device_bytes <= self.budget.device_bytes

    def whole(self, policy: MemoryPolicy) -> MemoryPolicy | None:
        """All blocks resident, cut no more than needed; None where they do not fit."""
        return next((item for item in self._cuts(policy) if self.fits(item)), None)

    def cut(self, policy: MemoryPolicy) -> MemoryPolicy:
        """Cut as far as it goes."""
        return list(self._cuts(policy))[-1]

    def partly(self, policy: MemoryPolicy) -> MemoryPolicy:
        """As many blocks resident as fit; the others from main memory or, where that is short, from disk."""
        kinds: tuple[ResidencyKind, ...] = ("stream", "disk") if self.budget.device.kind == "cuda" else ("disk",)
        item = policy
        for kind in kinds:
            for item in self._pass_cuts(self._in_pieces(policy)):
                if self._fits_device(self.streamed(item, kind, resident=0)):
                    most = self._with_most_blocks(item, kind)
                    if self.fits(most):
                        return most
                    break  # fewer passes at once need no less main memory
        return self.streamed(item, kinds[-1], resident=0)

    def streamed(self, policy: MemoryPolicy, kind: ResidencyKind, *, resident: int) -> MemoryPolicy:
        return replace(self._in_pieces(policy), transformer=Layers(kind, resident, self.num_blocks))

    def with_tiles(self, policy: MemoryPolicy) -> MemoryPolicy:
        """The largest tile that fits, joined on the device if that fits too."""
        last = policy
        for blends_in_ram in (False, True) if self.budget.device.kind == "cuda" else (False,):
            for tile in _TILES:
                last = replace(policy, tiling=self._tiling(*tile), blends_in_ram=blends_in_ram)
                if self.fits(last):
                    return last
        return last

    def with_kept(self, policy: MemoryPolicy) -> MemoryPolicy:
        """Keep for the next run what can stay without making anything else smaller."""
        for part in _KEPT_FIRST:
            more = replace(policy, kept=policy.kept | {part})
            if part == "text_encoder":
                layers = policy.text_encoder.num_blocks
                more = replace(more, text_encoder=Layers.all_resident(layers), prompts_at_once=self.task.prompts)
            if self._may_stay(more):
                policy = more
        return policy

    def _may_stay(self, policy: MemoryPolicy) -> bool:
        """A GPU's memory is nobody else's; main memory is every program's, so less of it is kept between runs."""
        peak, budget = peak_of(self.task, policy, self.budget.device), self.budget
        share = 1.0 if budget.device.kind == "cuda" else _KEPT_SHARE
        return peak.device_bytes <= share * budget.device_bytes and peak.ram_bytes <= budget.ram_bytes * share

    def _with_most_blocks(self, policy: MemoryPolicy, kind: ResidencyKind) -> MemoryPolicy:
        fewest, most = 0, self.num_blocks - 1
        while fewest < most:
            middle = (fewest + most + 1) // 2
            if self._fits_device(self.streamed(policy, kind, resident=middle)):
                fewest = middle
            else:
                most = middle - 1
        return self.streamed(policy, kind, resident=fewest)

    def _cuts(self, policy: MemoryPolicy) -> Iterator[MemoryPolicy]:
        """The policy with ever smaller pieces."""
        yield policy
        yield from self._pass_cuts(self._in_pieces(policy))

    def _pass_cuts(self, policy: MemoryPolicy) -> Iterator[MemoryPolicy]:
        for passes in range(self.most_passes, 0, -1):
            yield replace(policy, passes_at_once=passes)

    def _in_pieces(self, policy: MemoryPolicy) -> MemoryPolicy:
        if self.most_tokens <= PIECE_TOKENS:
            return policy
        return replace(policy, pieces=TokenPieces(PIECE_TOKENS, PIECE_TOKENS))

    def _tiling(self, long_side: int, frames: int) -> Tiling:
        return choose_tiling(self.task.size, long_side=long_side, frames=frames)


def _explain(task: Task, policy: MemoryPolicy, device: Device, why_precision: str) -> Iterator[Choice]:
    transformer, model = policy.transformer, task.model
    yield Choice("precision", policy.precision, why_precision)
    if policy.precision in {"fp8", "int8"} and model.stored_precision == "bf16":
        size = f"{block_bytes(model, policy.precision) * transformer.num_blocks / GIB:.1f} GiB on disk"
        yield Choice("converted weights", size, "made once from the bf16 file, then read instead of it")
    where = {"cuda": "GPU memory", "mps": "memory", "cpu": "memory"}[device.kind]
    match transformer.kind:
        case "resident":
            yield Choice("transformer", f"all {transformer.num_blocks} blocks in {where}", "they fit")
        case "stream":
            value = f"{transformer.resident_blocks} of {transformer.num_blocks} blocks in {where}, the others from RAM"
            yield Choice("transformer", value, "the others arrive while their predecessors compute")
        case "disk":
            value = f"{transformer.resident_blocks} of {transformer.num_blocks} blocks in {where}, the others from disk"
            short = "main memory" if device.kind == "cuda" else "memory"
            yield Choice("transformer", value, f"{short} is too small to hold the others")
    layers = policy.text_encoder
    if layers.kind == "resident":
        yield Choice("text encoder", f"stays in {where}", "it fits beside everything else")
    else:
        yield Choice("text encoder", "layer by layer from disk", "each layer is needed once for a prompt")
    if policy.pieces.feed_forward is not None:
        value = f"{policy.pieces.feed_forward:,} tokens at a time"
        yield Choice("layers", value, "smaller activations leave room for more blocks, at no cost")
    most_passes = max(stage.passes for stage in task.stages)
    if most_passes > 1:
        together = policy.passes_at_once == most_passes
        why = "they share one sweep through the blocks" if together else "more of them at once do not fit"
        yield Choice("guidance passes", f"{policy.passes_at_once} of {most_passes} at once", why)
    tiling = policy.tiling
    why = "the official size" if tiling == choose_tiling(task.size) else "to fit"
    value = f"{tiling.width}x{tiling.height}, {tiling.frames} frames"
    yield Choice("decoder tiles", f"{value}{', joined in RAM' if policy.blends_in_ram else ''}", why)
    if len(policy.kept) == len(_KEPT_FIRST):
        yield Choice("loaded", "all parts", "together they fit, and the next run starts at once")
    elif "transformer" in policy.kept:
        yield Choice("loaded", "the transformer stays", "the next run starts sooner")
    else:
        yield Choice("loaded", "one part at a time", "to fit")


def _warn(task: Task, policy: MemoryPolicy, device: Device, request: GenerationRequest) -> Iterator[str]:
    if policy.precision == "fp8" and device.kind == "mps":
        yield "Apple's GPUs have no FP8; this will probably fail."
    if device.capability is not None and device.capability < BF16_CAPABILITY and policy.compute == "bf16":
        yield f"{device.name} does not multiply bf16 in hardware; expect it to be slow."
    if policy.precision == "bf16" and task.model.stored_precision == "fp8" and request.precision == "bf16":
        yield "The file holds FP8 weights: bf16 takes twice the memory and is no more precise."
    if request.memory == "stream" and policy.transformer.kind == "disk":
        yield f"{device.name or device.torch_name} shares its memory with the processor: blocks come from disk instead."
