"""The video VAE equals diffusers' on random weights, and its fast path equals its formula.

Run alone: pytest tests/parity/test_video_vae.py
"""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from engine.model import video_vae
from engine.model.config import Resample, ResBlocks, VideoVaeConfig
from engine.model.video_vae import VideoDecoder, VideoEncoder
from tests.parity import video_vae_twin
from tests.parity.golden_files import assert_close


def _runs(*num_layers: int, between: tuple[Resample, ...]) -> tuple[ResBlocks | Resample, ...]:
    """Residual runs with a resampling between each two."""
    blocks: list[ResBlocks | Resample] = [ResBlocks(num_layers[0])]
    for change, count in zip(between, num_layers[1:], strict=True):
        blocks += [change, ResBlocks(count)]
    return tuple(blocks)


LTX_2_3 = VideoVaeConfig(
    latent_channels=8,
    picture_channels=3,
    patch_size=4,
    encoder_width=8,
    encoder_blocks=_runs(
        *(1, 2, 1, 1, 1),
        between=(
            Resample(time=1, space=2, multiplier=2, residual=True),
            Resample(time=2, space=1, multiplier=2, residual=True),
            Resample(time=2, space=2, multiplier=2, residual=True),
            Resample(time=2, space=2, multiplier=1, residual=True),
        ),
    ),
    decoder_width=4,
    decoder_blocks=_runs(
        *(2, 1, 1, 1, 1),
        between=(
            Resample(time=1, space=2, multiplier=2, residual=False),
            Resample(time=2, space=1, multiplier=2, residual=False),
            Resample(time=2, space=2, multiplier=1, residual=False),
            Resample(time=2, space=2, multiplier=2, residual=False),
        ),
    ),
    encoder_padding="zeros",
    decoder_padding="zeros",
    causal_decoder=False,
)
LTX_2_0 = replace(
    LTX_2_3,
    encoder_blocks=_runs(
        *(1, 1, 1, 1, 1),
        between=(
            Resample(time=1, space=2, multiplier=2, residual=True),
            Resample(time=2, space=1, multiplier=2, residual=True),
            Resample(time=2, space=2, multiplier=2, residual=True),
            Resample(time=2, space=2, multiplier=2, residual=True),
        ),
    ),
    decoder_blocks=_runs(*(1, 2, 1, 1), between=(Resample(time=2, space=2, multiplier=2, residual=True),) * 3),
    decoder_padding="reflect",
)
CONFIGS = {
    "ltx-2.3": LTX_2_3,
    "ltx-2.0": LTX_2_0,
    "causal decoder": replace(LTX_2_3, causal_decoder=True, decoder_width=6, latent_channels=12, encoder_width=12),
}


@pytest.fixture(params=CONFIGS)
def config(request: pytest.FixtureRequest) -> VideoVaeConfig:
    return CONFIGS[request.param]


def _encoder(config: VideoVaeConfig) -> VideoEncoder:
    network = VideoEncoder(config)
    video_vae_twin.randomise(network, seed=1)
    return network


def _decoder(config: VideoVaeConfig) -> VideoDecoder:
    network = VideoDecoder(config)
    video_vae_twin.randomise(network, seed=2)
    return network


def _pixels(num_frames: int, batch: int = 1) -> Tensor:
    return torch.rand(batch, 3, num_frames, 64, 96, generator=torch.Generator().manual_seed(3)) * 2 - 1


def _latents(config: VideoVaeConfig, num_frames: int, batch: int = 1) -> Tensor:
    return torch.randn(batch, config.latent_channels, num_frames, 2, 3, generator=torch.Generator().manual_seed(4))


