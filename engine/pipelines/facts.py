"""What planning needs to know about a model, from its header or, when it is not installed, from the catalogue."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod

from engine.model.config import (
    AudioVaeConfig,
    TransformerConfig,
    VideoVaeConfig,
    VocoderConfig,
    parse_audio_vae,
    parse_transformer,
    parse_video_vae,
    parse_vocoder,
)
from engine.model.header import Section
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
    "text": (Role.TEXT_PROJECTION, Role.VIDEO_CONNECTOR, Role.AUDIO_CONNECTOR),
    "transformer": (Role.TRANSFORMER,),
    "video_encoder": (Role.VIDEO_ENCODER,),
    "video_decoder": (Role.VIDEO_DECODER,),
    "audio": (Role.AUDIO_ENCODER, Role.AUDIO_DECODER, Role.VOCODER),
}


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
    parameters: Mapping[str, int]  # numbers of weights by part: transformer, text, text_encoder, video_decoder, ...
    has_spatial_upsampler: bool
    has_distilled_lora: bool
    files: ModelFiles | None  # None: not installed


def model_facts(model: str | None) -> ModelFacts:
    """Facts of an installed model or of one that is only in the catalogue. Raises RequestError or CheckpointError."""
    entry = catalogue().get(model) if model is not None else None
    if entry is not None and not is_installed(entry) and entry.config is not None:
        return _from_catalogue(entry, entry.config)
    return facts_of(find_model(model))


def facts_of(files: ModelFiles) -> ModelFacts:
    """Facts of a model on this machine. Raises CheckpointError when its headers are damaged or of another model."""
    checkpoint = Checkpoint.open(files.checkpoint)
    config = checkpoint.config
    parameters = {
        part: sum(_num_elements(checkpoint, entries_for(checkpoint, role).values()) for role in roles)
        for part, roles in _PARTS.items()
    }
    if files.spatial_upsampler is not None:
        upsampler = Checkpoint.open(files.spatial_upsampler)
        parameters["spatial_upsampler"] = _num_elements(upsampler, upsampler.tensors)
    if files.text_encoder is not None:
        stored_bytes = sum(item.stat().st_size for item in files.text_encoder.glob("*.safetensors"))
        parameters["text_encoder"] = stored_bytes // 2  # stored in bf16
    generation = "2.0" if parse_transformer(config).caption_channels is not None else "2.3"
    return _facts(
        files.name,
        files.kind,
        generation,
        files.defaults,
        config,
        parameters,
        has_spatial_upsampler=files.spatial_upsampler is not None,
        has_distilled_lora=files.distilled_lora is not None,
        files=files,
    )


def _num_elements(checkpoint: Checkpoint, names: Iterable[str]) -> int:
    return sum(prod(checkpoint.tensors[name].shape) for name in names)


def _from_catalogue(entry: CatalogueEntry, config: Section) -> ModelFacts:
    return _facts(
        entry.name,
        entry.kind,
        entry.generation,
        entry.defaults,
        config,
        entry.parameters,
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
        parameters=parameters,
        has_spatial_upsampler=has_spatial_upsampler,
        has_distilled_lora=has_distilled_lora,
        files=files,
    )
