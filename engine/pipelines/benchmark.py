"""Measure how fast a device computes what the model computes, in a few seconds, for plans made before the first run.

Four small pieces of the networks themselves, at shapes that a large model has, each for up to two seconds: a linear
layer, attention, a convolution, and a transformer block so narrow that only the cost of calling it is left. Runs then
teach the planner better (`engine.pipelines.speed`). This module brings torch; nothing that plans imports it.
"""

import time
from collections.abc import Callable
from dataclasses import replace

import torch

from engine.hardware import Device, measure_disk_speed
from engine.model.attention import attention
from engine.model.config import StreamConfig, TransformerConfig
from engine.model.linear import Linear
from engine.model.transformer import StreamInput, Transformer, rope_tables
from engine.model.video_vae import Convolution
from engine.pipelines.memory import KERNEL_VOLUME
from engine.pipelines.speed import Rates, remember_benchmark
from engine.pipelines.work import WorkKind

SECONDS_FOR_EACH = 2.0  # four pieces, and a second or two for the disk: well below twenty


def measure_speed(device: Device, *, seconds_for_each: float = SECONDS_FOR_EACH) -> Rates:
    """Measure, keep and return a device's rates; the disk's read speed is measured and kept too."""
    measure_disk_speed()
    rates = measure_rates(device, seconds_for_each=seconds_for_each)
    remember_benchmark(device, rates)
    return rates


@torch.no_grad()
def measure_rates(device: Device, *, seconds_for_each: float = SECONDS_FOR_EACH) -> Rates:
    """Units of work per second, by kind."""
    place, is_cpu = torch.device(device.torch_name), device.kind == "cpu"
    dtype = torch.float32 if is_cpu else torch.bfloat16

    def rate(amount: float, call: Callable[[], object]) -> float:
        return amount / _seconds(call, place, seconds_for_each)

    width, tokens = (1024, 1024) if is_cpu else (4096, 8192)
    layer = Linear(width, 4 * width).to(place, dtype).requires_grad_(False)
    x = torch.randn(1, tokens, width, device=place, dtype=dtype)

    heads = torch.randn(1, width // 128, tokens, 128, device=place, dtype=dtype)

    channels, frames, side = (64, 8, 64) if is_cpu else (128, 16, 128)
    convolution = Convolution(channels, channels, causal=False, padding="zeros").to(place, dtype).requires_grad_(False)
    pictures = torch.randn(1, frames, side, side, channels, device=place, dtype=dtype)
    convolved = 2.0 * KERNEL_VOLUME * channels**2 * frames * side**2

    network = _narrow_transformer().to(place, dtype).requires_grad_(False).eval()
    video, audio = _narrow_inputs(network.config, place, dtype)
    rope = rope_tables(
        network.config, torch.zeros(1, 3, 4, 2, device=place), torch.zeros(1, 1, 4, 2, device=place), dtype
    )
    kinds: dict[WorkKind, float] = {
        "matrices": rate(2.0 * tokens * width * 4 * width, lambda: layer(x)),
        "attention": rate(4.0 * tokens**2 * width, lambda: attention(heads, heads, heads)),
        "convolutions": rate(convolved, lambda: convolution.run(pictures)),
        "calls": rate(float(network.config.num_layers), lambda: network(video, audio, rope)),
    }
    return kinds


def _seconds(call: Callable[[], object], place: torch.device, budget_s: float) -> float:
    """The fastest of some calls: whatever else the machine does can only make one slower."""
    call()  # kernels are compiled and chosen at the first
    fastest, began = float("inf"), time.perf_counter()
    while fastest == float("inf") or time.perf_counter() - began < budget_s:
        _wait_for(place)
        start = time.perf_counter()
        call()
        _wait_for(place)
        fastest = min(fastest, time.perf_counter() - start)
    return fastest


def _wait_for(place: torch.device) -> None:
    if place.type == "cuda":
        torch.cuda.synchronize(place)
    elif place.type == "mps":
        torch.mps.synchronize()


def _narrow_transformer() -> Transformer:
    video = StreamConfig(2, 8, 8, 8, 16, (20, 2048, 2048), ff_bias=True)
    return Transformer(
        TransformerConfig(
            num_layers=4,
            video=video,
            audio=replace(video, max_positions=(20,)),
            cross_rope_dim=16,
            norm_eps=1e-6,
            gated_attention=True,
            text_adaln=True,
            caption_channels=None,
            rope_type="split",
            rope_theta=10000.0,
            rope_double_precision=True,
            timestep_scale=1000.0,
            cross_gate_timestep_scale=1000.0,
        )
    )


def _narrow_inputs(
    config: TransformerConfig, place: torch.device, dtype: torch.dtype
) -> tuple[StreamInput, StreamInput]:
    def stream(width: int) -> StreamInput:
        return StreamInput(
            latent=torch.zeros(1, 4, width, device=place, dtype=dtype),
            timesteps=torch.ones(1, 4, device=place),
            sigma=torch.ones(1, device=place),
            context=torch.zeros(1, 4, config.video.context_dim, device=place, dtype=dtype),
        )

    return stream(config.video.in_channels), stream(config.audio.in_channels)
