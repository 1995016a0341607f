"""Sound output, and the clock that a picture with sound follows.

PortAudio may be missing, or find no device; both are facts to tell, not errors. Everything here but the clocks can
block for a while: call it from a thread that may wait.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ltx_studio.domain.playback import Route

if TYPE_CHECKING:
    from engine.media.audio import SoundClip

# PortAudio's: the block to fill (samples, channels), its length, time stamps and flags that are not used here.
Fill = Callable[[NDArray[np.float32], int, Any, Any], None]

# Held ready by the device. Its own default (35 ms measured on PulseAudio) runs dry while a clip is being generated,
# and a device that ran dry may stand still for two seconds. The clock knows of it, so picture and sound stay together.
BUFFER_S = 0.15


class Clock(Protocol):
    """Where playback is."""

    def position_s(self) -> float: ...

    def is_over(self) -> bool: ...


class Stream(Protocol):
    """An open device that asks for blocks of sound."""

    @property
    def latency(self) -> float:
        """Seconds from being asked for until being heard."""
        ...

    def start(self) -> None: ...

    def close(self) -> None: ...


class SoundOutput(Protocol):
    """Where sound can be heard."""

    def problem(self) -> str | None:
        """Why nothing can be heard here, None when something can."""
        ...

    def open(self, sample_rate: int, num_channels: int, fill: Fill) -> Stream:
        """Raises what the device raises when it is taken or gone."""
        ...


class SystemOutput:
    """The system's own choice of device, by PortAudio."""

    def problem(self) -> str | None:
        try:
            import sounddevice  # noqa: PLC0415 - loads PortAudio, which may be missing
        except OSError:
            return "PortAudio, the library that plays sound, is not installed."
        try:
            sounddevice.query_devices(kind="output")
        except (sounddevice.PortAudioError, ValueError):
            return "This machine has no sound output."
        return None

    def open(self, sample_rate: int, num_channels: int, fill: Fill) -> Stream:
        import sounddevice  # noqa: PLC0415 - see above

        stream: Any = sounddevice.OutputStream(
            samplerate=sample_rate, channels=num_channels, dtype="float32", latency=BUFFER_S, callback=fill
        )
        return stream


class SilentClock:
    """Time as it passes, for clips without sound, machines without a device, and speeds that have no sound."""

    def __init__(self, route: Route) -> None:
        self._route = route
        self._began = time.perf_counter()

    def position_s(self) -> float:
        return self._route.position_s(time.perf_counter() - self._began)

    def is_over(self) -> bool:
        return self._route.is_over(time.perf_counter() - self._began)


@dataclass(frozen=True)
class _Block:
    asked_at: float  # by `time.perf_counter`
    start_s: float  # since playing began
    stop_s: float


class Speaker:
    """Plays one sound along a route; its clock is what has reached the device."""

    def __init__(self, sound: "SoundClip", route: Route, output: SoundOutput, *, gain: float = 1.0) -> None:
        """Open the device and begin. Raises what the device raises when it is taken or gone."""
        assert route.speed == 1, route
        self.gain = gain  # 0 to 1; read by the device's thread
        self._samples = _by_sample(sound)
        self._rate = sound.sample_rate
        self._route = route
        self._next = 0  # samples that the device took
        # When the device last asked for a block, where that block begins and ends; one value, so it is read whole.
        self._block: _Block | None = None
        self._stream = output.open(sound.sample_rate, sound.num_channels, self._fill)
        self._stream.start()

    def replace_sound(self, sound: "SoundClip") -> bool:
        """Go on with another sound at the same place; False when this device would have to be opened anew for it."""
        if sound.sample_rate != self._rate or sound.num_channels != self._samples.shape[1]:
            return False
        self._samples = _by_sample(sound)
        return True

    def position_s(self) -> float:
        """Seconds into the clip that are heard now: what the device took, less what it still holds.

        Between two blocks it goes by this machine's clock, and stands still when the device asks for no more. (The
        device's own time stamps would be finer, but several Linux backends leave them at 0.)
        """
        return self._route.position_s(self._elapsed_s())

    def is_over(self) -> bool:
        return self._route.is_over(self._elapsed_s())

    def close(self) -> None:
        self._stream.close()

    def _elapsed_s(self) -> float:
        block = self._block
        if block is None:
            return 0.0
        reached_s = min(block.start_s + time.perf_counter() - block.asked_at, block.stop_s)
        return max(reached_s - self._stream.latency, 0.0)

    def _fill(self, out: NDArray[np.float32], num_samples: int, _times: Any, _flags: Any) -> None:
        """PortAudio's thread asks for the next block; after the end it gets silence, and the clock goes on."""
        samples = self._samples
        self._block = _Block(time.perf_counter(), self._next / self._rate, (self._next + num_samples) / self._rate)
        index = self._route.samples(self._next, num_samples, self._rate, len(samples))
        np.clip(samples[index] * self.gain, -1, 1, out=out)
        out[index < 0] = 0
        self._next += num_samples


def _by_sample(sound: "SoundClip") -> NDArray[np.float32]:
    """(samples, channels), as the device takes it; never empty, so that every index is one."""
    return np.ascontiguousarray(sound.samples.T) if sound.num_samples else np.zeros((1, sound.num_channels), np.float32)
