"""A transformer whose blocks stream from their file, beside the same one resident: prints one JSON object.

    python -m tests.benchmarks.streaming [--layers 8] [--tokens 500] [--rounds 5] [--threads N] [--precision plain]

The network has LTX-2.3's blocks at a quarter of their width, so that blocks dominate its memory as they do in the 22B,
and random bf16 weights in a temporary file that stays in the system's cache. All variants compute the same inputs in
one process, taking turns; times are medians, and the results are compared bit for bit. Peaks are those of fresh
processes (Linux): the growth of the resident memory over loading and two predictions, and for the streamed run the
number of blocks that explains what is neither weights outside the blocks nor the resident run's activations.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from engine.folders import HOME_VARIABLE
from engine.model.transformer import Transformer, rope_tables
from engine.sampling.latents import LatentGrid, LatentShape, audio_positions, video_positions
from engine.types import FrameRate
from engine.weights.checkpoint import Checkpoint
from engine.weights.components import load
from engine.weights.keymap import Role, entries_for
from engine.weights.packed import packed_checkpoint
from engine.weights.residency import RESIDENT, Precision, Residency
from tests.benchmarks.transformer import AUDIO_TOKENS, stream
from tests.fakes.checkpoints import write_transformer

# Streams of width 1024 and 512.
WIDTHS: dict[str, Any] = {
    "num_attention_heads": 16,
    "attention_head_dim": 64,
    "cross_attention_dim": 1024,
    "audio_num_attention_heads": 16,
    "audio_attention_head_dim": 32,
    "audio_cross_attention_dim": 512,
}
MIB = 2**20


def open_checkpoint(path: Path, precision: Precision) -> Checkpoint:
    """The file, or its copy in this precision, made on the way."""
    checkpoint = Checkpoint.open(path)
    packing = packed_checkpoint(checkpoint, entries_for(checkpoint, Role.TRANSFORMER), precision)
    while True:
        try:
            next(packing)
        except StopIteration as finished:
            return finished.value


def open_network(checkpoint: Checkpoint, residency: Residency) -> Transformer:
    module = load(checkpoint, Role.TRANSFORMER, dtype=torch.bfloat16, keeps_fp8=True, residency=residency)
    return cast("Transformer", module)


@torch.inference_mode()
def predict(network: Transformer, num_tokens: int) -> tuple[Tensor | None, Tensor | None]:
    """Velocities for one sample, the same at every call."""
    grid, shape = LatentGrid(), LatentShape(num_tokens // 100, 10, 10)
    places = video_positions(shape, FrameRate.parse(24).value, grid), audio_positions(AUDIO_TOKENS, grid)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        video = stream(network.config, is_video=True, tokens=shape.tokens)
        audio = stream(network.config, is_video=False, tokens=AUDIO_TOKENS)
    video, audio = (
        replace(item, latent=item.latent.bfloat16(), context=item.context.bfloat16()) for item in (video, audio)
    )
    return network(video, audio, rope_tables(network.config, *places, torch.bfloat16))


def bytes_of(checkpoint: Checkpoint) -> tuple[int, int]:
    """Weights outside the blocks, and those of one block."""
    blocks: dict[str, int] = {}
    for key, file_key in entries_for(checkpoint, Role.TRANSFORMER).items():
        parts = key.split(".")
        name = parts[1] if parts[0] == "transformer_blocks" else ""
        blocks[name] = blocks.get(name, 0) + checkpoint.tensors[file_key].num_bytes
    return blocks.pop(""), max(blocks.values())


def peak_growth(arguments: argparse.Namespace, path: Path, residency: str) -> int:
    """Bytes by which a fresh process grows, at most, while it loads and predicts twice."""
    command = [sys.executable, "-m", "tests.benchmarks.streaming", "--measure-peak", residency, "--file", str(path)]
    command += ["--tokens", str(arguments.tokens), "--threads", str(torch.get_num_threads())]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def measure_peak(arguments: argparse.Namespace) -> None:
    def status(field: str) -> int:
        line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
        return int(line.split()[1]) * 1024

    checkpoint = Checkpoint.open(arguments.file)
    before = status("VmRSS")
    network = open_network(checkpoint, RESIDENT if arguments.measure_peak == "resident" else Residency("disk"))
    for _ in range(2):
        predict(network, arguments.tokens)
    print(status("VmHWM") - before)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=500, help="video tokens, a multiple of 100")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, help="default: torch's own choice")
    parser.add_argument("--precision", choices=[item.value for item in Precision], default="plain")
    parser.add_argument("--measure-peak", choices=["resident", "streamed"], help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    if arguments.measure_peak:
        measure_peak(arguments)
        return
    with tempfile.TemporaryDirectory() as folder:
        os.environ[HOME_VARIABLE] = folder  # copies go where they are deleted again
        source = write_transformer(Path(folder) / "model.safetensors", num_layers=arguments.layers, **WIDTHS)
        checkpoint = open_checkpoint(source.path, Precision(arguments.precision))
        networks = {
            "resident": open_network(checkpoint, RESIDENT),
            "streamed": open_network(checkpoint, Residency("disk")),
            "half_streamed": open_network(checkpoint, Residency("disk", arguments.layers // 2)),
        }
        expected = predict(networks["resident"], arguments.tokens)
        seconds: dict[str, list[float]] = {name: [] for name in networks}
        is_same = True
        for round_number in range(arguments.rounds + 1):
            for name, network in networks.items():
                start = time.perf_counter()
                result = predict(network, arguments.tokens)
                if round_number:  # the first round warms up
                    seconds[name].append(time.perf_counter() - start)
                pairs = zip(result, expected, strict=True)
                is_same &= all(a is not None and b is not None and torch.equal(a, b) for a, b in pairs)
        medians = {name: statistics.median(values) for name, values in seconds.items()}
        outside, block = bytes_of(checkpoint)
        peaks = {name: peak_growth(arguments, checkpoint.path, name) for name in ("resident", "streamed")}
    activations = peaks["resident"] - outside - arguments.layers * block
    report = {
        "precision": arguments.precision,
        "layers": arguments.layers,
        "tokens": arguments.tokens,
        "threads": torch.get_num_threads(),
        "block_mib": round(block / MIB, 1),
        "outside_blocks_mib": round(outside / MIB, 1),
        "seconds": {name: round(value, 3) for name, value in medians.items()},
        "time_against_resident": {
            name: round(value / medians["resident"], 3) for name, value in medians.items() if name != "resident"
        },
        "same_bits": is_same,
        "peak_mib": {name: round(value / MIB, 1) for name, value in peaks.items()},
        "activations_mib": round(activations / MIB, 1),
        "blocks_held_when_streamed": round((peaks["streamed"] - outside - activations) / block, 2),
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
