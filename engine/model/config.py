"""What a checkpoint's own header says about its networks, parsed once into frozen values.

The header's `config` is a JSON object with sections `transformer`, `vae`, `audio_vae` and `vocoder`; latent-upsampler
files carry their fields flat. A missing or impossible entry is a `CheckpointError` that names the key. Defaults
are those of the official loader for files that omit a key (Lightricks/LTX-2, commit 400fd31); where our small models
need a value that the 22B fixes, the entry is optional here and its default is the 22B's. No torch in this module:
planning reads it too.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Literal

from engine.errors import CheckpointError
from engine.model.header import Section

Shapes = Mapping[str, tuple[int, ...]]


# --- transformer ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class StreamConfig:
    """One of the transformer's two token streams."""

    num_heads: int
    head_dim: int
    in_channels: int
    out_channels: int
    context_dim: int  # width of the text context that enters this stream's cross-attention
    max_positions: tuple[int, ...]  # RoPE normalisers: seconds, then pixels for the picture's two axes
    ff_bias: bool

    @property
    def width(self) -> int:
        return self.num_heads * self.head_dim


@dataclass(frozen=True)
class TransformerConfig:
    """The dual-stream transformer."""

    num_layers: int
    video: StreamConfig
    audio: StreamConfig
    cross_rope_dim: int  # width of the time-only RoPE shared by both cross-modal attentions
    norm_eps: float
    gated_attention: bool
    text_adaln: bool  # nine modulation rows and a sigma-dependent affine of the text context
    caption_channels: int | None  # set when the transformer itself projects the text context (LTX-2.0)
    rope_type: Literal["split", "interleaved"]
    rope_theta: float
    rope_double_precision: bool
    timestep_scale: float
    cross_gate_timestep_scale: float

    @property
    def num_modulation_rows(self) -> int:
        return 9 if self.text_adaln else 6


def parse_transformer(root: Section) -> TransformerConfig:
    """Read `config.transformer`. Raises CheckpointError."""
    section = root.section("transformer")
    section.require("qk_norm", section.text("qk_norm", "rms_norm"), "rms_norm")
    section.require("activation_fn", section.text("activation_fn", "gelu-approximate"), "gelu-approximate")
    section.require("attention_bias", section.flag("attention_bias", True), True)
    section.require("use_middle_indices_grid", section.flag("use_middle_indices_grid", True), True)
    rope_type = section.text("rope_type", "split")
    section.require("rope_type", rope_type, "split", "interleaved")
    text_adaln = section.flag("cross_attention_adaln", False)
    if text_adaln:
        section.require("use_prompt_adaln_single", section.flag("use_prompt_adaln_single", True), True)
    video = StreamConfig(
        num_heads=section.integer("num_attention_heads"),
        head_dim=section.integer("attention_head_dim"),
        in_channels=section.integer("in_channels", 128),
        out_channels=section.integer("out_channels", 128),
        context_dim=section.integer("cross_attention_dim"),
        max_positions=section.integers("positional_embedding_max_pos", (20, 2048, 2048)),
        ff_bias=section.flag("ff_bias", True),
    )
    audio = StreamConfig(
        num_heads=section.integer("audio_num_attention_heads"),
        head_dim=section.integer("audio_attention_head_dim"),
        in_channels=section.integer("audio_in_channels", 128),
        out_channels=section.integer("audio_out_channels", 128),
        context_dim=section.integer("audio_cross_attention_dim"),
        max_positions=section.integers("audio_positional_embedding_max_pos", (20,)),
        ff_bias=True,  # the official audio feed-forward always has its biases
    )
    for key, stream, axes in (("num_attention_heads", video, 3), ("audio_num_attention_heads", audio, 1)):
        if stream.head_dim % 2 or stream.width < 2 * axes:
            raise section.error(
                key,
                f"gives {stream.num_heads} heads of {stream.head_dim}, too narrow for the rotary embedding",
            )
    return TransformerConfig(
        num_layers=section.integer("num_layers"),
        video=video,
        audio=audio,
        cross_rope_dim=audio.context_dim,
        norm_eps=section.number("norm_eps", 1e-6),
        gated_attention=section.flag("apply_gated_attention", False),
        text_adaln=text_adaln,
        caption_channels=None
        if section.flag("caption_proj_before_connector", False)
        else section.integer("caption_channels", 3840),
        rope_type="split" if rope_type == "split" else "interleaved",
        rope_theta=section.number("positional_embedding_theta", 10000.0),
        rope_double_precision=section.text("frequencies_precision", "float32") == "float64",
        timestep_scale=section.number("timestep_scale_multiplier", 1000.0),
        cross_gate_timestep_scale=section.number("av_ca_timestep_scale_multiplier", 1.0),
    )


