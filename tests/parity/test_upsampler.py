"""The latent upsamplers equal diffusers' on random weights, and are built with the official files' tensors.

Run alone: pytest tests/parity/test_upsampler.py
"""

from dataclasses import replace
from typing import Any

import pytest
import torch
from diffusers.pipelines.ltx2.latent_upsampler import LTX2LatentUpsamplerModel
from torch import Tensor

from engine.model.config import UpsamplerConfig
from engine.model.upsampler import LatentUpsampler, upsample
from tests.parity.golden_files import assert_close
from tests.parity.video_vae_twin import randomise

X2 = UpsamplerConfig(latent_channels=4, width=32, blocks_per_stage=1, space_scale=2.0, time_scale=1, rational=False)
X1_5 = replace(X2, space_scale=1.5, rational=True)
TEMPORAL = replace(X2, space_scale=1.0, time_scale=2)
CONFIGS = {
    "x2": X2,
    "x2 of LTX-2.0": replace(X2, rational=True),
    "x1.5": X1_5,
    "x1.5, wider and deeper": replace(X1_5, latent_channels=6, width=64, blocks_per_stage=2),
    "temporal": TEMPORAL,
    "temporal, deeper": replace(TEMPORAL, blocks_per_stage=2),
}


@pytest.fixture(autouse=True)
def _without_gradients():
    with torch.no_grad():
        yield


def build(config: UpsamplerConfig, seed: int = 0) -> LatentUpsampler:
    network = LatentUpsampler(config)
    kernels = {name: value.clone() for name, value in network.named_buffers()}
    randomise(network, seed)
    network.load_state_dict(kernels, strict=False)  # the blur is a constant of the file, not a weight
    return network


def twin(network: LatentUpsampler) -> LTX2LatentUpsamplerModel:
    config = network.config
    options: dict[str, Any] = {
        "in_channels": config.latent_channels,
        "mid_channels": config.width,
        "num_blocks_per_stage": config.blocks_per_stage,
        "spatial_upsample": config.time_scale == 1,
        "temporal_upsample": config.time_scale == 2,
        "use_rational_resampler": config.rational,
        "rational_spatial_scale": config.space_scale,
    }
    other = LTX2LatentUpsamplerModel(**options)
    other.load_state_dict(network.state_dict())
    return other


def latents_for(config: UpsamplerConfig, *, frames: int = 2, height: int = 3, width: int = 5) -> Tensor:
    generator = torch.Generator().manual_seed(7)
    return torch.randn(2, config.latent_channels, frames, height, width, generator=generator)


@pytest.mark.parametrize("name", CONFIGS)
def test_an_upsampler_equals_the_one_of_diffusers(name: str) -> None:
    network = build(CONFIGS[name], seed=len(name))
    latents = latents_for(network.config)

    assert_close(network(latents), twin(network)(latents))


@pytest.mark.parametrize(
    ("config", "expected"), [(X2, (2, 6, 10)), (X1_5, (2, 5, 8)), (TEMPORAL, (3, 3, 5))], ids=["x2", "x1.5", "temporal"]
)
def test_odd_sizes_round_up_and_the_first_frame_is_not_doubled(
    config: UpsamplerConfig, expected: tuple[int, int, int]
) -> None:
    upsampled = build(config)(latents_for(config))

    assert upsampled.shape[2:] == expected


def test_a_fresh_x1_5_upsampler_keeps_the_mean_of_a_picture() -> None:
    kernel = LatentUpsampler(X1_5).state_dict()["upsampler.blur_down.kernel"]

    assert kernel.shape == (1, 1, 5, 5)
    assert float(kernel.sum()) == pytest.approx(1)
    assert float(kernel[0, 0, 2, 2]) == 36 / 256


def test_upsampling_takes_the_statistics_off_and_puts_them_back() -> None:
    network, latents = build(X2), latents_for(X2)
    mean, std = torch.tensor([1.0, -2.0, 0.5, 0.0]), torch.tensor([0.5, 2.0, 1.0, 3.0])

    upsampled = upsample(network, latents, mean=mean, std=std)

    column = (slice(None), None, None, None)
    assert_close(upsampled, (network(latents * std[column] + mean[column]) - mean[column]) / std[column])


def test_upsampling_with_a_bfloat16_network_keeps_the_dtype_of_the_latents() -> None:
    network, latents = build(X2), latents_for(X2)
    expected = upsample(network, latents, mean=torch.zeros(4), std=torch.ones(4))

    upsampled = upsample(network.bfloat16(), latents, mean=torch.zeros(4), std=torch.ones(4))

    assert upsampled.dtype == torch.float32
    assert_close(upsampled, expected, 0.05)  # bfloat16 keeps 8 bits, over eight convolutions


@pytest.mark.parametrize(
    ("config", "num_tensors", "num_elements"),
    [
        (replace(X2, width=1024), 72, 497_867_904),
        (replace(X1_5, width=1024), 73, 545_058_969),
        (replace(TEMPORAL, width=512), 72, 130_968_192),
    ],
    ids=["x2", "x1.5", "temporal"],
)
def test_the_official_sizes_have_the_tensors_of_the_official_files(
    config: UpsamplerConfig, num_tensors: int, num_elements: int
) -> None:
    with torch.device("meta"):
        tensors = LatentUpsampler(replace(config, latent_channels=128, blocks_per_stage=4)).state_dict()

    assert len(tensors) == num_tensors
    assert sum(tensor.numel() for tensor in tensors.values()) == num_elements
    assert all(tensor.is_meta for tensor in tensors.values())
