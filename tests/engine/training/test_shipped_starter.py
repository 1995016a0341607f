"""The model in the box loads, is small enough to ship, and makes what it can: the asked background, and a sound.

Alone: `pytest tests/engine/training/test_shipped_starter.py`.
"""

from pathlib import Path

import numpy as np

from engine.events import Finished
from engine.media.read import read_audio, read_frames
from engine.pipelines.run import run
from engine.request import GenerationRequest
from engine.training.assemble import check
from engine.training.detect import read_picture
from engine.types import Size
from engine.weights.catalog import bundled_folder


def test_every_file_loads_and_is_small_enough() -> None:
    check(bundled_folder() / "starter")


def test_a_clip_shows_the_colours_it_was_asked_for_and_sounds(tmp_path: Path) -> None:
    request = GenerationRequest(
        "a red ball stays still on a sky background", model="starter", size=Size(256, 192), frames=49, seed=1
    )
    *_, last = run(request, tmp_path / "clip.mp4")
    assert isinstance(last, Finished)

    picture = read_picture(np.stack(list(read_frames(last.result.path))))
    assert picture.background == "sky"
    assert picture.objects[0].colour == "red"
    assert np.abs(read_audio(last.result.path).samples).max() > 0.02
