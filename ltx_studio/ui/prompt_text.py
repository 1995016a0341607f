"""The field for the prompt's text. It says what was edited and where, and shows what the parts made of it.

Qt counts in UTF-16, the prompt in characters; the difference is an emoji's second half and is settled here.
"""

from PySide6.QtCore import QSignalBlocker, Signal
from PySide6.QtGui import QContextMenuEvent, QTextCursor
from PySide6.QtWidgets import QMenu, QPlainTextEdit, QWidget

from ltx_studio.domain.prompt import difference
from ltx_studio.domain.prompt_words import Part, Slot
from ltx_studio.ui.prompt_names import part_names

_PARAGRAPHS = str.maketrans({"\u2029": "\n", "\u2028": "\n"})  # as Qt's documents spell line ends


class PromptText(QPlainTextEdit):
    """Plain text without spell check; Tab leaves it."""

    edited = Signal(str, int)  # the text, and where the edit ended in characters
    assign_asked = Signal(int, int, object)  # a selection in characters, and the Slot it is to fill

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._shown = ""
        self.setTabChangesFocus(True)
        self.textChanged.connect(self._text_changed)

    def show_text(self, text: str) -> None:
        """Make the text this, as one edit that can be undone and that leaves the cursor with its words."""
        if text == self._shown:
            return
        start, end, inserted = difference(self._shown, text)
        own = self.textCursor()
        is_behind_gap = bool(self._shown) and own.position() == own.anchor() == _units(self._shown[:start])
        cursor = QTextCursor(self.document())
        cursor.setPosition(_units(self._shown[:start]))
        cursor.setPosition(_units(self._shown[:end]), QTextCursor.MoveMode.KeepAnchor)
        with QSignalBlocker(self):
            cursor.insertText(inserted)
        if is_behind_gap:  # Qt would push it behind words that are not being typed here
            own.setPosition(_units(self._shown[:start]))
            self.setTextCursor(own)
        self._shown = self._text()

    def selection(self) -> tuple[int, int]:
        """Start and end of the selection in characters."""
        cursor, text = self.textCursor(), self._text()
        return _characters(text, cursor.selectionStart()), _characters(text, cursor.selectionEnd())

    def assign_menu(self, parent: QWidget) -> QMenu:
        """The parts that the selection can become."""
        menu = QMenu(self.tr("Use the selection as"), parent)
        menu.setEnabled(self.textCursor().hasSelection())
        for part, name in part_names().items():
            slot = Slot(part, "0" if part in {Part.SPEAKER, Part.LANGUAGE, Part.LINE} else "")
            menu.addAction(name).triggered.connect(lambda _checked=False, slot=slot: self._assign(slot))
        return menu

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:  # noqa: N802 - Qt's name
        menu = self.createStandardContextMenu(event.pos())
        menu.addSeparator()
        menu.addMenu(self.assign_menu(menu))
        menu.exec(event.globalPos())
        menu.deleteLater()

    def _assign(self, slot: Slot) -> None:
        start, end = self.selection()
        if start < end:
            self.assign_asked.emit(start, end, slot)

    def _text(self) -> str:
        return self.document().toRawText().translate(_PARAGRAPHS)

    def _text_changed(self) -> None:
        text = self._text()
        if text != self._shown:
            self._shown = text
            self.edited.emit(text, _characters(text, self.textCursor().position()))


def _units(text: str) -> int:
    """The length of a text as Qt counts it."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _characters(text: str, units: int) -> int:
    """How many characters Qt's position is behind; half a character counts as none."""
    start = text.encode("utf-16-le", "surrogatepass")[: 2 * units]
    return len(start.decode("utf-16-le", "ignore"))
