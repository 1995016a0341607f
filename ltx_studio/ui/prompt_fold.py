"""A line that opens and closes what is below it."""

from PySide6.QtCore import QEvent, QSize, Qt
from PySide6.QtWidgets import QToolButton, QWidget

from ltx_studio.ui.controls import PRESS_KEYS, describe, icon, keeps
from ltx_studio.ui.theme import ICON_PIXELS, Appearance


class Fold(QToolButton):
    """A line that opens and closes what is below it."""

    def __init__(self, text: str, appearance: Appearance, parent: QWidget) -> None:
        super().__init__(parent)
        self._text = text
        self._appearance = appearance
        self.setProperty("role", "fold")
        self.setCheckable(True)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.setIconSize(QSize(ICON_PIXELS, ICON_PIXELS))
        self.set_filled(False)
        self.toggled.connect(self._draw)
        appearance.theme.changed.connect(self._draw)
        self._draw()

    def set_filled(self, is_filled: bool) -> None:
        """Say, also while closed, that something is written there."""
        text = self.tr("{name} (in use)").format(name=self._text) if is_filled else self._text
        self.setText(text)
        describe(self, text, self.tr("Show or hide it"))

    def event(self, event: QEvent) -> bool:
        return keeps(event, PRESS_KEYS) or super().event(event)

    def _draw(self, _value: object = None) -> None:
        name = "mdi6.chevron-down" if self.isChecked() else "mdi6.chevron-right"
        self.setIcon(icon(name, self._appearance.theme.value))
