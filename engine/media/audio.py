"""Sound as a value: mono or stereo samples at a known rate, and the three changes the pipelines need.

The model hears and speaks in stereo, so nothing here is wider than that: `read.read_audio` mixes surround down while
it still knows which channel is which. Not here: decoding and encoding files (`read`, `write`), spectrograms
(`engine.model`).
"""

from dataclasses import dataclass

import av
import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

# libswresample, kept over a resampler of our own. 128 taps per phase instead of its default 32, and a cutoff of 0.98
# of the lower Nyquist frequency instead of 0.97, with its default Kaiser window. Measured on sines, 48 kHz to 16 kHz
# (the model's encoder): 7.5 kHz passes with an error of -77 dB (default -11 dB), 9 kHz folds back at -100 dB (default
# -61 dB). Output sample 0 is input sample 0.
RESAMPLER_QUALITY = {"filter_size": "128", "cutoff": "0.98"}
MIN_RESAMPLER_INPUT = (
    4096  # samples; of a sound shorter than its filter (128 times the rates' ratio) it returns nothing
)


@dataclass(frozen=True, eq=False)
class SoundClip:
    """`samples` is float32, (1 or 2 channels, samples); full scale is -1..1, values beyond it are allowed."""

    samples: Samples
    sample_rate: int

    def __post_init__(self) -> None:
        assert self.samples.ndim == 2, self.samples.shape
        assert self.samples.shape[0] in (1, 2), self.samples.shape
        assert self.samples.dtype == np.float32, self.samples.dtype
        assert self.sample_rate > 0, self.sample_rate

    @property
    def num_channels(self) -> int:
        return self.samples.shape[0]

    @property
    def num_samples(self) -> int:
        return self.samples.shape[1]

    @property
    def duration_s(self) -> float:
        return self.num_samples / self.sample_rate

    def to_stereo(self) -> "SoundClip":
        """Mono goes to both sides at full level (FFmpeg's own mono to stereo would lower it by 3 dB)."""
        if self.num_channels == 2:
            return self
        return SoundClip(np.repeat(self.samples, 2, axis=0), self.sample_rate)

    def between(self, start_s: float, end_s: float | None) -> "SoundClip":
        """The part of it from one moment to another, as far as it goes; None: to its end."""
        stop = None if end_s is None else round(end_s * self.sample_rate)
        return SoundClip(self.samples[:, round(start_s * self.sample_rate) : stop], self.sample_rate)

    def resampled(self, sample_rate: int) -> "SoundClip":
        """At another rate; the number of samples is rounded to the nearest, halves up. See `RESAMPLER_QUALITY`."""
        if sample_rate == self.sample_rate:
            return self
        num_samples = (2 * self.num_samples * sample_rate + self.sample_rate) // (2 * self.sample_rate)
        if num_samples == 0:
            return SoundClip(np.zeros((self.num_channels, 0), np.float32), sample_rate)
        layout = "mono" if self.num_channels == 1 else "stereo"
        resampler = av.AudioResampler(format="fltp", layout=layout, rate=sample_rate, options=RESAMPLER_QUALITY)
        padded = self.fitted(max(self.num_samples, MIN_RESAMPLER_INPUT))
        source = av.AudioFrame.from_ndarray(np.ascontiguousarray(padded.samples), format="fltp", layout=layout)
        source.sample_rate = self.sample_rate
        blocks = [block.to_ndarray() for frame in (source, None) for block in resampler.resample(frame)]
        return SoundClip(np.concatenate(blocks, axis=1).astype(np.float32, copy=False), sample_rate).fitted(num_samples)

    def fitted(self, num_samples: int) -> "SoundClip":
        """Exactly `num_samples` long: cut at the end, or followed by silence."""
        missing = num_samples - self.num_samples
        if missing <= 0:
            return SoundClip(self.samples[:, :num_samples], self.sample_rate)
        return SoundClip(np.pad(self.samples, ((0, 0), (0, missing))), self.sample_rate)
