"""The takes of the slot that is edited: which one is shown, how each came out, and what can be done about it."""

from PySide6.QtCore import QEvent, QSignalBlocker, Qt, Slot
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QHBoxLayout, QListWidget, QListWidgetItem, QVBoxLayout, QWidget

from ltx_studio.domain.timeline import Clip
from ltx_studio.state.edits import EditsState, tr
from ltx_studio.ui import edit_words
from ltx_studio.ui.controls import Button, Label, describe, keeps, set_role
from ltx_studio.ui.theme import CONTROL_HEIGHT, GAP, GRID

_MOST_ROWS = 5
_KEYS = frozenset({Qt.Key.Key_Up, Qt.Key.Key_Down, Qt.Key.Key_Home, Qt.Key.Key_End})


class TakesPart(QWidget):
    """Shows the slot of an `EditsState`."""

    def __init__(self, state: EditsState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state = state
        self._clip: Clip | None = None
        self._title = Label(tr("Takes"), "heading", self)
        self.list = _List(self)
        set_role(self.list, "plain")
        self.list.setVerticalScrollMode(QListWidget.ScrollMode.ScrollPerPixel)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setTextElideMode(Qt.TextElideMode.ElideRight)
        describe(self.list, tr("Takes of this clip"), tr("Choose the take that is shown"))
        self._compare = Button(tr("Compare takes"), parent=self)
        self._again = Button(tr("Reject, roll again"), parent=self)
        buttons = QHBoxLayout()
        buttons.setSpacing(GAP)
        buttons.addWidget(self._compare, 1)
        buttons.addWidget(self._again, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(GRID)
        layout.addWidget(self._title)
        layout.addWidget(self.list)
        layout.addLayout(buttons)
        self.list.currentRowChanged.connect(self._row_chosen)
        self._compare.clicked.connect(state.compare_takes)
        self._again.clicked.connect(state.roll_again)

    def controls(self) -> list[QWidget]:
        return [self.list, self._compare, self._again]

    def show_clip(self, clip: Clip | None) -> None:
        """Nothing is shown of a clip that has one take."""
        has_takes = clip is not None and len(clip.takes) > 1
        self.setVisible(has_takes)
        if clip is self._clip or clip is None or not has_takes:
            return
        self._clip = clip
        with QSignalBlocker(self.list):
            self.list.clear()
            for index, take in enumerate(clip.takes):
                item = QListWidgetItem(edit_words.take_line(clip, index))
                tip = take.media.path.name
                item.setToolTip(tip if take.seam_score is None else f"{tip}\n{edit_words.seam_tip()}")
                self.list.addItem(item)
            self.list.setCurrentRow(clip.chosen)
        rows = min(len(clip.takes), _MOST_ROWS)
        self.list.setFixedHeight(rows * CONTROL_HEIGHT + 2 * self.list.frameWidth())
        self._show_buttons(clip)

    def _show_buttons(self, clip: Clip) -> None:
        describe(self._compare, tr("Compare takes"), tr("Look at the take on show beside the newest others"))
        request = clip.take.request
        can_roll = request is not None and request.edit is not None
        self._again.setEnabled(can_roll)
        why = tr("The take on show was not made by an edit.")
        tip = tr("Reject the take on show and make another one with a new seed")
        describe(self._again, tr("Reject, roll again"), tip if can_roll else why)

    @Slot(int)
    def _row_chosen(self, row: int) -> None:
        if self._clip is None or row < 0:
            return
        self._state.show_take(row)
        clip = self._state.clip_in_hand()
        if clip is not None and clip.chosen != row:  # it was refused
            with QSignalBlocker(self.list):
                self.list.setCurrentRow(clip.chosen)


class _List(QListWidget):
    """Arrows move among the takes; elsewhere they move on the timeline."""

    def event(self, event: QEvent) -> bool:
        is_plain = isinstance(event, QKeyEvent) and event.modifiers() == Qt.KeyboardModifier.NoModifier
        return (is_plain and keeps(event, _KEYS)) or super().event(event)
