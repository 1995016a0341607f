"""diffusers' audio VAE and vocoders with our weights: the oracle of the audio parity tests.

It differs from ours in three ways. Latents are not normalised; the low-rate waveform is not clamped before bandwidth
extension, so weights must keep it inside one; and the taps of the last resampler are in the dtype of the module, where
the official code keeps them in bfloat16.
"""

from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl_ltx2_audio import AutoencoderKLLTX2Audio
from diffusers.pipelines.ltx2.vocoder import LTX2Vocoder, LTX2VocoderWithBWE
from torch import Tensor, nn

from engine.model.audio_vae import AudioDecoder, AudioEncoder
from engine.model.config import GeneratorConfig
from engine.model.vocoder import Vocoder

_RENAMED = {
    "conv_pre": "conv_in",
    "ups": "upsamplers",
    "resblocks": "resnets",
    "act_post": "act_out",
    "conv_post": "conv_out",
}


def audio_vae(encoder: AudioEncoder, decoder: AudioDecoder) -> AutoencoderKLLTX2Audio:
    config = encoder.config
    options: dict[str, Any] = {
        "base_channels": config.width,
        "ch_mult": config.width_multipliers,
        "num_res_blocks": config.num_res_blocks,
        "latent_channels": config.latent_channels,
        "mel_bins": config.num_mels,
    }
    twin = AutoencoderKLLTX2Audio(**options)
    for name, network in (("encoder", encoder), ("decoder", decoder)):
        weights = {key: value for key, value in network.state_dict().items() if "statistics" not in key}
        twin.get_submodule(name).load_state_dict(weights)
    return twin


def vocoder(network: Vocoder) -> nn.Module:
    extension = network.config.bandwidth_extension
    if extension is None:
        twin = LTX2Vocoder(**_options(network.config.generator))
    else:
        twin = LTX2VocoderWithBWE(
            **_options(network.config.generator) | {"final_act_fn": None},
            **{f"bwe_{name}": value for name, value in _options(extension.generator).items()},
            filter_length=extension.window_length,
            hop_length=extension.hop_length,
            window_length=extension.window_length,
            num_mel_channels=extension.num_mels,
            input_sampling_rate=extension.input_rate,
            output_sampling_rate=extension.output_rate,
        )
        twin.resampler.filter = twin.resampler.filter.bfloat16().float()
    twin.load_state_dict({_rename(key): value for key, value in network.state_dict().items()})
    return twin


def _options(config: GeneratorConfig) -> dict[str, Any]:
    return {
        "in_channels": config.in_channels,
        "hidden_channels": config.width,
        "out_channels": config.out_channels,
        "upsample_kernel_sizes": list(config.upsample_kernels),
        "upsample_factors": list(config.upsample_rates),
        "resnet_kernel_sizes": list(config.residual_kernels),
        "resnet_dilations": [list(dilations) for dilations in config.residual_dilations],
        "act_fn": config.activation,
        "antialias": config.activation == "snakebeta",
        "final_act_fn": None if config.final_activation == "none" else config.final_activation,
        "final_bias": config.final_bias,
    }


def _rename(key: str) -> str:
    """Ours to diffusers' name; the first generator of a vocoder with bandwidth extension is `vocoder` in both."""
    return ".".join(_RENAMED.get(part, part) for part in key.split(".") if part != "lowpass")


def randomise(network: nn.Module, seed: int) -> None:
    """Weights that keep activations near one and waveforms well inside it; filters and bases stay what they are."""
    generator = torch.Generator().manual_seed(seed)

    def noise(value: Tensor) -> Tensor:
        return torch.randn(value.shape, generator=generator)

    with torch.no_grad():
        for name, value in network.named_parameters():
            if name.endswith("conv_post.weight"):
                value.copy_(0.05 * noise(value) / value[0].numel() ** 0.5)
            elif name.endswith("weight"):
                value.copy_(noise(value) / value[0].numel() ** 0.5)
            else:
                value.copy_(0.05 * noise(value))
        for name, value in network.named_buffers():
            if name.endswith("-of-means"):
                value.copy_(0.3 * noise(value).tanh() + name.endswith("std-of-means"))
