"""Choosing an export preset, and keeping the settings as one under a name of the user's."""

from PySide6.QtCore import QEvent, Qt, Signal, Slot
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QStackedWidget, QVBoxLayout, QWidget

from ltx_studio.state.export import OWN, ExportState
from ltx_studio.state.observable import bind
from ltx_studio.ui.controls import Button, Choice, IconButton, describe, keeps
from ltx_studio.ui.theme import GAP, GRID, Appearance

_LONGEST_TITLE = 60
_KEYS = frozenset({Qt.Key.Key_Escape, Qt.Key.Key_Return, Qt.Key.Key_Enter})


class PresetRow(QWidget):
    """The list of presets with a button to save; while a name is written, a field for it in their place."""

    def __init__(self, state: ExportState, appearance: Appearance, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state = state
        tip = self.tr("Settings for a purpose; each can be changed")
        self.choice = Choice(self.tr("Preset"), tip, appearance, self)
        self._save = IconButton("mdi6.content-save-outline", self.tr("Save as preset"), appearance, self)
        self._name = _NameField(self)
        self._keep = Button(self.tr("Save"), parent=self)
        describe(self._keep, self.tr("Save the preset"), self.tr("Keep these settings under this name"))
        self._leave = IconButton("mdi6.close", self.tr("Save no preset"), appearance, self)
        self._arrange()
        self.choice.activated.connect(lambda index: state.choose_preset(self.choice.itemData(index)))
        self._save.clicked.connect(self._ask_name)
        self._keep.clicked.connect(self._save_named)
        self._name.returnPressed.connect(self._save_named)
        self._name.textChanged.connect(self._name_changed)
        self._name.left.connect(self._leave_name)
        self._leave.clicked.connect(self._leave_name)
        state.presets_changed.connect(self._fill)
        self._fill()
        self._name_changed("")
        bind(state.preset, self._show)

    def _arrange(self) -> None:
        self._pages = QStackedWidget(self)
        for widgets in ((self.choice, self._save), (self._name, self._keep, self._leave)):
            page = QWidget(self)
            row = QHBoxLayout(page)
            row.setContentsMargins(0, 0, 0, 0)
            row.setSpacing(GRID if len(widgets) == 2 else GAP)
            row.addWidget(widgets[0], 1)
            for widget in widgets[1:]:
                row.addWidget(widget)
            self._pages.addWidget(page)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._pages)

    def controls(self) -> list[QWidget]:
        """In reading order, for the keyboard."""
        return [self.choice, self._save, self._name, self._keep, self._leave]

    @Slot()
    def _fill(self) -> None:
        self.choice.clear()
        for preset in self._state.presets():
            self.choice.addItem(preset.title, preset.name)
            about = preset.about or self.tr("A preset of your own")
            self.choice.setItemData(self.choice.count() - 1, about, Qt.ItemDataRole.ToolTipRole)
        self.choice.addItem(self.tr("Own settings"), OWN)
        self._show(self._state.preset.value)

    def _show(self, name: str) -> None:
        index = self.choice.findData(name)
        self.choice.setCurrentIndex(index if index >= 0 else self.choice.findData(OWN))
        is_own = self.choice.currentData() == OWN
        self._save.setEnabled(is_own)
        tip = self.tr("Keep these settings under a name")
        why_not = self.tr("These are the settings of a preset already. Change one of them first.")
        describe(self._save, self.tr("Save as preset"), tip if is_own else why_not)

    @Slot()
    def _ask_name(self) -> None:
        self._name.clear()
        self._pages.setCurrentIndex(1)
        self._name.setFocus(Qt.FocusReason.OtherFocusReason)

    @Slot(str)
    def _name_changed(self, text: str) -> None:
        has_name = bool(text.strip())
        self._keep.setEnabled(has_name)
        tip = self.tr("Keep these settings under this name") if has_name else self.tr("Write a name first")
        describe(self._keep, self.tr("Save the preset"), tip)

    @Slot()
    def _save_named(self) -> None:
        if self._name.text().strip() and self._state.save_preset(self._name.text()):
            self._leave_name()

    @Slot()
    def _leave_name(self) -> None:
        self._pages.setCurrentIndex(0)
        self.choice.setFocus(Qt.FocusReason.OtherFocusReason)


class _NameField(QLineEdit):
    """Esc leaves it."""

    left = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setProperty("role", "field")
        self.setMaxLength(_LONGEST_TITLE)
        self.setPlaceholderText(self.tr("Name of the preset"))
        describe(self, self.tr("Name of the preset"), self.tr("One of the same name is replaced"))

    def event(self, event: QEvent) -> bool:
        return keeps(event, _KEYS) or super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        if event.key() == Qt.Key.Key_Escape:
            self.left.emit()
        else:
            super().keyPressEvent(event)
