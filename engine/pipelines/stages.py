"""The work of each stage as functions over loaded components: encode text and references, prepare, upsample, decode.

Parts of the model that the plan does not keep are given back here as soon as their work is done, so that no two of them
are in memory together unless the plan says that they fit.

Shapes: B = 1 batch, C channels, F latent frames, H W latent rows and columns, T tokens.
"""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.errors import CheckpointError, RequestError
from engine.media.audio import SoundClip
from engine.media.read import cover_resize, h264_round_trip, read_frames, read_image
from engine.model.audio_vae import AudioDecoder, AudioEncoder, log_mel
from engine.model.config import AudioVaeConfig
from engine.model.upsampler import LatentUpsampler, upsample
from engine.model.video_vae import VideoEncoder
from engine.model.vocoder import Vocoder, decode_in_chunks
from engine.pipelines.facts import ModelFacts
from engine.pipelines.following import followed_frames, followed_sound
from engine.pipelines.plan import Plan
from engine.pipelines.policy import Part
from engine.pipelines.recipe import StagePlan
from engine.request import WHOLE, ImageReference, LipDub, VideoReference
from engine.sampling import conditioning
from engine.sampling.conditioning import StreamState
from engine.sampling.latents import (
    AVLatents,
    LatentGrid,
    LatentShape,
    patchify_audio,
    patchify_video,
    unpatchify_audio,
    unpatchify_video,
)
from engine.types import Size, latent_frame_count
from engine.weights.catalog import ModelFiles, find_model
from engine.weights.checkpoint import Checkpoint
from engine.weights.embeddings import EmbeddingCache, EmbeddingSource, PromptEmbedding, identity
from engine.weights.keymap import STATISTICS, Role, entries_for
from engine.weights.lora_file import LoraFile
from engine.weights.reading import read_into
from engine.weights.store import ModelStore

# The model was trained on stills that had been through a video codec at this quality (2.3 and earlier).
IMAGE_CRF = 33
_EDGE_S = 1e-4  # token bounds are fp32, and what merely touches a region is not in it
# Long enough that the context each piece needs around it costs little.
AUDIO_CHUNK_LATENTS = 250
# The parts that a plan counts, by the roles they consist of; the text encoder has none.
PART_ROLES: dict[Part, tuple[Role, ...]] = {
    "text_encoder": (),
    "text_projection": (Role.TEXT_PROJECTION,),
    "connectors": (Role.VIDEO_CONNECTOR, Role.AUDIO_CONNECTOR),
    "video_encoder": (Role.VIDEO_ENCODER,),
    "transformer": (Role.TRANSFORMER,),
    "spatial_upsampler": (Role.UPSAMPLER,),
    "audio": (Role.AUDIO_ENCODER, Role.AUDIO_DECODER, Role.VOCODER),
    "video_decoder": (Role.VIDEO_DECODER,),
}


def latent_grid(model: ModelFacts) -> LatentGrid:
    """How this model's latents map to time and space."""
    return LatentGrid.of(model.video_vae, model.audio_vae)


