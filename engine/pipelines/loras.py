"""What the LoRAs of a request mean for its plan: what they cost, and how much of each fits the model.

From headers alone, so no torch; `engine.weights.lora` puts them to work.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from engine.errors import CheckpointError
from engine.pipelines.decisions import Decisions
from engine.pipelines.facts import ModelFacts
from engine.pipelines.recipe import StagePlan
from engine.request import GenerationRequest, LipDub, LoraReference
from engine.weights.checkpoint import Checkpoint
from engine.weights.lora_file import LoraFile, LoraMatch, transformer_layers


@dataclass(frozen=True)
class LoraFacts:
    """What a LoRA adds to the cost of a run."""

    num_bytes: int
    reference_share: float  # of the picture's tokens that a reference clip adds


def lora_facts(path: Path) -> LoraFacts:
    """Nothing for a file that cannot be read, which the run will say."""
    try:
        stamp = _stamp(path)
        lora = _opened(path, stamp)
    except (OSError, CheckpointError):
        return LoraFacts(0, 1.0)
    share = 1 / (lora.reference_downscale_factor**2 * lora.reference_temporal_scale_factor)
    return LoraFacts(stamp.num_bytes, share)


def reference_share(request: GenerationRequest) -> float:
    """How many tokens a reference clip adds to the picture's, of which every reference is read by one LoRA."""
    return min((lora_facts(lora.path).reference_share for lora in request.loras), default=1.0)


def say_loras(
    request: GenerationRequest, model: ModelFacts, stages: tuple[StagePlan, ...], decisions: Decisions
) -> None:
    """What each LoRA acts on, and how strongly. Raises CheckpointError for one that fits nowhere in the model."""
    is_read = bool(request.reference_videos) or isinstance(request.edit, LipDub)
    for reference in request.loras:
        path = reference.path
        try:
            lora = _opened(path, _stamp(path))
        except OSError:
            decisions.warn(f"The LoRA {path.name} does not exist.")
            continue
        why = f"rank {lora.rank}"
        if model.files is not None:
            match = _matched(path, _stamp(path), model.files.checkpoint, _stamp(model.files.checkpoint))
            why += f"; {match.in_words()}"
            if match.unmatched:
                decisions.warn(f"LoRA {path.name}: only {match.in_words()}.")
        if lora.ignored:
            num_ignored = len(lora.ignored)
            decisions.warn(f"LoRA {path.name}: {num_ignored} of its tensors are of another kind and have no effect.")
        if lora.states_reference_factors:
            factor = lora.reference_downscale_factor
            why += f"; it reads a reference at {'the' if factor == 1 else f'1/{factor} of the'} picture's size"
        elif is_read and len(request.loras) == 1:
            decisions.warn(f"LoRA {path.name} does not say how large its reference is; the picture's size is assumed.")
        decisions.add(f"LoRA {path.name}", _strengths(reference, stages), why)


def _strengths(reference: LoraReference, stages: tuple[StagePlan, ...]) -> str:
    strengths = dict.fromkeys(f"{reference.strength_in(refines=stage.refines):g}" for stage in stages)
    return ", then ".join(strengths)


class _Stamp(NamedTuple):
    """Changes when a file does; what was read of it is good until then."""

    changed_ns: int
    num_bytes: int


def _stamp(path: Path) -> _Stamp:
    facts = path.stat()
    return _Stamp(facts.st_mtime_ns, facts.st_size)


@lru_cache(maxsize=32)
def _opened(path: Path, _stamp: _Stamp) -> LoraFile:
    return LoraFile.open(path)


@lru_cache(maxsize=8)
def _layers(checkpoint: Path, _stamp: _Stamp) -> dict[str, tuple[int, int]]:
    return transformer_layers(Checkpoint.open(checkpoint))


@lru_cache(maxsize=32)
def _matched(lora: Path, lora_stamp: _Stamp, checkpoint: Path, checkpoint_stamp: _Stamp) -> LoraMatch:
    return _opened(lora, lora_stamp).match(_layers(checkpoint, checkpoint_stamp))
