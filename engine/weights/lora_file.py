"""What a LoRA file holds, read from its header alone; `engine.weights.lora` puts it to work.

A LoRA adds `strength * B @ A` to the weight of a linear layer, with a low rank: A is (rank, inputs), B is (outputs,
rank). The same is written in several styles, all of which are read:

- official and ComfyUI: `diffusion_model.<layer>.lora_A.weight` and `.lora_B.weight`, in bf16, without an alpha;
- other trainers: `lora_down` and `lora_up`, other prefixes, and an `<layer>.alpha` by which the product is scaled as
  alpha / rank;
- kohya: `lora_unet_<layer>` with underscores for the dots of the layer's name, which only a model can put back;
- diffusers and PEFT: `transformer.<layer>`, some layers under names of their own, and alpha in the metadata.

DoRA, LoHa, LoKr and other kinds than a product of two matrices are refused: what they do is not what is done here.
Tensors of yet another kind (full deltas) are listed as `ignored`, so that nobody believes they took effect.

IC-LoRAs say in their metadata at which fraction of the target's size and frame rate their reference clip is encoded.

Sources: Lightricks/LTX-2, commit 400fd31; huggingface/diffusers 0.42.1 for its names. No torch in this module,
because planning reads LoRA headers too.
"""

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import CheckpointError
from engine.weights.checkpoint import Checkpoint, some_of
from engine.weights.keymap import Role, entries_for

logger = logging.getLogger("engine.weights")

_KEY = re.compile(
    r"(?:base_model\.model\.)?(?:(?:model\.)?diffusion_model\.|transformer\.|lora_(?:unet|transformer)_+|lycoris_)?"
    r"(?P<layer>.+)\."
    r"(?:(?P<down>lora_A|lora_down|lora\.down|lora_linear_layer\.down)(?:\.default)?\.weight"
    r"|(?P<up>lora_B|lora_up|lora\.up|lora_linear_layer\.up)(?:\.default)?\.weight|alpha)"
)
# Parts of keys that only these kinds have, in the words of those who make them.
_OTHER_KINDS = {
    "dora_scale": "a DoRA, which also changes the length of every row of a weight",
    "lora_magnitude_vector": "a DoRA, which also changes the length of every row of a weight",
    "hada_w1_a": "a LoHa",
    "lokr_w1": "a LoKr",
    "oft_blocks": "an OFT",
    "lora_mid": "a LoRA for convolutions",
}
# diffusers' own names, by whole components.
_DIFFUSERS_NAMES = {
    "proj_in": "patchify_proj",
    "audio_proj_in": "audio_patchify_proj",
    "time_embed": "adaln_single",
    "audio_time_embed": "audio_adaln_single",
    "prompt_adaln": "prompt_adaln_single",
    "audio_prompt_adaln": "audio_prompt_adaln_single",
    "av_cross_attn_video_scale_shift": "av_ca_video_scale_shift_adaln_single",
    "av_cross_attn_audio_scale_shift": "av_ca_audio_scale_shift_adaln_single",
    "av_cross_attn_video_a2v_gate": "av_ca_a2v_gate_adaln_single",
    "av_cross_attn_audio_v2a_gate": "av_ca_v2a_gate_adaln_single",
}
_OFFICIAL_NAMES = {name: other for other, name in _DIFFUSERS_NAMES.items()}
_CHOOSE_ANOTHER = "Choose a LoRA made for this model."


@dataclass(frozen=True)
class LoraPair:
    """The keys, in the file, of what is added to one layer."""

    down: str  # A, (rank, inputs)
    up: str  # B, (outputs, rank)
    alpha: str | None  # one number
    rank: int
    header_scale: float = 1.0  # alpha / rank where the metadata states them, and there is no key for alpha


@dataclass(frozen=True)
class LoraMatch:
    """What a LoRA acts on in one model."""

    layers: Mapping[str, str]  # the model's layer -> its name in the file
    unmatched: tuple[str, ...]  # layers in the file that the model does not have
    num_model_layers: int

    @property
    def num_in_file(self) -> int:
        return len(self.layers) + len(self.unmatched)

    def in_words(self) -> str:
        """Such as "288 of its 288 layers fit, of 1,352 in the model"."""
        return f"{len(self.layers):,} of its {self.num_in_file:,} layers fit, of {self.num_model_layers:,} in the model"


