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
from engine.training.amplitudes import amplitudes_of, loudest_of, roots_of, sounding
from engine.training.audio import (
    AudioVae,
    VocoderTraining,
    draw_sounds,
    new_vocoder,
    order_audio_latents,
    vae_loss,
)
from engine.training.blank import save_checkpoint
from engine.training.grains import GATE, LINES, NUM_CHANNELS
from engine.training.harmonic import Synthesiser
from engine.training.loop import batch_generator
from engine.training.sounds import MODEL_RATE_HZ, SOUND_SAMPLES, SoundLibrary, cached_sounds, kinds_of_sounds
from engine.training.spectral import mel_magnitudes, sound_distance
from engine.training.starter import starter_section, starter_shape
from engine.weights.checkpoint import Checkpoint
from engine.weights.components import load
from engine.weights.keymap import Role

CONFIG = parse_audio_vae(starter_section())


@cache
def tone(frequency_hz: float, *, num_frames: int = 9) -> Tensor:
    seconds = torch.arange((num_frames - 1) * CONFIG.hop_length).double() / MODEL_RATE_HZ
    return (0.2 * torch.sin(2 * torch.pi * frequency_hz * seconds)).float().expand(2, 2, -1).contiguous()


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


def laid_out_stages(vocoder: Vocoder, amplitudes: Tensor) -> Tensor:
    generator, x = vocoder.vocoder, amplitudes
    for block, up in list(zip(generator.resblocks, generator.ups, strict=True))[1:]:
        x = block(up(x))
    return generator.conv_post(generator.act_post(x))


def as_stored(vocoder: Vocoder) -> Vocoder:
    return vocoder.bfloat16().float()


@torch.no_grad()
def test_a_line_sounds_as_pure_as_a_sine_down_to_the_floor_of_spectrograms_though_weights_are_rounded() -> None:
    frequency_hz = 450.0
    amplitudes = torch.zeros(1, NUM_CHANNELS, 26)
    amplitudes[:, LINES.index(round(frequency_hz / 25))] = 0.2
    amplitudes[:, GATE] = 1
    vocoder = new_vocoder()
    Synthesiser().install(vocoder.vocoder)

    made = laid_out_stages(as_stored(vocoder), amplitudes)

    real = log_mel(tone(frequency_hz, num_frames=26)[:1], CONFIG)
    # Next to 0 Hz a spectrogram hears phase.
    within = (slice(None), slice(None), slice(6, 20), slice(3, None))
    assert torch.allclose(log_mel(made, CONFIG)[within], real[within], atol=0.15)


@torch.no_grad()
def test_the_gate_silences_what_leaks() -> None:
    amplitudes = torch.zeros(1, NUM_CHANNELS, 26)
    amplitudes[:, LINES.index(10)] = 0.05
    amplitudes[:, GATE] = 0.05  # nearly shut
    amplitudes[:, GATE, 16:] = 1
    vocoder = new_vocoder()
    Synthesiser().install(vocoder.vocoder)

    made = laid_out_stages(as_stored(vocoder), amplitudes).abs()

    before, after = made[..., : 14 * CONFIG.hop_length], made[..., 18 * CONFIG.hop_length :]
    assert float(before.max()) < 1e-5
    assert float(after.max()) > 0.04


@torch.no_grad()
def test_what_was_trained_is_what_the_generator_computes() -> None:
    torch.manual_seed(0)
    vocoder = new_vocoder()
    training = VocoderTraining(vocoder)
    waveform = tone(450)
    mel = log_mel(waveform, CONFIG)
    training.start(waveform, mel, mel)
    training.install(vocoder)
    as_stored(vocoder)

    amplitudes = training.reader(mel)
    generator = vocoder.vocoder
    read = generator.resblocks[0](generator.ups[0](generator.conv_pre(mel.transpose(2, 3).flatten(1, 2))))

    assert torch.allclose(read, amplitudes, atol=1e-4)
    within = amplitudes.clamp(0, 1)  # an untrained reader may be beyond what a gate takes
    made, real = laid_out_stages(vocoder, within), training.synthesiser(within)
    assert float((made - real).square().mean()) < 1e-3 * float(real.square().mean())
    assert torch.allclose(vocoder(mel), resample(generator(mel), 3).clamp(-1, 1), atol=1e-6)


