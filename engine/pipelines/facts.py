"""What planning needs to know about a model, from its header or, when it is not installed, from the catalogue.

Headers are read once: facts are kept until one of the model's files changes, so that planning while someone types
costs a few system calls.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Literal

from engine.model.config import (
    AudioVaeConfig,
    TransformerConfig,
    VideoVaeConfig,
    VocoderConfig,
    parse_audio_vae,
    parse_text,
    parse_transformer,
    parse_upsampler,
    parse_video_vae,
    parse_vocoder,
)
from engine.model.header import Section
from engine.pipelines.sizes import block_size, distilled_lora_bytes
from engine.weights.catalog import (
    CatalogueEntry,
    ModelDefaults,
    ModelFiles,
    ModelKind,
    catalogue,
    find_model,
    is_installed,
)
from engine.weights.checkpoint import Checkpoint
from engine.weights.keymap import Role, entries_for

# The parts that are in memory at different times, and the roles each consists of.
_PARTS = {
    "text_projection": (Role.TEXT_PROJECTION,),
    "connectors": (Role.VIDEO_CONNECTOR, Role.AUDIO_CONNECTOR),
    "transformer": (Role.TRANSFORMER,),
    "video_encoder": (Role.VIDEO_ENCODER,),
    "video_decoder": (Role.VIDEO_DECODER,),
    "audio": (Role.AUDIO_ENCODER, Role.AUDIO_DECODER, Role.VOCODER),
}
_BLOCKS = "transformer_blocks."
_FP8 = "F8_"
# Of the official files: which of the 48 blocks of an FP8 file stay bf16 is only in its header; there are 4 or 5.
_BF16_BLOCKS_OF_FP8 = 5
_UPSAMPLER_WIDTH = 512
# Of Gemma-3 12B: 48 layers and the embeddings. Its width is in the transformer's config.
_GEMMA_STATES = 49


@dataclass(frozen=True)
class ModelFacts:
    """A model as planning sees it."""

    name: str
    kind: ModelKind
    generation: str  # "2.3" or "2.0"
    defaults: ModelDefaults
    transformer: TransformerConfig
    video_vae: VideoVaeConfig
    audio_vae: AudioVaeConfig
    vocoder: VocoderConfig
    text_tokens: int
    text_width: int  # of the text encoder
    num_text_states: int  # its layers + 1
    upsampler_width: int
    parameters: Mapping[str, int]  # numbers of weights by part: transformer, text, text_encoder, video_decoder, ...
    stored_precision: Literal["bf16", "fp8"]  # of most transformer blocks in the file
    stored_block_bytes: tuple[int, ...]  # of each transformer block in the file
    file_bytes: int  # of the checkpoint
    distilled_lora_bytes: int
    has_spatial_upsampler: bool
    has_distilled_lora: bool
    files: ModelFiles | None  # None: not installed


def model_facts(model: str | None) -> ModelFacts:
    """Facts of an installed model or of one that is only in the catalogue. Raises RequestError or CheckpointError."""
    return _remembered_facts(model, _stamps(model))


@lru_cache(maxsize=8)
def _remembered_facts(model: str | None, _stamps: tuple[tuple[str, int, int], ...]) -> ModelFacts:
    entry = catalogue().get(model) if model is not None else None
    if entry is not None and not is_installed(entry) and entry.config is not None:
        return _from_catalogue(entry, entry.config)
    return facts_of(find_model(model))


def _stamps(model: str | None) -> tuple[tuple[str, int, int], ...]:
    """Name, time and size of every file that could belong to the model: facts hold as long as these do."""
    entries = catalogue()
    if model is None:
        folders = [entry.folder for entry in entries.values()]
    elif model in entries:
        folders = [entries[model].folder]
    else:
        path = Path(model).expanduser()
        folders = [path if path.is_dir() else path.parent]
    stamps: list[tuple[str, int, int]] = []
    for folder in folders:
        for item in sorted((*folder.glob("*.safetensors"), *folder.glob("*/config.json"))):
            facts = item.stat()
            stamps.append((str(item), facts.st_mtime_ns, facts.st_size))
    return tuple(stamps)


def facts_of(files: ModelFiles) -> ModelFacts:
    """Facts of a model on this machine. Raises CheckpointError when its headers are damaged or of another model."""
    checkpoint = Checkpoint.open(files.checkpoint)
    config = checkpoint.config
    parameters = {
        part: sum(_num_elements(checkpoint, entries_for(checkpoint, role).values()) for role in roles)
        for part, roles in _PARTS.items()
    }
    parameters["text"] = parameters["text_projection"] + parameters["connectors"]
    upsampler_width = 0
    if files.spatial_upsampler is not None:
        upsampler = Checkpoint.open(files.spatial_upsampler)
        parameters["spatial_upsampler"] = _num_elements(upsampler, upsampler.tensors)
        upsampler_width = parse_upsampler(upsampler.config).width
    if files.text_encoder is not None:
        stored_bytes = sum(item.stat().st_size for item in files.text_encoder.glob("*.safetensors"))
        parameters["text_encoder"] = stored_bytes // 2  # stored in bf16
    text = parse_text(config, checkpoint.shapes)
    lora = files.distilled_lora
    precision, block_bytes = _stored_blocks(checkpoint)
    generation = "2.0" if parse_transformer(config).caption_channels is not None else "2.3"
    return _facts(
        files.name,
        files.kind,
        generation,
        files.defaults,
        config,
        parameters,
        text_width=text.hidden_size,
        num_text_states=text.num_hidden_states,
        upsampler_width=upsampler_width,
        stored_precision=precision,
        stored_block_bytes=block_bytes,
        file_bytes=files.checkpoint.stat().st_size,
        distilled_lora_bytes=0 if lora is None else lora.stat().st_size,
        has_spatial_upsampler=files.spatial_upsampler is not None,
        has_distilled_lora=lora is not None,
        files=files,
    )


def _num_elements(checkpoint: Checkpoint, names: Iterable[str]) -> int:
    return sum(prod(checkpoint.tensors[name].shape) for name in names)


def _stored_blocks(checkpoint: Checkpoint) -> tuple[Literal["bf16", "fp8"], tuple[int, ...]]:
    """How most blocks are stored, and the bytes of each; both by the header alone."""
    block_bytes: dict[int, int] = {}
    fp8_bytes = 0
    for key, name in entries_for(checkpoint, Role.TRANSFORMER).items():
        if key.startswith(_BLOCKS):
            tensor = checkpoint.tensors[name]
            index = int(key.split(".")[1])
            block_bytes[index] = block_bytes.get(index, 0) + tensor.num_bytes
            fp8_bytes += tensor.num_bytes if tensor.dtype.startswith(_FP8) else 0
    sizes = tuple(block_bytes[index] for index in sorted(block_bytes))
    return "fp8" if fp8_bytes > sum(sizes) / 2 else "bf16", sizes


def _from_catalogue(entry: CatalogueEntry, config: Section) -> ModelFacts:
    transformer = parse_transformer(config)
    block = block_size(transformer)
    is_fp8 = entry.name.endswith("-fp8")
    num_fp8 = transformer.num_layers - _BF16_BLOCKS_OF_FP8 if is_fp8 else 0
    blocks = (block.stored_bytes("fp8"),) * num_fp8 + (block.stored_bytes("bf16"),) * (transformer.num_layers - num_fp8)
    others = sum(count for part, count in entry.parameters.items() if part not in {"text_encoder", "spatial_upsampler"})
    others -= block.weights * transformer.num_layers
    text_width = config.section("transformer").integer("caption_channels", 3840)
    projection = _GEMMA_STATES * text_width * (transformer.video.context_dim + transformer.audio.context_dim)
    projection = min(projection, entry.parameters["text"])
    parts = {"text_projection": projection, "connectors": entry.parameters["text"] - projection}
    return _facts(
        entry.name,
        entry.kind,
        entry.generation,
        entry.defaults,
        config,
        {**entry.parameters, **parts},
        text_width=text_width,
        num_text_states=_GEMMA_STATES,
        upsampler_width=_UPSAMPLER_WIDTH,
        stored_precision="fp8" if is_fp8 else "bf16",
        stored_block_bytes=blocks,
        file_bytes=sum(blocks) + 2 * others,
        distilled_lora_bytes=distilled_lora_bytes(transformer) if "distilled_lora" in entry.files else 0,
        has_spatial_upsampler="spatial_upsampler" in entry.files,
        has_distilled_lora="distilled_lora" in entry.files,
        files=None,
    )


def _facts(
    name: str,
    kind: ModelKind,
    generation: str,
    defaults: ModelDefaults,
    config: Section,
    parameters: Mapping[str, int],
    *,
    text_width: int,
    num_text_states: int,
    upsampler_width: int,
    stored_precision: Literal["bf16", "fp8"],
    stored_block_bytes: tuple[int, ...],
    file_bytes: int,
    distilled_lora_bytes: int,
    has_spatial_upsampler: bool,
    has_distilled_lora: bool,
    files: ModelFiles | None,
) -> ModelFacts:
    return ModelFacts(
        name=name,
        kind=kind,
        generation=generation,
        defaults=defaults,
        transformer=parse_transformer(config),
        video_vae=parse_video_vae(config),
        audio_vae=parse_audio_vae(config),
        vocoder=parse_vocoder(config),
        text_tokens=config.section("transformer").integer("text_sequence_length", 1024),
        text_width=text_width,
        num_text_states=num_text_states,
        upsampler_width=upsampler_width,
        parameters=parameters,
        stored_precision=stored_precision,
        stored_block_bytes=stored_block_bytes,
        file_bytes=file_bytes,
        distilled_lora_bytes=distilled_lora_bytes,
        has_spatial_upsampler=has_spatial_upsampler,
        has_distilled_lora=has_distilled_lora,
        files=files,
    )
