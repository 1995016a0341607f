"""A box to tick whose outline can be seen in both themes; the system style's own is too faint."""

from PySide6.QtCore import QEvent, QPoint, Qt
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QCheckBox, QStyle, QStyleOptionButton, QWidget

from ltx_studio.ui.controls import PRESS_KEYS, describe, icon, keeps
from ltx_studio.ui.theme import Appearance


class CheckBox(QCheckBox):
    """The style sheet draws the box; the mark is ours, because a style sheet can only take it from an image file."""

    def __init__(self, text: str, name: str, tip: str, appearance: Appearance, parent: QWidget | None = None) -> None:
        super().__init__(text, parent)
        self._appearance = appearance
        self.setProperty("role", "marked")
        describe(self, name, tip)

    def event(self, event: QEvent) -> bool:
        return keeps(event, PRESS_KEYS) or super().event(event)

    def hitButton(self, pos: QPoint) -> bool:  # noqa: N802 - Qt's name
        return self.rect().contains(pos)

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        super().paintEvent(event)
        if self.isChecked():
            option = QStyleOptionButton()
            self.initStyleOption(option)
            box = self.style().subElementRect(QStyle.SubElement.SE_CheckBoxIndicator, option, self)
            icon("mdi6.check-bold", self._appearance.theme.value).paint(
                QPainter(self), box.adjusted(1, 1, -1, -1), Qt.AlignmentFlag.AlignCenter
            )
