"""The toy world's sounds at the audio VAE's sample rate, rendered once and kept on disk, and their spectrograms."""

from pathlib import Path
from typing import Final, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.media.audio import SoundClip
from engine.model.audio_vae import AudioDecoder, AudioEncoder, log_mel
from engine.training.split import training_scene
from engine.training.toyworld_law import FRAME_COUNTS, FRAMES_PER_SECOND, SAMPLE_RATE_HZ, SIZES, Scene
from engine.training.toyworld_sound import scene_sound

MODEL_RATE_HZ: Final = 16_000  # the starter's `audio_vae` config
SOUND_SAMPLES: Final = FRAME_COUNTS[-1] * MODEL_RATE_HZ // FRAMES_PER_SECOND  # the longest clip's, 2.04 s
_READ_NOISE: Final = 0.02  # added to log-mel values that are to be read


def cached_sounds(folder: Path, num_sounds: int) -> NDArray[np.float32]:
    """The sounds of the first training scenes, memory-mapped: (num_sounds, 2, 32666) at 16 kHz.

    They are rendered now where they are missing, about 10 ms and 256 KiB each. A rendering that was interrupted goes on
    where it stopped. Half the bits would be heard: a spectrogram's floor is 100 dB below full scale.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"sounds-{MODEL_RATE_HZ}.f32"
    sound_bytes = 2 * SOUND_SAMPLES * np.dtype(np.float32).itemsize
    num_ready = path.stat().st_size // sound_bytes if path.exists() else 0
    with path.open("ab") as file:
        file.truncate(num_ready * sound_bytes)
        for index in range(num_ready, num_sounds):
            scene = _sounding_scene(index)
            file.write(sound_at_model_rate(scene).tobytes())
    return cast(NDArray[np.float32], np.memmap(path, np.float32, "r", shape=(num_sounds, 2, SOUND_SAMPLES)))


def kinds_of_sounds(num_sounds: int) -> list[str]:
    """What kind of sound each of the first training scenes has: tones, glides, whooshes, voices, mixtures."""
    return [_kind(_sounding_scene(index)) for index in range(num_sounds)]


def full_band_sound(scene: Scene) -> NDArray[np.float32]:
    """A scene's own sound at 48 kHz: (2, N)."""
    return scene_sound(scene, np.random.default_rng((scene.seed, 2))).astype(np.float32)


def sound_at_model_rate(scene: Scene) -> NDArray[np.float32]:
    """A scene's sound at 16 kHz: (2, N)."""
    sound = SoundClip(full_band_sound(scene), SAMPLE_RATE_HZ).resampled(MODEL_RATE_HZ)
    return sound.samples[:, :SOUND_SAMPLES]


class SoundLibrary:
    """Sounds with their spectrograms, as they are and as the audio VAE gives them back."""

    def __init__(
        self, folder: Path, num_sounds: int, encoder: AudioEncoder, decoder: AudioDecoder, device: torch.device
    ):
        self.sounds = cached_sounds(folder, num_sounds)
        config = encoder.config
        real: list[Tensor] = []
        heard: list[Tensor] = []
        with torch.no_grad():
            for first in range(0, num_sounds, 32):
                mel = log_mel(torch.from_numpy(np.array(self.sounds[first : first + 32])).to(device), config)
                real.append(mel)
                heard.append(decoder(encoder(mel)))
        self.real, self.heard = torch.cat(real), torch.cat(heard)
        kinds = np.array(kinds_of_sounds(num_sounds))
        # Rare kinds are drawn more often than they come: each in proportion to the root of its number.
        _, kind, counts = np.unique(kinds, return_inverse=True, return_counts=True)
        self._weights = torch.from_numpy(counts[kind] ** -0.5)

    def first(self, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """The first waveforms, spectrograms to read and real ones, at most `count` of them."""
        waveform = torch.from_numpy(np.array(self.sounds[:count])).to(self.real)
        return waveform, self.heard[:count], self.real[:count]

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Waveforms, spectrograms to read and real ones; half of them with their sides swapped."""
        chosen = torch.multinomial(self._weights, count, replacement=True, generator=generator)
        waveform = torch.from_numpy(self.sounds[chosen.numpy()]).to(self.real)
        real, read = (mel[chosen.to(mel.device)] for mel in (self.real, self.heard))
        read = read + _READ_NOISE * torch.randn(read.shape, generator=generator).to(read)
        is_swapped = (torch.arange(count) % 2 == 0).to(self.real.device)
        waveform = torch.where(is_swapped[:, None, None], waveform.flip(1), waveform)
        read, real = (torch.where(is_swapped[:, None, None, None], mel.flip(1), mel) for mel in (read, real))
        return waveform, read, real


def _sounding_scene(index: int) -> Scene:
    rng = np.random.default_rng((index, 11))
    return training_scene(index, SIZES[rng.integers(len(SIZES))], FRAME_COUNTS[-1])


def _kind(scene: Scene) -> str:
    if scene.sound != "by cause":
        return scene.sound
    if scene.face is not None:
        return "voice"
    steady = "steady tone"
    return " and ".join(sorted({steady if item.makes_steady_tone else item.motion for item in scene.objects}))
