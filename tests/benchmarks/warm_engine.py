"""How soon a second job denoises, and what `unload` gives back: prints one JSON object.

    python -m tests.benchmarks.warm_engine [--layers 8] [--width 512]

Two jobs of other prompts on one store, with an untrained model of the given size on the CPU. "begin_s" is the time from
the start of a run to the first block of its first step, of which "text_s" is the prompt. Memory is what the process
holds. Fails if the second job takes more than a second beside its prompt, or if unloading leaves more than a tenth of
what was loaded.
"""

import argparse
import json
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch

from engine import GenerationRequest, run
from engine.events import Finished, Progress
from engine.hardware import process_memory_bytes
from engine.request import Preset
from engine.training.blank import make_model, small_shape
from engine.types import Size
from engine.weights.store import ModelStore

BEGIN_LIMIT_S, LEFT_LIMIT = 1.0, 0.1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--width", type=int, default=512)
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        os.environ["LTX_STUDIO_HOME"] = name
        shape = small_shape()
        width = arguments.width
        transformer = {
            **shape.config["transformer"],
            "num_layers": arguments.layers,
            "attention_head_dim": width // 2,
            "cross_attention_dim": width,
            "connector_attention_head_dim": width // 2,
        }
        checkpoint = make_model(
            Path(name) / "model", replace(shape, config={**shape.config, "transformer": transformer})
        )
        request = GenerationRequest(
            "a red ball", model=str(checkpoint), size=Size(128, 64), frames=9, preset=Preset.DRAFT, seed=1, silent=True
        )
        store, jobs = ModelStore(), list[dict[str, float]]()
        for index, prompt in enumerate(("a red ball", "a blue ball")):
            began, begun_s, text_s = time.perf_counter(), None, 0.0
            for event in run(replace(request, prompt=prompt), Path(name) / f"{index}.mp4", store=store):
                match event:
                    case Progress("denoise") if begun_s is None:
                        begun_s = time.perf_counter() - began
                    case Finished(result):
                        text_s = result.timings["text"]
                    case _:
                        pass
            assert begun_s is not None
            jobs.append({"begin_s": round(begun_s, 3), "text_s": text_s})
        memory = {"store": store.ram_bytes, "loaded": process_memory_bytes()}
        store.unload()
        memory["unloaded"] = process_memory_bytes()
    given_back = memory["loaded"] - memory["unloaded"]
    second_s = jobs[1]["begin_s"] - jobs[1]["text_s"]
    print(json.dumps({"jobs": jobs, "second_s": round(second_s, 3), "memory_bytes": memory}))
    assert second_s < BEGIN_LIMIT_S, f"the second job took {second_s:.2f} s to begin"
    left = memory["store"] - given_back
    assert left < LEFT_LIMIT * memory["store"], f"{left} bytes are still held"


if __name__ == "__main__":
    main()
