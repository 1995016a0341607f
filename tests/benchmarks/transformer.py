"""How fast a forward pass of the transformer is beside diffusers': prints one JSON object.

    python -m tests.benchmarks.transformer [--rounds 7] [--layers 8] [--tokens 1000] [--threads N] [--per-token]

Both sides hold the same random fp32 weights and the same inputs, in one process, taking turns; times are medians.
Either side computes its rotary tables inside the measured time, as diffusers does by itself; the time of our forward
pass with tables made beforehand, as our sampler runs it, stands beside. diffusers gets one timestep for each sample,
its fastest input; `--per-token` adds the case of an image condition, where both get one timestep for each token.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import torch
from torch import Tensor

from engine.model.config import TransformerConfig, parse_transformer
from engine.model.header import Section
from engine.model.transformer import StreamInput, Transformer, rope_tables
from engine.sampling.latents import LatentGrid, LatentShape, audio_positions, video_positions
from tests.fakes.tiny_transformer import randomise
from tests.parity import transformer_twin

Velocities = tuple[Tensor | None, Tensor | None]

AUDIO_TOKENS, TEXT_TOKENS = 126, 128
SIGMA = 0.725


def ltx_2_3(num_layers: int, heads: int) -> TransformerConfig:
    """LTX-2.3's transformer with other numbers of layers and heads, and half as wide heads."""
    values = {
        "num_layers": num_layers,
        "num_attention_heads": heads,
        "attention_head_dim": 64,
        "cross_attention_dim": heads * 64,
        "audio_num_attention_heads": heads,
        "audio_attention_head_dim": 32,
        "audio_cross_attention_dim": heads * 32,
        "apply_gated_attention": True,
        "cross_attention_adaln": True,
        "caption_proj_before_connector": True,
        "frequencies_precision": "float64",
        "av_ca_timestep_scale_multiplier": 1000,
    }
    return parse_transformer(Section(Path("benchmark"), "config", {"transformer": values}))


def stream(config: TransformerConfig, *, is_video: bool, tokens: int) -> StreamInput:
    settings = config.video if is_video else config.audio
    sigma = torch.full((1,), SIGMA)
    return StreamInput(
        latent=torch.randn(1, tokens, settings.in_channels),
        timesteps=sigma.expand(1, tokens),
        sigma=sigma,
        context=torch.randn(1, TEXT_TOKENS, settings.context_dim),
    )


def measure(calls: dict[str, Callable[[], Velocities]], rounds: int) -> dict[str, float]:
    """Median seconds of each call; they take turns, and the first turn only warms up."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for round_index in range(rounds + 1):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            if round_index:
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def difference(ours: Velocities, theirs: Velocities) -> float:
    """Largest difference over the largest value, of both streams."""
    return max(
        float((one - other).abs().max() / other.abs().max())
        for one, other in zip(ours, theirs, strict=True)
        if one is not None and other is not None
    )


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--heads", type=int, default=16, help="of width 64 and 32; 32 of 128 and 64 in LTX-2.3")
    parser.add_argument("--tokens", type=int, default=1000, help="video tokens, a multiple of 100")
    parser.add_argument("--threads", type=int, help="default: torch's own choice")
    parser.add_argument("--per-token", action="store_true", help="also with an image condition")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)

    config = ltx_2_3(arguments.layers, arguments.heads)
    network = Transformer(config).eval()
    randomise(network, seed=1)
    oracle = transformer_twin.twin(network)
    grid, shape = LatentGrid(), LatentShape(arguments.tokens // 100, 10, 10)
    video = stream(config, is_video=True, tokens=shape.tokens)
    audio = stream(config, is_video=False, tokens=AUDIO_TOKENS)
    positions = video_positions(shape, Fraction(24), grid), audio_positions(AUDIO_TOKENS, grid)
    tables = rope_tables(config, *positions)
    # What an image condition does: the first frame is given, so its tokens are at noise level 0.
    given = torch.arange(shape.tokens) < shape.height * shape.width
    conditioned = replace(video, timesteps=torch.where(given, 0.0, video.timesteps))

    calls: dict[str, Callable[[], Velocities]] = {
        "ours": lambda: network(video, audio, rope_tables(config, *positions)),
        "diffusers": lambda: transformer_twin.forward(oracle, video, audio, *positions),
        "ours_tables_given": lambda: network(video, audio, tables),
    }
    if arguments.per_token:
        calls |= {
            "ours_per_token": lambda: network(conditioned, audio, rope_tables(config, *positions)),
            "diffusers_per_token": lambda: transformer_twin.forward(
                oracle, conditioned, audio, *positions, is_per_token=True
            ),
        }
    seconds = measure(calls, arguments.rounds)
    report = {
        "layers": arguments.layers,
        "widths": [config.video.width, config.audio.width],
        "tokens": {"video": shape.tokens, "audio": AUDIO_TOKENS, "text": TEXT_TOKENS},
        "rounds": arguments.rounds,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "relative_difference": difference(calls["ours"](), calls["diffusers"]()),
        "seconds": {name: round(value, 4) for name, value in seconds.items()},
        "ratio": round(seconds["ours"] / seconds["diffusers"], 3),
        "ratio_tables_given": round(seconds["ours_tables_given"] / seconds["diffusers"], 3),
    }
    if arguments.per_token:
        report["ratio_per_token"] = round(seconds["ours_per_token"] / seconds["diffusers_per_token"], 3)
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
