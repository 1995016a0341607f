"""What a stage is given besides the text: first frames, keyframes, references, time regions, and whole streams.

A stream's state holds its starting latent, the clean latent it must honour, and a mask that says per token how much to
generate (1) or keep (0). Conditions are functions from state to state. Target tokens come first; what is appended after
them is cut off once sampling ends.

Follows Lightricks/LTX-2 (commit 400fd31).
Shapes: B batch, C channels, T tokens, F latent frames, H W latent rows and columns.
"""

from dataclasses import dataclass, replace
from fractions import Fraction

import torch
from torch import Tensor

from engine.sampling.latents import (
    LatentGrid,
    LatentShape,
    audio_positions,
    in_seconds,
    patchify_video,
    video_pixel_bounds,
    video_positions,
)

# Between the end of a voice that is only a reference and the clip: one audio latent (the official dubbing pipeline).
REFERENCE_SOUND_GAP_S = 0.04


@dataclass(frozen=True)
class StreamState:
    """One stream of a stage, before noise."""

    latent: Tensor  # (B, T, C): what to start from, zeros for a fresh clip
    clean: Tensor  # (B, T, C): what masked tokens must become
    mask: Tensor  # (B, T, 1) fp32: 1 generate, 0 keep; in between, how far to move away
    positions: Tensor  # (B, axes, T, 2) fp32 bounds in seconds and pixels
    num_target: int  # tokens of the clip itself
    attention: Tensor | None = None  # (B, T, T) fp32 strengths in [0, 1]; None: all ones
    is_frozen: bool = False  # the whole stream is given and reports noise level 0

    def timesteps(self, sigma: float) -> Tensor:
        """Per-token noise level (B, T) fp32."""
        return self.mask[..., 0] * sigma

    def stream_sigma(self, sigma: float) -> Tensor:
        """The stream's own noise level (B,) fp32."""
        return self.mask.new_full((self.mask.shape[0],), 0.0 if self.is_frozen else sigma)

    def target(self, tokens: Tensor) -> Tensor:
        """The clip's own tokens of a sequence (B, T, C)."""
        return tokens[:, : self.num_target]

    def blend(self, tokens: Tensor) -> Tensor:
        """Generated tokens where the mask is 1, clean ones where it is 0, in the tokens' dtype."""
        return (tokens * self.mask + self.clean.float() * (1 - self.mask)).to(tokens.dtype)

    def with_noise(self, noise: Tensor, scale: float) -> Tensor:
        """The sequence a sampler starts from: `scale` of noise over the starting latent, masked tokens clean."""
        noisy = torch.lerp(self.latent.float(), noise.float(), 0.0 if self.is_frozen else scale)
        return torch.lerp(self.clean.float(), noisy, self.mask).to(self.latent.dtype)


