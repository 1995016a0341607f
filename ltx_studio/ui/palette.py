"""The command palette: type a few letters of what you want, press Return. What was used last comes first."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum

from PySide6.QtCore import (
    QAbstractListModel,
    QCoreApplication,
    QEvent,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QRect,
    QSize,
    Qt,
    Slot,
)
from PySide6.QtGui import QAction, QColor, QFont, QKeyEvent, QPainter
from PySide6.QtWidgets import (
    QFrame,
    QLineEdit,
    QListView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
    QWidget,
)

from ltx_studio.domain.fuzzy import fit
from ltx_studio.settings import RECENT_COMMANDS
from ltx_studio.state.preferences import Preferences
from ltx_studio.ui.actions import Command, keys_of
from ltx_studio.ui.actions import tr as translated
from ltx_studio.ui.controls import Label, describe
from ltx_studio.ui.theme import CONTROL_HEIGHT, GAP, SECONDARY_PIXELS, WIDE_GAP, Appearance

NUM_REMEMBERED = 12
_WIDTH, _NUM_ROWS, _TOP = 520, 12, 48
_KEYS_THAT_MOVE = {Qt.Key.Key_Up, Qt.Key.Key_Down, Qt.Key.Key_PageUp, Qt.Key.Key_PageDown}
Index = QModelIndex | QPersistentModelIndex


@dataclass(frozen=True)
class Entry:
    """A line of the palette."""

    command: Command
    action: QAction

    @property
    def where(self) -> str:
        return translated(self.command.menu).replace("&", "")


def ranked(entries: Iterable[Entry], query: str, recent: tuple[str, ...]) -> list[Entry]:
    """Best first; those that cannot be run now at the end. Without a query, what was used last comes first."""

    def order(entry: Entry) -> tuple[bool, float, int]:
        name = entry.command.name
        age = recent.index(name) if name in recent else len(recent)
        return not entry.action.isEnabled(), -(_score(entry, query) or 0), age

    return sorted((entry for entry in entries if _score(entry, query) is not None), key=order)


def _score(entry: Entry, query: str) -> int | None:
    """Letters of the command's own words, or the beginnings of others that mean it."""
    own = fit(query, entry.action.text())
    if own is not None:
        return own
    others = f"{entry.action.text()} {entry.where} {entry.command.also_found_by}".casefold().split()
    is_meant = all(any(other.startswith(word) for other in others) for word in query.casefold().split())
    return 0 if is_meant else None