# --- text -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ConnectorConfig:
    """A small transformer between the text features and one stream."""

    num_heads: int
    head_dim: int
    num_layers: int
    num_registers: int
    max_position: int
    gated_attention: bool
    norm_output: bool
    rope_theta: float
    rope_type: Literal["split", "interleaved"]
    rope_double_precision: bool

    @property
    def width(self) -> int:
        return self.num_heads * self.head_dim


@dataclass(frozen=True)
class TextConfig:
    """Feature extraction from the text encoder's hidden states, and both connectors."""

    hidden_size: int  # width of the text encoder
    num_hidden_states: int  # its layers + 1
    sequence_length: int  # tokens after padding; a multiple of the register count
    shared_projection: bool  # LTX-2.0: one bias-free projection for both streams, normalised over the valid tokens
    video: ConnectorConfig
    audio: ConnectorConfig


# The four keys that select the 2.3 text path; all absent selects 2.0's, anything else is another model.
_TEXT_PATH_23 = {
    "caption_proj_before_connector": True,
    "caption_projection_first_linear": False,
    "caption_proj_input_norm": False,
    "caption_projection_second_linear": False,
}
VIDEO_PROJECTION_KEY = "text_embedding_projection.video_aggregate_embed.weight"
SHARED_PROJECTION_KEY = "text_embedding_projection.aggregate_embed.weight"


def parse_text(root: Section, shapes: Shapes) -> TextConfig:
    """Read the text fields of `config.transformer`; the encoder's depth follows from the projection's shape."""
    section = root.section("transformer")
    present = {key: section.values[key] for key in _TEXT_PATH_23 if key in section.values}
    if present not in ({}, _TEXT_PATH_23):
        raise section.error("caption_proj_before_connector", f"belongs to an unknown text path: {present}")
    shared = not present
    projection_key = SHARED_PROJECTION_KEY if shared else VIDEO_PROJECTION_KEY
    if projection_key not in shapes:
        raise CheckpointError(
            section.path, f"the tensor '{projection_key}' is missing.", remedy="Fetch the file again."
        )
    hidden_size = section.integer("caption_channels", 3840)
    features = shapes[projection_key][1]
    if features % hidden_size:
        raise section.error("caption_channels", f"is {hidden_size}, which does not divide the {features} text features")

    def connector(prefix: str, heads: int, head_dim: int) -> ConnectorConfig:
        return ConnectorConfig(
            num_heads=section.integer(f"{prefix}connector_num_attention_heads", heads),
            head_dim=section.integer(f"{prefix}connector_attention_head_dim", head_dim),
            num_layers=section.integer(f"{prefix}connector_num_layers", section.integer("connector_num_layers", 2)),
            num_registers=section.integer("connector_num_learnable_registers", 128),
            max_position=section.integers("connector_positional_embedding_max_pos", (1,))[0],
            gated_attention=section.flag("connector_apply_gated_attention", False),
            norm_output=section.flag("connector_norm_output", True),
            rope_theta=section.number("positional_embedding_theta", 10000.0),
            rope_type="interleaved" if section.text("rope_type", "split") == "interleaved" else "split",
            rope_double_precision=section.text("frequencies_precision", "float32") == "float64",
        )

    video = connector("", 30, 128)
    audio = connector("audio_", video.num_heads, video.head_dim)
    sequence_length = section.integer("text_sequence_length", 1024)
    if sequence_length % video.num_registers:
        raise section.error(
            "text_sequence_length", f"is {sequence_length}, not a multiple of {video.num_registers} registers"
        )
    return TextConfig(
        hidden_size=hidden_size,
        num_hidden_states=features // hidden_size,
        sequence_length=sequence_length,
        shared_projection=shared,
        video=video,
        audio=audio,
    )


