"""How well a model's autoencoders give back a clip, its picture and its sound (through the vocoder)."""

from collections.abc import Sequence
from typing import Final, cast

import numpy as np
import torch

from engine.media.audio import SoundClip
from engine.model.audio_vae import AudioDecoder, log_mel
from engine.model.config import parse_audio_vae, parse_vocoder
from engine.model.video_vae import VideoDecoder
from engine.model.vocoder import Vocoder, decode_in_chunks
from engine.pipelines.stages import AUDIO_CHUNK_LATENTS, to_frames
from engine.sampling.latents import unpatchify_audio
from engine.training.detect_score import expected_pitch_hz, pitch_error_semitones
from engine.training.detect_sound import read_sound
from engine.training.encoding import ClipEncoder
from engine.training.scoring import Measure, psnr_db
from engine.training.toyworld import render
from engine.training.toyworld_law import SAMPLE_RATE_HZ, FloatArray, Scene
from engine.weights.checkpoint import Checkpoint
from engine.weights.components import load
from engine.weights.keymap import Role

_COMPARED_AT_HZ: Final = 16_000  # what the model hears


class RoundTrip:
    """Encoders and decoders of a model."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        """Raises CheckpointError when the checkpoint does not hold all of them."""
        self._encoder = ClipEncoder(checkpoint)
        self._video_decoder = cast(VideoDecoder, load(checkpoint, Role.VIDEO_DECODER))
        self._audio_decoder = cast(AudioDecoder, load(checkpoint, Role.AUDIO_DECODER))
        self._vocoder = cast(Vocoder, load(checkpoint, Role.VOCODER))
        self._audio_config = parse_audio_vae(checkpoint.config)
        self._rate = parse_vocoder(checkpoint.config).output_rate

    def measures(self, scenes: Sequence[Scene]) -> list[Measure]:
        """Means over scenes; the pitch is that of those whose sound is a tone."""
        peaks_db, mel_errors, pitch_errors = [], [], []
        for scene in scenes:
            clip = render(scene)
            with torch.no_grad():
                pixels = self._video_decoder(self._encoder.encode_frames(clip.frames[None]))
            peaks_db.append(psnr_db(to_frames(pixels), clip.frames))
            heard = self._sound(clip.audio, scene.frames)
            mel_errors.append(float((self._mel(heard) - self._mel(clip.audio)).abs().mean()))
            expected_hz = expected_pitch_hz(scene, scene.objects[0]) if len(scene.objects) == 1 else None
            if expected_hz is not None:
                pitch_errors.append(pitch_error_semitones(read_sound(clip.audio).pitch_hz, read_sound(heard).pitch_hz))
        return [
            Measure("video reconstruction", float(np.mean(peaks_db)), 30, "dB", num_clips=len(peaks_db)),
            Measure("sound, log-mel L1", float(np.mean(mel_errors)), 0.35, is_most=True, num_clips=len(mel_errors)),
            Measure(
                "pitch of tones, error",
                float(np.mean(pitch_errors)) if pitch_errors else float("nan"),
                0.5,
                "semitones",
                is_most=True,
                num_clips=len(pitch_errors),
            ),
        ]

    @torch.no_grad()
    def _sound(self, audio: FloatArray, num_frames: int) -> FloatArray:
        tokens = self._encoder.encode_sounds([SoundClip(audio.astype(np.float32), SAMPLE_RATE_HZ)], num_frames)
        latents = unpatchify_audio(tokens, self._audio_config.latent_channels)
        pieces = decode_in_chunks(self._audio_decoder, self._vocoder, latents, chunk_latents=AUDIO_CHUNK_LATENTS)
        waveform = torch.cat(list(pieces), dim=-1)[0].float().numpy()
        return SoundClip(waveform, self._rate).resampled(SAMPLE_RATE_HZ).fitted(audio.shape[1]).samples

    def _mel(self, audio: FloatArray) -> torch.Tensor:
        samples = SoundClip(audio.astype(np.float32), SAMPLE_RATE_HZ).resampled(_COMPARED_AT_HZ).samples
        return log_mel(torch.from_numpy(samples)[None], self._audio_config)
