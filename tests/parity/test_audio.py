"""The audio path equals diffusers' on random weights; in pieces it equals itself as a whole; its filters are right.

Run alone: pytest tests/parity/test_audio.py
"""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers.audio_utils import mel_filter_bank

from engine.model import filters
from engine.model.audio_vae import AudioDecoder, AudioEncoder, log_mel
from engine.model.config import AudioVaeConfig, BandwidthExtensionConfig, GeneratorConfig, VocoderConfig
from engine.model.vocoder import SnakeBeta, Vocoder, decode_in_chunks, resample
from tests.parity import audio_twin
from tests.parity.audio_twin import randomise
from tests.parity.golden_files import assert_close

VAE = AudioVaeConfig(
    width=8,
    width_multipliers=(1, 2, 4),
    num_res_blocks=1,
    latent_channels=2,
    mel_channels=2,
    num_mels=16,
    sample_rate=16000,
    hop_length=160,
    window_length=1024,
    mel_min_hz=0.0,
    mel_max_hz=8000.0,
)
VAES = {
    "small": VAE,
    "deeper": replace(VAE, num_res_blocks=2),
    "other widths": replace(VAE, width=12, width_multipliers=(1, 1, 3), latent_channels=3, num_mels=24),
}

# Rates and kernels as in LTX-2.3, but fewer of them.
GENERATOR = GeneratorConfig(
    in_channels=32,
    out_channels=2,
    width=8,
    upsample_rates=(5, 2),
    upsample_kernels=(11, 4),
    residual_kernels=(3, 7),
    residual_dilations=((1, 3), (1, 5)),
    activation="snakebeta",
    final_bias=False,
    final_activation="clamp",
)
EXTENSION = BandwidthExtensionConfig(
    generator=replace(
        GENERATOR, in_channels=24, upsample_rates=(5, 3), upsample_kernels=(11, 5), final_activation="none"
    ),
    input_rate=16000,
    output_rate=48000,
    num_mels=12,
    hop_length=5,
    window_length=32,
)
EXTENDED = VocoderConfig(GENERATOR, EXTENSION, output_rate=48000)
PLAIN = VocoderConfig(
    replace(GENERATOR, activation="leaky_relu", final_bias=True, final_activation="tanh"), None, output_rate=24000
)
# A hop that meets the beginning of a frame of ten samples only every third frame, and other rates.
UNEVEN = VocoderConfig(
    replace(GENERATOR, width=12, residual_kernels=(3,), residual_dilations=((1, 2, 4),)),
    replace(
        EXTENSION,
        generator=replace(EXTENSION.generator, upsample_rates=(3, 2), upsample_kernels=(7, 4)),
        input_rate=24000,
        hop_length=3,
    ),
    output_rate=48000,
)
VOCODERS = {"bandwidth extension": EXTENDED, "without": PLAIN, "other rates": UNEVEN}


@pytest.fixture(autouse=True)
def _without_gradients():
    with torch.no_grad():
        yield


def noise(*shape: int, seed: int = 7) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def vae(config: AudioVaeConfig, seed: int = 0) -> tuple[AudioEncoder, AudioDecoder]:
    encoder, decoder = AudioEncoder(config), AudioDecoder(config)
    randomise(encoder, seed)
    randomise(decoder, seed + 1)
    decoder.per_channel_statistics.load_state_dict(encoder.per_channel_statistics.state_dict())
    return encoder, decoder


def random_vocoder(config: VocoderConfig, seed: int = 0) -> Vocoder:
    network = Vocoder(config)
    randomise(network, seed)
    return network


# --- filters ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("num_frequencies", "num_mels", "sample_rate", "min_hz", "max_hz"),
    [(513, 64, 16000, 0.0, 8000.0), (257, 40, 16000, 0.0, 8000.0), (1025, 80, 44100, 30.0, 15000.0)],
)
def test_the_mel_filterbank_is_slaneys(
    num_frequencies: int, num_mels: int, sample_rate: int, min_hz: float, max_hz: float
) -> None:
    expected = mel_filter_bank(
        num_frequencies, num_mels, min_hz, max_hz, sample_rate, norm="slaney", mel_scale="slaney"
    )

    filterbank = filters.mel_filterbank(
        num_frequencies=num_frequencies, num_mels=num_mels, sample_rate=sample_rate, min_hz=min_hz, max_hz=max_hz
    )

    assert_close(filterbank, torch.from_numpy(expected.T))


