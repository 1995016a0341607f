"""Trains the starter model's audio VAE, then its vocoder: `python -m engine.training.audio --out FOLDER`.

The audio VAE learns log-mel spectrograms from scratch in minutes. The vocoder starts as an additive synthesiser
(`harmonic`): first it learns to read amplitudes from spectrograms, then all of it learns to make a waveform whose
spectrograms at several window lengths are those of the real one. Half of what it sees has been through the VAE, so it
is used to the VAE's small errors. There is no adversarial loss. The bandwidth extension stays as it starts, adding
nothing to a plain resampling: the toy world's sounds have next to nothing above 8 kHz.

Interrupted, the same command goes on. `--part` trains one of the two alone.
"""

import argparse
from pathlib import Path
from typing import Final, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from engine.model.audio_vae import AudioDecoder, AudioEncoder, log_mel
from engine.model.config import AudioVaeConfig, parse_audio_vae, parse_vocoder
from engine.model.vocoder import Vocoder
from engine.training.blank import save_checkpoint
from engine.training.console import add_machine_options, live_line, machine_of, run_command
from engine.training.harmonic import (
    amplitude_loss,
    amplitudes,
    gliding_tones,
    read_amplitudes,
    start_as_synthesiser,
)
from engine.training.loop import Recipe, batch_generator, train
from engine.training.sounds import cached_sounds
from engine.training.spectral import log_mel_distance, spectral_distance
from engine.training.starter import starter_section, starter_shape
from engine.weights.checkpoint import Checkpoint
from engine.weights.components import load
from engine.weights.keymap import Role

VAE_FILE_NAME: Final = "audio_vae.safetensors"
FILE_NAME: Final = "audio.safetensors"  # the VAE and the vocoder
_SEED: Final = 21
_VAE_BATCH: Final = 8
_VAE_FRAMES: Final = 26  # mel frames of a piece of sound, about a second
_VOCODER_BATCH: Final = 4  # small: a narrow network gains more from many steps than from large ones
_VOCODER_FRAMES: Final = 17
_READER_BATCH: Final = 16
_LATENT_NOISE: Final = 0.03  # of the latents' root mean square: what a sampler leaves must not be heard
_MEL_WEIGHT: Final = 0.5  # of the log-mel distance beside the spectral one
# Above the model's own floor: from there, silence is nearer to a soft tone than the tone with a trace of noise.
_MEL_FLOOR: Final = 1e-3
_READING_WEIGHT: Final = 3.0  # of the amplitudes' error, which keeps sounds as loud as they are
_USUAL_LOG_MEL: Final = (-9.0, 3.3)  # about the mean and the spread of the toy world's log-mel values


