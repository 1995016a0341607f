"""Sound output, and the clock that a picture with sound follows.

PortAudio may be missing, or find no device; both are facts to tell, not errors. Everything here but the clock can
block for a while: call it from a thread that may wait.
"""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from engine.media.audio import SoundClip


# Held ready by the device. Its own default (35 ms measured on PulseAudio) runs dry while a clip is being generated,
# and a device that ran dry may stand still for two seconds. The clock knows of it, so picture and sound stay together.
BUFFER_S = 0.15


class Clock(Protocol):
    """Where playback is."""

    def position_s(self) -> float: ...


class SilentClock:
    """Time as it passes, for clips without sound and machines without a device."""

    def __init__(self, start_s: float) -> None:
        self._start_s = start_s
        self._began = time.perf_counter()

    def position_s(self) -> float:
        return self._start_s + time.perf_counter() - self._began


def sound_output_problem() -> str | None:
    """Why nothing can be heard here, None when something can."""
    try:
        import sounddevice  # noqa: PLC0415 - loads PortAudio, which may be missing
    except OSError:
        return "PortAudio, the library that plays sound, is not installed."
    try:
        sounddevice.query_devices(kind="output")
    except (sounddevice.PortAudioError, ValueError):
        return "This machine has no sound output."
    return None


@dataclass(frozen=True)
class _Block:
    asked_at: float  # by `time.perf_counter`
    start_s: float
    stop_s: float


class Speaker:
    """Plays one sound from a position; its clock is what has reached the device."""

    def __init__(self, sound: "SoundClip", start_s: float) -> None:
        """Open the device and begin. Raises sounddevice.PortAudioError when it is taken or gone."""
        import sounddevice  # noqa: PLC0415 - see above

        self.is_muted = False
        self._samples = np.ascontiguousarray(sound.samples.T)
        self._rate = sound.sample_rate
        self._start_s = start_s
        self._next = round(start_s * sound.sample_rate)
        # When the device last asked for a block, where that block begins and ends; one value, so it is read whole.
        self._block: _Block | None = None
        self._stream: Any = sounddevice.OutputStream(
            samplerate=sound.sample_rate,
            channels=sound.num_channels,
            dtype="float32",
            latency=BUFFER_S,
            callback=self._fill,
        )
        self._stream.start()

    def position_s(self) -> float:
        """Seconds into the clip that are heard now: what the device took, less what it still holds.

        Between two blocks it goes by this machine's clock, and stands still when the device asks for no more. (The
        device's own time stamps would be finer, but several Linux backends leave them at 0.)
        """
        block = self._block
        if block is None:
            return self._start_s
        reached_s = min(block.start_s + time.perf_counter() - block.asked_at, block.stop_s)
        return max(reached_s - self._stream.latency, self._start_s)

    def close(self) -> None:
        self._stream.close(ignore_errors=True)

    def _fill(self, out: NDArray[np.float32], num_samples: int, _times: Any, _flags: Any) -> None:
        """PortAudio's thread asks for the next block; after the end it gets silence, and the clock goes on."""
        stop_s = (self._next + num_samples) / self._rate
        self._block = _Block(time.perf_counter(), self._next / self._rate, stop_s)
        block = self._samples[self._next : self._next + num_samples]
        out[:] = 0
        if not self.is_muted:
            out[: len(block)] = np.clip(block, -1, 1)
        self._next += num_samples
