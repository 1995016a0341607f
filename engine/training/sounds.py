"""The toy world's sounds at the audio VAE's sample rate, rendered once and kept on disk."""

from pathlib import Path
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray

from engine.media.audio import SoundClip
from engine.training.split import training_scene
from engine.training.toyworld_law import FRAME_COUNTS, FRAMES_PER_SECOND, SAMPLE_RATE_HZ, SIZES, Scene
from engine.training.toyworld_sound import scene_sound

MODEL_RATE_HZ: Final = 16_000  # the starter's `audio_vae` config
SOUND_SAMPLES: Final = FRAME_COUNTS[-1] * MODEL_RATE_HZ // FRAMES_PER_SECOND  # the longest clip's, 2.04 s


def cached_sounds(folder: Path, num_sounds: int) -> NDArray[np.float16]:
    """The sounds of the first training scenes, memory-mapped: (num_sounds, 2, 32666) at 16 kHz.

    They are rendered now where they are missing, about 20 ms and 128 KiB each. A rendering that was interrupted goes on
    where it stopped.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"sounds-{MODEL_RATE_HZ}.f16"
    sound_bytes = 2 * SOUND_SAMPLES * np.dtype(np.float16).itemsize
    num_ready = path.stat().st_size // sound_bytes if path.exists() else 0
    with path.open("ab") as file:
        file.truncate(num_ready * sound_bytes)
        for index in range(num_ready, num_sounds):
            rng = np.random.default_rng((index, 11))
            scene = training_scene(index, SIZES[rng.integers(len(SIZES))], FRAME_COUNTS[-1])
            file.write(sound_at_model_rate(scene).astype(np.float16).tobytes())
    return cast(NDArray[np.float16], np.memmap(path, np.float16, "r", shape=(num_sounds, 2, SOUND_SAMPLES)))


def full_band_sound(scene: Scene) -> NDArray[np.float32]:
    """A scene's own sound at 48 kHz: (2, N)."""
    return scene_sound(scene, np.random.default_rng((scene.seed, 2))).astype(np.float32)


def sound_at_model_rate(scene: Scene) -> NDArray[np.float32]:
    """A scene's sound at 16 kHz: (2, N)."""
    sound = SoundClip(full_band_sound(scene), SAMPLE_RATE_HZ).resampled(MODEL_RATE_HZ)
    return sound.samples[:, :SOUND_SAMPLES]
