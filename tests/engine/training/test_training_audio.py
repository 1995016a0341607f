"""The audio VAE's and the vocoder's training: `pytest tests/engine/training/test_training_audio.py`."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.model.audio_vae import AudioDecoder, AudioEncoder, log_mel
from engine.model.config import parse_audio_vae
from engine.model.vocoder import Vocoder, resample
from engine.training.audio import AudioVae, draw_sounds, new_vocoder, order_audio_latents, vae_loss, vocoder_loss
from engine.training.blank import save_checkpoint
from engine.training.harmonic import amplitude_loss, amplitudes, gliding_tones, read_amplitudes
from engine.training.loop import batch_generator
from engine.training.sounds import MODEL_RATE_HZ, SOUND_SAMPLES, cached_sounds
from engine.training.spectral import log_mel_distance, spectral_distance
from engine.training.starter import starter_section, starter_shape
from engine.weights.checkpoint import Checkpoint
from engine.weights.components import load
from engine.weights.keymap import Role

CONFIG = parse_audio_vae(starter_section())


@cache
def tone(frequency_hz: float, *, num_frames: int = 9) -> Tensor:
    seconds = torch.arange((num_frames - 1) * CONFIG.hop_length) / MODEL_RATE_HZ
    return (0.2 * torch.sin(2 * torch.pi * frequency_hz * seconds)).expand(2, 2, -1).contiguous()


def test_the_sounds_are_cached_at_the_models_rate_and_go_on_where_they_stopped(tmp_path: Path) -> None:
    first = np.array(cached_sounds(tmp_path, 1))

    both = cached_sounds(tmp_path, 2)

    assert CONFIG.sample_rate == MODEL_RATE_HZ
    assert both.shape == (2, 2, SOUND_SAMPLES)
    assert np.array_equal(first[0], both[0])


def test_steps_on_one_batch_lower_the_vaes_loss() -> None:
    torch.manual_seed(0)
    vae = AudioVae.starter()
    mel = log_mel(tone(440), CONFIG)
    optimizer = torch.optim.Adam(vae.parameters(), lr=2e-3)

    losses: list[float] = []
    for _ in range(10):
        optimizer.zero_grad()
        loss = vae_loss(vae, mel, batch_generator(0, 0))
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))

    assert losses[-1] < 0.8 * losses[0]


def test_steps_on_one_batch_lower_the_vocoders_loss_and_leave_the_bandwidth_extension_alone() -> None:
    torch.manual_seed(0)
    vocoder = new_vocoder()
    torch.nn.init.zeros_(
        vocoder.vocoder.ups[0].get_parameter("weight")
    )  # it has not learnt to read yet: near silence is a fair start
    waveform = tone(440)
    mel = log_mel(waveform, CONFIG)
    optimizer = torch.optim.Adam(vocoder.vocoder.parameters(), lr=1e-4)

    losses: list[float] = []
    for _ in range(6):
        optimizer.zero_grad()
        loss = vocoder_loss(vocoder, mel, waveform, CONFIG)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))

    with torch.no_grad():
        plain = resample(vocoder.vocoder(mel), 3).clamp(-1, 1)
        assert torch.allclose(vocoder(mel), plain, atol=1e-6)
    assert losses[-1] < 0.95 * losses[0]


@pytest.mark.parametrize("frequency_hz", [225.0, 450.0, 875.0])
def test_a_new_vocoder_sounds_the_amplitudes_it_is_given(frequency_hz: float) -> None:
    generator = new_vocoder().vocoder
    waveform = tone(frequency_hz, num_frames=26)

    with torch.no_grad():
        x = amplitudes(waveform, CONFIG)
        for block, up in list(zip(generator.resblocks, generator.ups, strict=True))[1:]:
            x = block(up(x))
        made = generator.conv_post(generator.act_post(x))[:, :, 2000:14000]

    spectrum = torch.fft.rfft(made[0, 0] * torch.hann_window(12000)).abs()
    loudest_hz = int(spectrum.argmax()) * MODEL_RATE_HZ / 12000
    assert loudest_hz == pytest.approx(frequency_hz, abs=2)
    assert float(made.std()) == pytest.approx(float(waveform.std()), rel=0.1)


def test_reading_amplitudes_is_learnt_from_spectrograms() -> None:
    torch.manual_seed(0)
    generator = new_vocoder().vocoder
    waveform = tone(450)
    mel, real = log_mel(waveform, CONFIG), amplitudes(waveform, CONFIG)
    optimizer = torch.optim.Adam(generator.parameters(), lr=1e-4)

    losses: list[float] = []
    for _ in range(10):
        optimizer.zero_grad()
        loss = amplitude_loss(read_amplitudes(generator, mel), real)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))

    assert losses[-1] < 0.9 * losses[0]


def test_ordering_the_latents_changes_no_spectrogram() -> None:
    torch.manual_seed(0)
    vae = AudioVae.starter()
    mel = log_mel(tone(440), CONFIG)
    with torch.no_grad():
        before = vae.decoder(vae.encoder(mel))

    order_audio_latents(vae, mel)

    with torch.no_grad():
        after = vae.decoder(vae.encoder(mel))
    assert torch.allclose(before, after, atol=1e-3)


def test_the_written_file_loads_as_vae_and_vocoder(tmp_path: Path) -> None:
    vae, path = AudioVae.starter(), tmp_path / "audio.safetensors"
    modules = {Role.AUDIO_ENCODER: vae.encoder, Role.AUDIO_DECODER: vae.decoder, Role.VOCODER: new_vocoder()}

    save_checkpoint(path, modules, starter_shape().config)

    checkpoint = Checkpoint.open(path)
    assert isinstance(load(checkpoint, Role.AUDIO_ENCODER), AudioEncoder)
    assert isinstance(load(checkpoint, Role.AUDIO_DECODER), AudioDecoder)
    assert isinstance(load(checkpoint, Role.VOCODER), Vocoder)


def test_distances_hear_pitch_and_ignore_phase() -> None:
    inverted, higher = -tone(440), tone(466)

    assert float(spectral_distance(inverted, tone(440))) < 1e-3
    assert float(spectral_distance(higher, tone(440))) > 0.1
    assert float(log_mel_distance(inverted, tone(440), CONFIG, floor=1e-4)) < 1e-3


def test_pieces_of_sound_are_decided_by_their_step() -> None:
    sounds = np.random.default_rng(0).standard_normal((2, 2, SOUND_SAMPLES)).astype(np.float16)

    first, again, other = (draw_sounds(sounds, 3, CONFIG, batch_generator(0, step), num_frames=5) for step in (1, 1, 2))

    assert first.shape == (3, 2, 4 * CONFIG.hop_length)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_gliding_tones_stay_within_their_range_and_on_both_sides() -> None:
    tones = gliding_tones(4, 16 * CONFIG.hop_length, CONFIG, batch_generator(0, 0))

    assert tones.shape == (4, 2, 16 * CONFIG.hop_length)
    assert float(tones.abs().max()) <= 0.5
    spectrum = torch.fft.rfft(tones).abs()
    above = int(1100 / MODEL_RATE_HZ * tones.shape[-1])
    assert float(spectrum[..., above:].max()) < 0.05 * float(spectrum.max())
    assert torch.all(tones.std(dim=2) > 0)
