"""The line in which the tags of the chosen clips are written."""

from collections.abc import Sequence

from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QCompleter, QHBoxLayout, QLineEdit, QWidget

from ltx_studio.domain.library import Entry, cleaned_tags
from ltx_studio.state.library import LibraryState
from ltx_studio.ui.controls import Button, describe, keeps
from ltx_studio.ui.theme import GAP

_KEYS = frozenset({Qt.Key.Key_Escape, Qt.Key.Key_Return, Qt.Key.Key_Enter})


class TagLine(QWidget):
    """Hidden until asked for. Return keeps what was written, Esc does not; both close it.

    Of several clips it shows the tags that all of them have: what is added goes to each, what is removed is taken from
    each, and their other tags stay.
    """

    closed = Signal()

    def __init__(self, state: LibraryState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state = state
        self._ids: list[int] = []
        self._common: tuple[str, ...] = ()
        self.field = _TagField(self)
        self.field.setPlaceholderText(self.tr("Tags, separated by commas"))
        describe(self.field, self.tr("Tags of the chosen clips"))
        keep = Button(self.tr("Keep"), "", self)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(GAP)
        layout.addWidget(self.field, 1)
        layout.addWidget(keep)
        self.field.confirmed.connect(self._keep)
        self.field.given_up.connect(self._close)
        keep.clicked.connect(self._keep)
        self.hide()

    def edit(self, entries: Sequence[Entry]) -> None:
        """Show what these clips have in common, ready to be written to."""
        if not entries:
            return
        self._ids = [entry.id for entry in entries]
        in_all = set.intersection(*({tag.casefold() for tag in entry.marks.tags} for entry in entries))
        self._common = tuple(tag for tag in entries[0].marks.tags if tag.casefold() in in_all)
        self.field.setText(", ".join((*self._common, "")) if self._common else "")
        self.field.offer(self._state.tags.value)
        self.show()
        self.field.setFocus(Qt.FocusReason.ShortcutFocusReason)

    def _keep(self) -> None:
        written = cleaned_tags(self.field.text().split(","))
        kept, common = {tag.casefold() for tag in written}, {tag.casefold() for tag in self._common}
        self._state.retag(
            self._ids,
            add=[tag for tag in written if tag.casefold() not in common],
            remove=[tag for tag in self._common if tag.casefold() not in kept],
        )
        self._close()

    def _close(self) -> None:
        self.hide()
        self.closed.emit()


class _TagField(QLineEdit):
    """Completes the tag after the last comma."""

    confirmed = Signal()
    given_up = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setProperty("role", "field")
        self._completer = QCompleter([], self)
        self._completer.setWidget(self)
        self._completer.setCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        self._completer.activated.connect(self._complete)
        self.textEdited.connect(self._suggest)

    def offer(self, tags: Sequence[str]) -> None:
        """The tags in use."""
        model = self._completer.model()
        model.setStringList(list(tags))  # type: ignore[attr-defined]

    def event(self, event: QEvent) -> bool:
        return keeps(event, _KEYS) or super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.confirmed.emit()
        elif event.key() == Qt.Key.Key_Escape:
            self.given_up.emit()
        else:
            super().keyPressEvent(event)

    def _suggest(self, text: str) -> None:
        begun = text.rpartition(",")[2].strip()
        self._completer.setCompletionPrefix(begun)
        popup = self._completer.popup()
        if begun and self._completer.completionCount():
            self._completer.complete()
        elif popup is not None:
            popup.hide()

    def _complete(self, tag: str) -> None:
        before = self.text().rpartition(",")[0].strip()
        self.setText(f"{before}, {tag}, " if before else f"{tag}, ")
