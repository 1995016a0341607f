"""The vocoder: log-mel spectrogram -> stereo waveform.

LTX-2.3's is a BigVGAN-like generator (arXiv:2206.04658) to 16 kHz, then bandwidth extension: a second generator turns
the mel spectrogram of that waveform into what a plain resampling to 48 kHz lacks. LTX-2.0's is one HiFi-GAN-like
generator (arXiv:2010.05646) to 24 kHz. Module names are the keys of the official checkpoint. Follows Lightricks/LTX-2
(commit 400fd31).

Everything is computed in float32 whatever dtype the weights are stored in, as the official code does: the rounding of
some hundred consecutive layers to bfloat16 is audible. Weights kept in bfloat16 are widened one layer at a time.

Shapes: B batch, A audio channels, T mel frames, M mels, C channels, N samples.
"""

import functools
import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.model.audio_vae import LOG_FLOOR, AudioDecoder
from engine.model.config import BandwidthExtensionConfig, GeneratorConfig, VocoderConfig
from engine.model.filters import kaiser_sinc_filter, mel_filterbank, resampler_filter, resampler_half_width, stft_basis

OUTER_KERNEL = 7  # of a generator's first and last convolution
SLOPE = 0.1  # of LTX-2.0's leaky ReLUs, but for the last
FINAL_SLOPE = 0.01  # PyTorch's default, which the official code falls back to
OVERSAMPLING = 2  # inside an anti-aliased activation
ANTI_ALIASING_TAPS = 12


def decode_in_chunks(
    decoder: AudioDecoder, vocoder: "Vocoder", latents: Tensor, *, chunk_latents: int
) -> Iterator[Tensor]:
    """Waveform pieces (B, A, N) that together equal `vocoder(decoder(latents))`, in bounded memory.

    Every piece is decoded from `chunk_latents` normalised latents and as many around them as its samples depend on
    (LTX-2.3: 47 before and 14 after), which is also what a chunk costs beyond its own length.
    """
    assert chunk_latents > 0, f"a chunk of {chunk_latents} latents"
    num_latents, factor = latents.shape[2], decoder.config.downsampling
    past_frames, future_frames = vocoder.context_frames
    past = decoder.context_latents + math.ceil(past_frames / factor)
    future = math.ceil(future_frames / factor)
    grid = vocoder.frame_grid // math.gcd(vocoder.frame_grid, factor)
    for start in range(0, num_latents, chunk_latents):
        stop = min(start + chunk_latents, num_latents)
        first = max(0, start - past) // grid * grid
        waveform = vocoder(decoder(latents[:, :, first : stop + future]))
        # Latent 0 is frame 0; any other latent ends with frame `factor` times its index.
        frames = (max(0, factor * (start - 1) + 1), factor * (stop - 1) + 1)
        piece = slice(*((frame - factor * first) * vocoder.samples_per_frame for frame in frames))
        yield waveform[..., piece]


class Conv1d(nn.Conv1d):
    """A convolution in float32 that keeps the length."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, *, dilation: int = 1, bias: bool = True):
        padding = dilation * (kernel // 2)
        super().__init__(in_channels, out_channels, kernel, dilation=dilation, padding=padding, bias=bias)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - PyTorch's name
        bias = None if self.bias is None else self.bias.float()
        return F.conv1d(input, self.weight.float(), bias, padding=self.padding, dilation=self.dilation)


class Upsample1d(nn.ConvTranspose1d):
    """A transposed convolution in float32 that lengthens by `rate`."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, *, rate: int) -> None:
        super().__init__(in_channels, out_channels, kernel, stride=rate)
        self.trim = (kernel - rate) // 2

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:  # noqa: A002 - PyTorch's name
        assert output_size is None
        bias = None if self.bias is None else self.bias.float()
        return F.conv_transpose1d(input, self.weight.float(), bias, stride=self.stride, padding=self.trim)


