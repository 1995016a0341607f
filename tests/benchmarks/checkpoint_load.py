"""How fast, and in how much memory, a checkpoint is loaded: prints one JSON object.

    python tests/benchmarks/checkpoint_load.py [--blocks 3] [--rounds 5] [--folder DIR]

Writes a temporary checkpoint of bf16 transformer blocks with the shapes of LTX-2.3 (738 MiB each) and deletes it again.
In one process, taking turns, medians: our loader (allocating and reading) against plain sequential reads of the same
bytes into one small reused buffer (which never writes them to main memory), into memory of full size that was touched
before, and into fresh memory (what a loader that allocates must do). All from the system's file cache; with `--cold`
the cache is dropped before every read, so that the disk sets the pace. As much memory as the file needs is touched and
freed before every read: a virtual machine hands its free memory back to the host, and fetching it again (seconds per
GiB) would be charged to whoever allocates next. The peak is measured in a fresh process on Linux.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save_file

from engine.weights.checkpoint import Checkpoint
from engine.weights.reading import TORCH_DTYPES, TensorSpec, allocate, read_into

GIB = 2**30
READ_BYTES = 16 * 2**20

# One LTX-2.3 transformer block: the attentions' (query width, context width, inner width), then its feed-forwards.
ATTENTIONS = {
    "attn1": (4096, 4096, 4096),
    "attn2": (4096, 4096, 4096),
    "audio_attn1": (2048, 2048, 2048),
    "audio_attn2": (2048, 2048, 2048),
    "audio_to_video_attn": (4096, 2048, 2048),
    "video_to_audio_attn": (2048, 4096, 2048),
}
FEED_FORWARDS = {"ff": 4096, "audio_ff": 2048}


def block_shapes() -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}

    def linear(name: str, outputs: int, inputs: int) -> None:
        shapes[f"{name}.weight"] = (outputs, inputs)
        shapes[f"{name}.bias"] = (outputs,)

    for name, (query, context, inner) in ATTENTIONS.items():
        linear(f"{name}.to_q", inner, query)
        linear(f"{name}.to_k", inner, context)
        linear(f"{name}.to_v", inner, context)
        linear(f"{name}.to_out.0", query, inner)
        linear(f"{name}.to_gate_logits", 32, query)
        shapes |= {f"{name}.q_norm.weight": (inner,), f"{name}.k_norm.weight": (inner,)}
    for name, width in FEED_FORWARDS.items():
        linear(f"{name}.net.0.proj", 4 * width, width)
        linear(f"{name}.net.2", width, 4 * width)
    return shapes


def write_checkpoint(path: Path, num_blocks: int) -> None:
    block = {name: torch.randn(shape).to(torch.bfloat16) for name, shape in block_shapes().items()}
    tensors = {
        f"model.diffusion_model.transformer_blocks.{index}.{name}": tensor.clone()
        for index in range(num_blocks)
        for name, tensor in block.items()
    }
    save_file(tensors, path)


def load(path: Path) -> int:
    """What the engine does: header, memory, bytes. Returns the number of bytes loaded."""
    checkpoint = Checkpoint.open(path)
    entries = checkpoint.tensors
    targets = allocate({name: TensorSpec(TORCH_DTYPES[entry.dtype], entry.shape) for name, entry in entries.items()})
    read_into(checkpoint, targets)
    return sum(entry.num_bytes for entry in entries.values())


def read_sequentially(path: Path, memory: memoryview) -> None:
    """The whole file into `memory`, over and over where it is smaller than the file."""
    with path.open("rb", buffering=0) as file:
        position = 0
        while count := file.readinto(memory[position : position + READ_BYTES]):  # pyright: ignore[reportAttributeAccessIssue]
            position = (position + count) % len(memory)


def drop_from_cache(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def touch_free_memory(num_bytes: int) -> None:
    next(iter(allocate({"": TensorSpec(torch.uint8, (num_bytes,))}).values())).fill_(1)


def time_all(path: Path, rounds: int, *, cold: bool) -> dict[str, float]:
    """Median seconds of every way to read, taking turns."""
    file_bytes = path.stat().st_size
    touched = memoryview(bytearray(b"\1") * file_bytes)
    small = memoryview(bytearray(READ_BYTES))
    ways: dict[str, Callable[[], object]] = {
        "ours": lambda: load(path),
        "plain_reused_buffer": lambda: read_sequentially(path, small),
        "plain_touched_memory": lambda: read_sequentially(path, touched),
        "plain_fresh_memory": lambda: read_sequentially(path, torch.empty(file_bytes, dtype=torch.uint8).numpy().data),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for round_number in range(rounds + 1):
        for name, read in ways.items():
            touch_free_memory(file_bytes)
            if cold:
                drop_from_cache(path)
            start = time.perf_counter()
            read()
            if round_number:  # the first round warms up
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def peak_growth(path: Path) -> tuple[int, int] | None:
    """Bytes loaded and the growth of the peak resident memory, in a fresh process; None where Linux's /proc is not."""
    if not Path("/proc/self/status").exists():
        return None
    command = [sys.executable, __file__, "--measure-peak", str(path)]
    loaded, growth = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return int(loaded), int(growth)


def measure_peak(path: Path) -> None:
    def status(field: str) -> int:
        line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
        return int(line.split()[1]) * 1024

    before = status("VmRSS")
    loaded = load(path)
    print(loaded, status("VmHWM") - before)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blocks", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where the temporary file goes (its disk is what is measured)")
    parser.add_argument("--cold", action="store_true")
    parser.add_argument("--measure-peak", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure_peak:
        measure_peak(arguments.measure_peak)
        return
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        path = Path(folder) / "blocks.safetensors"
        write_checkpoint(path, arguments.blocks)
        seconds = time_all(path, arguments.rounds, cold=arguments.cold)
        peak = peak_growth(path)
        gib = path.stat().st_size / GIB
    print(
        json.dumps(
            {
                "gib": round(gib, 3),
                "cold": arguments.cold,
                "gib_per_second": {name: round(gib / value, 2) for name, value in seconds.items()},
                "speed_against": {
                    name: round(value / seconds["ours"], 2) for name, value in seconds.items() if name != "ours"
                },
                "peak_against_bytes_loaded": round(peak[1] / peak[0], 4) if peak else None,
            }
        )
    )


if __name__ == "__main__":
    main()
