"""Trains the starter model's audio VAE, then its vocoder: `python -m engine.training.audio --out FOLDER`.

The audio VAE learns log-mel spectrograms from scratch in minutes. The vocoder's later stages are a synthesiser
(`harmonic`), laid out and not learnt but for its sounds other than tones. Its first stage (`amplitudes`) learns to read
the synthesiser's amplitudes from spectrograms: first from known ones, then so that the sound's own spectrogram is the
one it was made of. What it sees has been through the VAE, so it makes up for what the VAE gets wrong by habit. The
bandwidth extension adds nothing to a plain resampling: the toy world's sounds have next to nothing above 8 kHz.

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
from engine.training.amplitudes import Reader, amplitudes_of, loudest_of, roots_of, sounding
from engine.training.blank import save_checkpoint
from engine.training.console import add_machine_options, live_line, machine_of, run_command
from engine.training.grains import GATE, KNOWN_CHANNELS
from engine.training.harmonic import Synthesiser
from engine.training.loop import Recipe, batch_generator, train
from engine.training.sounds import SoundLibrary, cached_sounds
from engine.training.spectral import sound_distance
from engine.training.starter import starter_section, starter_shape
from engine.weights.checkpoint import Checkpoint
from engine.weights.components import load
from engine.weights.keymap import Role

VAE_FILE_NAME: Final = "audio_vae.safetensors"
FILE_NAME: Final = "audio.safetensors"  # the VAE and the vocoder
_SEED: Final = 21
_VAE_BATCH: Final = 8
_VAE_FRAMES: Final = 26  # mel frames of a piece of sound, about a second
_VOCODER_BATCH: Final = 8  # whole sounds
_REGRESSED: Final = 800  # sounds that the vocoder's first guess is drawn from
_LATENT_NOISE: Final = 0.03  # of the latents' root mean square: what a sampler leaves must not be heard
_GATE_WEIGHT: Final = 5.0  # of the gate's error beside the sound's
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
    sounds: NDArray[np.float32], count: int, config: AudioVaeConfig, generator: torch.Generator, *, num_frames: int
) -> Tensor:
    """Random pieces of random sounds, `num_frames` mel frames long, half with their sides swapped: (B, 2, N)."""

    def choose(limit: int) -> int:
        return int(torch.randint(limit, (), generator=generator))

    num_samples = (num_frames - 1) * config.hop_length
    pieces: list[NDArray[np.float32]] = []
    for _ in range(count):
        sound = sounds[choose(len(sounds))]
        # A quarter of the pieces are beginnings, where convolutions see their padding.
        first = 0 if choose(4) == 0 else choose(sound.shape[1] - num_samples + 1)
        piece = sound[:, first : first + num_samples]
        pieces.append(piece[::-1] if choose(2) else piece)
    return torch.from_numpy(np.stack(pieces))


def vae_loss(vae: AudioVae, mel: Tensor, generator: torch.Generator) -> Tensor:
    """The error of spectrograms (B, A, T, M) decoded from slightly noisy latents."""
    latents = vae.encoder(mel)
    noise = torch.randn(latents.shape, generator=generator).to(latents)
    decoded = vae.decoder(latents + _LATENT_NOISE * latents.detach().square().mean().sqrt() * noise)
    difference = decoded - mel
    return difference.abs().mean() + 0.2 * difference.square().mean()


class VocoderTraining(nn.Module):
    """The parts of a vocoder that are trained, before they are put in place."""

    def __init__(self, vocoder: Vocoder) -> None:
        super().__init__()
        self.reader = Reader(vocoder.vocoder)
        self.synthesiser = Synthesiser()

    def start(self, waveform: Tensor, read_mel: Tensor, real_mel: Tensor) -> Tensor:
        """Begin with what linear regression makes of sounds (B, 2, N); returns every channel's largest amplitude."""
        amplitudes = amplitudes_of(waveform, real_mel)
        loudest = loudest_of(amplitudes)
        self.reader.start(read_mel, roots_of(amplitudes, loudest))
        self.synthesiser.set_loudest(loudest)
        return loudest

    def reading_loss(self, read_mel: Tensor, roots: Tensor) -> Tensor:
        """The error of the roots of amplitudes that are read from a spectrogram."""
        difference = (self.reader.roots(read_mel) - roots)[:, list(KNOWN_CHANNELS)]
        return difference.square().mean() + 0.1 * difference.abs().mean()

    def sound_loss(self, read_mel: Tensor, real_mel: Tensor, num_samples: int, config: AudioVaeConfig) -> Tensor:
        """How far the sound made of a spectrogram is from the real one."""
        amplitudes = self.reader(read_mel)
        is_open = sounding(real_mel)
        gate = (amplitudes[:, GATE] - is_open).square().mean()
        # As if the gate were right already: it must not be a volume control, which distorts when it is half open.
        gated = torch.cat([amplitudes[:, :GATE], is_open[:, None]], dim=1)
        made = self.synthesiser(gated)[..., :num_samples]
        return sound_distance(made, real_mel, config) + _GATE_WEIGHT * gate

    def install(self, vocoder: Vocoder) -> None:
        self.reader.install(vocoder.vocoder)
        self.synthesiser.install(vocoder.vocoder)


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
    checkpoint = Checkpoint.open(folder / VAE_FILE_NAME)
    encoder = load(checkpoint, Role.AUDIO_ENCODER, device=device)
    decoder = load(checkpoint, Role.AUDIO_DECODER, device=device)
    library = SoundLibrary(
        folder / "sounds", num_sounds, cast(AudioEncoder, encoder), cast(AudioDecoder, decoder), device
    )
    config = parse_audio_vae(starter_section())
    torch.manual_seed(_SEED)
    vocoder = new_vocoder()
    training = VocoderTraining(vocoder).to(device)
    state_path = folder / "vocoder_training.pt"
    if not state_path.exists():
        _start_reading(training, library, recipe=reader_recipe, state_path=folder / "reader_training.pt")

    def loss_of_step(step: int) -> Tensor:
        waveform, read, real = library.draw(_VOCODER_BATCH, batch_generator(_SEED, step))
        return training.sound_loss(read, real, waveform.shape[-1], config)

    train(training, loss_of_step, recipe, state_path=state_path, on_step=live_line("vocoder"))
    training.install(vocoder)
    path = folder / FILE_NAME
    modules = {Role.AUDIO_ENCODER: encoder, Role.AUDIO_DECODER: decoder, Role.VOCODER: vocoder}
    save_checkpoint(path, modules, starter_shape().config)
    return path


