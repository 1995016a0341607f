"""Readings at a steady pace, taken on a pool thread: asking a GPU's driver can take tens of milliseconds."""

from dataclasses import dataclass

from PySide6.QtCore import QObject, QThreadPool, QTimer, Signal, Slot

from engine.hardware import Machine, current_machine, process_memory_bytes
from ltx_studio.services.gauges import Gauge, Sampler

INTERVAL_MS = 2000


@dataclass(frozen=True)
class Reading:
    """The machine now, what this program holds of its main memory, and what there is to show of both."""

    machine: Machine
    process_bytes: int
    gauges: tuple[Gauge, ...] = ()


class MemoryMonitor(QObject):
    """Says what is free and what is used, from `start` until `stop`."""

    read = Signal(object)  # Reading

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._sampler = Sampler()
        self._pool = QThreadPool(self)
        self._pool.setMaxThreadCount(1)
        self._timer = QTimer(self)
        self._timer.setInterval(INTERVAL_MS)
        self._timer.timeout.connect(self._ask)

    def start(self) -> None:
        self._ask()
        self._timer.start()

    def stop(self) -> None:
        self._timer.stop()
        self._pool.waitForDone()

    @Slot()
    def _ask(self) -> None:
        if self._pool.activeThreadCount() == 0:
            self._pool.start(self._sample)

    def _sample(self) -> None:
        machine = current_machine()
        self.read.emit(Reading(machine, process_memory_bytes(), self._sampler.sample(machine)))
