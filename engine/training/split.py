"""Which scenes train the starter model and which score it: two sets that cannot meet.

Their seeds come from ranges that do not overlap. Besides, one combination in sixteen of shape, colour, motion and
background is kept out of training, so that a score on these is about prompts that training never saw.
"""

from collections.abc import Iterator
from typing import Final
from zlib import crc32

from engine.training.toyworld import Scene, sample_scene
from engine.types import Size

EVALUATION_SEEDS: Final = range(2**40, 2**41)
HELD_OUT: Final = 16  # one combination in this many
_SEEDS_PER_INDEX: Final = 64  # of which the first whose scene may be trained on is taken
_MAX_INDEX: Final = EVALUATION_SEEDS.start // _SEEDS_PER_INDEX


def training_scene(index: int, size: Size, frames: int) -> Scene:
    """The scene of a training clip; different indices give different scenes."""
    assert 0 <= index < _MAX_INDEX, index
    scenes = (
        sample_scene(index * _SEEDS_PER_INDEX + attempt, size=size, frames=frames)
        for attempt in range(_SEEDS_PER_INDEX)
    )
    return next(scene for scene in scenes if not is_held_out(scene))


def evaluation_scenes(size: Size, frames: int) -> Iterator[Scene]:
    """Scenes to score, always the same in the same order: faces, and single objects in combinations held out."""
    for seed in EVALUATION_SEEDS:
        scene = sample_scene(seed, size=size, frames=frames)
        if scene.face is not None or (len(scene.objects) == 1 and is_held_out(scene)):
            yield scene


def is_held_out(scene: Scene) -> bool:
    """Whether any object of the scene is a combination that training leaves out."""
    return any(
        crc32(f"{item.shape} {item.colour} {item.motion} {scene.background}".encode()) % HELD_OUT == 0
        for item in scene.objects
    )
