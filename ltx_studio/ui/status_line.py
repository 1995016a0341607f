"""The line at the bottom: messages of the moment on the left, the padlock and the memory on the right.

The padlock is always there: whether this program may reach the network is never more than a glance away.
"""

from PySide6.QtCore import QEvent, QRectF, QSize, Qt, Signal, Slot
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QStatusBar, QToolButton, QWidget

from ltx_studio.services.gauges import Gauge, GaugeKind
from ltx_studio.services.monitor import Reading
from ltx_studio.ui import gauge_words, words
from ltx_studio.ui.controls import PRESS_KEYS, describe, icon, keeps
from ltx_studio.ui.theme import GAP, GAUGE_BAR_PIXELS, GRID, ICON_PIXELS, Appearance

_BAR_HEIGHT = 6


class StatusLine(QStatusBar):
    """Asks for the monitor and for the sealed mode's setting when its two buttons are pressed."""

    monitor_asked = Signal()
    seal_asked = Signal()

    def __init__(self, appearance: Appearance, *, is_sealed: bool, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._appearance = appearance
        self._is_sealed = is_sealed
        self.setSizeGripEnabled(False)
        self.setContentsMargins(GAP, 0, GAP, 0)
        self._padlock = _StatusButton(self)
        self._padlock.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self._padlock.setIconSize(QSize(ICON_PIXELS, ICON_PIXELS))
        self._memory = _MemoryButton(appearance, self)
        describe(self._memory, self.tr("Memory"))
        self._memory.hide()  # until the first reading
        self.addPermanentWidget(self._padlock)
        self.addPermanentWidget(self._memory)
        self._padlock.clicked.connect(self.seal_asked)
        self._memory.clicked.connect(self.monitor_asked)
        appearance.theme.changed.connect(self._draw_padlock)
        self._draw_padlock()

    def show_sealed(self, is_sealed: bool) -> None:
        self._is_sealed = is_sealed
        self._draw_padlock()

    @Slot(object)
    def show_reading(self, reading: Reading) -> None:
        """The memory that clips are made in, and the GPU's load where there is one."""
        by_kind = {gauge.kind: gauge for gauge in reversed(reading.gauges)}  # of several GPUs, the first
        gauge = by_kind.get(GaugeKind.GPU_MEMORY) or by_kind.get(GaugeKind.MEMORY)
        if gauge is not None:
            own = self.tr("LTX Studio itself holds {amount} of main memory. Press to see more.")
            others = [by_kind[kind] for kind in (GaugeKind.GPU_LOAD, GaugeKind.GPU_TEMPERATURE) if kind in by_kind]
            self._memory.show_gauges([gauge, *others], own.format(amount=words.memory(reading.process_bytes)))
            self._memory.show()

    @Slot()
    def _draw_padlock(self) -> None:
        if self._is_sealed:
            text, icon_name = self.tr("Sealed"), "mdi6.lock"
            tip = self.tr("Sealed: every connection of this program is refused. Press for the setting.")
        else:
            text, icon_name = self.tr("Not sealed"), "mdi6.lock-open-variant-outline"
            tip = self.tr("Not sealed: models may be fetched when you ask for it; nothing else uses the network.")
        self._padlock.setText(text)
        self._padlock.setIcon(icon(icon_name, self._appearance.theme.value))
        describe(self._padlock, text, tip)


class _StatusButton(QToolButton):
    """Words that can be pressed, as small as the rest of the line."""

    def __init__(self, parent: QWidget, role: str = "status") -> None:
        super().__init__(parent)
        self.setProperty("role", role)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)

    def event(self, event: QEvent) -> bool:
        return keeps(event, PRESS_KEYS) or super().event(event)


class _MemoryButton(_StatusButton):
    """Readings in words, the first one's bar behind them."""

    def __init__(self, appearance: Appearance, parent: QWidget) -> None:
        super().__init__(parent, "gauge")
        self._appearance = appearance
        self._first: Gauge | None = None

    def show_gauges(self, gauges: list[Gauge], tip: str) -> None:
        self._first = gauges[0]
        texts = [f"{gauge_words.title(self._first)} {gauge_words.amount(self._first)}"]
        texts += [gauge_words.amount(gauge) for gauge in gauges[1:]]
        remark = gauge_words.remark(self._first)
        if remark:
            texts[0] = f"{texts[0]}, {remark}"
        self.setText(" · ".join(texts))
        describe(self, self.text(), tip)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        super().paintEvent(event)
        if self._first is None or self._first.fraction is None:
            return
        theme = self._appearance.theme.value
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        top = (self.height() - _BAR_HEIGHT) / 2
        groove = QRectF(self.width() - GAP - GAUGE_BAR_PIXELS, top, GAUGE_BAR_PIXELS, _BAR_HEIGHT)
        painter.setBrush(QColor(theme.divider))
        painter.drawRoundedRect(groove, 3, 3)
        share = min(self._first.fraction, 1.0)
        colour = theme.warn if share >= gauge_words.NEARLY_FULL else theme.text_dim
        painter.setBrush(QColor(theme.danger if share >= gauge_words.TOO_FULL else colour))
        painter.drawRoundedRect(QRectF(groove.left(), top, max(share * GAUGE_BAR_PIXELS, GRID), _BAR_HEIGHT), 3, 3)
