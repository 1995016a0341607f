"""How much memory decoding takes for clips of several lengths: prints one JSON object.

    python -m tests.benchmarks.decode_memory [--frames 241 481 961] [--size 256x192]

Each length decodes in a process of its own, tile by tile into a clip on disk, with the tiny untrained model and the
official tiles. The growth of peak memory over the process before decoding should not depend on the length.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from engine.types import FrameRate, Size, latent_frame_count


def decode(size: Size, frames: int) -> dict[str, float]:
    """Decode random latents of one clip, and say by how much the peak grew."""
    import torch

    from engine.media.write import ClipWriter
    from engine.model.tiles import choose_tiling
    from engine.model.tiling import decode_tiled
    from engine.model.video_vae import VideoDecoder
    from engine.pipelines.stages import to_frames
    from engine.training.blank import make_modules, small_shape
    from engine.weights.keymap import Role

    decoder = make_modules(small_shape())[Role.VIDEO_DECODER].eval()
    assert isinstance(decoder, VideoDecoder)
    shape = (1, decoder.config.latent_channels, latent_frame_count(frames), size.height // 32, size.width // 32)
    latents = torch.randn(shape)
    before = peak_mib()
    with (
        tempfile.TemporaryDirectory() as folder,
        ClipWriter(Path(folder) / "clip.mp4", size=size, frame_rate=FrameRate.parse(24)) as writer,
    ):
        for tile in decode_tiled(decoder, latents, choose_tiling(size)):
            if tile.chunk is not None:
                writer.write(to_frames(tile.chunk))
    return {"frames": frames, "before_mib": before, "growth_mib": round(peak_mib() - before, 1)}


def peak_mib() -> float:
    """Peak resident memory of this process so far (Linux counts it in KiB)."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, nargs="+", default=[241, 481, 961])
    parser.add_argument("--size", type=Size.parse, default=Size(256, 192))
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here:
        print(json.dumps(decode(options.size, options.frames[0])))
        return
    this = [sys.executable, "-m", "tests.benchmarks.decode_memory", "--here", "--size", str(options.size)]
    results = [
        json.loads(subprocess.run([*this, "--frames", str(frames)], check=True, capture_output=True).stdout)
        for frames in options.frames
    ]
    growths = [item["growth_mib"] for item in results]
    print(json.dumps({"size": str(options.size), "runs": results, "longest_over_shortest": growths[-1] / growths[0]}))


if __name__ == "__main__":
    main()