# --- video VAE --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ResBlocks:
    """A run of channel-preserving residual layers."""

    num_layers: int


@dataclass(frozen=True)
class Resample:
    """A change of resolution by a convolution and a space-to-depth shuffle (or its inverse)."""

    time: int  # factor along time, 1 or 2
    space: int  # factor along height and width, 1 or 2
    multiplier: int  # channels: encoder out = in * multiplier, decoder out = in / multiplier
    residual: bool  # a shuffled copy of the input is added to the output


@dataclass(frozen=True)
class VideoVaeConfig:
    """The convolutional video VAE. Block lists are in the order of the file: from the pixels inward."""

    latent_channels: int
    picture_channels: int
    patch_size: int
    encoder_width: int  # channels after the encoder's first convolution
    encoder_blocks: tuple[ResBlocks | Resample, ...]
    decoder_width: int  # channels before the decoder's last convolution
    decoder_blocks: tuple[ResBlocks | Resample, ...]
    encoder_padding: Literal["zeros", "reflect"]
    decoder_padding: Literal["zeros", "reflect"]
    causal_decoder: bool

    @property
    def space_factor(self) -> int:
        return self.patch_size * prod(block.space for block in self.encoder_blocks if isinstance(block, Resample))

    @property
    def time_factor(self) -> int:
        return prod(block.time for block in self.encoder_blocks if isinstance(block, Resample))


_RESAMPLE_FACTORS = {"compress_space": (1, 2), "compress_time": (2, 1), "compress_all": (2, 2)}


def parse_video_vae(root: Section) -> VideoVaeConfig:
    """Read `config.vae`. Raises CheckpointError."""
    section = root.section("vae")
    section.require("_class_name", section.text("_class_name", "CausalVideoAutoencoder"), "CausalVideoAutoencoder")
    section.require("dims", section.integer("dims", 3), 3)
    section.require("norm_layer", section.text("norm_layer", "pixel_norm"), "pixel_norm")
    section.require("latent_log_var", section.text("latent_log_var", "uniform"), "uniform")
    section.require("timestep_conditioning", section.flag("timestep_conditioning", False), False)
    latent_channels = section.integer("latent_channels", 128)
    padding = section.values.get("spatial_padding_mode")
    if padding is not None:
        section.require("spatial_padding_mode", padding, "zeros", "reflect")
    return VideoVaeConfig(
        latent_channels=latent_channels,
        picture_channels=section.integer("in_channels", 3),
        patch_size=section.integer("patch_size", 4),
        # The official encoder starts as wide as its latent; `encoder_base_channels` is written but never read.
        encoder_width=section.integer("encoder_first_channels", latent_channels),
        encoder_blocks=_parse_blocks(section, "encoder_blocks", is_encoder=True),
        decoder_width=section.integer("decoder_base_channels", 128),
        decoder_blocks=_parse_blocks(section, "decoder_blocks", is_encoder=False),
        encoder_padding=padding or "zeros",
        decoder_padding=padding or "reflect",
        causal_decoder=section.flag("causal_decoder", False),
    )


def _parse_blocks(section: Section, key: str, *, is_encoder: bool) -> tuple[ResBlocks | Resample, ...]:
    blocks: list[ResBlocks | Resample] = []
    for entry in section.entries(key):
        name, parameters = entry
        parameters = {"num_layers": parameters} if isinstance(parameters, int) else parameters
        block = Section(section.path, f"{section.name}.{key}.{name}", parameters)
        factors = _RESAMPLE_FACTORS.get(name.removesuffix("_res"))
        if name == "res_x":
            blocks.append(ResBlocks(block.integer("num_layers", 1)))
        elif factors is not None and name.endswith("_res") == is_encoder:
            time, space = factors
            residual = is_encoder or block.flag("residual", False)
            blocks.append(Resample(time, space, block.integer("multiplier", 2 if is_encoder else 1), residual))
        else:
            raise section.error(key, f"names the unknown block {name!r}")
    return tuple(blocks)