def stage_shape(plan: Plan, stage: StagePlan) -> LatentShape:
    """The latent grid of a stage."""
    factor = plan.model.video_vae.space_factor
    return LatentShape(latent_frame_count(stage.frames), stage.size.height // factor, stage.size.width // factor)


def release(store: ModelStore, plan: Plan, *parts: Part) -> None:
    """Give back what a run is done with, unless the plan has room for it to wait for the next one."""
    for part in parts:
        if part not in plan.policy.kept:
            store.release(*PART_ROLES[part])
            if part == "text_encoder":
                store.release_text_encoder()


def release_others(store: ModelStore, plan: Plan) -> None:
    """Give back everything that the plan does not keep."""
    kept = plan.policy.kept
    roles = [role for part in kept for role in PART_ROLES[part]]
    store.keep_only(roles, keeps_text_encoder="text_encoder" in kept)


# --- text -------------------------------------------------------------------------------------------------------------


def encode_prompts(
    store: ModelStore, plan: Plan, prompts: Sequence[str]
) -> Generator[float, None, list[PromptEmbedding]]:
    """What the transformer reads of each prompt, from the cache on disk or computed now.

    Yields the fraction done after every layer of the text encoder, which is not opened for prompts in the cache. Each
    prompt is computed alone, so that its numbers do not depend on what is asked for beside it.
    """
    cache, source = EmbeddingCache(), _embedding_source(store, plan)
    embeddings = {prompt: cache.find(source.key(prompt)) for prompt in prompts}
    missing = [prompt for prompt, embedding in embeddings.items() if embedding is None]
    for start in range(0, len(missing), plan.policy.prompts_at_once):
        group = missing[start : start + plan.policy.prompts_at_once]
        encoding = _encode(store, plan, group)
        while True:
            try:
                fraction = next(encoding)
            except StopIteration as finished:
                for prompt, embedding in zip(group, finished.value, strict=True):
                    cache.keep(source.key(prompt), embedding)
                    embeddings[prompt] = embedding
                break
            yield (start + fraction * len(group)) / len(missing)
    found = [embeddings[prompt] for prompt in prompts]
    return [embedding.to(_device(store)) for embedding in found if embedding is not None]


def _embedding_source(store: ModelStore, plan: Plan) -> EmbeddingSource:
    files, placement = store.files, store.placement
    assert files.text_encoder is not None
    return EmbeddingSource(
        encoder=identity([files.text_encoder]),
        connectors=identity([files.checkpoint]),
        num_tokens=plan.model.text_tokens,
        precision=placement.text_precision.value,
        dtype=str(placement.dtype),
        device=placement.device.type,
    )


def _encode(store: ModelStore, plan: Plan, prompts: Sequence[str]) -> Generator[float, None, list[PromptEmbedding]]:
    """One sweep through the text encoder's layers, then the projection, then the connectors."""
    encoder = store.text_encoder(num_tokens=plan.model.text_tokens)
    texts = [encoder.tokenize([prompt]) for prompt in prompts]
    sweep = encoder.walk(texts)
    while True:
        try:
            progress = next(sweep)
        except StopIteration as finished:
            states: list[Tensor] = finished.value
            break
        yield progress.done / progress.total
    del encoder, sweep
    release(store, plan, "text_encoder")
    masks = [text.mask.to(_device(store)) for text in texts]
    projection = store.module(Role.TEXT_PROJECTION)
    # Popped, because a prompt's states are large and needed once.
    projected: list[tuple[Tensor, Tensor]] = [projection(states.pop(0), mask) for mask in masks]
    del projection
    release(store, plan, "text_projection")
    video, audio = store.module(Role.VIDEO_CONNECTOR), store.module(Role.AUDIO_CONNECTOR)
    result = [
        PromptEmbedding(video(features[0], mask), audio(features[1], mask), text.num_dropped[0])
        for features, mask, text in zip(projected, masks, texts, strict=True)
    ]
    del video, audio
    release(store, plan, "connectors")
    return result


# --- references -------------------------------------------------------------------------------------------------------


def check_references(plan: Plan) -> None:
    """Look at every given file before any work is done. Raises MediaError, CheckpointError and RequestError."""
    for image in plan.request.images:
        read_image(image.path)
    for reference in plan.request.reference_videos:
        available = len(followed_frames(reference))
        if plan.edit is None and available < plan.frames:
            raise RequestError(
                "reference_videos",
                f"{reference.path.name} has {available} frames; this clip needs {plan.frames}.",
                remedy="Ask for a shorter clip, or give a longer reference.",
            )
    if plan.request.audio is not None:
        followed_sound(plan.request.audio, plan.request.audio_trim)
    for lora in plan.request.loras:
        LoraFile.open(lora.path)
    find_ic_lora(plan)


@dataclass(frozen=True)
class StageReferences:
    """A request's references as latents (1, C, F, H, W) at a stage's size, in the request's order."""

    images: tuple[Tensor, ...]
    videos: tuple[Tensor, ...]


def encode_references(
    store: ModelStore, plan: Plan, stage: StagePlan, ic_lora: LoraFile | None
) -> Generator[None, None, StageReferences]:
    """Everything a request shows to a stage; yields after each. Raises MediaError and RequestError."""
    images: list[Tensor] = []
    for image in plan.request.images:
        images.append(encode_image(store, image, stage.size))
        yield
    videos: list[Tensor] = []
    for reference in plan.request.reference_videos:
        assert ic_lora is not None
        size = reference_size(plan, stage, ic_lora)
        factor = ic_lora.reference_temporal_scale_factor
        videos.append(encode_reference(store, reference, size, plan.frames, factor))
        yield
    return StageReferences(tuple(images), tuple(videos))


def reference_size(plan: Plan, stage: StagePlan, ic_lora: LoraFile) -> Size:
    factor, grid = ic_lora.reference_downscale_factor, latent_grid(plan.model)
    size = Size(stage.size.width // factor, stage.size.height // factor)
    if size != size.snapped(grid.space_factor):
        raise RequestError(
            "size",
            f"The reference of this LoRA is {factor} times smaller than the picture, "
            f"which {stage.size} does not allow.",
            remedy=f"Choose sides that are multiples of {2 * factor * grid.space_factor}.",
        )
    return size


def encode_image(store: ModelStore, image: ImageReference, size: Size) -> Tensor:
    """A still as a one-frame latent (1, C, 1, H, W) at a stage's size. Raises MediaError."""
    pixels = cover_resize(h264_round_trip(read_image(image.path), IMAGE_CRF), size)
    return _encode_pixels(store, pixels[None])


def encode_reference(store: ModelStore, reference: VideoReference, size: Size, frames: int, time_factor: int) -> Tensor:
    """The first `frames` frames of what is used of a clip, thinned by `time_factor` after the first.

    Returns (1, C, F, H, W).
    """
    start = 0 if reference.trim == WHOLE else followed_frames(reference).start
    kept = [
        cover_resize(frame, size)
        for index, frame in enumerate(read_frames(reference.path, start=start, stop=start + frames))
        if index == 0 or (index - 1) % time_factor == 0
    ]
    return _encode_pixels(store, np.stack(kept))


def encode_sound(store: ModelStore, sound: SoundClip, config: AudioVaeConfig, num_tokens: int) -> Tensor:
    """Sound as audio tokens (1, num_tokens, C M); shorter sound is padded with silence."""
    encoder = cast("AudioEncoder", store.module(Role.AUDIO_ENCODER))
    num_samples = num_tokens * config.downsampling * config.hop_length
    waveform = sound.to_stereo().resampled(config.sample_rate).fitted(num_samples)
    parameter = next(encoder.parameters())
    mel = log_mel(torch.from_numpy(waveform.samples)[None].to(parameter.device), config)
    return patchify_audio(encoder(mel.to(parameter)))[:, :num_tokens]


def _encode_pixels(store: ModelStore, pixels: NDArray[np.float32]) -> Tensor:
    """(F, H, W, 3) in 0..255 -> latents (1, C, F', H', W')."""
    encoder = cast("VideoEncoder", store.module(Role.VIDEO_ENCODER))
    parameter = next(encoder.parameters())
    tensor = torch.from_numpy(pixels / np.float32(127.5) - 1).permute(3, 0, 1, 2)[None]
    return encoder(tensor.to(parameter))


@dataclass(frozen=True)
class SourceLatents:
    """The window of a clip that is edited, for one stage."""

    video: Tensor  # (1, C, F, H, W) at the stage's size
    audio: Tensor | None  # (1, T, C); None: there is none, or all of it is new
    reference: Tensor | None = None  # of a dub: the old picture, as large as its LoRA wants it
    voice: Tensor | None = None  # of a dub: (1, T, C), whom the new words are spoken by


# --- denoising --------------------------------------------------------------------------------------------------------


def video_stream(
    store: ModelStore,
    plan: Plan,
    stage: StagePlan,
    previous: Tensor | None,
    references: StageReferences,
    ic_lora: LoraFile | None,
    source: SourceLatents | None = None,
) -> StreamState:
    """The video stream of a stage with everything the request gives it; `previous` (1, C, F, H, W) to refine.

    `source`: the window of the clip that is edited, at the stage's size.
    """
    shape, grid, rate = stage_shape(plan, stage), latent_grid(plan.model), plan.frame_rate.value
    state = conditioning.video_state(
        shape, plan.model.video_vae.latent_channels, rate, grid, dtype=_dtype(store), device=_device(store)
    )
    if previous is not None:
        state = conditioning.starting_from(state, patchify_video(previous))
    if source is not None:
        state = _edited_video(state, plan, stage, source, is_refining=previous is not None)
    if source is not None and source.reference is not None:
        assert ic_lora is not None
        state = append_video_reference(state, source.reference, 1.0, plan, ic_lora)
    for image, encoded in zip(plan.request.images, references.images, strict=True):
        frame = _frame_in_window(plan, stage, image)
        if frame is None:
            continue
        if frame == 0:
            state = conditioning.replace_first_frames(state, encoded, image.strength)
        else:
            state = conditioning.append_keyframe(state, encoded, frame, image.strength, rate, grid)
    for reference, encoded in zip(plan.request.reference_videos, references.videos, strict=True):
        assert ic_lora is not None
        state = append_video_reference(state, encoded, reference.strength, plan, ic_lora)
    return state


def append_video_reference(
    state: StreamState, encoded: Tensor, strength: float, plan: Plan, ic_lora: LoraFile
) -> StreamState:
    """A reference clip (1, C, F, H, W) beside the target, as its LoRA expects it."""
    return conditioning.append_reference(
        state,
        encoded,
        strength,
        plan.frame_rate.value,
        latent_grid(plan.model),
        space_factor=ic_lora.reference_downscale_factor,
        time_factor=ic_lora.reference_temporal_scale_factor,
    )


def _edited_video(
    state: StreamState, plan: Plan, stage: StagePlan, source: SourceLatents, *, is_refining: bool
) -> StreamState:
    """The clip's own latents are given, but for what its window makes."""
    assert plan.edit is not None
    window, given = plan.edit.windows[stage.window], patchify_video(source.video)
    if window.picture is None:
        return conditioning.frozen(state, given)
    if not is_refining:
        state = conditioning.starting_from(state, given)
    rate = float(plan.frame_rate)
    start_s, stop_s = ((frame - window.start) / rate for frame in window.picture)
    return conditioning.only_between(state, given, start_s + _EDGE_S, stop_s - _EDGE_S)


def _frame_in_window(plan: Plan, stage: StagePlan, image: ImageReference) -> int | None:
    """Where in a stage's window a picture shows; None where it does not."""
    if plan.edit is None:
        return image.frame
    window = plan.edit.windows[stage.window]
    frame = image.frame + plan.edit.result.start - window.start
    return frame if 0 <= frame < window.frames else None


def audio_stream(
    store: ModelStore,
    plan: Plan,
    stage: StagePlan,
    previous: Tensor | None,
    driving: Tensor | None,
    source: SourceLatents | None = None,
) -> StreamState | None:
    """The audio stream of a stage: fresh, refined, or given (1, T, C); of a dub with the old voice before it begins."""
    if stage.sound == "none":
        return None
    state = _own_audio(store, plan, stage, previous, driving, source)
    if source is None or source.voice is None:
        return state
    # The second stage listens to what the first one made.
    voice = source.voice if previous is None else previous
    return conditioning.append_reference_sound(state, voice, 1.0, latent_grid(plan.model))


def _own_audio(
    store: ModelStore,
    plan: Plan,
    stage: StagePlan,
    previous: Tensor | None,
    driving: Tensor | None,
    source: SourceLatents | None,
) -> StreamState:
    grid, config = latent_grid(plan.model), plan.model.audio_vae
    tokens = grid.audio_tokens(stage.frames, plan.frame_rate.value)
    state = conditioning.audio_state(tokens, config.token_channels, grid, dtype=_dtype(store), device=_device(store))
    if driving is not None:
        return conditioning.frozen(state, driving)
    if source is not None and source.audio is not None and plan.edit is not None:
        made = plan.edit.windows[stage.window].sound
        if made is None:
            return conditioning.frozen(state, source.audio)
        if previous is None:
            state = conditioning.starting_from(state, source.audio)
        state = conditioning.only_between(state, source.audio, made.start_s + _EDGE_S, made.stop_s - _EDGE_S)
    if previous is None:
        return state
    return (
        conditioning.frozen(state, previous) if stage.sound == "keep" else conditioning.starting_from(state, previous)
    )


def find_ic_lora(plan: Plan) -> LoraFile | None:
    """The LoRA of the request that reads reference clips, if there are any to read. Raises RequestError."""
    if not plan.request.reference_videos and not isinstance(plan.request.edit, LipDub):
        return None
    files = [LoraFile.open(lora.path) for lora in plan.request.loras if not lora.is_off]
    readers = [file for file in files if file.states_reference_factors] or files
    factors = {file.reference_factors for file in readers}
    if len(factors) > 1:
        raise RequestError(
            "loras",
            f"{len(readers)} IC-LoRAs want their reference clips at different sizes or rates.",
            remedy="Use those together that want the same, or one alone.",
        )
    if not readers or (len(readers) > 1 and not readers[0].states_reference_factors):
        raise RequestError(
            "reference_videos",
            f"A reference clip needs exactly one IC-LoRA to read it; {len(readers)} are given.",
            remedy="Add its file to the LoRAs.",
        )
    return readers[0]


# --- upsampling and decoding ------------------------------------------------------------------------------------------


def upsample_video(store: ModelStore, latent: Tensor) -> Tensor:
    """Normalised latents (1, C, F, H, W) -> (1, C, F, 2H, 2W)."""
    mean, std = _latent_statistics(store)
    return upsample(cast("LatentUpsampler", store.module(Role.UPSAMPLER)), latent, mean=mean, std=std)


def _latent_statistics(store: ModelStore) -> tuple[Tensor, Tensor]:
    """Mean and spread of each channel (C,), without the rest of the decoder that they are stored for."""
    checkpoint = Checkpoint.open(store.files.checkpoint)
    entries = entries_for(checkpoint, Role.VIDEO_DECODER)
    mean, std = (entries[f"{STATISTICS}{name}"] for name in ("mean-of-means", "std-of-means"))
    tensors = {
        key: torch.empty(checkpoint.tensors[key].shape, dtype=_dtype(store), device=_device(store))
        for key in (mean, std)
    }
    read_into(checkpoint, tensors)
    return tensors[mean], tensors[std]


def decode_sound(store: ModelStore, plan: Plan, tokens: Tensor) -> Iterator[NDArray[np.float32]]:
    """Pieces (2, N) of the waveform at the vocoder's rate, in order."""
    latents = unpatchify_audio(tokens, plan.model.audio_vae.latent_channels)
    decoder = cast("AudioDecoder", store.module(Role.AUDIO_DECODER))
    vocoder = cast("Vocoder", store.module(Role.VOCODER))
    for piece in decode_in_chunks(decoder, vocoder, latents, chunk_latents=AUDIO_CHUNK_LATENTS):
        yield piece[0].float().cpu().numpy()


def to_frames(pixels: Tensor) -> NDArray[np.uint8]:
    """Decoded pixels (1, 3, F, H, W) in [-1, 1] -> uint8 (F, H, W, 3), rounded."""
    return (pixels[0].clamp(-1, 1) * 127.5 + 127.5).round().to(torch.uint8).permute(1, 2, 3, 0).cpu().numpy()


def split_latents(
    plan: Plan, stage: StagePlan, latents: AVLatents, video: StreamState, audio: StreamState | None
) -> tuple[Tensor, Tensor | None]:
    """A sampler's result as the clip's own video latent (1, C, F, H, W) and audio tokens (1, T, C)."""
    assert latents.video is not None
    own_sound = None if latents.audio is None or audio is None else audio.target(latents.audio)
    return unpatchify_video(video.target(latents.video), stage_shape(plan, stage)), own_sound


def require_files(plan: Plan) -> ModelFiles:
    """The model's files. Raises CheckpointError when the model, or its text encoder, is not on this machine."""
    files = plan.model.files or find_model(plan.model.name)
    if files.text_encoder is None:
        raise CheckpointError(
            files.checkpoint.parent,
            f"no text encoder for '{plan.model.name}' was found.",
            remedy="Put the Gemma-3 folder beside the checkpoint, as 'text_encoder'.",
        )
    return files


def _dtype(store: ModelStore) -> torch.dtype:
    return store.placement.dtype


def _device(store: ModelStore) -> torch.device:
    return store.placement.device
