"""A sound device without sound: it asks for blocks by a clock of its own, which may run fast or slow."""

import threading
import time

import numpy as np

from ltx_studio.services.speaker import BUFFER_S, Fill, Stream


class DriftingOutput:
    """`rate_error` 0.001 plays a second in 0.999 s; 100 parts in a million is common in real devices."""

    def __init__(self, *, rate_error: float = 0.0, block: int = 1024, latency_s: float = BUFFER_S) -> None:
        self.rate_error = rate_error
        self.block = block
        self.latency_s = latency_s
        self.streams: list[DriftingStream] = []

    def problem(self) -> str | None:
        return None

    def open(self, sample_rate: int, num_channels: int, fill: Fill) -> Stream:
        stream = DriftingStream(self, sample_rate, num_channels, fill)
        self.streams.append(stream)
        return stream


class DriftingStream:
    """Keeps `latency_s` of sound in its buffer, as a device does, and knows which sample is heard."""

    def __init__(self, output: DriftingOutput, sample_rate: int, num_channels: int, fill: Fill) -> None:
        self._output = output
        self._rate = sample_rate * (1 + output.rate_error)
        self._nominal_rate = sample_rate
        self._out = np.zeros((output.block, num_channels), np.float32)
        self._fill = fill
        self._is_closed = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True, name="fake sound device")
        self._began = 0.0
        self.num_asked = 0
        self.loudest = 0.0  # of the last block

    @property
    def latency(self) -> float:
        return self._output.latency_s

    @property
    def is_open(self) -> bool:
        return not self._is_closed.is_set()

    def start(self) -> None:
        self._began = time.perf_counter()
        self._thread.start()

    def close(self) -> None:
        self._is_closed.set()
        self._thread.join()

    def heard_s(self) -> float:
        """Seconds of sound that have been heard by the device's own clock."""
        played = (time.perf_counter() - self._began) * self._rate / self._nominal_rate - self.latency
        return min(max(played, 0.0), self.num_asked / self._nominal_rate)

    def _ask(self) -> None:
        """A block each time that one has been played."""
        while not self._is_closed.is_set():
            self._fill(self._out, len(self._out), None, None)
            self.loudest = float(np.abs(self._out).max())
            self.num_asked += len(self._out)
            due = self._began + self.num_asked / self._rate
            self._is_closed.wait(max(due - time.perf_counter(), 0))
