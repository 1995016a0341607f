"""Scores a model on the toy world: clips made by `engine.run`, read by the detectors, against the targets.

    python -m engine.training.evaluate --model starter --clips 60 --sheet docs/starter.png

Prompts and seeds are ones that training never used. Half of the prompts are canonical, half are paraphrases, some in
Spanish. `--compare` makes every clip a second time with the guided steps of the preset `standard`.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
from PIL import Image

from engine.media.read import read_audio, read_frames
from engine.pipelines.run import run
from engine.request import GenerationRequest, ImageReference, Preset
from engine.training.console import run_command
from engine.training.contact_sheet import SheetClip, write_contact_sheet
from engine.training.round_trip import RoundTrip
from engine.training.scoring import VERTICAL, Measure, Sample, points_lost, psnr_db, score
from engine.training.split import evaluation_scenes
from engine.training.toyworld import canonical_prompt, prompt, render
from engine.training.toyworld_law import MOTIONS, SAMPLE_RATE_HZ, Scene
from engine.types import Size
from engine.weights.catalog import find_model
from engine.weights.checkpoint import Checkpoint
from engine.weights.store import ModelStore

SIZE: Final = Size(256, 192)
FRAMES: Final = 49
SHEET_CLIPS: Final = 24
_ROUND_TRIPS: Final = 10
_CORES: Final = 2  # of the machine that the target of seconds is for
_PROMPT_STREAM: Final = 5  # of a scene's seed
# The kinds whose measures need the sound that their motion causes.
_SOUNDING: Final = (*VERTICAL, "bounces")
_COLD_RUN: Final = """
import os, sys
from pathlib import Path
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(sys.argv[4])])
from engine import GenerationRequest, run
from engine.types import Size
model, output, text = sys.argv[1:4]
for event in run(GenerationRequest(text, model=model, size=Size(256, 192), frames=49, seed=1), Path(output)):
    pass
"""


class Examination:
    """Makes clips with one model, in a folder; what is loaded stays for the next clip."""

    def __init__(self, model: str, folder: Path, *, size: Size = SIZE, frames: int = FRAMES) -> None:
        self._model = model
        self._folder = folder
        self._size = size
        self._frames = frames
        self._store = ModelStore()

    def scenes(self, count: int) -> list[Scene]:
        """About as many scenes of every motion, and faces."""
        return list(
            islice(_balanced(evaluation_scenes(self._size, self._frames), -(-count // (len(MOTIONS) + 1))), count)
        )

    def samples(self, scenes: Iterable[Scene], preset: Preset) -> Iterator[Sample]:
        """One clip for each scene's prompt. Raises EngineError."""
        for scene in scenes:
            yield self._make(scene, preset)

    def first_frames(self, scenes: Sequence[Scene]) -> Measure:
        """How well clips start with the picture they were given."""
        peaks_db: list[float] = []
        for scene in scenes:
            given = render(scene).frames[0]
            path = self._folder / f"{scene.seed}.png"
            Image.fromarray(given).save(path)
            made = self._make(scene, Preset.FAST, images=(ImageReference(path),))
            peaks_db.append(psnr_db(made.frames[0], given))
        mean = float(np.mean(peaks_db)) if peaks_db else float("nan")
        return Measure("first frame against the image", mean, 26, "dB", num_clips=len(peaks_db))

    def cold_start(self) -> Measure:
        """Seconds for one clip in a new process on two cores."""
        scene = next(evaluation_scenes(SIZE, FRAMES))
        began = time.perf_counter()
        command = [
            sys.executable,
            "-c",
            _COLD_RUN,
            self._model,
            str(self._folder / "cold.mp4"),
            canonical_prompt(scene),
        ]
        subprocess.run([*command, str(_CORES)], check=True, env={**os.environ, "OMP_NUM_THREADS": str(_CORES)})
        return Measure("cold clip on two cores", time.perf_counter() - began, 20, "s", is_most=True, num_clips=1)

    def _make(self, scene: Scene, preset: Preset, images: tuple[ImageReference, ...] = ()) -> Sample:
        path = self._folder / f"{preset.value}-{scene.seed}-{len(images)}.mp4"
        request = GenerationRequest(
            exam_prompt(scene),
            model=self._model,
            preset=preset,
            size=scene.size,
            frames=scene.frames,
            seed=scene.seed % 2**31,
            images=images,
        )
        for _ in run(request, path, store=self._store):
            pass
        sound = read_audio(path).to_stereo().resampled(SAMPLE_RATE_HZ)
        num_samples = scene.num_samples
        return Sample(scene, np.stack(list(read_frames(path))), sound.fitted(num_samples).samples)


def exam_prompt(scene: Scene) -> str:
    """Every other scene is asked for in its canonical words, the others in some of their own."""
    if scene.seed % 2 == 0:
        return canonical_prompt(scene)
    return prompt(scene, np.random.default_rng((scene.seed, _PROMPT_STREAM)))


def _balanced(scenes: Iterable[Scene], per_kind: int) -> Iterator[Scene]:
    """At most `per_kind` scenes of each kind, until all kinds are full."""
    room = dict.fromkeys(("face", *MOTIONS), per_kind)
    for scene in scenes:
        kind = "face" if scene.face is not None else scene.objects[0].motion
        if room[kind] > 0 and (kind not in _SOUNDING or scene.sound == "by cause"):
            room[kind] -= 1
            yield scene
        if not any(room.values()):
            return


def evaluate(
    model: str, folder: Path, *, clips: int, sheet: Path | None = None, compare: bool = False
) -> list[Measure]:
    """Every measure of a model, by name or path. Raises EngineError when the model cannot run."""
    examination = Examination(model, folder)
    scenes = examination.scenes(clips)
    measures = RoundTrip(Checkpoint.open(find_model(model).checkpoint)).measures(scenes[:_ROUND_TRIPS])
    samples = list(examination.samples(scenes, Preset.FAST))
    if sheet is not None:
        cells = [SheetClip(exam_prompt(item.scene), item.frames, item.audio) for item in samples[:SHEET_CLIPS]]
        write_contact_sheet(cells, sheet)
    made = score(samples)
    measures += [*made, examination.first_frames(scenes[: max(clips // 6, 1)])]
    if compare:
        measures.append(points_lost(score(examination.samples(scenes, Preset.STANDARD)), made))
    return [*measures, examination.cold_start()]


def table(measures: Sequence[Measure]) -> str:
    """One line for each measure."""
    lines = [
        f"{'ok' if item.passes else 'no':3} {item.name:36} {item.value:8.2f} {'<=' if item.is_most else '>='} "
        f"{item.target:g} {item.unit}  ({item.num_clips} clips)"
        for item in measures
    ]
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m engine.training.evaluate", description="Score a model on the toy world."
    )
    parser.add_argument("--model", default="starter", help="name or path")
    parser.add_argument("--clips", type=int, default=60)
    parser.add_argument("--sheet", type=Path, help=f"write a contact sheet of {SHEET_CLIPS} clips to this PNG")
    parser.add_argument("--compare", action="store_true", help="also against guided steps; several times as long")
    parser.add_argument("--json", action="store_true", help="JSON instead of a table")
    options = parser.parse_args(arguments)
    with TemporaryDirectory() as folder:
        measures = evaluate(
            options.model, Path(folder), clips=options.clips, sheet=options.sheet, compare=options.compare
        )
    text = json.dumps([item.to_dict() for item in measures], indent=1) if options.json else table(measures)
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    run_command(main)