# --- audio ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class AudioVaeConfig:
    """The audio VAE over log-mel spectrograms, and the mel front end that feeds it."""

    width: int
    width_multipliers: tuple[int, ...]
    num_res_blocks: int
    latent_channels: int
    mel_channels: int  # audio channels of the spectrogram: 2 for stereo
    num_mels: int
    sample_rate: int
    hop_length: int
    window_length: int
    mel_min_hz: float
    mel_max_hz: float

    @property
    def downsampling(self) -> int:
        """Mel frames per latent frame, and mel bins per latent bin."""
        return 2 ** (len(self.width_multipliers) - 1)

    @property
    def latent_mels(self) -> int:
        return self.num_mels // self.downsampling

    @property
    def token_channels(self) -> int:
        return self.latent_channels * self.latent_mels


def parse_audio_vae(root: Section) -> AudioVaeConfig:
    """Read `config.audio_vae`. Raises CheckpointError."""
    section = root.section("audio_vae")
    parameters = section.section("model").section("params")
    network = parameters.section("ddconfig")
    network.require("norm_type", network.text("norm_type", "pixel"), "pixel")
    network.require("causality_axis", network.text("causality_axis", "height"), "height")
    network.require("mid_block_add_attention", network.flag("mid_block_add_attention", False), False)
    network.require("attn_resolutions", network.values.get("attn_resolutions", []), [])
    preprocessing = section.section("preprocessing")
    stft, mel = preprocessing.section("stft"), preprocessing.section("mel")
    window_length = stft.integer("filter_length", 1024)
    stft.require("win_length", stft.integer("win_length", window_length), window_length)
    result = AudioVaeConfig(
        width=network.integer("ch"),
        width_multipliers=network.integers("ch_mult"),
        num_res_blocks=network.integer("num_res_blocks"),
        latent_channels=network.integer("z_channels"),
        mel_channels=network.integer("in_channels", 2),
        num_mels=network.integer("mel_bins", mel.integer("n_mel_channels", 64)),
        sample_rate=parameters.integer("sampling_rate", 16000),
        hop_length=stft.integer("hop_length", 160),
        window_length=window_length,
        mel_min_hz=mel.number("mel_fmin", 0.0),
        mel_max_hz=mel.number("mel_fmax", 8000.0),
    )
    if result.num_mels % result.downsampling:
        raise network.error("mel_bins", f"is {result.num_mels}, which {result.downsampling} does not divide")
    return result


@dataclass(frozen=True)
class GeneratorConfig:
    """One waveform generator: transposed convolutions, each followed by parallel residual blocks."""

    in_channels: int
    out_channels: int
    width: int
    upsample_rates: tuple[int, ...]
    upsample_kernels: tuple[int, ...]
    residual_kernels: tuple[int, ...]
    residual_dilations: tuple[tuple[int, ...], ...]
    activation: Literal["snakebeta", "leaky_relu"]
    final_bias: bool
    final_activation: Literal["clamp", "tanh", "none"]

    @property
    def upsampling(self) -> int:
        return prod(self.upsample_rates)


@dataclass(frozen=True)
class BandwidthExtensionConfig:
    """The second generator: from the mel spectrogram of the low-rate waveform to a full-band residual."""

    generator: GeneratorConfig
    input_rate: int
    output_rate: int
    num_mels: int
    hop_length: int
    window_length: int

    @property
    def resampling(self) -> int:
        return self.output_rate // self.input_rate


@dataclass(frozen=True)
class VocoderConfig:
    """The vocoder, with bandwidth extension (LTX-2.3) or without (LTX-2.0)."""

    generator: GeneratorConfig
    bandwidth_extension: BandwidthExtensionConfig | None
    output_rate: int