class AudioVae(nn.Module):
    """Both halves, as one module to train."""

    def __init__(self, encoder: AudioEncoder, decoder: AudioDecoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    @classmethod
    def starter(cls) -> "AudioVae":
        """Of the starter model's shape, with fresh weights from torch's global generator."""
        config = parse_audio_vae(starter_section())
        vae = cls(AudioEncoder(config), AudioDecoder(config))
        mean, spread = _USUAL_LOG_MEL
        with torch.no_grad():
            _centre(vae.encoder.conv_in.conv)
            vae.decoder.conv_out.conv.weight *= spread
            nn.init.constant_(cast(Tensor, vae.decoder.conv_out.conv.bias), mean)
        return vae


def draw_sounds(
    sounds: NDArray[np.float16], count: int, config: AudioVaeConfig, generator: torch.Generator, *, num_frames: int
) -> Tensor:
    """Random pieces of random sounds, `num_frames` mel frames long, half with their sides swapped: (B, 2, N)."""

    def choose(limit: int) -> int:
        return int(torch.randint(limit, (), generator=generator))

    num_samples = (num_frames - 1) * config.hop_length
    pieces: list[NDArray[np.float16]] = []
    for _ in range(count):
        sound = sounds[choose(len(sounds))]
        # A quarter of the pieces are beginnings, where convolutions see their padding.
        first = 0 if choose(4) == 0 else choose(sound.shape[1] - num_samples + 1)
        piece = sound[:, first : first + num_samples]
        pieces.append(piece[::-1] if choose(2) else piece)
    return torch.from_numpy(np.stack(pieces).astype(np.float32))


def vae_loss(vae: AudioVae, mel: Tensor, generator: torch.Generator) -> Tensor:
    """The error of spectrograms (B, A, T, M) decoded from slightly noisy latents."""
    latents = vae.encoder(mel)
    noise = torch.randn(latents.shape, generator=generator).to(latents)
    decoded = vae.decoder(latents + _LATENT_NOISE * latents.detach().square().mean().sqrt() * noise)
    difference = decoded - mel
    return difference.abs().mean() + 0.2 * difference.square().mean()


def vocoder_loss(vocoder: Vocoder, mel: Tensor, waveform: Tensor, config: AudioVaeConfig) -> Tensor:
    """How far the low-rate waveform made of `mel` is from the real one, to the ear."""
    made = vocoder.vocoder(mel)[..., : waveform.shape[-1]]
    return spectral_distance(made, waveform) + _MEL_WEIGHT * log_mel_distance(made, waveform, config, floor=_MEL_FLOOR)


def train_audio_vae(folder: Path, *, recipe: Recipe, num_sounds: int, device: torch.device) -> Path:
    """Train, normalise the latents, write `VAE_FILE_NAME` into `folder` and return its path."""
    sounds = cached_sounds(folder / "sounds", num_sounds)
    torch.manual_seed(_SEED)
    vae = AudioVae.starter().to(device)
    config = vae.encoder.config

    def mel_batch(count: int, generator: torch.Generator) -> Tensor:
        return log_mel(draw_sounds(sounds, count, config, generator, num_frames=_VAE_FRAMES).to(device), config)

    def loss_of_step(step: int) -> Tensor:
        generator = batch_generator(_SEED, step)
        return vae_loss(vae, mel_batch(_VAE_BATCH, generator), generator)

    train(vae, loss_of_step, recipe, state_path=folder / "audio_vae_training.pt", on_step=live_line("audio VAE"))
    order_audio_latents(vae, mel_batch(256, batch_generator(_SEED, -1)))
    path = folder / VAE_FILE_NAME
    save_checkpoint(path, {Role.AUDIO_ENCODER: vae.encoder, Role.AUDIO_DECODER: vae.decoder}, starter_shape().config)
    return path


def train_vocoder(
    folder: Path, *, reader_recipe: Recipe, recipe: Recipe, num_sounds: int, device: torch.device
) -> Path:
    """Train on what the audio VAE in `folder` makes of sounds; write it and the vocoder into `FILE_NAME` there.

    Returns the file's path. Raises CheckpointError when there is no audio VAE in `folder`.
    """
    sounds = cached_sounds(folder / "sounds", num_sounds)
    checkpoint = Checkpoint.open(folder / VAE_FILE_NAME)
    encoder = load(checkpoint, Role.AUDIO_ENCODER, device=device)
    decoder = load(checkpoint, Role.AUDIO_DECODER, device=device)
    config = parse_audio_vae(starter_section())
    torch.manual_seed(_SEED)
    vocoder = new_vocoder().to(device)

    @torch.no_grad()
    def spectrogram(waveform: Tensor, step: int) -> Tensor:
        mel = log_mel(waveform, config)
        return decoder(encoder(mel)) if step % 2 else mel

    def reading_loss(step: int) -> Tensor:
        generator = batch_generator(_SEED, step)
        real = draw_sounds(sounds, _READER_BATCH // 2, config, generator, num_frames=_VOCODER_FRAMES)
        tones = gliding_tones(_READER_BATCH // 2, real.shape[-1], config, generator)
        waveform = torch.cat([real, tones]).to(device)
        read = read_amplitudes(vocoder.vocoder, spectrogram(waveform, step))
        return amplitude_loss(read, amplitudes(waveform, config))

    def loss_of_step(step: int) -> Tensor:
        generator = batch_generator(_SEED, step)
        waveform = draw_sounds(sounds, _VOCODER_BATCH, config, generator, num_frames=_VOCODER_FRAMES).to(device)
        return vocoder_loss(vocoder, spectrogram(waveform, step), waveform, config)

    state_path = folder / "vocoder_training.pt"
    if not state_path.exists():
        reader = nn.ModuleList([vocoder.vocoder.conv_pre, vocoder.vocoder.ups[0], vocoder.vocoder.resblocks[0]])
        reader_path = folder / "reader_training.pt"
        train(reader, reading_loss, reader_recipe, state_path=reader_path, on_step=live_line("reader"))
    train(vocoder, loss_of_step, recipe, state_path=state_path, on_step=live_line("vocoder"))
    path = folder / FILE_NAME
    modules = {Role.AUDIO_ENCODER: encoder, Role.AUDIO_DECODER: decoder, Role.VOCODER: vocoder}
    save_checkpoint(path, modules, starter_shape().config)
    return path


def new_vocoder() -> Vocoder:
    """Of the starter model's shape: a synthesiser, with a bandwidth extension that adds nothing."""
    vocoder = Vocoder(parse_vocoder(starter_section()))
    with torch.no_grad():
        _centre(vocoder.vocoder.conv_pre)
    start_as_synthesiser(vocoder.vocoder)
    vocoder.bwe_generator.requires_grad_(False)
    nn.init.zeros_(vocoder.bwe_generator.conv_post.weight)
    return vocoder


def _centre(first: nn.Conv1d | nn.Conv2d) -> None:
    """Let a first convolution see usual log-mel values as zero mean and unit spread."""
    mean, spread = _USUAL_LOG_MEL
    first.weight /= spread
    cast(Tensor, first.bias).sub_(mean * first.weight.flatten(1).sum(dim=1))


@torch.no_grad()
def order_audio_latents(vae: AudioVae, mel: Tensor) -> None:
    """Rotate the channels into principal components, and set the statistics.

    Normalised latents have a spread that is the square root of the raw one's, and unit root mean square over all of
    them: what is loud in a spectrogram stays large for the transformer that learns them.
    """
    raw = vae.encoder(mel)  # the statistics are still neutral
    channels = raw.shape[1]
    values = raw.movedim(1, -1).flatten(0, -2)
    _, axes = torch.linalg.eigh((values - values.mean(dim=0)).T.cov())
    rotation = axes.flip(1).T  # largest first
    last, first = vae.encoder.conv_out.conv, vae.decoder.conv_in.conv
    last.weight[:channels] = torch.einsum("ij,jckl->ickl", rotation, last.weight[:channels])
    cast(Tensor, last.bias)[:channels] = rotation @ cast(Tensor, last.bias)[:channels]
    first.weight.copy_(torch.einsum("ojkl,ij->oikl", first.weight, rotation))
    raw = torch.einsum("ij,bjtm->bitm", rotation, raw)
    mean = raw.mean(dim=(0, 2)).flatten()
    spread = raw.std(dim=(0, 2)).flatten().clamp_min(1e-3)
    scale = (spread * spread.mean()).sqrt()
    for half in (vae.encoder, vae.decoder):
        half.per_channel_statistics.get_buffer("mean-of-means").copy_(mean)
        half.per_channel_statistics.get_buffer("std-of-means").copy_(scale)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m engine.training.audio", description="Train the starter's audio VAE and vocoder."
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for sounds, training states and results")
    parser.add_argument("--part", choices=("both", "vae", "vocoder"), default="both")
    parser.add_argument("--vae-steps", type=int, default=2500)
    parser.add_argument("--reader-steps", type=int, default=6000, help="of the vocoder's first stage")
    parser.add_argument("--steps", type=int, default=6000, help="of the whole vocoder")
    parser.add_argument("--sounds", type=int, default=4000, help="training clips whose sound is used")
    add_machine_options(parser)
    options = parser.parse_args(arguments)
    device = machine_of(options)
    if options.part in ("both", "vae"):
        recipe = Recipe(steps=options.vae_steps, learning_rate=2e-3, warmup_steps=50)
        train_audio_vae(options.out, recipe=recipe, num_sounds=options.sounds, device=device)
    if options.part in ("both", "vocoder"):
        train_vocoder(
            options.out,
            reader_recipe=Recipe(steps=options.reader_steps, learning_rate=1e-3, average_decay=0.995),
            recipe=Recipe(steps=options.steps, learning_rate=3e-4),
            num_sounds=options.sounds,
            device=device,
        )


if __name__ == "__main__":
    run_command(main)
