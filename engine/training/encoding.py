"""Toy-world clips to the latents that a run would make of them, in batches.

Stills are treated as a run treats given pictures, sound as it treats a given sound track. Only batched: parity with
`engine.pipelines.stages` is tested.

Shapes: N clips, C channels, F latent frames, H W latent rows and columns, T audio tokens, M latent mels, K stills.
"""

import hashlib
from typing import Final, NamedTuple, cast

import numpy as np
import torch
from einops import reduce
from numpy.typing import NDArray
from torch import Tensor

from engine.media.audio import SoundClip
from engine.media.read import h264_round_trip
from engine.model.audio_vae import AudioEncoder, log_mel
from engine.model.config import parse_audio_vae, parse_video_vae
from engine.model.video_vae import VideoEncoder
from engine.pipelines.stages import IMAGE_CRF
from engine.sampling.latents import LatentGrid, patchify_audio
from engine.training.toyworld import prompt, render, sample_scene
from engine.training.toyworld_law import FRAMES_PER_SECOND, SAMPLE_RATE_HZ, FloatArray, Scene
from engine.types import FrameRate, Size
from engine.weights.checkpoint import Checkpoint
from engine.weights.components import load
from engine.weights.keymap import Role

FRAME_RATE: Final = FrameRate.parse(FRAMES_PER_SECOND)
NUM_STILLS: Final = 3  # per clip; the first is its first frame
NUM_PROMPTS: Final = 6  # per clip, so that a clip seen again is described in other words
_STILLS_STREAM: Final = 4  # of a scene's seed; `toyworld` uses those before
_WORLD_SAMPLES: Final = (0, 1, 2, 3)


class RenderedClip(NamedTuple):
    """A clip before it is encoded."""

    frames: NDArray[np.uint8]  # (8k+1, rows, columns, 3)
    audio: FloatArray  # (2, samples) at 48 kHz
    stills: NDArray[np.uint8]  # (K, rows, columns, 3), through the codec that given pictures go through
    still_frames: tuple[int, ...]
    prompts: tuple[str, ...]


class EncodedClips(NamedTuple):
    """A batch of clips in latents, fp32 on the CPU."""

    video: Tensor  # (N, C, F, H, W)
    half_video: Tensor  # the same clips at half the size: (N, C, F, H/2, W/2)
    stills: Tensor  # (N, K, C, 1, H, W)
    half_stills: Tensor
    audio: Tensor  # (N, T, C M)


def render_clip(scene: Scene) -> RenderedClip:
    """A scene as training sees it; always the same for the same scene."""
    rng = np.random.default_rng((scene.seed, _STILLS_STREAM))
    clip = render(scene)
    others = rng.permutation(np.arange(1, scene.frames))[: NUM_STILLS - 1]
    still_frames = (0, *(int(frame) for frame in others))
    stills = np.stack([h264_round_trip(clip.frames[frame], IMAGE_CRF) for frame in still_frames])
    prompts = (clip.prompt, *(prompt(scene, rng) for _ in range(NUM_PROMPTS - 1)))
    return RenderedClip(clip.frames, clip.audio, stills, still_frames, prompts)


class ClipEncoder:
    """Both encoders of a model."""

    def __init__(self, checkpoint: Checkpoint, *, device: torch.device | str = "cpu") -> None:
        """Raises CheckpointError when the checkpoint does not hold both encoders."""
        self._video = cast(VideoEncoder, load(checkpoint, Role.VIDEO_ENCODER, device=device))
        self._audio = cast(AudioEncoder, load(checkpoint, Role.AUDIO_ENCODER, device=device))
        self._audio_config = parse_audio_vae(checkpoint.config)
        self._device = device
        self.grid = LatentGrid.of(parse_video_vae(checkpoint.config), parse_audio_vae(checkpoint.config))

    def fingerprint(self) -> str:
        """Changes with the encoders' weights and with what the world looks and sounds like."""
        digest = hashlib.sha256()
        for module in (self._video, self._audio):
            for name, tensor in module.state_dict().items():
                digest.update(name.encode())
                digest.update(tensor.float().cpu().numpy().tobytes())
        for seed in _WORLD_SAMPLES:
            clip = render(sample_scene(seed, size=Size(128, 128), frames=17))
            digest.update(clip.prompt.encode() + clip.frames.tobytes() + clip.audio.tobytes())
        return digest.hexdigest()[:16]

    @torch.no_grad()
    def encode(self, clips: list[RenderedClip]) -> EncodedClips:
        """Clips of one size and length."""
        frames = self._pixels(np.stack([clip.frames for clip in clips]))
        stills = self._pixels(np.stack([clip.stills for clip in clips]))
        return EncodedClips(
            video=self._video(frames).float().cpu(),
            half_video=self._video(_halved(frames)).float().cpu(),
            stills=self._encode_stills(stills),
            half_stills=self._encode_stills(_halved(stills)),
            audio=self.encode_sounds([SoundClip(clip.audio, SAMPLE_RATE_HZ) for clip in clips], len(clips[0].frames)),
        )

    @torch.no_grad()
    def encode_frames(self, frames: NDArray[np.uint8]) -> Tensor:
        """Pictures (N, 8k+1, rows, columns, 3) as latents (N, C, F, H, W)."""
        return self._video(self._pixels(frames)).float().cpu()

    @torch.no_grad()
    def encode_sounds(self, sounds: list[SoundClip], num_frames: int) -> Tensor:
        """Stereo sounds as the audio tokens (N, T, C M) of clips of `num_frames` pictures."""
        config = self._audio_config
        num_tokens = self.grid.audio_tokens(num_frames, FRAME_RATE.value)
        num_samples = num_tokens * config.downsampling * config.hop_length
        waveforms = np.stack([sound.resampled(config.sample_rate).fitted(num_samples).samples for sound in sounds])
        mel = log_mel(torch.from_numpy(waveforms).to(self._device), config)
        return patchify_audio(self._audio(mel))[:, :num_tokens].float().cpu()

    def _encode_stills(self, stills: Tensor) -> Tensor:
        """(N, 3, K, rows, columns): every still on its own -> (N, K, C, 1, H, W)."""
        apart = stills.transpose(1, 2)
        return self._video(apart.flatten(0, 1)[:, :, None]).unflatten(0, apart.shape[:2]).float().cpu()

    def _pixels(self, frames: NDArray[np.uint8]) -> Tensor:
        """(N, F, rows, columns, 3) in 0..255 -> (N, 3, F, rows, columns) in [-1, 1]."""
        return torch.from_numpy(frames).to(self._device).movedim(-1, 1).float() / 127.5 - 1


def _halved(pixels: Tensor) -> Tensor:
    """Half the rows and columns; the mean of four is what `cover_resize` makes of pictures twice as large."""
    return reduce(pixels, "n c f (h p) (w q) -> n c f h w", "mean", p=2, q=2)
