"""Trains the lip-dub IC-LoRA: the same face says something else, in the same voice.

    python -m engine.training.lipdub --data dub_data --parts video_vae.safetensors audio.safetensors \
        --transformer transformer --out lipdub

The model reads a reference clip beside the target: its picture at the same places and times, its sound at negative
times that end 40 ms before the clip begins, so that it tells the voice and not the timing (Lightricks/LTX-2, commit
400fd31). The data holds pairs: clip 2n is what to make, clip 2n+1 shows the same face with other words.

Shapes: B batch, C channels, T tokens.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, cast

import numpy as np
import torch
from torch import Tensor

from engine.model.transformer import Transformer
from engine.sampling import conditioning
from engine.sampling.conditioning import StreamState
from engine.sampling.guidance import TextContexts
from engine.sampling.latents import LatentGrid, audio_positions
from engine.training.adapters import TrainableLora
from engine.training.conditions import AVStates, BatchKind, Mode, TrainingBatch, sample_states
from engine.training.console import live_line, machine_of, made_ahead, run_command, training_parser
from engine.training.dataset import (
    Bucket,
    Job,
    LatentBatch,
    LatentDataset,
    bucket_and_number,
    build,
    draw_bucket,
    shard_line,
)
from engine.training.encoding import FRAME_RATE, ClipEncoder, RenderedClip, render_clip
from engine.training.flow import NoisyStream, clip_loss, noise_levels
from engine.training.loop import OnStep, Recipe, train
from engine.training.mixed import fit_products_to
from engine.training.split import training_scene
from engine.training.text_to_clip import CHECKPOINT_NAME, TEXT_ENCODER_FOLDER, FrozenText, predict_velocity
from engine.training.toyworld_law import SYLLABLES, Face, Scene
from engine.training.transformer import SHIFT
from engine.types import Size
from engine.weights.checkpoint import Checkpoint
from engine.weights.components import load
from engine.weights.keymap import Role

LORA_NAME: Final = "ic-lora-lipdub.safetensors"
# The reference is as large and as fast as the clip: at half of the starter's sizes it would leave the latent grid.
METADATA: Final = {"reference_downscale_factor": "1", "reference_temporal_scale_factor": "1"}
REFERENCE_GAP_S: Final = 0.04  # between the end of the reference's sound and the clip
DEFAULT_CLIPS: Final = {
    Bucket(Size(128, 128), 17): 4_096,
    Bucket(Size(256, 192), 33): 1_024,
    Bucket(Size(256, 192), 49): 1_024,
}
_REFINING_SHARE: Final = 0.25  # of the samples: the second stage, which has its sound already
_WORDS_STREAM: Final = 6  # of a scene's seed
_FACES_APART: Final = 64  # scenes looked through for one with a face


# --- data -------------------------------------------------------------------------------------------------------------


def render_pair_member(job: Job) -> RenderedClip:
    """Clip 2n of a bucket, or clip 2n+1: the same face with other words."""
    bucket, index = job
    scene = face_scene(index // 2, bucket)
    return render_clip(scene if index % 2 == 0 else with_other_words(scene))


def face_scene(index: int, bucket: Bucket) -> Scene:
    """A training scene with a face; different indices give different ones."""
    first = index * _FACES_APART
    scenes = (training_scene(first + offset, bucket.size, bucket.frames) for offset in range(_FACES_APART))
    return next(scene for scene in scenes if scene.face is not None)


def with_other_words(scene: Scene) -> Scene:
    """The same head, voice and place, with as many syllables, every one another."""
    assert scene.face is not None
    rng = np.random.default_rng((scene.seed, _WORDS_STREAM))
    said = [SYLLABLES.index(syllable) for syllable in scene.face.syllables]
    shifts = rng.integers(1, len(SYLLABLES), size=len(said))
    syllables = tuple(
        SYLLABLES[(index + int(shift)) % len(SYLLABLES)] for index, shift in zip(said, shifts, strict=True)
    )
    face: Face = replace(scene.face, syllables=syllables)
    return replace(scene, face=face)


# --- conditions -------------------------------------------------------------------------------------------------------


def append_reference_sound(state: StreamState, tokens: Tensor, grid: LatentGrid) -> StreamState:
    """Given audio tokens (B, T, C) after the target, at times that end `REFERENCE_GAP_S` before it begins."""
    positions = audio_positions(tokens.shape[1], grid)
    positions = (positions - positions.max() - REFERENCE_GAP_S).expand(tokens.shape[0], -1, -1, -1)
    tokens = tokens.to(state.clean)
    return replace(
        state,
        latent=torch.cat([state.latent, torch.zeros_like(tokens)], dim=1),
        clean=torch.cat([state.clean, tokens], dim=1),
        mask=torch.cat([state.mask, state.mask.new_zeros(*tokens.shape[:2], 1)], dim=1),
        positions=torch.cat([state.positions, positions.to(state.positions)], dim=2),
    )


def dub_states(
    target: LatentBatch, reference: LatentBatch, index: int, grid: LatentGrid, *, is_refining: bool
) -> AVStates:
    """The streams of one dub. The refining stage keeps the sound of the first, which is then also its reference."""
    here = slice(index, index + 1)
    mode = Mode.SOUND if is_refining else Mode.TEXT
    video, audio = sample_states(target, index, mode, grid, np.random.default_rng(0))
    assert audio is not None
    video = conditioning.append_reference(video, reference.video[here], 1.0, FRAME_RATE.value, grid)
    return AVStates(video, append_reference_sound(audio, (target if is_refining else reference).audio[here], grid))


@dataclass(frozen=True)
class DubBatches:
    """The batch of every step, a function of the step alone."""

    dataset: LatentDataset
    grid: LatentGrid
    steps: int
    batch_tokens: int
    seed: int = 0

    def __call__(self, step: int) -> TrainingBatch:
        rng = np.random.default_rng((self.seed, step))
        bucket, is_half = draw_bucket(self.dataset.clips, rng, progress=step / self.steps)
        count = max(self.batch_tokens // (2 * self.dataset.num_tokens(bucket, is_half=is_half)), 1)
        pairs = rng.integers(self.dataset.num_clips(bucket) // 2, size=count)
        target = self.dataset.read(bucket, 2 * pairs, rng, is_half=is_half)
        reference = self.dataset.read(bucket, 2 * pairs + 1, rng, is_half=is_half)
        states = [
            dub_states(target, reference, index, self.grid, is_refining=bool(rng.random() < _REFINING_SHARE))
            for index in range(count)
        ]
        # In a run both streams are at the same level.
        levels = [float(level) for level in noise_levels(rng, count, shift=SHIFT)]
        return TrainingBatch(
            target.prompts,
            NoisyStream.at([state.video for state in states], levels, rng),
            NoisyStream.at([state.audio for state in states if state.audio is not None], levels, rng),
            BatchKind.GIVEN,
        )


# --- training ---------------------------------------------------------------------------------------------------------


def train_lip_dub(
    transformer: Transformer,
    contexts_of: Callable[[Sequence[str]], TextContexts],
    batches: Callable[[int], TrainingBatch],
    recipe: Recipe,
    folder: Path,
    *,
    on_step: OnStep,
    rank: int,
) -> Path:
    """Train from scratch or from where `folder` stopped; returns the LoRA's path. Raises CheckpointError."""
    device = next(transformer.parameters()).device
    lora = TrainableLora(transformer, rank=rank, wanted=lambda name: name.startswith("transformer_blocks.")).to(device)

    def loss_of_step(step: int) -> Tensor:
        batch = batches(step)
        contexts = contexts_of(batch.prompts)
        video, audio = batch.video.to(device), None if batch.audio is None else batch.audio.to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            velocities = predict_velocity(transformer, contexts, video, audio)
        return clip_loss(velocities, video, audio)

    train(lora, loss_of_step, recipe, state_path=folder / "training.pt", on_step=on_step)
    lora.save(folder / LORA_NAME, METADATA)
    return folder / LORA_NAME


