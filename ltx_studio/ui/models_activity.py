"""What is being done with models: how far, how fast, how long; ways to pause and stop; how the last one ended."""

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QHBoxLayout, QProgressBar, QVBoxLayout, QWidget

from ltx_studio.domain.model_tasks import Activity, Get, Queue
from ltx_studio.domain.models import Inventory
from ltx_studio.ui import models_words
from ltx_studio.ui.controls import Button, IconButton, Label, describe
from ltx_studio.ui.models_card import SaidLine
from ltx_studio.ui.models_words import breakable
from ltx_studio.ui.theme import GAP, GRID, Appearance

_BAR_UNITS = 1000


class ModelActivity(QWidget):
    """Shows the queue's head and its last outcome; hidden while there is neither."""

    pause_asked = Signal()
    resume_asked = Signal()
    stop_asked = Signal(object)  # Task
    dismissed = Signal()

    def __init__(self, appearance: Appearance, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._queue = Queue()
        self._title = Label(role="heading", parent=self)
        self._title.setAccessibleName(self.tr("What is being done with models"))
        self._bar = QProgressBar(self)
        self._bar.setRange(0, _BAR_UNITS)
        self._bar.setTextVisible(False)
        self._bar.setAccessibleName(self.tr("Progress"))
        self._numbers = Label(parent=self)
        self._numbers.setAccessibleName(self.tr("How far, how fast, how long"))
        self._file = Label(role="secondary", parent=self)
        self._room = Label(role="secondary", parent=self)
        self._notice = SaidLine(appearance, self)
        self._next = Label(role="secondary", parent=self)
        for label in (self._title, self._file, self._room, self._next):
            label.setWordWrap(True)
        self._pause = Button("", parent=self)
        self._stop = Button(self.tr("Stop"), parent=self)
        self._outcome = SaidLine(appearance, self)
        self._outcome.setAccessibleName(self.tr("How it ended"))
        self._dismiss = IconButton("mdi6.close", self.tr("Close this message"), appearance, self)
        self._running = QWidget(self)
        self._arrange()
        self._pause.clicked.connect(self._press_pause)
        self._stop.clicked.connect(self._press_stop)
        self._dismiss.clicked.connect(self.dismissed)
        self.hide()

    def _arrange(self) -> None:
        buttons = QHBoxLayout()
        buttons.setSpacing(GAP)
        buttons.addWidget(self._pause)
        buttons.addWidget(self._stop)
        buttons.addStretch(1)
        running = QVBoxLayout(self._running)
        running.setContentsMargins(0, 0, 0, 0)
        running.setSpacing(GRID)
        for widget in (
            self._title,
            self._bar,
            self._numbers,
            self._file,
            self._room,
            self._notice,
            self._next,
        ):
            running.addWidget(widget)
        running.addSpacing(GRID)
        running.addLayout(buttons)
        ended = QHBoxLayout()
        ended.setSpacing(GAP)
        ended.addWidget(self._outcome, 1)
        ended.addWidget(self._dismiss)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(GAP)
        layout.addWidget(self._running)
        layout.addLayout(ended)

    def show_queue(self, queue: Queue, inventory: Inventory, *, is_sealed: bool) -> None:
        self._queue = queue
        gets = [task for task in queue.waiting if isinstance(task, Get)]
        is_paused = queue.running is None and queue.is_paused and bool(gets)
        self._running.setVisible(queue.running is not None or is_paused)
        if queue.running is not None:
            self._show_running(queue.running, queue, inventory)
        elif is_paused:
            self._show_paused(gets, queue.paused, inventory, is_sealed=is_sealed)
        self._outcome.say(
            None if queue.last is None else models_words.outcome(queue.last, _name(queue.last, inventory))
        )
        self._dismiss.setVisible(queue.last is not None)
        self.setVisible(queue.running is not None or is_paused or queue.last is not None)

    def _show_running(self, activity: Activity, queue: Queue, inventory: Inventory) -> None:
        self._title.setText(models_words.title(activity, _name(activity, inventory)))
        fraction = activity.fraction
        # Without a number the bar runs to and fro.
        self._bar.setRange(0, _BAR_UNITS if fraction is not None else 0)
        if fraction is not None:
            self._bar.setValue(round(fraction * _BAR_UNITS))
        self._bar.show()
        _say(self._numbers, models_words.numbers(activity))
        _say(self._file, breakable(activity.file))
        _say(self._room, models_words.room_said(activity))
        notice = activity.notices[-1] if activity.notices else ""
        self._notice.say(models_words.Said(notice, "warn", models_words.WARN_ICON) if notice else None)
        _say(self._next, _waiting(queue, inventory))
        is_get = isinstance(activity.task, Get)
        self._pause.setVisible(is_get)
        self._set_pause(self.tr("Pause"), self.tr("Stops at once and keeps what was fetched"))
        self._pause.setEnabled(not activity.is_stopping)
        self._stop.setEnabled(not activity.is_stopping)
        tip = self.tr("Stop, and keep what was fetched") if is_get else self.tr("Stop")
        describe(self._stop, self.tr("Stop what is being done with models"), tip)

    def _show_paused(self, gets: list[Get], paused: Activity | None, inventory: Inventory, *, is_sealed: bool) -> None:
        self._title.setText(self.tr("Paused: {model}").format(model=_title(gets[0].name, inventory)))
        fraction = None if paused is None else paused.fraction
        self._bar.setRange(0, _BAR_UNITS)
        self._bar.setValue(round((fraction or 0.0) * _BAR_UNITS))
        here = "" if paused is None or fraction is None else models_words.of(paused.done_bytes, paused.total_bytes)
        _say(self._numbers, here)
        _say(self._file, self.tr("What was fetched is kept, also when the studio is closed."))
        _say(self._room, "")
        self._notice.say(None)
        others = self.tr("Then: {models}").format(models="; ".join(_title(task.name, inventory) for task in gets[1:]))
        _say(self._next, others if gets[1:] else "")
        tip = self.tr("Sealed: every connection of this program is refused.") if is_sealed else ""
        self._pause.show()
        self._set_pause(self.tr("Resume"), tip)
        self._pause.setEnabled(not is_sealed)
        self._stop.setEnabled(True)
        describe(self._stop, self.tr("Stop what is being done with models"), self.tr("Keeps what was fetched"))

    def _set_pause(self, text: str, tip: str) -> None:
        self._pause.setText(text)
        name = self.tr("{action}: fetching").format(action=text)
        describe(self._pause, name, tip or name)

    @Slot()
    def _press_pause(self) -> None:
        if self._queue.running is not None:
            self.pause_asked.emit()
        else:
            self.resume_asked.emit()

    @Slot()
    def _press_stop(self) -> None:
        if self._queue.running is not None:
            self.stop_asked.emit(self._queue.running.task)
        else:
            first = next((task for task in self._queue.waiting if isinstance(task, Get)), None)
            if first is not None:
                self.stop_asked.emit(first)


def _say(label: Label, text: str) -> None:
    label.setText(text)
    label.setVisible(bool(text))


def _title(name: str, inventory: Inventory) -> str:
    row = inventory.row(name)
    return name if row is None else row.title


def _name(activity: Activity, inventory: Inventory) -> str:
    name = getattr(activity.task, "name", None)
    return "" if name is None else _title(name, inventory)


def _waiting(queue: Queue, inventory: Inventory) -> str:
    named = [_title(task.name, inventory) for task in queue.waiting if isinstance(task, Get)]
    if not queue.waiting:
        return ""
    if len(named) < len(queue.waiting):
        return models_words.tr("{count} more wait").format(count=len(queue.waiting))
    return models_words.tr("Then: {models}").format(models="; ".join(named))