class CommandPalette(QFrame):
    """Lies over the window's upper part while it is open. It runs the actions that menus and keys run."""

    def __init__(
        self,
        commands: Iterable[Command],
        actions: Mapping[str, QAction],
        preferences: Preferences,
        appearance: Appearance,
        window: QWidget,
    ) -> None:
        super().__init__(window)
        self.setProperty("role", "popover")
        self._preferences = preferences
        self._before: QWidget | None = None
        self._entries = [Entry(command, actions[command.name]) for command in commands if command.name != "palette"]
        self._query = QLineEdit(self)
        describe(self._query, self.tr("Search the commands"))
        self._query.setProperty("role", "field")
        self._query.setPlaceholderText(self.tr("What do you want to do?"))
        self._model = _Lines(self)
        self._list = QListView(self)
        describe(self._list, self.tr("Commands"))
        self._list.setProperty("role", "plain")
        self._list.setModel(self._model)
        self._list.setItemDelegate(_LineDelegate(appearance, self._list))
        self._list.setUniformItemSizes(True)
        self._list.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # the keys stay where one types
        self._list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._list.setFixedHeight(_NUM_ROWS * CONTROL_HEIGHT)
        self._nothing = Label(self.tr("No command is called that."), "secondary", self)
        self._nothing.setFixedHeight(CONTROL_HEIGHT)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(GAP, GAP, GAP, GAP)
        layout.setSpacing(GAP)
        layout.addWidget(self._query)
        layout.addWidget(self._list)
        layout.addWidget(self._nothing)
        self._query.textChanged.connect(self._search)
        self._query.installEventFilter(self)
        self._list.clicked.connect(self._run)
        window.installEventFilter(self)
        self.hide()

    def toggle(self) -> None:
        if self.isVisible():
            self.leave()
            return
        self._before = self.window().focusWidget()
        self._query.clear()
        self._search("")
        self._place()
        self.show()
        self.raise_()
        self._query.setFocus(Qt.FocusReason.PopupFocusReason)

    @Slot()
    def leave(self) -> None:
        """Close it and give the keys back to where they were."""
        self.hide()
        if self._before is not None:
            self._before.setFocus(Qt.FocusReason.PopupFocusReason)

    @Slot(str)
    def _search(self, query: str) -> None:
        found = ranked(self._entries, query, self._preferences.get(RECENT_COMMANDS))
        self._model.show_entries(found)
        self._list.setVisible(bool(found))
        self._nothing.setVisible(not found)
        self._list.setFixedHeight(min(len(found), _NUM_ROWS) * CONTROL_HEIGHT + 2)
        self._list.setCurrentIndex(self._model.index(0))
        self.adjustSize()

    @Slot(QModelIndex)
    def _run(self, index: Index) -> None:
        entry = self._model.entry(index)
        if entry is None or not entry.action.isEnabled():
            return
        self.leave()
        name = entry.command.name
        others = [item for item in self._preferences.get(RECENT_COMMANDS) if item != name]
        self._preferences.put(RECENT_COMMANDS, (name, *others)[:NUM_REMEMBERED])
        entry.action.trigger()

    def _place(self) -> None:
        window = self.window()
        self.setFixedWidth(min(_WIDTH, window.width() - 2 * WIDE_GAP))
        self.move((window.width() - self.width()) // 2, _TOP)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        if watched is self._query:
            if isinstance(event, QKeyEvent):
                return self._keyed(event)
            # A menu of the field itself takes the focus too; any other loss of it is a step elsewhere.
            if event.type() == QEvent.Type.FocusOut and self.isVisible() and not self._query.hasFocus():
                self._before = None
                self.hide()
        elif event.type() == QEvent.Type.Resize and self.isVisible():
            self._place()
        return super().eventFilter(watched, event)

    def _keyed(self, event: QKeyEvent) -> bool:
        """Keys that are not for writing. Asked for twice: as a possible shortcut, which is refused, and as a key."""
        key = event.key()
        is_ours = key in {*_KEYS_THAT_MOVE, Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Escape, Qt.Key.Key_Tab}
        if event.type() == QEvent.Type.ShortcutOverride and is_ours:
            event.accept()
            return True
        if event.type() != QEvent.Type.KeyPress or not is_ours:
            return False
        if key in _KEYS_THAT_MOVE:
            QCoreApplication.sendEvent(self._list, event)
        elif key == Qt.Key.Key_Escape:
            self.leave()
        elif key != Qt.Key.Key_Tab:
            self._run(self._list.currentIndex())
        return True


class _Role(IntEnum):
    WHERE = Qt.ItemDataRole.UserRole
    KEYS = Qt.ItemDataRole.UserRole + 1
    IS_ENABLED = Qt.ItemDataRole.UserRole + 2


class _Lines(QAbstractListModel):
    """What was found, for the list."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._entries: list[Entry] = []

    def show_entries(self, entries: list[Entry]) -> None:
        self.beginResetModel()
        self._entries = entries
        self.endResetModel()

    def entry(self, index: Index) -> Entry | None:
        return self._entries[index.row()] if index.isValid() else None

    def rowCount(self, parent: Index | None = None) -> int:  # noqa: N802 - Qt's name
        return 0 if parent is not None and parent.isValid() else len(self._entries)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        entry = self.entry(index)
        if entry is None:
            return None
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return self._text(entry)
            case Qt.ItemDataRole.AccessibleTextRole:
                return ", ".join(part for part in (self._text(entry), entry.where, keys_of(entry.action)) if part)
            case _Role.WHERE:
                return entry.where
            case _Role.KEYS:
                return keys_of(entry.action)
            case _Role.IS_ENABLED:
                return entry.action.isEnabled()
            case _:
                return None

    def _text(self, entry: Entry) -> str:
        if not entry.action.isEnabled():
            return self.tr("{command} (not possible now)").format(command=entry.action.text())
        if entry.action.isCheckable():
            state = self.tr("on") if entry.action.isChecked() else self.tr("off")
            return self.tr("{command} ({state})").format(command=entry.action.text(), state=state)
        return entry.action.text()


class _LineDelegate(QStyledItemDelegate):
    """A command on the left, its menu beside it, its keys on the right."""

    def __init__(self, appearance: Appearance, parent: QObject) -> None:
        super().__init__(parent)
        self._appearance = appearance

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:  # noqa: N802 - Qt's name
        return QSize(super().sizeHint(option, index).width(), CONTROL_HEIGHT)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        theme = self._appearance.theme.value
        rect: QRect = option.rect  # pyright: ignore[reportAttributeAccessIssue] - missing in PySide6's stubs
        state: QStyle.StateFlag = option.state  # pyright: ignore[reportAttributeAccessIssue]
        font: QFont = option.font  # pyright: ignore[reportAttributeAccessIssue]
        is_chosen = bool(state & QStyle.StateFlag.State_Selected)
        is_enabled = bool(index.data(_Role.IS_ENABLED))
        painter.save()
        if is_chosen:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(theme.selection))
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.drawRoundedRect(rect, 4, 4)
        colour = theme.text if is_enabled else theme.text_dim
        painter.setPen(QColor(theme.on_selection if is_chosen else colour))
        area = rect.adjusted(GAP, 0, -GAP, 0)
        text = str(index.data(Qt.ItemDataRole.DisplayRole))
        painter.setFont(font)
        drawn = painter.boundingRect(area, Qt.AlignmentFlag.AlignVCenter, text)
        painter.drawText(area, Qt.AlignmentFlag.AlignVCenter, text)
        painter.setPen(QColor(theme.on_selection if is_chosen else theme.text_dim))
        painter.drawText(area, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight, str(index.data(_Role.KEYS)))
        small = QFont(font)
        small.setPixelSize(SECONDARY_PIXELS)
        painter.setFont(small)
        painter.drawText(
            area.adjusted(drawn.width() + WIDE_GAP, 0, 0, 0),
            Qt.AlignmentFlag.AlignVCenter,
            str(index.data(_Role.WHERE)),
        )
        painter.restore()
