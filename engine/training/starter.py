"""The starter model's shape: LTX-2.3 in miniature, every part of it, in at most 15 MiB of bf16.

What is smaller than in the 22B is only numbers of the header's config. Three of them deserve a reason.

*48 video latent channels*, not 128: the fewer and the better ordered they are, the faster a transformer learns them.

*A mel frame every 40 ms*, not 10, and no further compression in time by the audio VAE, which leaves 25 audio latents a
second as in the 22B. A vocoder is a convolution over mel frames that knows no time but theirs: from a spectrogram that
stays the same it can only make a sound that repeats with every frame, whose partials are multiples of the frame rate.
At 100 frames a second a steady tone of 220 or 440 Hz would become one of 200 or 400 Hz; at 25 every pitch is within
12.5 Hz of a multiple, which is half a semitone or less from 430 Hz on, and for 220 Hz too.

*64 audio latent channels*, not 128: the audio stream is 96 wide, and a velocity with more channels than that would pass
through too few of them to carry the noise it has to take away.

*64 text tokens*: the toy world's prompts have at most 37.
"""

from pathlib import Path
from typing import Any, Final

from engine.model.header import Section
from engine.training.blank import (
    GENERATOR_OF_2_3,
    TRANSFORMER_OF_2_3,
    UPSAMPLER_X2,
    VIDEO_VAE_OF_2_3,
    ModelShape,
    TextEncoderSize,
    audio_vae_config,
)

TEXT_SEQUENCE_LENGTH: Final = 64
VIDEO_LATENT_CHANNELS: Final = 48
AUDIO_LATENT_CHANNELS: Final = 64  # one for each mel, of both ears together
TEXT_ENCODER: Final = TextEncoderSize(hidden_size=48, num_layers=2, num_heads=3, feed_forward=128)


def starter_shape() -> ModelShape:
    """Configs of the single file and of the upsampler, and the size of the text encoder."""
    audio_network = {"ch": 32, "ch_mult": [1], "num_res_blocks": 1, "z_channels": 1}
    config = {
        "transformer": _transformer(),
        "vae": _video_vae(),
        "audio_vae": audio_vae_config(audio_network, hop_length=640),
        "vocoder": _vocoder(),
    }
    upsampler = {
        **UPSAMPLER_X2,
        "in_channels": VIDEO_LATENT_CHANNELS,
        "mid_channels": 64,
        "num_blocks_per_stage": 1,
    }
    return ModelShape(config, upsampler, TEXT_ENCODER)


def starter_section() -> Section:
    """The header's config in the form that `engine.model.config` parses."""
    return Section(Path("starter"), "config", starter_shape().config)


def _transformer() -> dict[str, Any]:
    return {
        **TRANSFORMER_OF_2_3,
        "num_layers": 4,
        "num_attention_heads": 6,
        "attention_head_dim": 32,
        "in_channels": VIDEO_LATENT_CHANNELS,
        "out_channels": VIDEO_LATENT_CHANNELS,
        "cross_attention_dim": 192,
        "audio_num_attention_heads": 6,
        "audio_attention_head_dim": 16,
        "audio_in_channels": AUDIO_LATENT_CHANNELS,
        "audio_out_channels": AUDIO_LATENT_CHANNELS,
        "audio_cross_attention_dim": 96,
        "caption_channels": TEXT_ENCODER.hidden_size,
        "text_sequence_length": TEXT_SEQUENCE_LENGTH,
        "connector_num_attention_heads": 6,
        "connector_attention_head_dim": 32,
        "connector_num_layers": 1,
        "audio_connector_num_attention_heads": 6,
        "audio_connector_attention_head_dim": 16,
        "connector_num_learnable_registers": TEXT_SEQUENCE_LENGTH,
    }


def _video_vae() -> dict[str, Any]:
    """Narrow where there are many pixels; most of the decoder's depth at an eighth of the picture's size."""
    res = ["res_x", {"num_layers": 1}]
    return {
        **VIDEO_VAE_OF_2_3,
        "latent_channels": VIDEO_LATENT_CHANNELS,
        "encoder_first_channels": 32,
        "encoder_blocks": [
            res,
            ["compress_space_res", {"multiplier": 2}],
            ["compress_time_res", {"multiplier": 1}],
            res,
            ["compress_all_res", {"multiplier": 2}],
            ["compress_all_res", {"multiplier": 1}],
        ],
        "decoder_blocks": [
            res,
            ["compress_space", {"multiplier": 1}],
            res,
            ["compress_time", {"multiplier": 1}],
            res,
            ["compress_time", {"multiplier": 1}],
            ["compress_space", {"multiplier": 1}],
            res,
            ["compress_time", {"multiplier": 1}],
            ["compress_space", {"multiplier": 2}],
            res,
        ],
        "decoder_base_channels": 32,
    }


def _vocoder() -> dict[str, Any]:
    return {
        "vocoder": {
            **GENERATOR_OF_2_3,
            "upsample_initial_channel": 192,
            "upsample_rates": [1, 16, 10, 4],  # the first stage reads amplitudes: see `harmonic`
            "upsample_kernel_sizes": [1, 24, 20, 8],
            "resblock_kernel_sizes": [1],
            "resblock_dilation_sizes": [[1] * 5],  # three of them square: see `amplitudes`
        },
        # The toy world has nothing above 8 kHz but traces: a small generator suffices.
        "bwe": {
            **GENERATOR_OF_2_3,
            "apply_final_activation": False,
            "upsample_initial_channel": 16,
            "upsample_rates": [8, 6, 5],
            "upsample_kernel_sizes": [16, 12, 11],
            "resblock_kernel_sizes": [3],
            "resblock_dilation_sizes": [[1, 3]],
            "input_sampling_rate": 16000,
            "output_sampling_rate": 48000,
            "num_mels": 16,
            "hop_length": 80,
            "n_fft": 64,  # the Fourier basis is stored in the file, twice: a window of 512 would take 1 MB of it
            "win_size": 64,
        },
    }
