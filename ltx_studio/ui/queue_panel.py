"""The queue: what is being made, what waits and in which order, what came of it, and what can be done about it."""

from PySide6.QtCore import QSize, Qt, QTimer, Signal, Slot
from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QStackedWidget, QVBoxLayout, QWidget

from ltx_studio.domain.queue import Item, Snapshot
from ltx_studio.state.observable import bind
from ltx_studio.state.queue import QueueState
from ltx_studio.state.session import Session
from ltx_studio.ui import queue_words
from ltx_studio.ui.controls import Button, IconButton, Label, describe
from ltx_studio.ui.queue_actions import QueueActions
from ltx_studio.ui.queue_delegate import ROW_PIXELS
from ltx_studio.ui.queue_done import WhenDoneButton
from ltx_studio.ui.queue_model import QueueModel
from ltx_studio.ui.queue_view import QueueView
from ltx_studio.ui.theme import GAP, GRID, PADDING, Appearance
from ltx_studio.ui.throttle import Throttle

REDRAW_MS = 100  # the engine may report hundreds of times a second
_TICK_MS = 1000  # times count down between two reports
# What can be done to the chosen jobs without the menu.
_BUTTONS = (
    ("top", "mdi6.arrow-collapse-up"),
    ("bottom", "mdi6.arrow-collapse-down"),
    ("edit", "mdi6.pencil-outline"),
    ("duplicate", "mdi6.content-copy"),
    ("retry", "mdi6.refresh"),
    ("cancel", "mdi6.close"),
    ("remove", "mdi6.trash-can-outline"),
)


