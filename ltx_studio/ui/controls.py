"""Small controls that panels share: they carry an accessible name, follow the theme, and keep the keys they use.

Space plays and pauses everywhere in the window, and arrows move by a frame, as in every editor. A control that is
focused by the keyboard and has a use for such a key keeps it.
"""

from collections.abc import Callable

import qtawesome
from PySide6.QtCore import QEvent, QRect, QSize, Qt
from PySide6.QtGui import QColor, QIcon, QKeyEvent, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import (
    QAbstractSpinBox,
    QComboBox,
    QDoubleSpinBox,
    QLabel,
    QPushButton,
    QSlider,
    QSpinBox,
    QStyle,
    QStyledItemDelegate,
    QToolButton,
    QWidget,
)

from ltx_studio.ui.theme import CONTROL_HEIGHT, GAP, ICON_PIXELS, Appearance, Theme

_TEXT_INSET = 2  # pixels that Qt leaves before a field's text in any case


def icon(name: str, theme: Theme) -> QIcon:
    """A Material Design icon, `mdi6.` and its name, in the theme's text colours."""
    return qtawesome.icon(name, color=QColor(theme.text), color_disabled=QColor(theme.text_disabled))


def describe(widget: QWidget, name: str, tip: str = "") -> None:
    """The accessible name of a control, and what its tooltip says."""
    widget.setAccessibleName(name)
    widget.setToolTip(tip or name)


def set_role(widget: QWidget, role: str) -> None:
    """Which of its kind's looks in the style sheet a widget has."""
    if widget.property("role") != role:
        widget.setProperty("role", role)
        widget.style().unpolish(widget)
        widget.style().polish(widget)


PRESS_KEYS = frozenset({Qt.Key.Key_Space})
CHOOSE_KEYS = PRESS_KEYS | {Qt.Key.Key_Left, Qt.Key.Key_Right, Qt.Key.Key_Home, Qt.Key.Key_End}


def keeps(event: QEvent, keys: frozenset[Qt.Key]) -> bool:
    """Whether this event asks if one of `keys` is for the focused control rather than a shortcut; it then is."""
    if event.type() == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent) and event.key() in keys:
        event.accept()
        return True
    return False


class Label(QLabel):
    """Text in one of the roles of the style sheet: "", secondary, ok, warn, danger."""

    def __init__(self, text: str = "", role: str = "", parent: QWidget | None = None) -> None:
        super().__init__(text, parent)
        self.setTextFormat(Qt.TextFormat.PlainText)  # prompts and file names may look like markup
        if role:
            self.setProperty("role", role)


class Button(QPushButton):
    """A button with words on it. Clicking it leaves the focus where it is."""

    keys = PRESS_KEYS

    def __init__(self, text: str, role: str = "", parent: QWidget | None = None) -> None:
        super().__init__(text, parent)
        self.setAccessibleName(text)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        if role:
            self.setProperty("role", role)

    def setText(self, text: str) -> None:  # noqa: N802 - Qt's name
        """Its name for screen readers follows, unless it was given another."""
        if self.accessibleName() == self.text():
            self.setAccessibleName(text)
        super().setText(text)

    def event(self, event: QEvent) -> bool:
        return keeps(event, self.keys) or super().event(event)


class Segment(Button):
    """One of several buttons of which one is down; the arrow keys move among them."""

    keys = CHOOSE_KEYS

    def __init__(self, text: str, parent: QWidget | None = None) -> None:
        super().__init__(text, "segment", parent)
        self.setCheckable(True)
        self.toggled.connect(self._take_tab)
        self._take_tab(False)

    def _take_tab(self, is_chosen: bool) -> None:
        """Tab goes to the chosen one. Qt means to do that, and goes to the first."""
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus if is_chosen else Qt.FocusPolicy.NoFocus)