def parse_vocoder(root: Section) -> VocoderConfig:
    """Read `config.vocoder`; the entry `bwe` selects bandwidth extension. Raises CheckpointError."""
    section = root.section("vocoder")
    num_mels = parse_audio_vae(root).num_mels
    extension = section.optional_section("bwe")
    if extension is None:
        generator = _parse_generator(section, num_mels)
        return VocoderConfig(generator, None, section.integer("output_sampling_rate", 24000))
    generator = _parse_generator(section.section("vocoder"), num_mels)
    bandwidth_extension = BandwidthExtensionConfig(
        generator=_parse_generator(extension, extension.integer("num_mels", 64)),
        input_rate=extension.integer("input_sampling_rate", 16000),
        output_rate=extension.integer("output_sampling_rate", 48000),
        num_mels=extension.integer("num_mels", 64),
        hop_length=extension.integer("hop_length", 80),
        window_length=extension.integer("n_fft", 512),
    )
    if bandwidth_extension.output_rate % bandwidth_extension.input_rate:
        raise extension.error("output_sampling_rate", "is not a multiple of input_sampling_rate")
    if bandwidth_extension.generator.upsampling != bandwidth_extension.hop_length * bandwidth_extension.resampling:
        raise extension.error("upsample_rates", "do not multiply to hop_length times the resampling factor")
    return VocoderConfig(generator, bandwidth_extension, bandwidth_extension.output_rate)


def _parse_generator(section: Section, num_mels: int) -> GeneratorConfig:
    channels = 2 if section.flag("stereo", True) else 1
    kind = section.text("resblock", "1")
    section.require("resblock", kind, "1", "AMP1")
    if kind == "AMP1":
        section.require("activation", section.text("activation", "snakebeta"), "snakebeta")
    if not section.flag("apply_final_activation", True):
        final_activation = "none"
    else:
        final_activation = "tanh" if section.flag("use_tanh_at_final", kind == "1") else "clamp"
    return GeneratorConfig(
        in_channels=channels * num_mels,
        out_channels=channels,
        width=section.integer("upsample_initial_channel"),
        upsample_rates=section.integers("upsample_rates"),
        upsample_kernels=section.integers("upsample_kernel_sizes"),
        residual_kernels=section.integers("resblock_kernel_sizes"),
        residual_dilations=tuple(tuple(dilations) for dilations in section.entries("resblock_dilation_sizes")),
        activation="snakebeta" if kind == "AMP1" else "leaky_relu",
        final_bias=section.flag("use_bias_at_final", True),
        final_activation=final_activation,
    )


# --- latent upsamplers ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class UpsamplerConfig:
    """A latent upsampler file."""

    latent_channels: int
    width: int
    blocks_per_stage: int
    space_scale: float  # 2.0 or 1.5; 1.0 for the temporal upsampler
    time_scale: int  # 2 for the temporal upsampler, otherwise 1
    rational: bool  # upsample by an integer, then blur and subsample


def parse_upsampler(root: Section) -> UpsamplerConfig:
    """Read the flat config of an upsampler file. Raises CheckpointError."""
    root.require("dims", root.integer("dims", 3), 3)
    temporal, spatial = root.flag("temporal_upsample", False), root.flag("spatial_upsample", True)
    if temporal == spatial and temporal:
        raise root.error("temporal_upsample", "is set together with spatial_upsample")
    scale = 1.0 if temporal else root.number("spatial_scale", 2.0)
    rational = not temporal and root.flag("rational_resampler", False)
    # Only the rational resampler, which blurs and subsamples, can scale by a fraction.
    root.require("spatial_scale", scale, *((1.0,) if temporal else (1.5, 2.0) if rational else (2.0,)))
    return UpsamplerConfig(
        latent_channels=root.integer("in_channels", 128),
        width=root.integer("mid_channels", 512),
        blocks_per_stage=root.integer("num_blocks_per_stage", 4),
        space_scale=scale,
        time_scale=2 if temporal else 1,
        rational=rational,
    )
