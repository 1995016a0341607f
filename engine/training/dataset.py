"""Toy-world clips as latents on disk: rendered and encoded once, read many times.

    python -m engine.training.dataset --parts video_vae.safetensors audio.safetensors --out data

A shard holds up to `CLIPS_PER_SHARD` clips of one size and length, at that size and at half of it, where two-stage runs
begin. Shards appear by atomic rename, so building goes on where it was interrupted. Each carries a fingerprint of the
encoders and of the world: building replaces shards made with others, reading refuses them.

Shapes: N clips, C channels, F latent frames, H W latent rows and columns, T audio tokens, M latent mels, K stills.
"""

import argparse
import json
import logging
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from multiprocessing import get_context
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias
from zlib import crc32

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from engine.errors import CheckpointError
from engine.training.console import add_machine_options, machine_of, run_command
from engine.training.encoding import ClipEncoder, RenderedClip, render_clip
from engine.training.split import training_scene
from engine.types import Size
from engine.weights.checkpoint import Checkpoint
from engine.weights.writing import write_tensors

logger = logging.getLogger("engine.training")

CLIPS_PER_SHARD: Final = 64  # rendered, the largest take half a gigabyte
_ENCODED_TOGETHER: Final = 8  # clips; a batch's activations stay small
_STORED: Final = torch.float16  # latents are normalised: fp16 keeps three more bits of them than bf16
_SCENES_APART: Final = 2**22  # between buckets, so that they show different scenes; more than any has clips


class Bucket(NamedTuple):
    """Clips that fit in one batch."""

    size: Size
    frames: int

    @classmethod
    def parse(cls, text: str) -> "Bucket":
        """From "WIDTHxHEIGHTxFRAMES". Raises ValueError."""
        size, _, frames = text.rpartition("x")
        return cls(Size.parse(size), int(frames))

    def halved(self) -> "Bucket":
        return Bucket(self.size.halved(), self.frames)

    @property
    def has_half(self) -> bool:
        """Whether a clip of half the size still shows shapes."""
        half = self.size.halved()
        return half.width * half.height >= _LEAST_AREA

    def __str__(self) -> str:
        return f"{self.size}x{self.frames}"


_LEAST_AREA: Final = 128 * 64  # pixels, of a clip that training reads at half its size
Job: TypeAlias = tuple[Bucket, int]  # one clip to render

# The first is what most of the training sees, the others are what the product makes.
# Two hours of one CPU thread with the starter's encoders, minutes of a GPU and a few renderers.
DEFAULT_CLIPS: Final[Mapping[Bucket, int]] = {
    Bucket(Size(128, 128), 17): 16_384,
    Bucket(Size(128, 128), 33): 4_096,
    Bucket(Size(256, 128), 33): 2_048,
    Bucket(Size(192, 256), 33): 2_048,
    Bucket(Size(256, 192), 33): 2_048,
    Bucket(Size(256, 192), 49): 4_096,
}


# --- building ---------------------------------------------------------------------------------------------------------


def render_job(job: Job) -> RenderedClip:
    """The clip of a number in a bucket; buckets show different scenes."""
    bucket, index = job
    first = crc32(str(bucket).encode()) % 2**12 * _SCENES_APART
    return render_clip(training_scene(first + index, bucket.size, bucket.frames))


def build(
    encoder: ClipEncoder,
    folder: Path,
    clips: Mapping[Bucket, int],
    *,
    render: Callable[[Job], RenderedClip] = render_job,
    workers: int = 0,
    on_shard: Callable[[Path, int, int], None] = lambda path, done, total: None,
) -> None:
    """Make every shard that is missing or made with other encoders.

    `render` is a function of a module, because `workers` processes call it; with 0 it is called here.
    """
    fingerprint = encoder.fingerprint()
    wanted = [
        (_shard_path(folder, bucket, number), bucket, number) for bucket in clips for number in _numbers(clips[bucket])
    ]
    with ExitStack() as stack:
        pool = stack.enter_context(ProcessPoolExecutor(workers, get_context("spawn"))) if workers else None
        for done, (path, bucket, number) in enumerate(wanted, start=1):
            if _fingerprint_of(path) != fingerprint:
                count = min(CLIPS_PER_SHARD, clips[bucket] - number * CLIPS_PER_SHARD)
                jobs = [(bucket, number * CLIPS_PER_SHARD + index) for index in range(count)]
                rendered = pool.map(render, jobs, chunksize=4) if pool else map(render, jobs)
                _write_shard(path, encoder, rendered, fingerprint)
            on_shard(path, done, len(wanted))