def test_the_fourier_basis_gives_the_spectrum_of_a_windowed_signal() -> None:
    signal, window = noise(64), torch.hann_window(64)

    projected = filters.stft_basis(64)[:, 0] @ signal

    spectrum = torch.fft.rfft(signal * window)
    assert_close(projected, torch.cat([spectrum.real, spectrum.imag]))


def test_the_anti_aliasing_filter_has_the_official_taps() -> None:
    half = [0.00202896, 0.00938947, -0.02554346, -0.05765738, 0.12857258, 0.44320980]

    taps = filters.kaiser_sinc_filter(ratio=2, num_taps=12)

    assert_close(taps, torch.tensor(half + half[::-1]))


def test_the_resampler_to_three_times_the_rate_has_the_official_taps() -> None:
    side = [
        *(0.2719427, 0.135346, 0.0031139, -0.05948, -0.046781, -0.0025134, 0.0254519, 0.021374, 0.0016903, -0.0108617),
        *(-0.0089775, -0.0008615, 0.0036253, 0.0026413, 0.0002446, -0.0005382, -0.000183, -8e-7, 0, 0, 0),
    ]

    taps = filters.resampler_filter(3)

    assert_close(taps, torch.tensor([*reversed(side), 0.33, *side]))


@pytest.mark.parametrize("ratio", [2, 3, 4])
def test_resampling_keeps_a_low_tone_in_time_and_level(ratio: int) -> None:
    tone = torch.sin(torch.arange(200) * 0.1)[None, None]

    resampled = resample(tone, ratio)[0, 0]

    expected = torch.sin(torch.arange(200 * ratio) * 0.1 / ratio)
    inside = slice(10 * ratio, -10 * ratio)  # away from the ends, which are replicated
    assert resampled.shape == expected.shape
    assert_close(resampled[inside], expected[inside], 0.01)  # the pass band's ripple and bfloat16 taps


# --- mel front end and audio VAE --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "config",
    [VAE, replace(VAE, sample_rate=12000, hop_length=100, window_length=512, mel_min_hz=60.0, mel_max_hz=5000.0)],
)
def test_the_mel_front_end_equals_its_definition(config: AudioVaeConfig) -> None:
    waveform = 0.1 * noise(1, 2, 3000)
    half = config.window_length // 2
    mirrored = np.pad(waveform[0].double().numpy(), ((0, 0), (half, half)), mode="reflect")
    starts = range(0, 3000 + 1, config.hop_length)
    window = np.hanning(config.window_length + 1)[:-1]
    frames = np.stack([mirrored[:, start : start + config.window_length] * window for start in starts], axis=1)
    bank = mel_filter_bank(
        half + 1,
        config.num_mels,
        config.mel_min_hz,
        config.mel_max_hz,
        config.sample_rate,
        norm="slaney",
        mel_scale="slaney",
    )
    expected = np.log(np.maximum(np.abs(np.fft.rfft(frames)) @ bank, 1e-5))

    assert_close(log_mel(waveform, config), torch.from_numpy(expected)[None])


def test_silence_has_the_lowest_log_mel_value() -> None:
    mel = log_mel(torch.zeros(1, 2, 1600), VAE)

    assert_close(mel, torch.full((1, 2, 11, 16), math.log(1e-5)))


@pytest.mark.parametrize("name", VAES)
def test_the_audio_encoder_equals_the_one_of_diffusers(name: str) -> None:
    encoder, decoder = vae(VAES[name])
    mel = noise(2, 2, 18, encoder.config.num_mels)

    means = audio_twin.audio_vae(encoder, decoder).encode(mel, return_dict=False)[0].mean

    assert_close(encoder(mel), encoder.per_channel_statistics.normalise(means))


@pytest.mark.parametrize("name", VAES)
def test_the_audio_decoder_equals_the_one_of_diffusers(name: str) -> None:
    encoder, decoder = vae(VAES[name])
    latents = noise(2, decoder.config.latent_channels, 5, decoder.config.latent_mels)

    raw = decoder.per_channel_statistics.denormalise(latents)
    decoded = audio_twin.audio_vae(encoder, decoder).decode(raw, return_dict=False)[0]

    assert_close(decoder(latents), decoded)


def test_latent_statistics_belong_to_pairs_of_channel_and_mel_in_token_order() -> None:
    statistics = AudioDecoder(VAE).per_channel_statistics
    statistics.load_state_dict({"mean-of-means": torch.arange(8.0), "std-of-means": torch.full((8,), 2.0)})

    raw = statistics.denormalise(torch.ones(1, 2, 3, 4))

    assert raw[0, :, 1].flatten().tolist() == [2, 3, 4, 5, 6, 7, 8, 9]
    assert_close(statistics.normalise(raw), torch.ones(1, 2, 3, 4))


