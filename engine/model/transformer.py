"""The dual-stream transformer of LTX-2.3: picture tokens and sound tokens, each attending to itself, to the text, and
to the other stream, all modulated by the noise level.

Follows Lightricks/LTX-2 (commit 400fd31). Attribute names are the checkpoint's, so a state dict needs no translation.
LTX-2.0 is the same network without gates, without the modulation of the text context, and with its own projection of
the text. `walk` is a generator that hands control back after every block; nothing here knows about progress, devices
or where weights live.

Shapes: B batch, T tokens, S text tokens, C latent channels, D width, N heads.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.model.attention import Attention, Rope, make_rope
from engine.model.config import StreamConfig, TransformerConfig
from engine.model.layers import AdaLayerNormSingle, FeedForward, Modulation, modulate, rms_norm
from engine.model.linear import Linear


@dataclass(frozen=True)
class StreamInput:
    """One stream of one forward pass."""

    latent: Tensor  # (B, T, C)
    timesteps: Tensor  # (B, T) fp32: per-token noise level, 0 on tokens that are given
    sigma: Tensor  # (B,) fp32: the stream's noise level, 0 when the whole stream is given
    context: Tensor  # (B, S, D) text context
    attention_bias: Tensor | None = None  # (B, 1, T, T) added to the self-attention logits
    context_bias: Tensor | None = None  # (B, 1, 1, S) added to the text-attention logits


@dataclass(frozen=True)
class RopeTables:
    """Rotary tables of a stage: they depend on the token positions alone, so they serve every step."""

    video: Rope | None
    audio: Rope | None
    video_cross: Rope | None
    audio_cross: Rope | None


@dataclass(frozen=True)
class Pass:
    """How one sample of a batch deviates from the plain forward pass, for guidance."""

    skip_video_attention: frozenset[int] = frozenset()  # blocks whose video self-attention returns its values
    skip_audio_attention: frozenset[int] = frozenset()
    isolate_streams: bool = False  # no attention between picture and sound, in every block


def rope_tables(
    config: TransformerConfig,
    video_positions: Tensor | None,
    audio_positions: Tensor | None,
    dtype: torch.dtype = torch.float32,
) -> RopeTables:
    """Tables for position bounds in seconds and pixels: (B, 3, T, 2) of picture and (B, 1, T, 2) of sound tokens."""

    def table(positions: Tensor | None, max_positions: tuple[int, ...], width: int, num_heads: int) -> Rope | None:
        if positions is None:
            return None
        middles = positions.float().mean(dim=-1)[:, : len(max_positions)]
        rope = make_rope(
            middles,
            max_positions,
            width=width,
            num_heads=num_heads,
            theta=config.rope_theta,
            kind=config.rope_type,
            double_precision=config.rope_double_precision,
        )
        return rope.to(dtype)

    video, audio = config.video, config.audio
    seconds = (max(video.max_positions[0], audio.max_positions[0]),)
    return RopeTables(
        video=table(video_positions, video.max_positions, video.width, video.num_heads),
        audio=table(audio_positions, audio.max_positions, audio.width, audio.num_heads),
        video_cross=table(video_positions, seconds, config.cross_rope_dim, audio.num_heads),
        audio_cross=table(audio_positions, seconds, config.cross_rope_dim, audio.num_heads),
    )


class _StreamState(NamedTuple):
    """What every block needs to know about one stream in this forward pass."""

    main: Modulation
    prompt: Modulation | None
    cross: Modulation | None  # None when the other stream is absent
    gate: Modulation | None
    context: Tensor
    rope: Rope | None
    cross_rope: Rope | None
    attention_bias: Tensor | None
    context_bias: Tensor | None


class _StreamParts(NamedTuple):
    """The modules of a block that belong to one stream."""

    self_attention: Attention
    text_attention: Attention
    feed_forward: FeedForward
    table: Tensor
    prompt_table: Tensor | None


class AVBlock(nn.Module):
    """One transformer block of both streams."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.eps = config.norm_eps
        self.text_adaln = config.text_adaln

        def attend(query: StreamConfig, context_dim: int, heads: StreamConfig) -> Attention:
            return Attention(
                query.width,
                context_dim,
                num_heads=heads.num_heads,
                head_dim=heads.head_dim,
                gated=config.gated_attention,
                eps=config.norm_eps,
            )

        def table(rows: int, stream: StreamConfig) -> nn.Parameter:
            return nn.Parameter(torch.zeros(rows, stream.width))

        video, audio = config.video, config.audio
        self.attn1 = attend(video, video.width, video)
        self.attn2 = attend(video, video.context_dim, video)
        self.ff = FeedForward(video.width, bias=video.ff_bias)
        self.audio_attn1 = attend(audio, audio.width, audio)
        self.audio_attn2 = attend(audio, audio.context_dim, audio)
        self.audio_ff = FeedForward(audio.width, bias=audio.ff_bias)
        self.audio_to_video_attn = attend(video, audio.width, audio)
        self.video_to_audio_attn = attend(audio, video.width, audio)
        self.scale_shift_table = table(config.num_modulation_rows, video)
        self.audio_scale_shift_table = table(config.num_modulation_rows, audio)
        self.scale_shift_table_a2v_ca_video = table(5, video)
        self.scale_shift_table_a2v_ca_audio = table(5, audio)
        if config.text_adaln:
            self.prompt_scale_shift_table = table(2, video)
            self.audio_prompt_scale_shift_table = table(2, audio)

    def forward(
        self,
        x: Tensor | None,
        y: Tensor | None,
        video: _StreamState | None,
        audio: _StreamState | None,
        *,
        skip_video: Tensor | None = None,
        skip_audio: Tensor | None = None,
        connected: Tensor | None = None,
    ) -> tuple[Tensor | None, Tensor | None]:
        """Picture tokens x (B, T, D) and sound tokens y (B, T', D'), either may be None.

        `skip_*` (B,) bool marks samples whose self-attention returns its values; `connected` (B,) marks samples whose
        streams see each other (None: all do).
        """
        video_parts, audio_parts = self._video_parts(), self._audio_parts()
        if x is not None and video is not None:
            x = self._attend_to_self_and_text(x, video_parts, video, skip_video)
        if y is not None and audio is not None:
            y = self._attend_to_self_and_text(y, audio_parts, audio, skip_audio)
        if x is not None and y is not None and video is not None and audio is not None:
            x, y = self._attend_across(x, y, video, audio, connected)
        if x is not None and video is not None:
            x = self._feed_forward(x, video_parts, video)
        if y is not None and audio is not None:
            y = self._feed_forward(y, audio_parts, audio)
        return x, y

    def _attend_to_self_and_text(
        self, x: Tensor, parts: _StreamParts, state: _StreamState, skip: Tensor | None
    ) -> Tensor:
        def row(index: int) -> Tensor:
            return state.main.row(index, parts.table)

        hidden = modulate(rms_norm(x, self.eps), scale=row(1), shift=row(0))
        update = parts.self_attention(hidden, rope=state.rope, mask=state.attention_bias, skip=skip)
        x = torch.addcmul(x, update, row(2))

        hidden, context = rms_norm(x, self.eps), state.context
        if parts.prompt_table is None or state.prompt is None:
            return x + parts.text_attention(hidden, context, mask=state.context_bias)
        hidden = modulate(hidden, scale=row(7), shift=row(6))
        context = modulate(
            context, scale=state.prompt.row(1, parts.prompt_table), shift=state.prompt.row(0, parts.prompt_table)
        )
        return torch.addcmul(x, parts.text_attention(hidden, context, mask=state.context_bias), row(8))

    def _attend_across(
        self, x: Tensor, y: Tensor, video: _StreamState, audio: _StreamState, connected: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Both directions read the states from before either update."""
        if connected is not None and not bool(connected.any()):
            return x, y
        assert video.cross is not None
        assert video.gate is not None
        assert audio.cross is not None
        assert audio.gate is not None
        video_table, audio_table = self.scale_shift_table_a2v_ca_video, self.scale_shift_table_a2v_ca_audio
        hidden_x, hidden_y = rms_norm(x, self.eps), rms_norm(y, self.eps)

        to_video = self.audio_to_video_attn(
            modulate(hidden_x, scale=video.cross.row(0, video_table), shift=video.cross.row(1, video_table)),
            modulate(hidden_y, scale=audio.cross.row(0, audio_table), shift=audio.cross.row(1, audio_table)),
            rope=video.cross_rope,
            context_rope=audio.cross_rope,
        )
        to_audio = self.video_to_audio_attn(
            modulate(hidden_y, scale=audio.cross.row(2, audio_table), shift=audio.cross.row(3, audio_table)),
            modulate(hidden_x, scale=video.cross.row(2, video_table), shift=video.cross.row(3, video_table)),
            rope=audio.cross_rope,
            context_rope=video.cross_rope,
        )
        # Row 4 of either table pairs with the single row of its gate module.
        video_gate, audio_gate = video.gate.row(0, video_table[4:]), audio.gate.row(0, audio_table[4:])
        if connected is not None:
            open_gate = connected[:, None, None].to(x.dtype)
            video_gate, audio_gate = video_gate * open_gate, audio_gate * open_gate
        return torch.addcmul(x, to_video, video_gate), torch.addcmul(y, to_audio, audio_gate)

    def _feed_forward(self, x: Tensor, parts: _StreamParts, state: _StreamState) -> Tensor:
        def row(index: int) -> Tensor:
            return state.main.row(index, parts.table)

        hidden = modulate(rms_norm(x, self.eps), scale=row(4), shift=row(3))
        return torch.addcmul(x, parts.feed_forward(hidden), row(5))

    def _video_parts(self) -> _StreamParts:
        prompt_table = self.prompt_scale_shift_table if self.text_adaln else None
        return _StreamParts(self.attn1, self.attn2, self.ff, self.scale_shift_table, prompt_table)

    def _audio_parts(self) -> _StreamParts:
        prompt_table = self.audio_prompt_scale_shift_table if self.text_adaln else None
        return _StreamParts(
            self.audio_attn1, self.audio_attn2, self.audio_ff, self.audio_scale_shift_table, prompt_table
        )


class CaptionProjection(nn.Module):
    """LTX-2.0's projection of the text context to a stream's width."""

    def __init__(self, caption_channels: int, width: int) -> None:
        super().__init__()
        self.linear_1 = Linear(caption_channels, width)
        self.linear_2 = Linear(width, width)

    def forward(self, context: Tensor) -> Tensor:
        return self.linear_2(F.gelu(self.linear_1(context), approximate="tanh"))


class Transformer(nn.Module):
    """From noisy latents, text and noise levels to the velocity of both streams."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        video, audio = config.video, config.audio
        self.patchify_proj = Linear(video.in_channels, video.width)
        self.audio_patchify_proj = Linear(audio.in_channels, audio.width)
        self.adaln_single = AdaLayerNormSingle(video.width, config.num_modulation_rows)
        self.audio_adaln_single = AdaLayerNormSingle(audio.width, config.num_modulation_rows)
        if config.text_adaln:
            self.prompt_adaln_single = AdaLayerNormSingle(video.width, 2)
            self.audio_prompt_adaln_single = AdaLayerNormSingle(audio.width, 2)
        self.av_ca_video_scale_shift_adaln_single = AdaLayerNormSingle(video.width, 4)
        self.av_ca_audio_scale_shift_adaln_single = AdaLayerNormSingle(audio.width, 4)
        self.av_ca_a2v_gate_adaln_single = AdaLayerNormSingle(video.width, 1)
        self.av_ca_v2a_gate_adaln_single = AdaLayerNormSingle(audio.width, 1)
        if config.caption_channels is not None:
            self.caption_projection = CaptionProjection(config.caption_channels, video.width)
            self.audio_caption_projection = CaptionProjection(config.caption_channels, audio.width)
        self.transformer_blocks = nn.ModuleList(AVBlock(config) for _ in range(config.num_layers))
        self.scale_shift_table = nn.Parameter(torch.zeros(2, video.width))
        self.audio_scale_shift_table = nn.Parameter(torch.zeros(2, audio.width))
        self.proj_out = Linear(video.width, video.out_channels)
        self.audio_proj_out = Linear(audio.width, audio.out_channels)

    def cut_into_pieces(self, *, feed_forward: int | None, attention: int | None) -> None:
        """Let at most so many tokens pass each layer of a kind at once; None: all of them.

        Less memory for the same arithmetic; a matrix product may round differently for another number of rows.
        """
        for layer in self.modules():
            match layer:
                case FeedForward():
                    layer.most_tokens = feed_forward
                case Attention():
                    layer.most_tokens = attention
                case _:
                    pass

    def forward(
        self,
        video: StreamInput | None,
        audio: StreamInput | None,
        rope: RopeTables,
        passes: Sequence[Pass] | None = None,
    ) -> tuple[Tensor | None, Tensor | None]:
        """Velocities (B, T, C) of the streams that are present; `passes` has one entry for each sample."""
        steps = self.walk(video, audio, rope, passes)
        while True:
            try:
                next(steps)
            except StopIteration as finished:
                return finished.value

    def walk(
        self,
        video: StreamInput | None,
        audio: StreamInput | None,
        rope: RopeTables,
        passes: Sequence[Pass] | None = None,
    ) -> Generator[int, None, tuple[Tensor | None, Tensor | None]]:
        """As `forward`, yielding each block's index once it is done; the velocities are the return value."""
        assert video is not None or audio is not None, "a forward pass needs at least one stream"
        x = None if video is None else self.patchify_proj(video.latent)
        y = None if audio is None else self.audio_patchify_proj(audio.latent)
        video_state = None if video is None else self._video_state(video, audio, rope)
        audio_state = None if audio is None else self._audio_state(audio, video, rope)
        deviations = _Deviations(passes, (x if x is not None else y).device)  # pyright: ignore[reportOptionalMemberAccess]
        for index, block in enumerate(self.transformer_blocks):
            x, y = block(
                x,
                y,
                video_state,
                audio_state,
                skip_video=deviations.skip_video(index),
                skip_audio=deviations.skip_audio(index),
                connected=deviations.connected,
            )
            yield index
        return (
            None if x is None or video_state is None else self._head(x, video_state, is_video=True),
            None if y is None or audio_state is None else self._head(y, audio_state, is_video=False),
        )

    def _video_state(self, video: StreamInput, audio: StreamInput | None, rope: RopeTables) -> _StreamState:
        scale = self.config.timestep_scale
        context = video.context if self.config.caption_channels is None else self.caption_projection(video.context)
        return _StreamState(
            main=self.adaln_single(video.timesteps * scale),
            prompt=self.prompt_adaln_single(video.sigma[:, None] * scale) if self.config.text_adaln else None,
            cross=None if audio is None else self.av_ca_video_scale_shift_adaln_single(video.timesteps * scale),
            gate=None if audio is None else self.av_ca_a2v_gate_adaln_single(self._gate_timesteps(audio)),
            context=context,
            rope=rope.video,
            cross_rope=rope.video_cross,
            attention_bias=video.attention_bias,
            context_bias=video.context_bias,
        )

    def _audio_state(self, audio: StreamInput, video: StreamInput | None, rope: RopeTables) -> _StreamState:
        scale = self.config.timestep_scale
        context = (
            audio.context if self.config.caption_channels is None else self.audio_caption_projection(audio.context)
        )
        return _StreamState(
            main=self.audio_adaln_single(audio.timesteps * scale),
            prompt=self.audio_prompt_adaln_single(audio.sigma[:, None] * scale) if self.config.text_adaln else None,
            cross=None if video is None else self.av_ca_audio_scale_shift_adaln_single(audio.timesteps * scale),
            gate=None if video is None else self.av_ca_v2a_gate_adaln_single(self._gate_timesteps(video)),
            context=context,
            rope=rope.audio,
            cross_rope=rope.audio_cross,
            attention_bias=audio.attention_bias,
            context_bias=audio.context_bias,
        )

    def _gate_timesteps(self, other: StreamInput) -> Tensor:
        """The gate of what a stream takes from the other follows the other's noise level."""
        return other.sigma[:, None] * self.config.cross_gate_timestep_scale

    def _head(self, x: Tensor, state: _StreamState, *, is_video: bool) -> Tensor:
        table = self.scale_shift_table if is_video else self.audio_scale_shift_table
        project = self.proj_out if is_video else self.audio_proj_out
        # A mean-subtracting norm here, unlike the RMS norms of the blocks.
        normed = F.layer_norm(x, (x.shape[-1],), eps=self.config.norm_eps)
        return project(modulate(normed, scale=state.main.head(table[1]), shift=state.main.head(table[0])))


class _Deviations:
    """The guidance passes of a batch as per-block masks; None wherever every sample takes the plain path."""

    def __init__(self, passes: Sequence[Pass] | None, device: torch.device) -> None:
        self._passes = passes or ()
        self._device = device
        isolated = [sample.isolate_streams for sample in self._passes]
        self.connected = ~torch.tensor(isolated, device=device) if any(isolated) else None

    def skip_video(self, block: int) -> Tensor | None:
        return self._mask([block in sample.skip_video_attention for sample in self._passes])

    def skip_audio(self, block: int) -> Tensor | None:
        return self._mask([block in sample.skip_audio_attention for sample in self._passes])

    def _mask(self, flags: list[bool]) -> Tensor | None:
        return torch.tensor(flags, device=self._device) if any(flags) else None


def strength_bias(strengths: Tensor, dtype: torch.dtype) -> Tensor:
    """Attention strengths (B, T, T) in [0, 1] as an additive bias (B, 1, T, T): log w, the lowest number for w <= 0."""
    info = torch.finfo(dtype)
    bias = torch.log(strengths.float().clamp(min=info.tiny)).to(dtype)
    return torch.where(strengths > 0, bias, torch.full_like(bias, info.min))[:, None]