class SnakeBeta(nn.Module):
    """x + sin(alpha x)^2 / beta per channel; both stored as logarithms."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.zeros(channels))
        self.beta = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        frequency = self.alpha.float().exp()[:, None]
        amplitude = 1 / (self.beta.float().exp()[:, None] + 1e-9)
        return torch.addcmul(x, (x * frequency).sin_().square_(), amplitude)


class LowPass(nn.Module):
    """Holds an anti-aliasing filter under the key the checkpoint gives it."""

    def __init__(self) -> None:
        super().__init__()
        taps = kaiser_sinc_filter(ratio=OVERSAMPLING, num_taps=ANTI_ALIASING_TAPS)
        self.register_buffer("filter", taps[None, None])

    def taps(self, channels: int) -> Tensor:
        return self.get_buffer("filter").float().expand(channels, 1, -1)


class Doubler(LowPass):
    """Twice the rate; the ends are replicated."""

    def forward(self, x: Tensor) -> Tensor:
        margin = ANTI_ALIASING_TAPS // OVERSAMPLING - 1
        overhang = margin * OVERSAMPLING + (ANTI_ALIASING_TAPS - OVERSAMPLING) // 2
        return F.conv_transpose1d(
            F.pad(x, (margin, margin), mode="replicate"),
            OVERSAMPLING * self.taps(x.shape[1]),
            stride=OVERSAMPLING,
            padding=overhang,
            groups=x.shape[1],
        )


class Halver(nn.Module):
    """Half the rate; the ends are replicated."""

    def __init__(self) -> None:
        super().__init__()
        self.lowpass = LowPass()

    def forward(self, x: Tensor) -> Tensor:
        margins = (ANTI_ALIASING_TAPS // 2 - 1, ANTI_ALIASING_TAPS // 2)
        padded = F.pad(x, margins, mode="replicate")
        return F.conv1d(padded, self.lowpass.taps(x.shape[1]), stride=OVERSAMPLING, groups=x.shape[1])


class AntiAliasedSnake(nn.Module):
    """SnakeBeta at twice the rate, so that the harmonics it makes do not fold back."""

    REACH = (ANTI_ALIASING_TAPS - 1) // OVERSAMPLING  # samples on either side that a sample depends on

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.upsample = Doubler()
        self.act = SnakeBeta(channels)
        self.downsample = Halver()

    def forward(self, x: Tensor) -> Tensor:
        return self.downsample(self.act(self.upsample(x)))


def _activation(config: GeneratorConfig, channels: int, *, slope: float = SLOPE) -> nn.Module:
    return AntiAliasedSnake(channels) if config.activation == "snakebeta" else nn.LeakyReLU(slope)


class ResBlock(nn.Module):
    """For each dilation: activate, convolve dilated, activate, convolve, add."""

    def __init__(self, config: GeneratorConfig, channels: int, kernel: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.convs1 = nn.ModuleList(Conv1d(channels, channels, kernel, dilation=dilation) for dilation in dilations)
        self.convs2 = nn.ModuleList(Conv1d(channels, channels, kernel) for _ in dilations)
        self.acts1 = nn.ModuleList(_activation(config, channels) for _ in dilations)
        self.acts2 = nn.ModuleList(_activation(config, channels) for _ in dilations)

    def forward(self, x: Tensor) -> Tensor:
        for act1, conv1, act2, conv2 in zip(self.acts1, self.convs1, self.acts2, self.convs2, strict=True):
            x = x + conv2(act2(conv1(act1(x))))
        return x


class Generator(nn.Module):
    """Log-mel spectrogram (B, A, T, M) -> waveform (B, A, T x upsampling)."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        widths = [config.width // 2**stage for stage in range(len(config.upsample_rates) + 1)]
        self.conv_pre = Conv1d(config.in_channels, config.width, OUTER_KERNEL)
        # The anti-aliased generator activates inside its residual blocks alone.
        self.pre_upsample = nn.LeakyReLU(SLOPE) if config.activation == "leaky_relu" else nn.Identity()
        self.ups = nn.ModuleList(
            Upsample1d(before, width, kernel, rate=rate)
            for before, width, rate, kernel in zip(
                widths[:-1], widths[1:], config.upsample_rates, config.upsample_kernels, strict=True
            )
        )
        # Stage by stage, the blocks of a stage side by side in one flat list.
        self.resblocks = nn.ModuleList(
            ResBlock(config, width, kernel, dilations)
            for width in widths[1:]
            for kernel, dilations in zip(config.residual_kernels, config.residual_dilations, strict=True)
        )
        self.act_post = _activation(config, widths[-1], slope=FINAL_SLOPE)
        self.conv_post = Conv1d(widths[-1], config.out_channels, OUTER_KERNEL, bias=config.final_bias)

    def forward(self, mel: Tensor) -> Tensor:
        x = self.conv_pre(mel.float().transpose(2, 3).flatten(1, 2))
        blocks_per_stage = len(self.config.residual_kernels)
        for stage, up in enumerate(self.ups):
            x = up(self.pre_upsample(x))
            blocks = self.resblocks[stage * blocks_per_stage : (stage + 1) * blocks_per_stage]
            x = functools.reduce(Tensor.add_, (block(x) for block in blocks)) / blocks_per_stage
        x = self.conv_post(self.act_post(x))
        match self.config.final_activation:
            case "clamp":
                return x.clamp(-1, 1)
            case "tanh":
                return x.tanh()
            case "none":
                return x

    def input_frames(self, first: int, last: int) -> tuple[int, int]:
        """First and last mel frame that the samples `first` to `last`, both included, depend on."""
        activation = AntiAliasedSnake.REACH if self.config.activation == "snakebeta" else 0
        block_reaches = [
            sum((dilation + 1) * (kernel // 2) + 2 * activation for dilation in dilations)
            for kernel, dilations in zip(self.config.residual_kernels, self.config.residual_dilations, strict=True)
        ]
        reach = OUTER_KERNEL // 2 + activation
        first, last = first - reach, last + reach
        rates_and_kernels = zip(self.config.upsample_rates, self.config.upsample_kernels, strict=True)
        for rate, kernel in reversed(list(rates_and_kernels)):
            first, last = first - max(block_reaches), last + max(block_reaches)
            padding = (kernel - rate) // 2
            first, last = -((kernel - 1 - first - padding) // rate), (last + padding) // rate
        return first - OUTER_KERNEL // 2, last + OUTER_KERNEL // 2


class FourierTransform(nn.Module):
    def __init__(self, window_length: int) -> None:
        super().__init__()
        basis = stft_basis(window_length)
        self.register_buffer("forward_basis", basis)
        # Every official file has a synthesis basis too; no network reads it.
        self.register_buffer("inverse_basis", torch.zeros(basis.shape))


class MelSpectrogram(nn.Module):
    """Log-mel spectrogram of the low-rate waveform; a frame sees one hop of new samples and otherwise the past."""

    def __init__(self, config: BandwidthExtensionConfig) -> None:
        super().__init__()
        self.hop_length = config.hop_length
        self.past = max(0, config.window_length - config.hop_length)
        self.stft_fn = FourierTransform(config.window_length)
        filterbank = mel_filterbank(
            num_frequencies=config.window_length // 2 + 1,
            num_mels=config.num_mels,
            sample_rate=config.input_rate,
            min_hz=0,
            max_hz=config.input_rate / 2,
        )
        self.register_buffer("mel_basis", filterbank)

    def forward(self, waveform: Tensor) -> Tensor:
        """(B, A, N) with N a multiple of the hop -> (B, A, N / hop_length, M)."""
        samples = F.pad(waveform.flatten(0, 1)[:, None], (self.past, 0))
        basis = self.stft_fn.get_buffer("forward_basis").float()
        real_and_imaginary = F.conv1d(samples, basis, stride=self.hop_length).unflatten(1, (2, -1))
        magnitude = torch.linalg.vector_norm(real_and_imaginary, dim=1)
        mel = self.get_buffer("mel_basis").float() @ magnitude
        return mel.clamp_min(LOG_FLOOR).log().transpose(1, 2).unflatten(0, waveform.shape[:2])


def resample(waveform: Tensor, ratio: int) -> Tensor:
    """A waveform (B, A, N) at `ratio` times its rate; the ends are replicated -> (B, A, N x ratio)."""
    channels, margin = waveform.shape[1], resampler_half_width()
    # The official code computes these taps too, and keeps them in bfloat16 as it does the weights.
    taps = ratio * resampler_filter(ratio).bfloat16().to(waveform)
    padded = F.pad(waveform, (margin, margin), mode="replicate")
    resampled = F.conv_transpose1d(padded, taps.expand(channels, 1, -1), stride=ratio, groups=channels)
    return resampled.narrow(-1, 2 * margin * ratio, waveform.shape[-1] * ratio)


class Vocoder(nn.Module):
    """Log-mel spectrogram (B, A, T, M) -> waveform (B, A, T x samples_per_frame) at `config.output_rate`, float32.

    `vocoder.vocoder` is the generator itself: with bandwidth extension, it gives the low-rate waveform.
    """

    def __init__(self, config: VocoderConfig) -> None:
        super().__init__()
        self.config = config
        generator = Generator(config.generator)
        if config.bandwidth_extension is None:
            # LTX-2.0's files have the generator's layers at the root, so they are registered here and not as a child.
            object.__setattr__(self, "vocoder", generator)
            for name, layer in generator.named_children():
                self.add_module(name, layer)
        else:
            self.vocoder = generator
            self.bwe_generator = Generator(config.bandwidth_extension.generator)
            self.mel_stft = MelSpectrogram(config.bandwidth_extension)

    def forward(self, mel: Tensor) -> Tensor:
        waveform = self.vocoder(mel)
        extension = self.config.bandwidth_extension
        if extension is None:
            return waveform
        num_samples = waveform.shape[-1]
        waveform = F.pad(waveform, (0, -num_samples % extension.hop_length))
        full_band = self.bwe_generator(self.mel_stft(waveform)) + resample(waveform, extension.resampling)
        return full_band.clamp(-1, 1)[..., : num_samples * extension.resampling]

    @property
    def samples_per_frame(self) -> int:
        """Output samples for every mel frame."""
        extension = self.config.bandwidth_extension
        return self.config.generator.upsampling * (extension.resampling if extension else 1)

    @property
    def frame_grid(self) -> int:
        """Frames after which the hops of the bandwidth extension fall on the same samples of a frame again."""
        extension = self.config.bandwidth_extension
        if extension is None:
            return 1
        return extension.hop_length // math.gcd(extension.hop_length, self.config.generator.upsampling)

    @property
    def context_frames(self) -> tuple[int, int]:
        """Mel frames before and after a frame that its samples depend on."""
        generator, extension = self.config.generator, self.config.bandwidth_extension
        first, last = 0, generator.upsampling - 1
        if extension is not None:
            hop = extension.hop_length
            # A frame may begin on any of a hop's samples: count hops from the first, and samples from the frame's own.
            num_outputs = (generator.upsampling + hop - 1) * extension.resampling
            first_hop, last_hop = self.bwe_generator.input_frames(0, num_outputs - 1)
            margin = resampler_half_width()
            first = min(first - margin, first_hop * hop - self.mel_stft.past - (hop - 1))
            last = max(last + margin, last_hop * hop + hop - 1)
        first, last = self.vocoder.input_frames(first, last)
        return -first, last
