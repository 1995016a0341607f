"""diffusers' video VAE with our weights: the oracle of the parity test and the opponent of the benchmark.

It differs from ours in layout only: blocks are grouped by resolution, and latents are not normalised.
"""

from collections.abc import Iterable

import torch
from diffusers.models.autoencoders.autoencoder_kl_ltx2 import AutoencoderKLLTX2Video
from torch import Tensor, nn

from engine.model.config import Resample, ResBlocks, VideoVaeConfig
from engine.model.video_vae import VideoDecoder, VideoEncoder

_SCALING = {(1, 2): "spatial", (2, 1): "temporal", (2, 2): "spatiotemporal"}
_DOWN_BLOCK = "LTX2VideoDownBlock3D"


def randomise(network: nn.Module, seed: int) -> None:
    """Weights that keep activations near one, biases and statistics that matter."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in network.state_dict().items():
        noise = torch.randn(value.shape, generator=generator)
        if name.endswith("weight"):
            value.copy_(noise / value[0].numel() ** 0.5)
        elif name.endswith("std-of-means"):
            value.copy_(1 + 0.3 * noise.tanh())
        else:
            value.copy_(0.3 * noise)


def twin(config: VideoVaeConfig, encoder: VideoEncoder, decoder: VideoDecoder) -> AutoencoderKLLTX2Video:
    """For block lists that alternate residual runs and resamplings, beginning and ending with a run."""
    down = _changes(config.encoder_blocks)
    up = _changes(config.decoder_blocks)
    widths = [config.encoder_width]
    for change in down:
        widths.append(widths[-1] * change.multiplier)
    decoder_widths = [config.decoder_width]
    for change in up:
        decoder_widths.append(decoder_widths[-1] * change.multiplier)
    oracle = AutoencoderKLLTX2Video(
        latent_channels=config.latent_channels,
        block_out_channels=tuple(widths[1:]),
        down_block_types=(_DOWN_BLOCK,) * len(down),
        spatio_temporal_scaling=(True,) * len(down),
        layers_per_block=_run_lengths(config.encoder_blocks),
        downsample_type=tuple(_SCALING[change.time, change.space] for change in down),
        decoder_block_out_channels=tuple(decoder_widths[1:]),
        decoder_spatio_temporal_scaling=(True,) * len(up),
        decoder_layers_per_block=_run_lengths(config.decoder_blocks),
        decoder_inject_noise=(False,) * (len(up) + 1),
        upsample_type=tuple(_SCALING[change.time, change.space] for change in reversed(up)),
        upsample_factor=tuple(change.multiplier for change in up),
        upsample_residual=tuple(change.residual for change in up),
        patch_size=config.patch_size,
        decoder_causal=config.causal_decoder,
        encoder_spatial_padding_mode=config.encoder_padding,
        decoder_spatial_padding_mode=config.decoder_padding,
    )
    state = {f"encoder.{_official_to_diffusers(name, 'down', len(down))}": value for name, value in _weights(encoder)}
    state |= {f"decoder.{_official_to_diffusers(name, 'up', len(up))}": value for name, value in _weights(decoder)}
    state |= {name: oracle.state_dict()[name] for name in ("latents_mean", "latents_std")}
    oracle.load_state_dict(state, strict=True)
    return oracle.eval()


def encode(oracle: AutoencoderKLLTX2Video, encoder: VideoEncoder, pixels: Tensor) -> Tensor:
    """Normalised mean latents."""
    return encoder.per_channel_statistics.normalise(oracle.encode(pixels, return_dict=False)[0].mode())


def decode(oracle: AutoencoderKLLTX2Video, decoder: VideoDecoder, latents: Tensor) -> Tensor:
    """Pixels of normalised latents."""
    return oracle.decode(decoder.per_channel_statistics.denormalise(latents), return_dict=False)[0]


def _changes(blocks: Iterable[ResBlocks | Resample]) -> list[Resample]:
    return [block for block in blocks if isinstance(block, Resample)]


def _run_lengths(blocks: Iterable[ResBlocks | Resample]) -> tuple[int, ...]:
    return tuple(block.num_layers for block in blocks if isinstance(block, ResBlocks))


def _weights(network: nn.Module) -> Iterable[tuple[str, Tensor]]:
    return ((name, value) for name, value in network.state_dict().items() if "per_channel" not in name)


def _official_to_diffusers(name: str, direction: str, num_changes: int) -> str:
    """Official blocks alternate run and resampling; diffusers pairs them and names the innermost run apart."""
    parts = name.split(".")
    if parts[0] == f"{direction}_blocks":
        pair, is_second = divmod(int(parts[1]), 2)
        innermost = num_changes if direction == "down" else 0
        if not is_second and pair == innermost:
            parts[:2] = ["mid_block"]
        elif direction == "down":
            parts[:2] = ["down_blocks", str(pair)] + ["downsamplers.0"] * is_second
        else:
            parts[:2] = ["up_blocks", str(pair if is_second else pair - 1)] + ["upsamplers.0"] * is_second
    return ".".join(parts).replace("res_blocks", "resnets")