def _start_reading(training: VocoderTraining, library: SoundLibrary, *, recipe: Recipe, state_path: Path) -> None:
    """Teach the reader amplitudes that are known."""
    loudest = training.start(*library.first(_REGRESSED))

    def loss_of_step(step: int) -> Tensor:
        waveform, read, real = library.draw(_VOCODER_BATCH, batch_generator(_SEED, step))
        return training.reading_loss(read, roots_of(amplitudes_of(waveform, real), loudest))

    train(training.reader, loss_of_step, recipe, state_path=state_path, on_step=live_line("reader"))


def new_vocoder() -> Vocoder:
    """Of the starter model's shape, with a bandwidth extension that adds nothing."""
    vocoder = Vocoder(parse_vocoder(starter_section()))
    vocoder.bwe_generator.requires_grad_(False)
    nn.init.zeros_(vocoder.bwe_generator.conv_post.weight)
    return vocoder


def _centre(first: nn.Conv2d) -> None:
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
    _, axes = torch.linalg.eigh(torch.atleast_2d((values - values.mean(dim=0)).T.cov()))
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
    parser.add_argument("--reader-steps", type=int, default=1500, help="of the vocoder's first stage")
    parser.add_argument("--steps", type=int, default=4000, help="of the whole vocoder")
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
            reader_recipe=Recipe(steps=options.reader_steps, learning_rate=4e-4, average_decay=0.99),
            recipe=Recipe(steps=options.steps, learning_rate=2e-4),
            num_sounds=options.sounds,
            device=device,
        )


if __name__ == "__main__":
    run_command(main)