def video_state(
    shape: LatentShape,
    channels: int,
    frame_rate: Fraction,
    grid: LatentGrid,
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> StreamState:
    """A clip made from nothing."""
    return _fresh_state(video_positions(shape, frame_rate, grid), channels, dtype, device)


def audio_state(
    tokens: int,
    channels: int,
    grid: LatentGrid,
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> StreamState:
    """Sound made from nothing."""
    return _fresh_state(audio_positions(tokens, grid), channels, dtype, device)


def starting_from(state: StreamState, latent: Tensor) -> StreamState:
    """Start from the target tokens (B, num_target, C) of an earlier stage instead of zeros."""
    appended = state.latent[:, state.num_target :]
    return replace(state, latent=torch.cat([latent.to(state.latent), appended], dim=1))


def frozen(state: StreamState, clean: Tensor) -> StreamState:
    """The whole stream is given (B, num_target, C): attended to, never changed.

    Tokens that are appended before or after stay beside it, and are given too.
    """
    clean = torch.cat([clean.to(state.clean), state.clean[:, state.num_target :]], dim=1)
    return replace(state, latent=clean, clean=clean, mask=torch.zeros_like(state.mask), is_frozen=True)


def tokens_between(state: StreamState, start_s: float, stop_s: float) -> Tensor:
    """Which target tokens reach into [start_s, stop_s): (B, num_target) bool, whole tokens on both sides."""
    times = state.positions[:, 0, : state.num_target]
    return (times[..., 1] > start_s) & (times[..., 0] < stop_s)


def kept_except(state: StreamState, clean: Tensor, inside: Tensor) -> StreamState:
    """Target tokens (B, num_target, C) are given, but for those `inside` (B, num_target) bool.

    What other conditions gave inside stays, so the order in which they are applied does not matter, except for a first
    frame outside: the last one counts.
    """
    clean = torch.where(inside[..., None], state.target(state.clean), clean.to(state.clean))
    mask = state.target(state.mask) * inside[..., None]
    return replace(
        state,
        clean=torch.cat([clean, state.clean[:, state.num_target :]], dim=1),
        mask=torch.cat([mask, state.mask[:, state.num_target :]], dim=1),
    )


def only_between(state: StreamState, clean: Tensor, start_s: float, stop_s: float) -> StreamState:
    """Make [start_s, stop_s) and keep the rest of `clean` (B, num_target, C); works on either stream."""
    return kept_except(state, clean, tokens_between(state, start_s, stop_s).to(state.mask.device))


def replace_first_frames(state: StreamState, encoded: Tensor, strength: float) -> StreamState:
    """An encoded picture or clip (B, C, F, H, W) takes the place of the first latent frames."""
    tokens = patchify_video(encoded).to(state.clean)
    clean, mask = state.clean.clone(), state.mask.clone()
    clean[:, : tokens.shape[1]] = tokens
    mask[:, : tokens.shape[1]] = 1 - strength
    return replace(state, clean=clean, mask=mask)


def append_keyframe(
    state: StreamState, encoded: Tensor, frame: int, strength: float, frame_rate: Fraction, grid: LatentGrid
) -> StreamState:
    """An encoded picture or clip (B, C, F, H, W) that the clip should pass through at a picture frame."""
    shape = LatentShape(*encoded.shape[2:])
    bounds = video_pixel_bounds(shape, grid, causal=frame == 0)
    bounds[:, 0] += frame
    if shape.frames == 1:  # a single picture lasts one frame, not a latent's eight
        bounds[:, 0, :, 1] = bounds[:, 0, :, 0] + 1
    return _append(state, encoded, in_seconds(bounds, frame_rate), strength)


def append_reference(
    state: StreamState,
    encoded: Tensor,
    strength: float,
    frame_rate: Fraction,
    grid: LatentGrid,
    *,
    space_factor: int = 1,
    time_factor: int = 1,
    attention_strength: float = 1.0,
) -> StreamState:
    """An encoded reference clip (B, C, F, H, W) beside the target, as IC-LoRAs expect it.

    The reference may be smaller than the target by `space_factor`, and hold every `time_factor`-th frame after its
    first. With `attention_strength` below 1, target and reference see each other that much less.
    """
    bounds = video_pixel_bounds(LatentShape(*encoded.shape[2:]), grid)
    bounds[:, 0] = (bounds[:, 0] * time_factor - (time_factor - 1)).clamp(min=0)
    bounds[:, 1:] *= space_factor
    appended = _append(state, encoded, in_seconds(bounds, frame_rate), strength)
    if attention_strength == 1.0 and state.attention is None:
        return appended
    return replace(appended, attention=_attention_with_reference(state, encoded, attention_strength))


def append_reference_sound(
    state: StreamState,
    tokens: Tensor,
    strength: float,
    grid: LatentGrid,
    *,
    gap_s: float = REFERENCE_SOUND_GAP_S,
) -> StreamState:
    """Audio tokens (B, T, C) at times that end `gap_s` before the clip begins: they tell a voice, not a timing."""
    positions = audio_positions(tokens.shape[1], grid)
    positions = (positions - positions.max() - gap_s).expand(tokens.shape[0], -1, -1, -1)
    return _append_tokens(state, tokens, positions, strength)


def _fresh_state(positions: Tensor, channels: int, dtype: torch.dtype, device: torch.device | str) -> StreamState:
    batch, _, tokens, _ = positions.shape
    zeros = torch.zeros(batch, tokens, channels, dtype=dtype, device=device)
    mask = torch.ones(batch, tokens, 1, device=device)
    return StreamState(latent=zeros, clean=zeros, mask=mask, positions=positions.to(device), num_target=tokens)


def _append(state: StreamState, encoded: Tensor, positions: Tensor, strength: float) -> StreamState:
    return _append_tokens(state, patchify_video(encoded), positions, strength)


def _append_tokens(state: StreamState, tokens: Tensor, positions: Tensor, strength: float) -> StreamState:
    tokens = tokens.to(state.clean)
    mask = state.mask.new_full((tokens.shape[0], tokens.shape[1], 1), 1 - strength)
    attention = state.attention
    if attention is not None:
        attention = torch.nn.functional.pad(attention, (0, tokens.shape[1], 0, tokens.shape[1]), value=1.0)
    return replace(
        state,
        latent=torch.cat([state.latent, torch.zeros_like(tokens)], dim=1),
        clean=torch.cat([state.clean, tokens], dim=1),
        mask=torch.cat([state.mask, mask], dim=1),
        positions=torch.cat([state.positions, positions.to(state.positions)], dim=2),
        attention=attention,
    )


def _attention_with_reference(state: StreamState, encoded: Tensor, strength: float) -> Tensor:
    """Target and reference see each other at `strength`, earlier additions not at all; the rest as it was."""
    before, added, target = state.latent.shape[1], encoded[0, 0].numel(), state.num_target
    attention = state.mask.new_zeros(state.mask.shape[0], before + added, before + added)
    attention[:, :before, :before] = 1.0 if state.attention is None else state.attention
    attention[:, :target, before:] = strength
    attention[:, before:, :target] = strength
    attention[:, before:, before:] = 1.0
    return attention
