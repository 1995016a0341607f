"""The machine at work: a plot for each reading, and what this program itself holds."""

from collections import deque

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Slot
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QScrollArea, QSizePolicy, QVBoxLayout, QWidget

from ltx_studio.services.gauges import Gauge, GaugeKind
from ltx_studio.services.monitor import INTERVAL_MS, MemoryMonitor, Reading
from ltx_studio.settings import MONITOR_MINUTES
from ltx_studio.state.preferences import Preferences
from ltx_studio.ui import gauge_words, words
from ltx_studio.ui.controls import Label, set_role
from ltx_studio.ui.theme import GAP, GRID, PADDING, WIDE_GAP, Appearance

_CARD_WIDTH = 140  # pixels that a card's words need
_LEAST_HEIGHT = 96  # pixels: one card
_SCROLL_BAR_PIXELS = 10  # as the style sheet has it
_PLOT_HEIGHT = 56
_DISK_SCALE = 100e6  # bytes a second; the scale of a plot without a limit grows from here with what it shows


class MonitorPanel(QWidget):
    """Follows the monitor. Cards appear with their first reading and stay."""

    def __init__(
        self, monitor: MemoryMonitor, preferences: Preferences, appearance: Appearance, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._appearance = appearance
        self._minutes = 1
        self._cards: dict[tuple[GaugeKind, int], _Card] = {}
        self._own = Label(self.tr("The first readings appear here in a moment."), "secondary", self)
        self._own.setAccessibleName(self.tr("Memory of LTX Studio"))
        self._grid = QGridLayout()
        self._grid.setSpacing(WIDE_GAP)
        # Scrolled where there is no room: a panel of readings is no reason for a window to outgrow its screen.
        scroll = QScrollArea(self)
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._cards_area = QWidget(scroll)
        cards = QVBoxLayout(self._cards_area)
        cards.setContentsMargins(PADDING, 0, PADDING, PADDING)
        cards.setSpacing(GAP)
        cards.addLayout(self._grid)
        cards.addWidget(self._own)
        cards.addStretch(1)
        scroll.setWidget(self._cards_area)
        scroll.setMinimumSize(_CARD_WIDTH + 2 * PADDING + _SCROLL_BAR_PIXELS, _LEAST_HEIGHT)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(scroll)
        monitor.read.connect(self.show_reading)
        preferences.watch(MONITOR_MINUTES, self._show_minutes, self)

    @Slot(object)
    def show_reading(self, reading: Reading) -> None:
        for gauge in reading.gauges:
            if gauge.key not in self._cards:
                self._cards[gauge.key] = _Card(self._appearance, self._minutes, self._cards_area)
                self._place()
            self._cards[gauge.key].show_gauge(gauge)
        own = self.tr("LTX Studio itself holds {amount} of main memory.")
        self._own.setText(own.format(amount=words.memory(reading.process_bytes)))

    def _show_minutes(self, minutes: int) -> None:
        self._minutes = minutes
        for card in self._cards.values():
            card.set_minutes(minutes)

    def resizeEvent(self, _event: object) -> None:  # noqa: N802 - Qt's name
        self._place()

    def _place(self) -> None:
        """As many cards in a row as their words have room for."""
        num_columns = max(1, (self.width() - 2 * PADDING + WIDE_GAP) // (_CARD_WIDTH + WIDE_GAP))
        for index, card in enumerate(self._cards.values()):
            self._grid.addWidget(card, index // num_columns, index % num_columns)
        for column in range(self._grid.columnCount()):
            self._grid.setColumnStretch(column, 1 if column < min(num_columns, len(self._cards)) else 0)


class _Card(QWidget):
    """One reading: its name, its value in words, and how it went."""

    def __init__(self, appearance: Appearance, minutes: int, parent: QWidget) -> None:
        super().__init__(parent)
        self.setMinimumWidth(_CARD_WIDTH)
        self._title = Label(role="secondary", parent=self)
        self._remark = Label(role="secondary", parent=self)
        self._amount = Label(parent=self)
        self._plot = _Plot(appearance, minutes, self)
        first = QHBoxLayout()
        first.setSpacing(GAP)
        first.addWidget(self._title)
        first.addStretch(1)
        first.addWidget(self._remark)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(GRID)
        layout.addLayout(first)
        layout.addWidget(self._amount)
        layout.addWidget(self._plot, 1)

    def show_gauge(self, gauge: Gauge) -> None:
        title, amount, remark = gauge_words.title(gauge), gauge_words.amount(gauge), gauge_words.remark(gauge)
        note = remark or gauge_words.detail(gauge)
        self._title.setText(title)
        self._amount.setText(amount)
        self._remark.setText(note)
        is_bad = (gauge.fraction or 0) >= gauge_words.TOO_FULL
        set_role(self._remark, ("danger-small" if is_bad else "warn-small") if remark else "secondary")
        self._plot.add(gauge.value, gauge.limit)
        self.setToolTip(gauge.device_name)
        # Not announced each time: a screen reader says it when it is asked.
        self._plot.setAccessibleName(f"{title}: {amount} {note}".rstrip())

    def set_minutes(self, minutes: int) -> None:
        self._plot.set_minutes(minutes)


class _Plot(QWidget):
    """The last minutes of one reading as a filled line, now at the right. Scale from nothing to the limit."""

    def __init__(self, appearance: Appearance, minutes: int, parent: QWidget) -> None:
        super().__init__(parent)
        self._appearance = appearance
        self._values: deque[float] = deque(maxlen=_num_readings(minutes))
        self._limit: float | None = None
        self.setMinimumHeight(_PLOT_HEIGHT)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        appearance.theme.changed.connect(self._theme_changed)

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        return QSize(_CARD_WIDTH, _PLOT_HEIGHT)

    def add(self, value: float, limit: float | None) -> None:
        self._values.append(value)
        self._limit = limit
        self.update()

    def set_minutes(self, minutes: int) -> None:
        self._values = deque(self._values, maxlen=_num_readings(minutes))
        self.update()

    @Slot()
    def _theme_changed(self) -> None:
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        theme = self._appearance.theme.value
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        area = QRectF(self.rect())
        painter.fillRect(area, QColor(theme.field))
        if len(self._values) > 1:
            line = self._line(area.adjusted(0, 2, 0, -1))
            below = QPolygonF([*line, area.bottomRight(), QPointF(line[0].x(), area.bottom())])
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(theme.divider))
            painter.drawPolygon(below)
            painter.setPen(QPen(QColor(theme.text_dim), 1.5))
            painter.drawPolyline(QPolygonF(line))
        painter.setPen(QPen(QColor(theme.divider), 1))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRect(area.adjusted(0.5, 0.5, -0.5, -0.5))  # on whole pixels at every scale

    def _line(self, area: QRectF) -> list[QPointF]:
        scale = self._limit or max(*self._values, _DISK_SCALE)
        step = area.width() / max((self._values.maxlen or 2) - 1, 1)
        start = area.right() - step * (len(self._values) - 1)
        heights = (area.bottom() - min(value / scale, 1.0) * area.height() for value in self._values)
        return [QPointF(start + index * step, height) for index, height in enumerate(heights)]


def _num_readings(minutes: int) -> int:
    return minutes * 60_000 // INTERVAL_MS + 1
