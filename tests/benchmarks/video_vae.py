"""How fast, and in how much memory, the video VAE runs beside diffusers': prints one JSON object.

    python -m tests.benchmarks.video_vae [--rounds 7] [--width 32] [--latent 5x9x12] [--threads N]

Both sides hold the same random fp32 weights of LTX-2.3's layout at a quarter of its width, in one process, taking
turns; times are medians. The peak is what a call adds to the process's resident memory at most, sampled while it runs.
"""

import argparse
import ctypes
import json
import os
import statistics
import sys
import threading
import time
from collections.abc import Callable

import psutil
import torch
from torch import Tensor

from engine.model.config import Resample, ResBlocks, VideoVaeConfig
from engine.model.video_vae import VideoDecoder, VideoEncoder
from tests.parity import video_vae_twin

MIB = 2**20


def ltx_2_3(width: int) -> VideoVaeConfig:
    """LTX-2.3's video VAE; 128 is its real width."""
    encoder_blocks: list[ResBlocks | Resample] = [ResBlocks(4)]
    decoder_blocks: list[ResBlocks | Resample] = [ResBlocks(4)]
    for num_layers, time_factor, space_factor, encoder_multiplier, decoder_multiplier in (
        (6, 1, 2, 2, 2),
        (4, 2, 1, 2, 2),
        (2, 2, 2, 2, 1),
        (2, 2, 2, 1, 2),
    ):
        encoder_blocks += [Resample(time_factor, space_factor, encoder_multiplier, True), ResBlocks(num_layers)]
        decoder_blocks += [Resample(time_factor, space_factor, decoder_multiplier, False), ResBlocks(num_layers)]
    return VideoVaeConfig(
        latent_channels=width,
        picture_channels=3,
        patch_size=4,
        encoder_width=width,
        encoder_blocks=tuple(encoder_blocks),
        decoder_width=width,
        decoder_blocks=tuple(decoder_blocks),
        encoder_padding="zeros",
        decoder_padding="zeros",
        causal_decoder=False,
    )


def seconds(call: Callable[[], Tensor]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def peak_bytes(call: Callable[[], Tensor]) -> int:
    """Most resident memory during a call, above what was resident before it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)  # glibc keeps freed memory resident, which would hide the next call's use
    process, finished = psutil.Process(os.getpid()), threading.Event()
    before = highest = process.memory_info().rss

    def sample() -> None:
        nonlocal highest
        while not finished.wait(0.002):
            highest = max(highest, process.memory_info().rss)

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        call()
    finally:
        finished.set()
        sampler.join()
    return highest - before


def compare(ours: Callable[[], Tensor], theirs: Callable[[], Tensor], rounds: int) -> dict[str, float]:
    difference = (ours() - theirs()).abs().max() / theirs().abs().max()  # also warms both up
    our_times, their_times = [], []
    for _ in range(rounds):
        our_times.append(seconds(ours))
        their_times.append(seconds(theirs))
    return {
        "relative_difference": float(difference),
        "seconds": round(statistics.median(our_times), 4),
        "diffusers_seconds": round(statistics.median(their_times), 4),
        "ratio": round(statistics.median(our_times) / statistics.median(their_times), 3),
        "peak_mib": round(peak_bytes(ours) / MIB),
        "diffusers_peak_mib": round(peak_bytes(theirs) / MIB),
    }


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--width", type=int, default=32, help="channels at picture resolution; 128 in LTX-2.3")
    parser.add_argument("--latent", default="5x9x12", help="latent frames x rows x columns")
    parser.add_argument("--threads", type=int, help="default: torch's own choice")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    frames, rows, columns = (int(number) for number in arguments.latent.split("x"))

    config = ltx_2_3(arguments.width)
    encoder, decoder = VideoEncoder(config), VideoDecoder(config)
    video_vae_twin.randomise(encoder, seed=1)
    video_vae_twin.randomise(decoder, seed=2)
    oracle = video_vae_twin.twin(config, encoder, decoder)
    latents = torch.randn(1, config.latent_channels, frames, rows, columns)
    pixels = torch.rand(1, 3, 8 * (frames - 1) + 1, 32 * rows, 32 * columns) * 2 - 1

    report = {
        "width": arguments.width,
        "latent": [frames, rows, columns],
        "rounds": arguments.rounds,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "decode": compare(
            lambda: decoder(latents), lambda: video_vae_twin.decode(oracle, decoder, latents), arguments.rounds
        ),
        "encode": compare(
            lambda: encoder(pixels), lambda: video_vae_twin.encode(oracle, encoder, pixels), arguments.rounds
        ),
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