@dataclass(frozen=True)
class LoraFile:
    """A LoRA by its header."""

    checkpoint: Checkpoint
    pairs: Mapping[str, LoraPair]  # by the layer's name as the file has it, without a prefix
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
            _refuse_other_kinds(checkpoint.path, key)
            match = _KEY.fullmatch(key)
            if match is None:
                ignored.append(key)
                continue
            kind = downs if match["down"] else ups if match["up"] else alphas
            kind[match["layer"]] = key
        settings = _adapter_settings(checkpoint)
        pairs = {
            layer: _pair(checkpoint, layer, downs[layer], ups[layer], alphas.get(layer), settings)
            for layer in downs
            if layer in ups
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

    @property
    def reference_factors(self) -> tuple[int, int]:
        """Space and time."""
        return self.reference_downscale_factor, self.reference_temporal_scale_factor

    def match(self, layers: Mapping[str, tuple[int, int]]) -> LoraMatch:
        """What acts on a model with these linear layers, by name (outputs, inputs).

        Raises CheckpointError when nothing does, or when layers agree in name but not in size.
        """
        aliases = _aliases(layers)
        matched: dict[str, str] = {}
        unmatched: list[str] = []
        for name in self.pairs:
            layer = name if name in layers else aliases.get(name)
            if layer is None or layer in matched:
                unmatched.append(name)
            else:
                matched[layer] = name
        path, tensors = self.checkpoint.path, self.checkpoint.tensors
        if not matched:
            raise CheckpointError(
                path, f"fits no layer of this model; it names {some_of(unmatched)}.", remedy=_CHOOSE_ANOTHER
            )
        misfits = [
            name
            for layer, name in matched.items()
            if (tensors[self.pairs[name].up].shape[0], tensors[self.pairs[name].down].shape[1]) != layers[layer]
        ]
        if misfits:
            raise CheckpointError(
                path,
                f"is for a model of another size; its matrices do not fit {some_of(misfits)}.",
                remedy=_CHOOSE_ANOTHER,
            )
        return LoraMatch(matched, tuple(unmatched), len(layers))


def transformer_layers(checkpoint: Checkpoint) -> dict[str, tuple[int, int]]:
    """The linear layers of a checkpoint's transformer, by name (outputs, inputs). Raises CheckpointError."""
    layers: dict[str, tuple[int, int]] = {}
    for key, entry in entries_for(checkpoint, Role.TRANSFORMER).items():
        shape = checkpoint.tensors[entry].shape
        if key.endswith(".weight") and len(shape) == 2:
            layers[key.removesuffix(".weight")] = (shape[0], shape[1])
    return layers


def _aliases(layers: Mapping[str, tuple[int, int]]) -> dict[str, str]:
    """Other names of the layers: diffusers' own, and both with underscores for dots, as kohya writes them."""
    aliases: dict[str, str] = {}
    for layer in layers:
        diffusers = ".".join(_OFFICIAL_NAMES.get(part, part) for part in layer.split("."))
        aliases[diffusers] = layer
        aliases[diffusers.replace(".", "_")] = layer
    return aliases | {layer.replace(".", "_"): layer for layer in layers}


def _refuse_other_kinds(path: Path, key: str) -> None:
    for part, words in _OTHER_KINDS.items():
        if part in key:
            raise CheckpointError(
                path,
                f"is {words}; only plain LoRAs can be applied.",
                remedy="Choose a plain LoRA, or have this one converted to one.",
            )


def _pair(
    checkpoint: Checkpoint, layer: str, down: str, up: str, alpha: str | None, settings: Mapping[str, Any]
) -> LoraPair:
    down_shape, up_shape = checkpoint.tensors[down].shape, checkpoint.tensors[up].shape
    if not len(down_shape) == len(up_shape) == 2 or down_shape[0] != up_shape[1]:
        raise CheckpointError(
            checkpoint.path,
            f"'{down}' {down_shape} and '{up}' {up_shape} do not form a product.",
            remedy="Use a LoRA for linear layers, made for this model.",
        )
    if alpha is not None and checkpoint.tensors[alpha].shape not in ((), (1,)):
        raise CheckpointError(checkpoint.path, f"'{alpha}' is not one number.", remedy="Fetch the file again.")
    rank = down_shape[0]
    return LoraPair(down, up, alpha, rank, 1.0 if alpha is not None else _header_scale(settings, layer, rank))


def _adapter_settings(checkpoint: Checkpoint) -> Mapping[str, Any]:
    """What PEFT says of a LoRA that diffusers saved; nothing where it says nothing."""
    try:
        values = json.loads(checkpoint.metadata.get("lora_adapter_metadata", "{}"))
    except ValueError:
        logger.warning("%s: its adapter metadata cannot be read and is ignored", checkpoint.path)
        return {}
    return {str(key).removeprefix("transformer."): value for key, value in values.items()}


def _header_scale(settings: Mapping[str, Any], layer: str, rank: int) -> float:
    alpha: Any = settings.get("lora_alpha")
    pattern: Any = settings.get("alpha_pattern")
    for name, value in pattern.items() if isinstance(pattern, dict) else ():
        if f".{layer}".endswith(f".{name}"):
            alpha = value
    if isinstance(alpha, bool) or not isinstance(alpha, int | float):
        return 1.0
    return alpha / (rank**0.5 if settings.get("use_rslora") is True else rank)


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