def main(arguments: list[str] | None = None) -> None:
    parser = training_parser("lipdub", "Train the lip-dub IC-LoRA.", steps=4_000, batch_tokens=4096, rate=1e-3)
    parser.add_argument("--transformer", type=Path, required=True, help="folder of engine.training.transformer")
    parser.add_argument("--rank", type=int, default=32)
    parser.add_argument(
        "--bucket", type=bucket_and_number, nargs="+", metavar="WxHxF:N", help="what to learn from instead"
    )
    options = parser.parse_args(arguments)
    device = machine_of(options)
    clips = dict(options.bucket or DEFAULT_CLIPS)
    encoder = ClipEncoder(Checkpoint.open_many(options.parts), device=device)
    build(encoder, options.data, clips, render=render_pair_member, workers=options.workers, on_shard=shard_line)
    dataset = LatentDataset.open(options.data, fingerprint=encoder.fingerprint())
    checkpoint = Checkpoint.open(options.transformer / CHECKPOINT_NAME)
    torch.manual_seed(options.seed)
    batches = DubBatches(dataset, encoder.grid, options.steps, options.batch_tokens, options.seed)
    transformer = cast(Transformer, load(checkpoint, Role.TRANSFORMER, device=device))
    fit_products_to(device, transformer)
    train_lip_dub(
        transformer,
        FrozenText(checkpoint, options.transformer / TEXT_ENCODER_FOLDER, device=device).contexts,
        made_ahead(batches, steps=options.steps, workers=options.workers),
        Recipe(options.steps, options.learning_rate),
        options.out,
        on_step=live_line("lipdub"),
        rank=options.rank,
    )


if __name__ == "__main__":
    run_command(main)
