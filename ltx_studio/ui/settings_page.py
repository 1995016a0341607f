"""The settings window: drawn from the declarations in `ltx_studio.settings`, one row each, searchable, each resettable.

It does not stop the rest of the window, and there is no button to accept: a change is written and in force at once.
"""

from collections.abc import Callable, Mapping
from typing import Any

from PySide6.QtCore import QCoreApplication, QSignalBlocker, Qt, Slot
from PySide6.QtGui import QAction
from PySide6.QtWidgets import (
    QDialog,
    QGridLayout,
    QHBoxLayout,
    QLineEdit,
    QListWidget,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from engine.errors import EngineError
from ltx_studio.settings import SETTINGS, Amount, OneOf, Page, Setting, Switch, Words
from ltx_studio.state.preferences import Preferences
from ltx_studio.ui.check_box import CheckBox
from ltx_studio.ui.controls import Choice, IconButton, Label, WholeNumber, describe
from ltx_studio.ui.key_editor import KeyEditor
from ltx_studio.ui.theme import GAP, GRID, PADDING, WIDE_GAP, Appearance

_SIZE = (720, 560)
_PAGES_WIDTH = 148
_CONTROL_WIDTH = 184


def tr(text: str) -> str:
    return QCoreApplication.translate("settings", text)


class SettingsWindow(QDialog):
    """Shows one page, or whatever the search finds on all of them."""

    def __init__(
        self, preferences: Preferences, actions: Mapping[str, QAction], appearance: Appearance, parent: QWidget
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("Settings"))
        self.resize(*_SIZE)
        self._search = QLineEdit(self)
        describe(self._search, self.tr("Search the settings"))
        self._search.setProperty("role", "field")
        self._search.setPlaceholderText(self.tr("Search the settings"))
        self._search.setClearButtonEnabled(True)
        self._pages = QListWidget(self)
        describe(self._pages, self.tr("Pages"))
        self._pages.setProperty("role", "plain")
        self._pages.setFixedWidth(_PAGES_WIDTH)
        self._pages.addItems([tr(page) for page in Page])
        self._nothing = Label(self.tr("No setting is called that."), "secondary", self)
        self._problem = Label(role="danger", parent=self)
        self._problem.setAccessibleName(self.tr("What went wrong"))
        self._problem.setWordWrap(True)
        self._problem.hide()
        keys = KeyEditor(preferences, actions, self._report, self)
        self._sections = {
            page: _Section(page, preferences, appearance, self._report, keys if page is Page.KEYBOARD else None)
            for page in Page
        }
        self._arrange()
        self._search.textChanged.connect(self._show_found)
        self._pages.currentRowChanged.connect(self._page_chosen)
        self._pages.setCurrentRow(0)

    def _arrange(self) -> None:
        body = QWidget(self)
        column = QVBoxLayout(body)
        column.setContentsMargins(PADDING, 0, PADDING, PADDING)
        column.setSpacing(WIDE_GAP)
        for section in self._sections.values():
            column.addWidget(section, 1 if section.fills else 0)
        column.addWidget(self._nothing)
        column.addStretch(0)
        area = QScrollArea(self)
        area.setWidgetResizable(True)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        area.setWidget(body)
        middle = QHBoxLayout()
        middle.setSpacing(WIDE_GAP)
        middle.addWidget(self._pages)
        middle.addWidget(area, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(PADDING, PADDING, PADDING, PADDING)
        layout.setSpacing(WIDE_GAP)
        layout.addWidget(self._search)
        layout.addLayout(middle, 1)
        layout.addWidget(self._problem)

    def open_at(self, page: Page) -> None:
        """Show the window with this page in front."""
        self._search.clear()
        self._pages.setCurrentRow(list(Page).index(page))
        self.show()
        self.raise_()
        self.activateWindow()
        self._search.setFocus(Qt.FocusReason.OtherFocusReason)

    @Slot(int)
    def _page_chosen(self, row: int) -> None:
        if row >= 0 and self._search.text().strip():
            self._search.clear()
        self._show_found()

    @Slot()
    def _show_found(self) -> None:
        query = self._search.text().strip()
        if query:
            with QSignalBlocker(self._pages):
                self._pages.setCurrentRow(-1)
        elif self._pages.currentRow() < 0:
            self._pages.setCurrentRow(0)
        row = self._pages.currentRow()
        num_found = 0
        for index, section in enumerate(self._sections.values()):
            found = section.show_found(query) if query or index == row else 0
            section.setVisible(bool(found))
            num_found += found
        self._nothing.setVisible(num_found == 0)

    def _report(self, change: Callable[[], None]) -> bool:
        """Make a change, and say here when it cannot be kept; whether it was made."""
        try:
            change()
        except EngineError as error:
            self._problem.setText(str(error))
            self._problem.show()
            return False
        self._problem.hide()
        return True


class _Section(QWidget):
    """A page: its heading and its rows."""

    def __init__(
        self,
        page: Page,
        preferences: Preferences,
        appearance: Appearance,
        report: Callable[[Callable[[], None]], bool],
        keys: KeyEditor | None,
    ) -> None:
        super().__init__()
        self._keys = keys
        self._rows = [
            _Row(setting, setting.words, preferences, appearance, report, self)
            for setting in SETTINGS
            if setting.words is not None and setting.words.page is page
        ]
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(WIDE_GAP)
        layout.addWidget(Label(tr(page), "title", self))
        for row in self._rows:
            layout.addWidget(row)
        if keys is not None:
            layout.addWidget(keys, 1)
        else:
            layout.addStretch(1)

    @property
    def fills(self) -> bool:
        return self._keys is not None

    def show_found(self, query: str) -> int:
        """Show the rows that a search finds, all of them for an empty one; how many those are."""
        num_found = 0
        for row in self._rows:
            row.setVisible(row.is_found_by(query))
            num_found += row.is_found_by(query)
        if self._keys is not None:
            num_keys = self._keys.show_found(query)
            self._keys.setVisible(bool(num_keys))
            num_found += num_keys
        return num_found


class _Row(QWidget):
    """One setting: its name, its control, the way back to its default, and what it is for."""

    def __init__(
        self,
        setting: Setting[Any],
        words: Words,
        preferences: Preferences,
        appearance: Appearance,
        report: Callable[[Callable[[], None]], bool],
        parent: QWidget,
    ) -> None:
        super().__init__(parent)
        self._setting = setting
        self._words = words
        self._preferences = preferences
        self._report = report
        self._control = self._make_control(appearance)
        self._control.setFixedWidth(_CONTROL_WIDTH)
        label = Label(tr(words.label), parent=self)
        label.setBuddy(self._control)
        hint = Label(tr(words.help), "secondary", self)
        hint.setWordWrap(True)
        name = self.tr("Reset “{setting}”").format(setting=tr(words.label))
        self._reset = IconButton("mdi6.restore", name, appearance, self)
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setHorizontalSpacing(GAP)
        layout.setVerticalSpacing(GRID)
        layout.addWidget(label, 0, 0)
        layout.addWidget(self._control, 0, 1)
        layout.addWidget(self._reset, 0, 2)
        layout.addWidget(hint, 1, 0, 1, 3)
        layout.setColumnStretch(0, 1)
        self._reset.clicked.connect(self._put_default)
        preferences.watch(setting, self._show_value, self)

    def is_found_by(self, query: str) -> bool:
        texts = (tr(self._words.page), tr(self._words.label), tr(self._words.help), self._words.also_found_by)
        text = " ".join(texts).casefold()
        return all(word in text for word in query.casefold().split())

    def _make_control(self, appearance: Appearance) -> QWidget:
        name, tip = tr(self._words.label), tr(self._words.help)
        match self._setting:
            case Switch():
                switch = CheckBox(self.tr("On"), name, tip, appearance, self)
                switch.toggled.connect(self._put)
                return switch
            case OneOf(options=options):
                choice = Choice(name, tip, appearance, self)
                for option in options:
                    choice.addItem(tr(option.label), option.value)
                choice.currentIndexChanged.connect(lambda index: self._put(choice.itemData(index)))
                return choice
            case Amount(lowest=lowest, highest=highest, unit=unit):
                amount = WholeNumber(name, tip, lowest, highest, self)
                amount.setSuffix(f" {tr(unit)}")
                amount.setKeyboardTracking(False)  # half a number is no setting
                amount.valueChanged.connect(self._put)
                return amount
            case _:
                raise AssertionError(f"the setting {self._setting.key} has words and no control")

    def _put(self, value: Any) -> None:
        if not self._report(lambda: self._preferences.put(self._setting, value)):
            self._show_value(self._preferences.get(self._setting))

    @Slot()
    def _put_default(self) -> None:
        self._put(self._setting.default)

    def _show_value(self, value: Any) -> None:
        with QSignalBlocker(self._control):
            match self._control:
                case CheckBox() as switch:
                    switch.setChecked(value)
                case Choice() as choice:
                    choice.setCurrentIndex(choice.findData(value))
                case WholeNumber() as amount:
                    amount.setValue(value)
                case _:
                    raise AssertionError(self._control)
        self._show_default(self._preferences.is_default(self._setting))

    def _show_default(self, is_default: bool) -> None:
        self._reset.setEnabled(not is_default)
        name = self._reset.accessibleName()
        describe(self._reset, name, self.tr("This is the default already") if is_default else name)