@pytest.mark.parametrize(("multipliers", "factor"), [((1, 2), 2), ((1, 2, 4), 4), ((1, 1, 2, 2), 8)])
def test_the_number_of_frames_follows_the_number_of_levels(multipliers: tuple[int, ...], factor: int) -> None:
    encoder, decoder = vae(replace(VAE, width_multipliers=multipliers))

    latents = encoder(noise(1, 2, factor * 3 + 1, 16))

    assert latents.shape == (1, 2, 4, 16 // factor)
    assert decoder(latents).shape == (1, 2, factor * 3 + 1, 16)


# --- vocoder ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", VOCODERS)
def test_a_vocoder_equals_the_one_of_diffusers(name: str) -> None:
    vocoder = random_vocoder(VOCODERS[name], seed=len(name))
    mel = noise(2, 2, 12, 16)
    assert float(vocoder.vocoder(mel).abs().max()) < 1  # beyond it diffusers differs

    assert_close(vocoder(mel), audio_twin.vocoder(vocoder)(mel))


def test_the_low_rate_waveform_is_clamped_before_bandwidth_extension() -> None:
    vocoder = random_vocoder(EXTENDED)
    vocoder.vocoder.conv_post.weight.mul_(1000)
    mel = noise(1, 2, 12, 16)

    waveform = vocoder.vocoder(mel)

    assert float(waveform.max()) == 1
    assert float(waveform.min()) == -1
    assert float((vocoder(mel) - audio_twin.vocoder(vocoder)(mel)).abs().max()) > 0.1


def test_a_waveform_that_ends_inside_a_hop_keeps_its_length() -> None:
    vocoder = random_vocoder(UNEVEN)

    waveform = vocoder(noise(1, 2, 11, 16))

    assert waveform.shape == (1, 2, 11 * 10 * 2)


@pytest.mark.parametrize("name", VOCODERS)
def test_weights_kept_in_bfloat16_are_computed_with_in_float32(name: str) -> None:
    vocoder = random_vocoder(VOCODERS[name]).bfloat16()
    widened = Vocoder(VOCODERS[name])
    widened.load_state_dict(vocoder.state_dict())
    mel = noise(1, 2, 8, 16)

    waveform = vocoder(mel.bfloat16())

    assert waveform.dtype == torch.float32
    assert torch.equal(waveform, widened(mel.bfloat16().float()))


def test_weights_can_be_assigned_to_a_vocoder_without_bandwidth_extension() -> None:
    source = random_vocoder(PLAIN)
    with torch.device("meta"):
        vocoder = Vocoder(PLAIN)
    vocoder.load_state_dict(source.state_dict(), assign=True)
    mel = noise(1, 2, 8, 16)

    assert "conv_pre.weight" in source.state_dict()
    assert torch.equal(vocoder(mel), source(mel))


def test_the_snake_can_be_trained() -> None:
    snake, x = SnakeBeta(3), noise(2, 3, 5)
    randomise(snake, seed=1)

    with torch.enable_grad():
        inputs = [x.requires_grad_(), snake.alpha, snake.beta]
        gradients = torch.autograd.grad(snake(x).square().sum(), inputs)
        alpha, beta = snake.alpha.exp()[:, None], snake.beta.exp()[:, None]
        expected = torch.autograd.grad((x + (alpha * x).sin() ** 2 / beta).square().sum(), inputs)

    for gradient, wanted in zip(gradients, expected, strict=True):
        assert_close(gradient, wanted)


def test_a_fresh_vocoder_hears_a_louder_tone_as_a_larger_mel_value() -> None:
    mel_stft = Vocoder(EXTENDED).mel_stft
    tone = torch.sin(torch.arange(200) * 0.5).expand(1, 2, -1)

    difference = mel_stft(tone) - mel_stft(0.5 * tone)

    audible = mel_stft(0.5 * tone)[:, :, 10:] > math.log(1e-4)
    assert bool(audible.any())
    assert_close(difference[:, :, 10:][audible], torch.full((int(audible.sum()),), math.log(2)))


# --- chunks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk_latents", [9, 20, 100])
@pytest.mark.parametrize("name", VOCODERS)
def test_audio_decoded_in_chunks_equals_audio_decoded_whole(name: str, chunk_latents: int) -> None:
    _, decoder = vae(replace(VAE, num_res_blocks=0))
    vocoder = random_vocoder(VOCODERS[name])
    latents = noise(1, 2, 40, 4)
    whole = vocoder(decoder(latents))

    pieces = list(decode_in_chunks(decoder, vocoder, latents, chunk_latents=chunk_latents))

    assert len(pieces) == math.ceil(40 / chunk_latents)
    assert_close(torch.cat(pieces, dim=-1), whole)


def visible(values: Tensor, first: int, last: int) -> Tensor:
    """The frames `first` to `last` along the third axis, the others made NaN: whatever depends on one is NaN too."""
    hidden = torch.full_like(values, math.nan)
    hidden[:, :, first : last + 1] = values[:, :, first : last + 1]
    return hidden


@pytest.mark.parametrize("name", VAES)
def test_the_frames_of_a_latent_depend_on_the_declared_context_and_on_nothing_else(name: str) -> None:
    _, decoder = vae(VAES[name])
    latent, past = 45, decoder.context_latents
    latents = noise(1, decoder.config.latent_channels, 50, decoder.config.latent_mels)
    frames = slice(4 * latent - 3, 4 * latent + 1)

    assert bool(decoder(visible(latents, latent - past, latent))[:, :, frames].isfinite().all())
    assert bool(decoder(visible(latents, latent - past + 1, latent))[:, :, frames].isnan().any())


@pytest.mark.parametrize("name", VOCODERS)
def test_the_samples_of_a_frame_depend_on_the_declared_context_and_on_little_less(name: str) -> None:
    vocoder = random_vocoder(VOCODERS[name])
    mel, frame, (past, future) = noise(1, 2, 80, 16), 40, vocoder.context_frames
    samples = slice(frame * vocoder.samples_per_frame, (frame + 1) * vocoder.samples_per_frame)

    assert bool(vocoder(visible(mel, frame - past, frame + future))[..., samples].isfinite().all())
    assert bool(vocoder(visible(mel, frame - past + 2, frame + future))[..., samples].isnan().any())
    assert bool(vocoder(visible(mel, frame - past, frame + future - 2))[..., samples].isnan().any())


# --- official sizes ---------------------------------------------------------------------------------------------------

OFFICIAL_VAE = replace(VAE, width=128, num_res_blocks=2, latent_channels=8, num_mels=64)
OFFICIAL_GENERATOR = replace(
    GENERATOR,
    in_channels=128,
    width=1536,
    upsample_rates=(5, 2, 2, 2, 2, 2),
    upsample_kernels=(11, 4, 4, 4, 4, 4),
    residual_kernels=(3, 7, 11),
    residual_dilations=((1, 3, 5),) * 3,
)
OFFICIAL_VOCODER = VocoderConfig(
    OFFICIAL_GENERATOR,
    BandwidthExtensionConfig(
        generator=replace(
            OFFICIAL_GENERATOR,
            width=512,
            upsample_rates=(6, 5, 2, 2, 2),
            upsample_kernels=(12, 11, 4, 4, 4),
            final_activation="none",
        ),
        input_rate=16000,
        output_rate=48000,
        num_mels=64,
        hop_length=80,
        window_length=512,
    ),
    output_rate=48000,
)


@pytest.mark.parametrize(
    ("network_class", "config", "num_tensors", "num_elements"),
    [
        (AudioEncoder, OFFICIAL_VAE, 44 + 2, 21_333_264),
        (AudioDecoder, OFFICIAL_VAE, 56 + 2, 31_915_394),
        (Vocoder, OFFICIAL_VOCODER, 1227, 129_085_032),
    ],
    ids=["encoder", "decoder", "vocoder"],
)
def test_the_official_sizes_have_the_tensors_of_the_official_file(
    network_class: type[nn.Module], config: object, num_tensors: int, num_elements: int
) -> None:
    with torch.device("meta"):
        tensors = network_class(config).state_dict()

    assert len(tensors) == num_tensors
    assert sum(tensor.numel() for tensor in tensors.values()) == num_elements
    assert all(tensor.is_meta for tensor in tensors.values())


def test_official_audio_is_decoded_with_two_seconds_of_context() -> None:
    with torch.device("meta"):
        decoder, vocoder = AudioDecoder(OFFICIAL_VAE), Vocoder(OFFICIAL_VOCODER)

    past_frames, future_frames = vocoder.context_frames

    assert vocoder.samples_per_frame == 480
    assert decoder.context_latents + math.ceil(past_frames / 4) == 47
    assert math.ceil(future_frames / 4) == 14