def test_steps_on_one_batch_lower_both_losses_of_the_vocoder() -> None:
    torch.manual_seed(0)
    training = VocoderTraining(new_vocoder())
    waveform = tone(450)
    mel = log_mel(waveform, CONFIG)
    roots = roots_of(amplitudes_of(waveform, mel), training.start(waveform, mel, mel))
    losses: dict[str, list[float]] = {"reading": [], "sound": []}

    for name, rate in (("reading", 3e-4), ("sound", 1e-5)):
        optimizer = torch.optim.Adam(training.parameters(), lr=rate)
        for _ in range(8):
            optimizer.zero_grad()
            loss = (
                training.reading_loss(mel, roots)
                if name == "reading"
                else training.sound_loss(mel, mel, waveform.shape[-1], CONFIG)
            )
            loss.backward()
            optimizer.step()
            losses[name].append(float(loss.detach()))

    assert losses["reading"][-1] < 0.9 * losses["reading"][0]
    assert losses["sound"][-1] < losses["sound"][0]


def test_the_lines_of_a_tone_have_its_amplitude_and_silence_shuts_the_gate() -> None:
    waveform = torch.cat([tone(450, num_frames=14), torch.zeros(2, 2, 12 * CONFIG.hop_length)], dim=2)
    mel = log_mel(waveform, CONFIG)

    amplitudes = amplitudes_of(waveform, mel)

    assert amplitudes.shape == (2, NUM_CHANNELS, mel.shape[2])
    assert float(amplitudes[0, LINES.index(18), 5]) == pytest.approx(0.2, rel=0.01)
    assert float(amplitudes[0, LINES.index(25), 5]) < 1e-5
    assert torch.equal(sounding(mel)[0, [5, 20]], torch.tensor([1.0, 0.0]))


def test_roots_are_of_amplitudes_between_none_and_the_loudest() -> None:
    amplitudes = torch.linspace(1e-6, 0.5, 5).expand(1, NUM_CHANNELS, 5)

    roots = roots_of(amplitudes, loudest_of(amplitudes))

    assert bool((roots > 0).all() and (roots < 1).all() and (roots.diff(dim=2) > 0).all())


@torch.no_grad()
def test_the_library_gives_sounds_with_their_spectrograms_and_what_the_vae_makes_of_these(tmp_path: Path) -> None:
    torch.manual_seed(0)
    vae = AudioVae.starter()

    library = SoundLibrary(tmp_path, 2, vae.encoder, vae.decoder, torch.device("cpu"))
    waveform, read, real = library.draw(4, batch_generator(0, 0))

    assert torch.allclose(log_mel(waveform, CONFIG), real, atol=1e-3)
    heard = vae.decoder(vae.encoder(log_mel(torch.from_numpy(np.array(library.sounds[:2])), CONFIG)))
    nearest = [min(float((mel - other).abs().mean()) for other in (*heard, *heard.flip(1))) for mel in read]
    assert max(nearest) < 0.05
    assert len(kinds_of_sounds(2)) == 2


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


def test_the_distance_hears_pitch_and_loudness_and_ignores_phase() -> None:
    mel = log_mel(tone(440), CONFIG)

    same, higher, softer = (
        float(sound_distance(sound, mel, CONFIG)) for sound in (-tone(440), tone(466), tone(440) / 4)
    )

    assert same < 0.2
    assert higher > 0.5
    assert softer > 0.5


def test_magnitudes_are_those_of_log_mel_with_a_gradient_at_silence() -> None:
    silence = torch.zeros(1, 2, 2048, requires_grad=True)

    mel_magnitudes(silence, CONFIG).sum().backward()

    assert silence.grad is not None
    assert bool(silence.grad.isfinite().all())
    magnitudes = mel_magnitudes(tone(440), CONFIG)
    assert torch.allclose(magnitudes.clamp_min(1e-5).log(), log_mel(tone(440), CONFIG), atol=1e-2)


def test_pieces_of_sound_are_decided_by_their_step() -> None:
    sounds = np.random.default_rng(0).standard_normal((2, 2, SOUND_SAMPLES)).astype(np.float32)

    first, again, other = (draw_sounds(sounds, 3, CONFIG, batch_generator(0, step), num_frames=5) for step in (1, 1, 2))

    assert first.shape == (3, 2, 4 * CONFIG.hop_length)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