def _numbers(num_clips: int) -> range:
    return range(-(-num_clips // CLIPS_PER_SHARD))


def _shard_path(folder: Path, bucket: Bucket, number: int) -> Path:
    return folder / str(bucket) / f"{number:05}.safetensors"


def _write_shard(path: Path, encoder: ClipEncoder, clips: Iterable[RenderedClip], fingerprint: str) -> None:
    tensors: defaultdict[str, list[Tensor]] = defaultdict(list)
    prompts: list[tuple[str, ...]] = []
    for together in _batches(clips, _ENCODED_TOGETHER):
        for name, tensor in encoder.encode(together)._asdict().items():
            tensors[name].append(tensor.to(_STORED))
        tensors["still_frames"].append(torch.tensor([clip.still_frames for clip in together]))
        prompts += [clip.prompts for clip in together]
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {"fingerprint": fingerprint, "prompts": json.dumps(prompts)}
    write_tensors(path, {name: torch.cat(pieces).contiguous() for name, pieces in tensors.items()}, metadata)


def _batches(clips: Iterable[RenderedClip], size: int) -> Iterator[list[RenderedClip]]:
    together: list[RenderedClip] = []
    for clip in clips:
        together.append(clip)
        if len(together) == size:
            yield together
            together = []
    if together:
        yield together


def _metadata(path: Path) -> Mapping[str, str]:
    """Raises CheckpointError for what is not a whole shard."""
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise CheckpointError(path, "cannot be read.", remedy="Delete it and build the data again.") from error
    if not {"fingerprint", "prompts"} <= metadata.keys():
        raise CheckpointError(path, "is not a shard of latents.", remedy="Delete it and build the data again.")
    return metadata


def _fingerprint_of(path: Path) -> str | None:
    try:
        return _metadata(path)["fingerprint"] if path.is_file() else None
    except CheckpointError as error:
        logger.warning("%s", error)
        return None


# --- reading ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LatentBatch:
    """Clips of one bucket, fp32."""

    bucket: Bucket
    refines: bool  # whether runs reach this size in a second stage only
    prompts: tuple[str, ...]
    video: Tensor  # (N, C, F, H, W)
    audio: Tensor  # (N, T, C M)
    stills: Tensor  # (N, K, C, 1, H, W)
    still_frames: Tensor  # (N, K) the frame each still shows; the first is 0


class LatentDataset:
    """All shards of a folder, read as if they were in memory."""

    def __init__(self, shards: Mapping[Bucket, list["_Shard"]], fingerprint: str) -> None:
        self.fingerprint = fingerprint
        self._shards = shards

    @classmethod
    def open(cls, folder: Path, *, fingerprint: str | None = None) -> "LatentDataset":
        """Raises CheckpointError for a damaged shard, none at all, or shards made with other encoders.

        All shards must agree; given a `fingerprint`, they must have that one.
        """
        shards: defaultdict[Bucket, list[_Shard]] = defaultdict(list)
        for path in sorted(folder.glob("*x*x*/*.safetensors")):
            metadata = _metadata(path)
            fingerprint = fingerprint or metadata["fingerprint"]
            if metadata["fingerprint"] != fingerprint:
                raise CheckpointError(path, "was made with other encoders.", remedy="Build the data again.")
            shards[Bucket.parse(path.parent.name)].append(_Shard(path, json.loads(metadata["prompts"])))
        if fingerprint is None or not shards:
            raise CheckpointError(folder, "holds no latents.", remedy="Build them with engine.training.dataset.")
        return cls(shards, fingerprint)

    @property
    def clips(self) -> dict[Bucket, int]:
        """How many clips there are of what the shards were made for; each can also be read at half its size."""
        return {bucket: self.num_clips(bucket) for bucket in self._shards}

    def num_clips(self, bucket: Bucket) -> int:
        return sum(len(shard.prompts) for shard in self._shards[bucket])

    def num_tokens(self, bucket: Bucket, *, is_half: bool) -> int:
        """Tokens of a clip, of both streams."""
        tensors = self._shards[bucket][0].tensors
        return tensors["half_video" if is_half else "video"][0, 0].numel() + tensors["audio"].shape[1]

    def read(self, bucket: Bucket, clips: Iterable[int], rng: np.random.Generator, *, is_half: bool) -> LatentBatch:
        """Clips by their number, each with one of its prompts, at the bucket's size or half of it."""
        places = [self._place(bucket, clip) for clip in clips]

        def gathered(name: str) -> Tensor:
            return torch.stack([shard.tensors[name][row] for shard, row in places])

        prefix = "half_" if is_half else ""
        return LatentBatch(
            bucket=bucket.halved() if is_half else bucket,
            refines=bucket.has_half and not is_half,
            prompts=tuple(str(rng.choice(shard.prompts[row])) for shard, row in places),
            video=gathered(prefix + "video").float(),
            audio=gathered("audio").float(),
            stills=gathered(prefix + "stills").float(),
            still_frames=gathered("still_frames"),
        )

    def pairs(self, bucket: Bucket, clips: Iterable[int]) -> tuple[Tensor, Tensor]:
        """The video latents of clips at half the bucket's size, and at its size."""
        places = [self._place(bucket, clip) for clip in clips]
        half, full = (
            torch.stack([shard.tensors[name][row] for shard, row in places]).float() for name in ("half_video", "video")
        )
        return half, full

    def _place(self, bucket: Bucket, clip: int) -> tuple["_Shard", int]:
        shard, row = divmod(int(clip), CLIPS_PER_SHARD)
        return self._shards[bucket][shard], row


@dataclass(frozen=True)
class _Shard:
    path: Path
    prompts: list[list[str]]

    @cached_property
    def tensors(self) -> dict[str, Tensor]:
        """Mapped, not read: the system keeps in memory what is used."""
        return load_file(self.path)


def draw_clips(dataset: LatentDataset, rng: np.random.Generator, *, progress: float, batch_tokens: int) -> LatentBatch:
    """A batch of about `batch_tokens` tokens of picture and sound for some point of a training, 0 to 1."""
    bucket, is_half = draw_bucket(dataset.clips, rng, progress=progress)
    count = max(batch_tokens // dataset.num_tokens(bucket, is_half=is_half), 1)
    return dataset.read(bucket, rng.integers(dataset.num_clips(bucket), size=count), rng, is_half=is_half)


def draw_bucket(clips: Mapping[Bucket, int], rng: np.random.Generator, *, progress: float) -> tuple[Bucket, bool]:
    """A bucket, and whether to read it at half its size, for some point of a training, 0 to 1.

    In proportion to its number of clips. Small clips first, by the inverse square of their volume; over the last two
    fifths that preference falls to none.
    """
    choices = [(bucket, is_half) for bucket in clips for is_half in (False, True) if bucket.has_half or not is_half]
    volumes = np.array([_volume(bucket.halved() if is_half else bucket) for bucket, is_half in choices], float)
    weights = volumes ** (-2 * min(1.0, (1 - progress) / 0.4)) * [clips[bucket] for bucket, _ in choices]
    return choices[int(rng.choice(len(choices), p=weights / weights.sum()))]


def _volume(bucket: Bucket) -> int:
    return bucket.size.width * bucket.size.height * bucket.frames


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m engine.training.dataset", description="Render and encode toy-world clips."
    )
    parser.add_argument("--parts", type=Path, nargs="+", required=True, help="files that hold the trained autoencoders")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--bucket", type=bucket_and_number, nargs="+", metavar="WxHxF:N", help="what to make instead")
    parser.add_argument("--workers", type=int, default=0, help="processes that render")
    add_machine_options(parser)
    options = parser.parse_args(arguments)
    clips = dict(options.bucket or DEFAULT_CLIPS)
    encoder = ClipEncoder(Checkpoint.open_many(options.parts), device=machine_of(options))
    build(encoder, options.out, clips, workers=options.workers, on_shard=shard_line)
    sys.stderr.write("\n")


def bucket_and_number(text: str) -> tuple[Bucket, int]:
    bucket, _, number = text.rpartition(":")
    return Bucket.parse(bucket), int(number)


def shard_line(path: Path, done: int, total: int) -> None:
    """Rewrites one line on the terminal."""
    sys.stderr.write(f"\r{done}/{total} {path.parent.name}/{path.name}   ")
    sys.stderr.flush()


if __name__ == "__main__":
    run_command(main)
