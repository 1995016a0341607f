"""The audio VAE: waveform -> log-mel spectrogram -> normalised latents, and back to a spectrogram for the vocoder.

Two-dimensional convolutions over (time, mel), causal in time: latent 0 holds one mel frame and every later one holds
`config.downsampling` frames, so T latents decode to `downsampling * (T - 1) + 1` frames. Module names are the keys of
the official checkpoint. Follows Lightricks/LTX-2 (commit 400fd31).

Shapes: B batch, A audio channels, N samples, T mel frames or latent frames, M mels, C channels.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.model.config import AudioVaeConfig
from engine.model.filters import mel_filterbank

KERNEL = 3  # of every convolution but the shortcuts
NORM_EPS = 1e-6  # a hundred times the video VAE's
LOG_FLOOR = 1e-5  # mel magnitudes below this are silence


def log_mel(waveform: Tensor, config: AudioVaeConfig) -> Tensor:
    """Logarithms of the mel magnitudes of a waveform (B, A, N) -> (B, A, N // hop_length + 1, M), float32.

    The waveform is at `config.sample_rate`. Frames are centred on multiples of the hop and the ends are mirrored, so N
    must exceed half a window.
    """
    batch, channels, num_samples = waveform.shape
    assert num_samples > config.window_length // 2, f"{num_samples} samples cannot be mirrored by half a window"
    spectrum = torch.stft(
        waveform.reshape(batch * channels, num_samples).float(),
        n_fft=config.window_length,
        hop_length=config.hop_length,
        window=torch.hann_window(config.window_length, device=waveform.device),
        center=True,
        pad_mode="reflect",
        return_complex=True,
    )
    filterbank = mel_filterbank(
        num_frequencies=config.window_length // 2 + 1,
        num_mels=config.num_mels,
        sample_rate=config.sample_rate,
        min_hz=config.mel_min_hz,
        max_hz=config.mel_max_hz,
    ).to(waveform.device)
    mel = spectrum.abs().transpose(1, 2) @ filterbank.T
    return mel.clamp_min(LOG_FLOOR).log().unflatten(0, (batch, channels))


class LatentStatistics(nn.Module):
    """Mean and deviation of every (channel, mel) pair of the latents, in token order: `channel * mels + mel`."""

    def __init__(self, config: AudioVaeConfig) -> None:
        super().__init__()
        self.latent_mels = config.latent_mels
        # The hyphens are the checkpoint's.
        self.register_buffer("mean-of-means", torch.zeros(config.token_channels))
        self.register_buffer("std-of-means", torch.ones(config.token_channels))

    def normalise(self, latents: Tensor) -> Tensor:
        return (latents - self._table("mean-of-means", latents)) / self._table("std-of-means", latents)

    def denormalise(self, latents: Tensor) -> Tensor:
        return torch.addcmul(self._table("mean-of-means", latents), latents, self._table("std-of-means", latents))

    def _table(self, name: str, latents: Tensor) -> Tensor:
        """(C M) -> (C, 1, M), to broadcast over latents (B, C, T, M)."""
        return self.get_buffer(name).to(latents.dtype).view(-1, 1, self.latent_mels)


class CausalConv(nn.Module):
    """A convolution that sees the present and the past; zeros stand before the beginning and beyond the mel range."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int = KERNEL) -> None:
        super().__init__()
        self.past = kernel - 1
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, padding=(0, kernel // 2))

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, (0, 0, self.past, 0)) if self.past else x)


class Downsample(nn.Module):
    """Halves time (rounding up) and mel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, KERNEL, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, (0, 1, KERNEL - 1, 0)))


class Upsample(nn.Module):
    """Doubles mel, and time without its first row: T -> 2 T - 1."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = CausalConv(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))[:, :, 1:]


def _norm_silu(x: Tensor) -> Tensor:
    """SiLU of x divided by its root mean square over the channels."""
    return F.silu(x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + NORM_EPS), inplace=True)


class ResBlock(nn.Module):
    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = CausalConv(in_channels, out_channels)
        self.conv2 = CausalConv(out_channels, out_channels)
        self.nin_shortcut = CausalConv(in_channels, out_channels, 1) if in_channels != out_channels else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.nin_shortcut(x) + self.conv2(_norm_silu(self.conv1(_norm_silu(x))))


