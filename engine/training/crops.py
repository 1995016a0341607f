"""Small pieces of toy-world clips, rendered once and kept on disk: what the video VAE trains on.

A crop is cut from a whole clip at one of several random places, the busiest one, because most of a toy-world frame is
plain background that any autoencoder gets right.
"""

from pathlib import Path
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray

from engine.training.split import training_scene
from engine.training.toyworld_draw import draw_scene
from engine.training.toyworld_law import FRAME_COUNTS, SIZES

CROP_FRAMES: Final = 17  # three latent frames, so that the middle one has both its neighbours
CROP_PX: Final = 96  # three latents

_NUM_PLACES: Final = 3  # of which the busiest is cut out


def cached_crops(folder: Path, num_crops: int) -> NDArray[np.uint8]:
    """The crops of the first training scenes, memory-mapped: (num_crops, 17, 96, 96, 3) uint8.

    They are rendered now where they are missing, about 50 ms and 460 KiB each. A rendering that was interrupted goes on
    where it stopped.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"crops-{CROP_FRAMES}x{CROP_PX}x{CROP_PX}.u8"
    crop_shape = (CROP_FRAMES, CROP_PX, CROP_PX, 3)
    crop_bytes = int(np.prod(crop_shape))
    num_ready = path.stat().st_size // crop_bytes if path.exists() else 0
    with path.open("ab") as file:
        file.truncate(num_ready * crop_bytes)
        for index in range(num_ready, num_crops):
            file.write(render_crop(index).tobytes())
    return cast(NDArray[np.uint8], np.memmap(path, np.uint8, "r", shape=(num_crops, *crop_shape)))


def render_crop(index: int) -> NDArray[np.uint8]:
    """The crop of a training scene: (17, 96, 96, 3) uint8."""
    rng = np.random.default_rng((index, 10))
    scene = training_scene(index, SIZES[rng.integers(len(SIZES))], int(rng.choice(FRAME_COUNTS)))
    frames = draw_scene(scene, np.random.default_rng((scene.seed, 1)))
    first = int(rng.integers(scene.frames - CROP_FRAMES + 1))
    clip = frames[first : first + CROP_FRAMES]
    places = [
        (int(rng.integers(scene.size.height - CROP_PX + 1)), int(rng.integers(scene.size.width - CROP_PX + 1)))
        for _ in range(_NUM_PLACES)
    ]
    candidates = [clip[:, top : top + CROP_PX, left : left + CROP_PX] for top, left in places]
    return max(candidates, key=lambda crop: float(crop[::4, ::4, ::4].std(axis=(1, 2)).sum()))
