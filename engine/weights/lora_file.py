"""What a LoRA file holds, read from its header alone; `engine.weights.lora` puts it to work.

A LoRA adds `strength * B @ A` to the weight of a linear layer, with a low rank: A is (rank, inputs), B is (outputs,
rank). The official layout names them `diffusion_model.<layer>.lora_A.weight` and `.lora_B.weight`, in bf16, without
an alpha. Other trainers write `lora_down` and `lora_up`, other prefixes, and an `<layer>.alpha` by which the product
is scaled as alpha / rank; all of these are read. Tensors of any other kind (full deltas, DoRA magnitudes) are listed
as `ignored`, so that nobody believes they took effect.

IC-LoRAs say in their metadata at which fraction of the target's size and frame rate their reference clip is encoded.

Source: Lightricks/LTX-2, commit 400fd31. No torch in this module, because planning reads LoRA headers too.
"""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.errors import CheckpointError
from engine.weights.checkpoint import Checkpoint, some_of

logger = logging.getLogger("engine.weights")

_KEY = re.compile(
    r"(?:(?:model\.)?diffusion_model\.|transformer\.)?(?P<layer>.+)\."
    r"(?:(?P<down>lora_A|lora_down)(?:\.default)?\.weight|(?P<up>lora_B|lora_up)(?:\.default)?\.weight|alpha)"
)


@dataclass(frozen=True)
class LoraPair:
    """The keys, in the file, of what is added to one layer."""

    down: str  # A, (rank, inputs)
    up: str  # B, (outputs, rank)
    alpha: str | None  # one number; None means alpha = rank
    rank: int


@dataclass(frozen=True)
class LoraFile:
    """A LoRA by its header."""

    checkpoint: Checkpoint
    pairs: Mapping[str, LoraPair]  # by the layer's name in the transformer
    ignored: tuple[str, ...]  # keys in the file that mean nothing to this engine
    reference_downscale_factor: int  # the target's sides over those of an IC-LoRA's reference
    reference_temporal_scale_factor: int  # the target's frame rate over that of an IC-LoRA's reference
    states_reference_factors: bool  # False when the file is silent, and both factors are the default 1

    @classmethod
    def open(cls, path: Path | str) -> "LoraFile":
        """Read and check the header. Raises CheckpointError, also for a file without a single LoRA pair."""
        checkpoint = Checkpoint.open(path)
        downs: dict[str, str] = {}
        ups: dict[str, str] = {}
        alphas: dict[str, str] = {}
        ignored: list[str] = []
        for key in checkpoint.tensors:
            match = _KEY.fullmatch(key)
            if match is None:
                ignored.append(key)
                continue
            kind = downs if match["down"] else ups if match["up"] else alphas
            kind[match["layer"]] = key
        pairs = {
            layer: _pair(checkpoint, downs[layer], ups[layer], alphas.get(layer)) for layer in downs if layer in ups
        }
        if not pairs:
            raise CheckpointError(
                checkpoint.path, "is not a LoRA: it holds no pair of LoRA matrices.", remedy="Choose a LoRA file."
            )
        ignored += [key for kind in (downs, ups, alphas) for layer, key in kind.items() if layer not in pairs]
        if ignored:
            logger.warning("%s: tensors that are not LoRA matrices are ignored: %s", path, some_of(ignored))
        downscale = _factor(checkpoint, "reference_downscale_factor")
        temporal = _factor(checkpoint, "reference_temporal_scale_factor")
        return cls(
            checkpoint,
            pairs,
            tuple(ignored),
            reference_downscale_factor=downscale or 1,
            reference_temporal_scale_factor=temporal or 1,
            states_reference_factors=downscale is not None or temporal is not None,
        )

    @property
    def rank(self) -> int:
        """The largest rank among the layers."""
        return max(pair.rank for pair in self.pairs.values())

    @property
    def num_elements(self) -> int:
        """Numbers in all matrices: times the size of one, the memory that an attached LoRA takes."""
        shapes = (self.checkpoint.tensors[key].shape for pair in self.pairs.values() for key in (pair.down, pair.up))
        return sum(rows * columns for rows, columns in shapes)


def _pair(checkpoint: Checkpoint, down: str, up: str, alpha: str | None) -> LoraPair:
    down_shape, up_shape = checkpoint.tensors[down].shape, checkpoint.tensors[up].shape
    if not len(down_shape) == len(up_shape) == 2 or down_shape[0] != up_shape[1]:
        raise CheckpointError(
            checkpoint.path,
            f"'{down}' {down_shape} and '{up}' {up_shape} do not form a product.",
            remedy="Use a LoRA for linear layers, made for this model.",
        )
    if alpha is not None and checkpoint.tensors[alpha].shape not in ((), (1,)):
        raise CheckpointError(checkpoint.path, f"'{alpha}' is not one number.", remedy="Fetch the file again.")
    return LoraPair(down, up, alpha, down_shape[0])


def _factor(checkpoint: Checkpoint, key: str) -> int | None:
    """A positive whole number from the metadata; like the official loader, an unreadable one counts as absent."""
    text = checkpoint.metadata.get(key)
    if text is None:
        return None
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        logger.warning("%s: metadata entry %s is %r, taken as 1", checkpoint.path, key, text)
        return None
    return value