@pytest.mark.parametrize("num_frames", [1, 17])
@torch.no_grad()
def test_encoding_equals_diffusers(config: VideoVaeConfig, num_frames: int) -> None:
    encoder = _encoder(config)
    oracle = video_vae_twin.twin(config, encoder, _decoder(config))

    latents = encoder(_pixels(num_frames))

    assert latents.shape == (1, config.latent_channels, (num_frames - 1) // 8 + 1, 2, 3)
    assert_close(latents, video_vae_twin.encode(oracle, encoder, _pixels(num_frames)))


@pytest.mark.parametrize("num_latent_frames", [1, 3])
@torch.no_grad()
def test_decoding_equals_diffusers(config: VideoVaeConfig, num_latent_frames: int) -> None:
    decoder = _decoder(config)
    oracle = video_vae_twin.twin(config, _encoder(config), decoder)
    latents = _latents(config, num_latent_frames)

    pixels = decoder(latents)

    assert pixels.shape == (1, 3, 8 * (num_latent_frames - 1) + 1, 64, 96)
    assert_close(pixels, video_vae_twin.decode(oracle, decoder, latents))


@pytest.mark.parametrize("chunk_bytes", [1, 10_000])
def test_the_fast_paths_equal_the_formulas_whatever_the_chunks(
    config: VideoVaeConfig, chunk_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder, decoder = _encoder(config), _decoder(config)
    # Two samples, because a single one this small is not cut: see `_ONEDNN_THRESHOLD`.
    pixels, latents = _pixels(9, batch=2), _latents(config, 2, batch=2)
    monkeypatch.setattr(video_vae, "CHUNK_BYTES_CPU", chunk_bytes)

    with torch.no_grad():
        encoded, decoded = encoder(pixels), decoder(latents)

    assert_close(encoded, encoder(pixels).detach())
    assert_close(decoded, decoder(latents).detach())


@torch.no_grad()
def test_the_fast_paths_leave_their_input_as_it_was(config: VideoVaeConfig) -> None:
    pixels, latents = _pixels(9), _latents(config, 2)

    _encoder(config)(pixels)
    _decoder(config)(latents)

    assert torch.equal(pixels, _pixels(9))
    assert torch.equal(latents, _latents(config, 2))


@torch.no_grad()
def test_frames_beyond_the_last_8k_plus_1_are_left_out() -> None:
    encoder, pixels = _encoder(LTX_2_3), _pixels(15)

    latents = encoder(pixels)

    assert torch.equal(latents, encoder(pixels[:, :, :9]))


@torch.no_grad()
def test_the_encoder_never_looks_ahead() -> None:
    encoder, pixels = _encoder(LTX_2_3), _pixels(17)

    latents = encoder(pixels)

    assert_close(latents[:, :, :2], encoder(pixels[:, :, :9]))


def test_gradients_reach_every_weight(config: VideoVaeConfig) -> None:
    encoder, decoder = _encoder(config), _decoder(config)

    decoder(encoder(_pixels(9))).square().mean().backward()

    weights = {**dict(encoder.named_parameters()), **dict(decoder.named_parameters())}
    untouched = [name for name, weight in weights.items() if weight.grad is None or not weight.grad.any()]
    assert untouched == []


@torch.no_grad()
def test_bf16_stays_close_to_fp32() -> None:
    decoder, latents = _decoder(LTX_2_3), _latents(LTX_2_3, 3)
    expected = decoder(latents)

    pixels = decoder.to(torch.bfloat16)(latents)

    assert pixels.dtype == torch.bfloat16
    assert_close(pixels.float(), expected, tolerance=0.05)  # bf16 keeps 8 bits, and errors add up over 14 layers


@pytest.mark.parametrize("network", [VideoEncoder, VideoDecoder])
def test_networks_build_on_the_meta_device_with_persistent_state_only(
    config: VideoVaeConfig, network: type[VideoEncoder | VideoDecoder]
) -> None:
    with torch.device("meta"):
        built = network(config)

    stored = built.state_dict()
    assert {name for name, _ in built.named_buffers()} <= set(stored)
    assert {"per_channel_statistics.mean-of-means", "per_channel_statistics.std-of-means"} <= set(stored)
    assert all(value.is_meta for value in stored.values())