class QueuePanel(QWidget):
    """Shows a `QueueState`, and of what runs what the session knows."""

    show_asked = Signal(object)  # Path of a clip
    edit_asked = Signal(object)  # Item that is in line
    duplicate_asked = Signal(object)  # GenerationRequest
    reveal_asked = Signal(object)  # Path of a finished file
    prompt_asked = Signal()

    def __init__(
        self, state: QueueState, session: Session, appearance: Appearance, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._state = state
        self._session = session
        self._model = QueueModel(self)
        self.view = QueueView(self._model, appearance, self)
        self.actions_of_jobs = QueueActions(state, self._model, self.view)
        self._build(appearance)
        self._arrange()
        self._redraw = Throttle(REDRAW_MS, self._show_live, self)
        self._tick = QTimer(self)
        self._tick.setInterval(_TICK_MS)
        self._connect()

    def _build(self, appearance: Appearance) -> None:
        self._pause = IconButton("mdi6.pause", self.tr("Pause all"), appearance, self)
        self._summary = Label(parent=self)
        self._summary.setAccessibleName(self.tr("Queue in short"))
        self._buttons = {name: self._button(name, icon_name, appearance) for name, icon_name in _BUTTONS}
        self._when_done = WhenDoneButton(appearance, self)
        self._clear = IconButton("mdi6.broom", self.tr("Clear finished"), appearance, self)
        describe(self._clear, self.tr("Clear finished"), self.tr("Clear finished: forget jobs that ended; clips stay"))
        self._error = Label(role="danger-small", parent=self)
        self._error.setAccessibleName(self.tr("Why the chosen job failed"))
        self._error.setWordWrap(True)
        self._error.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._error.setContentsMargins(PADDING, 0, PADDING, GRID)
        self._error.hide()
        self._editing = _EditingLine(self)
        self._empty = _Invitation(self)

    def _button(self, name: str, icon_name: str, appearance: Appearance) -> IconButton:
        action = self.actions_of_jobs.named(name)
        button = IconButton(icon_name, action.text(), appearance, self)

        def follow() -> None:
            button.setEnabled(action.isEnabled())
            describe(button, action.text(), action.toolTip())

        button.clicked.connect(action.trigger)
        action.changed.connect(follow)
        follow()
        return button

    def _arrange(self) -> None:
        first = QHBoxLayout()
        first.setContentsMargins(GAP, 0, PADDING, 0)
        first.setSpacing(GRID)
        first.addWidget(self._pause)
        first.addWidget(self._summary, 1)
        for button in self._buttons.values():
            first.addWidget(button)
        first.addSpacing(GAP)
        first.addWidget(self._when_done)
        first.addWidget(self._clear)
        self._summary.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self._pages = QStackedWidget(self)
        self._pages.addWidget(self._empty)
        self._pages.addWidget(self.view)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, GRID)
        layout.setSpacing(GRID)
        layout.addLayout(first)
        layout.addWidget(self._editing)
        layout.addWidget(self._pages, 1)
        layout.addWidget(self._error)

    def _connect(self) -> None:
        self.actions_of_jobs.show_asked.connect(self.show_asked)
        self.actions_of_jobs.edit_asked.connect(self.edit_asked)
        self.actions_of_jobs.duplicate_asked.connect(self.duplicate_asked)
        self.actions_of_jobs.reveal_asked.connect(self.reveal_asked)
        self._empty.prompt_asked.connect(self.prompt_asked)
        self._editing.give_up_asked.connect(self._state.give_up)
        self._pause.clicked.connect(self._toggle_paused)
        self._clear.clicked.connect(self._state.clear)
        self._when_done.chosen.connect(self._state.set_when_done)
        self.view.selectionModel().selectionChanged.connect(self._show_error)
        self._tick.timeout.connect(self._count_down)
        bind(self._state.snapshot, self._show)
        bind(self._state.is_adding, self._show_summary)
        bind(self._state.editing, self._editing.show_item)
        bind(self._session.job, self._live_changed)
        bind(self._session.preview, self._model.show_preview)

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        return QSize(640, 4 * ROW_PIXELS)

    # --- reactions ----------------------------------------------------------------------------------------------------

    def _show(self, snapshot: Snapshot) -> None:
        self._model.show_snapshot(snapshot)
        self._pages.setCurrentWidget(self.view if snapshot.items else self._empty)
        self._pause.set_icon_name("mdi6.play" if snapshot.is_paused else "mdi6.pause")
        if snapshot.is_paused:
            describe(self._pause, self.tr("Resume all"), self.tr("Go on with the queue"))
        else:
            describe(self._pause, self.tr("Pause all"), self.tr("Start no further clip; what runs waits too"))
        num_ended = sum(snapshot.num_by_state[state] for state in ("done", "failed", "cancelled"))
        self._clear.setEnabled(num_ended > 0)
        self._when_done.show_choice(snapshot.when_done)
        self._show_error()
        self._show_summary()
        if snapshot.num_to_make and not snapshot.is_paused:
            self._tick.start()
        else:
            self._tick.stop()

    def _show_summary(self, _is_adding: object = None) -> None:
        snapshot = self._state.snapshot.value
        if self._state.is_adding.value:
            text = self.tr("Adding to the queue")
        else:
            left_s = self._model.seconds_left()
            text = queue_words.summary(snapshot.num_to_make, left_s, is_paused=snapshot.is_paused)
        self._summary.setText(text)
        self._summary.setToolTip(text)

    def _live_changed(self, job: object) -> None:
        self._redraw.request()

    @Slot()
    def _show_live(self) -> None:
        self._model.show_live(self._session.job.value)

    @Slot()
    def _count_down(self) -> None:
        self._show_summary()
        self.view.viewport().update()

    @Slot()
    def _toggle_paused(self) -> None:
        self._state.set_paused(not self._state.snapshot.value.is_paused)

    @Slot()
    def _show_error(self) -> None:
        """In full: the row has room for its beginning."""
        rows = self.view.chosen_rows()
        error = queue_words.error(rows[0]) if len(rows) == 1 else ""
        self._error.setText(error)
        self._error.setVisible(bool(error))


class _EditingLine(QWidget):
    """While a waiting job is being edited: which one, and how to leave it as it was."""

    give_up_asked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._words = Label(parent=self)
        self._words.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        give_up = Button(self.tr("Leave it as it was"), parent=self)
        describe(give_up, give_up.text(), self.tr("Put the job back without your changes"))
        layout = QHBoxLayout(self)
        layout.setContentsMargins(PADDING, 0, PADDING, 0)
        layout.setSpacing(GAP)
        layout.addWidget(self._words, 1)
        layout.addWidget(give_up)
        give_up.clicked.connect(self.give_up_asked)

    def show_item(self, item: Item | None) -> None:
        self.setVisible(item is not None)
        if item is not None:
            self._words.setText(self.tr("Being edited in the prompt panel: {title}").format(title=item.job.title))


class _Invitation(QWidget):
    """What goes here, and the one thing to do about it."""

    prompt_asked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        text = Label(self.tr("Clips you generate wait here and are made one after the other."), "secondary", self)
        button = Button(self.tr("Go to the prompt"), parent=self)
        describe(button, button.text(), self.tr("Write what the next clip is to show"))
        layout = QVBoxLayout(self)
        layout.setSpacing(GAP)
        layout.addStretch(1)
        layout.addWidget(text, 0, Qt.AlignmentFlag.AlignHCenter)
        layout.addWidget(button, 0, Qt.AlignmentFlag.AlignHCenter)
        layout.addStretch(1)
        button.clicked.connect(self.prompt_asked)
