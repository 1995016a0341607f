"""The line at the bottom: messages of the moment on the left, memory on the right."""

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QProgressBar, QStatusBar, QWidget

from engine.hardware import Device
from ltx_studio.services.monitor import Reading
from ltx_studio.ui import words
from ltx_studio.ui.controls import Label
from ltx_studio.ui.theme import PADDING

_BAR_UNITS = 1000
_BAR_WIDTH = 80


class StatusLine(QStatusBar):
    """Shows readings of the memory that clips are made in: the GPU's, or the machine's where there is none."""

    def __init__(self, *, is_sealed: bool, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setSizeGripEnabled(False)
        self.setContentsMargins(PADDING, 0, PADDING, 0)
        self._memory = Label(role="secondary", parent=self)
        self._memory.setAccessibleName(self.tr("Memory"))
        self._bar = QProgressBar(self)
        self._bar.setRange(0, _BAR_UNITS)
        self._bar.setTextVisible(False)
        self._bar.setFixedWidth(_BAR_WIDTH)
        self._bar.setAccessibleName(self.tr("Memory in use"))
        if is_sealed:
            sealed = Label(self.tr("Sealed: no network"), "secondary", self)
            sealed.setToolTip(self.tr("LTX_STUDIO_SEALED is set: every connection of this program is refused"))
            self.addPermanentWidget(sealed)
        self.addPermanentWidget(self._memory)
        self.addPermanentWidget(self._bar)

    @Slot(object)
    def show_reading(self, reading: Reading) -> None:
        machine = reading.machine
        device = machine.best_device
        if device.kind == "cuda":
            used, total = device.total_bytes - device.free_bytes, device.total_bytes
        else:
            used, total = machine.ram_total_bytes - machine.ram_free_bytes, machine.ram_total_bytes
        self._memory.setText(
            self.tr("{kind} {used} of {total} in use").format(
                kind=self._kind(device), used=words.memory(used), total=words.memory(total)
            )
        )
        own = self.tr("LTX Studio itself holds {amount} of main memory").format(
            amount=words.memory(reading.process_bytes)
        )
        self._memory.setToolTip(own)
        self._bar.setToolTip(own)
        self._bar.setValue(round(used / max(total, 1) * _BAR_UNITS))

    def _kind(self, device: Device) -> str:
        return self.tr("GPU memory") if device.kind == "cuda" else self.tr("Memory")