class Level(nn.Module):
    """The residual blocks of one resolution, then a change of resolution if there is one."""

    def __init__(self, widths: list[int]) -> None:
        super().__init__()
        self.block = nn.ModuleList(ResBlock(*pair) for pair in pairwise(widths))

    def forward(self, x: Tensor) -> Tensor:
        for block in self.block:
            x = block(x)
        return x


class DownLevel(Level):
    def __init__(self, widths: list[int], *, last: bool) -> None:
        super().__init__(widths)
        self.downsample = nn.Identity() if last else Downsample(widths[-1])

    def forward(self, x: Tensor) -> Tensor:
        return self.downsample(super().forward(x))


class UpLevel(Level):
    def __init__(self, widths: list[int], *, last: bool) -> None:
        super().__init__(widths)
        self.upsample = nn.Identity() if last else Upsample(widths[-1])

    def forward(self, x: Tensor) -> Tensor:
        return self.upsample(super().forward(x))


class Middle(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.block_1 = ResBlock(width, width)
        self.block_2 = ResBlock(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.block_2(self.block_1(x))


class AudioEncoder(nn.Module):
    """Log-mel spectrogram (B, A, T, M) -> normalised latents (B, C, ceil(T / downsampling), latent mels)."""

    def __init__(self, config: AudioVaeConfig) -> None:
        super().__init__()
        assert config.num_mels % config.downsampling == 0, f"{config.num_mels} mels / {config.downsampling}"
        self.config = config
        widths = [config.width, *(config.width * multiplier for multiplier in config.width_multipliers)]
        self.conv_in = CausalConv(config.mel_channels, config.width)
        self.down = nn.ModuleList(
            DownLevel([before] + [width] * config.num_res_blocks, last=level == len(config.width_multipliers) - 1)
            for level, (before, width) in enumerate(pairwise(widths))
        )
        self.mid = Middle(widths[-1])
        self.conv_out = CausalConv(widths[-1], 2 * config.latent_channels)  # means, then log variances
        self.per_channel_statistics = LatentStatistics(config)

    def forward(self, mel: Tensor) -> Tensor:
        assert mel.shape[1::2] == (self.config.mel_channels, self.config.num_mels), f"a spectrogram of {mel.shape}"
        x = self.conv_in(mel)
        for level in self.down:
            x = level(x)
        x = self.conv_out(_norm_silu(self.mid(x)))
        means = x[:, : self.config.latent_channels]
        return self.per_channel_statistics.normalise(means)


class AudioDecoder(nn.Module):
    """Normalised latents (B, C, T, latent mels) -> log-mel spectrogram (B, A, downsampling (T - 1) + 1, M)."""

    def __init__(self, config: AudioVaeConfig) -> None:
        super().__init__()
        assert config.num_mels % config.downsampling == 0, f"{config.num_mels} mels / {config.downsampling}"
        self.config = config
        widths = [config.width * multiplier for multiplier in config.width_multipliers]
        self.conv_in = CausalConv(config.latent_channels, widths[-1])
        self.mid = Middle(widths[-1])
        # Stored from the full resolution inward, run from the latents outward.
        self.up = nn.ModuleList(
            UpLevel([before] + [width] * (config.num_res_blocks + 1), last=level == 0)
            for level, (before, width) in enumerate(zip([*widths[1:], widths[-1]], widths, strict=True))
        )
        self.conv_out = CausalConv(widths[0], config.mel_channels)
        self.per_channel_statistics = LatentStatistics(config)

    @property
    def context_latents(self) -> int:
        """Latents before the first one of a piece that its mel frames depend on; there are none after the last."""
        convolution = KERNEL - 1
        first = -(self.config.downsampling - 1) - convolution  # the piece's first frame, seen through conv_out
        for level in range(len(self.config.width_multipliers)):
            if level > 0:
                first = (first + 1 - convolution) // 2  # one row is dropped, then every row is a half of its source
            first -= 2 * convolution * (self.config.num_res_blocks + 1)
        return -(first - 2 * 2 * convolution - convolution)  # the middle's two blocks and conv_in

    def forward(self, latents: Tensor) -> Tensor:
        expected = (self.config.latent_channels, self.config.latent_mels)
        assert latents.shape[1::2] == expected, f"latents of {latents.shape}"
        x = self.mid(self.conv_in(self.per_channel_statistics.denormalise(latents)))
        for level in reversed(self.up):
            x = level(x)
        return self.conv_out(_norm_silu(x))
