"""How well plans predict time and memory: runs ten different requests twice on the CPU and prints a table.

    python -m tests.benchmarks.plan_accuracy [--rounds 2] [--repeats 1] [--home FOLDER] [--json]

Every run has a process of its own, one thread, and the same home folder, so each teaches the plans after it; the last
round counts. Time is the process's CPU time, encoding included, which other programs do not lengthen. Memory is the
peak of the process above what it was with every library loaded and no model.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

REQUESTS = (
    ("128x128", 17, "draft"),
    ("256x192", 25, "draft"),
    ("512x320", 49, "draft"),
    ("128x128", 49, "fast"),
    ("256x192", 49, "fast"),
    ("384x256", 33, "fast"),
    ("512x320", 97, "fast"),
    ("128x128", 33, "standard"),
    ("256x192", 97, "standard"),
    ("384x256", 65, "standard"),
)


def run_one(model: Path, size: str, frames: int, preset: str) -> dict[str, float]:
    """Plan one request, run it, and say what was predicted and what it took."""
    import time

    import torch
    from transformers import AutoTokenizer, Gemma3TextModel  # so that importing them counts for nothing

    from engine.events import Finished
    from engine.hardware import process_memory_bytes
    from engine.pipelines.plan import plan
    from engine.pipelines.run import run
    from engine.request import GenerationRequest, Preset
    from engine.types import Size

    assert AutoTokenizer
    assert Gemma3TextModel
    torch.set_num_threads(1)
    wall_clock, time.perf_counter = time.perf_counter, time.process_time  # what a run times itself by
    request = GenerationRequest(
        "a red ball bounces", model=str(model), size=Size.parse(size), frames=frames, preset=Preset(preset), seed=1
    )
    estimate = plan(request).estimate
    before = process_memory_bytes()
    began = wall_clock()
    with tempfile.TemporaryDirectory() as folder:
        *_, last = run(request, Path(folder) / "clip.mp4")
    assert isinstance(last, Finished)
    result = last.result
    return {
        "predicted_s": estimate.seconds,
        "measured_s": result.timings["total"],
        "wall_s": wall_clock() - began,
        "predicted_mib": estimate.model_bytes / 2**20,
        "measured_mib": (result.peak_bytes - before) / 2**20,
    }


def in_own_process(home: Path, model: Path, request: tuple[str, int, str]) -> dict[str, float]:
    arguments = [sys.executable, "-m", "tests.benchmarks.plan_accuracy", "--one", str(model), *map(str, request)]
    environment = {**os.environ, "LTX_STUDIO_HOME": str(home), "OMP_NUM_THREADS": "1"}
    output = subprocess.run(arguments, check=True, capture_output=True, env=environment).stdout
    return json.loads(output.splitlines()[-1])


def measure(home: Path, model: Path, request: tuple[str, int, str], repeats: int) -> dict[str, float]:
    """The prediction before the first of several runs, and the median of what they took."""
    runs = [in_own_process(home, model, request) for _ in range(repeats)]
    result = {name: median(item[name] for item in runs) for name in runs[0]}
    result |= {name: runs[0][name] for name in ("predicted_s", "predicted_mib")}
    result["time_ratio"] = result["predicted_s"] / result["measured_s"]
    result["memory_ratio"] = result["predicted_mib"] / result["measured_mib"]
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--shape", choices=("small", "starter"), default="small", help="of the untrained model")
    parser.add_argument("--home", type=Path, help="where to keep what was learnt; default: nowhere")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--one", nargs=4, metavar=("MODEL", "SIZE", "FRAMES", "PRESET"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        model, size, frames, preset = options.one
        print(json.dumps(run_one(Path(model), size, int(frames), preset)))
        return
    with tempfile.TemporaryDirectory() as folder:
        home = options.home or Path(folder) / "home"
        model = make_model(Path(folder) / "model", options.shape)
        rounds = [
            [measure(home, model, request, options.repeats) for request in REQUESTS] for _ in range(options.rounds)
        ]
    if options.json:
        print(json.dumps([dict(zip(map(str, REQUESTS), results, strict=True)) for results in rounds]))
        return
    for number, results in enumerate(rounds, start=1):
        print(f"round {number}")
        for request, item in zip(REQUESTS, results, strict=True):
            name = " ".join(map(str, request))
            print(
                f"  {name:22} {item['predicted_s']:7.2f} / {item['measured_s']:7.2f} s = {item['time_ratio']:.2f}   "
                f"{item['predicted_mib']:7.0f} / {item['measured_mib']:7.0f} MiB = {item['memory_ratio']:.2f}   "
                f"(wall {item['wall_s']:.1f} s)"
            )
        within_time = sum(abs(item["time_ratio"] - 1) <= 0.25 for item in results)
        within_memory = sum(abs(item["memory_ratio"] - 1) <= 0.10 for item in results)
        print(f"  within 25 % of time: {within_time}, within 10 % of memory: {within_memory}, of {len(results)}")


def make_model(folder: Path, shape: str) -> Path:
    from engine.training.blank import make_model as make
    from engine.training.blank import small_shape
    from engine.training.starter import starter_shape

    return make(folder, {"small": small_shape, "starter": starter_shape}[shape]())


if __name__ == "__main__":
    main()