class IconButton(QToolButton):
    """A button with an icon alone; its name is for screen readers and the tooltip."""

    def __init__(self, icon_name: str, name: str, appearance: Appearance, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._icon_name = icon_name
        self._appearance = appearance
        describe(self, name)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setFixedSize(CONTROL_HEIGHT, CONTROL_HEIGHT)
        self.setIconSize(QSize(ICON_PIXELS, ICON_PIXELS))
        appearance.theme.changed.connect(self._draw_icon)
        self._draw_icon()

    def set_icon_name(self, icon_name: str) -> None:
        if icon_name != self._icon_name:
            self._icon_name = icon_name
            self._draw_icon()

    def event(self, event: QEvent) -> bool:
        return keeps(event, PRESS_KEYS) or super().event(event)

    def _draw_icon(self, _theme: object = None) -> None:
        self.setIcon(icon(self._icon_name, self._appearance.theme.value))


class Choice(QComboBox):
    """A drop-down list."""

    def __init__(self, name: str, tip: str, appearance: Appearance, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._appearance = appearance
        describe(self, name, tip)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        # A plain list below the field, instead of a menu over it that is as wide as its longest entry.
        self.setItemDelegate(QStyledItemDelegate(self))

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """The arrow is ours: a style sheet can only take it from an image file."""
        super().paintEvent(event)
        arrow = icon("mdi6.chevron-down", self._appearance.theme.value)
        mode = QIcon.Mode.Normal if self.isEnabled() else QIcon.Mode.Disabled
        area = QRect(self.width() - ICON_PIXELS - GAP, 0, ICON_PIXELS, self.height())
        arrow.paint(QPainter(self), area, Qt.AlignmentFlag.AlignCenter, mode)

    def event(self, event: QEvent) -> bool:
        return keeps(event, CHOOSE_KEYS) or super().event(event)


def _align_with_lists(field: QAbstractSpinBox) -> None:
    """The style sheet's padding does not reach the text of a number field, nor its height the field's."""
    margin = GAP - _TEXT_INSET
    field.lineEdit().setTextMargins(margin, 0, margin, 0)
    field.setFixedHeight(CONTROL_HEIGHT)


class WholeNumber(QSpinBox):
    """A field for a whole number; the arrow keys change it."""

    def __init__(self, name: str, tip: str, lowest: int, highest: int, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        describe(self, name, tip)
        self.setRange(lowest, highest)
        _align_with_lists(self)


class Seconds(QDoubleSpinBox):
    """A field for a length of time; the arrow keys change it."""

    def __init__(self, name: str, tip: str, lowest: float, highest: float, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        describe(self, name, tip)
        self.setRange(lowest, highest)
        _align_with_lists(self)
        self.setDecimals(2)
        self.setSingleStep(0.5)
        self.setSuffix(self.tr(" s"))


class ScrubSlider(QSlider):
    """A slider whose handle jumps to where it is pressed, and follows the mouse from there."""

    def __init__(self, name: str, on_scrub: Callable[[int], None], parent: QWidget | None = None) -> None:
        super().__init__(Qt.Orientation.Horizontal, parent)
        describe(self, name)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSingleStep(1)
        self.setPageStep(8)
        self._on_scrub = on_scrub
        self.actionTriggered.connect(self._keyed)

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        if event.button() == Qt.MouseButton.LeftButton:
            self._scrub_to(event.position().x())

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        if event.buttons() & Qt.MouseButton.LeftButton:
            self._scrub_to(event.position().x())

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        event.accept()

    def _scrub_to(self, x: float) -> None:
        handle = self.style().pixelMetric(QStyle.PixelMetric.PM_SliderLength, None, self)
        span = max(self.width() - handle, 1)
        value = QStyle.sliderValueFromPosition(self.minimum(), self.maximum(), round(x - handle / 2), span)
        self.setValue(value)
        self._on_scrub(value)

    def _keyed(self, _action: int) -> None:
        self._on_scrub(self.sliderPosition())
