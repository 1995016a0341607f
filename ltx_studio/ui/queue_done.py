"""What happens when nothing is left to make: nothing, a sign to the user, or sleep.

Before the computer is put to sleep the status line says so, with a way to stay awake; there is no dialog, because most
of the time nobody is there to answer it. Whether the queue ran out by itself is for `ltx_studio.domain.queue` to say.
"""

from collections.abc import Callable

from PySide6.QtCore import QObject, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QAction, QActionGroup
from PySide6.QtWidgets import QApplication, QHBoxLayout, QMenu, QWidget

from engine.jobs.store import WhenDone
from ltx_studio.domain.queue import Snapshot
from ltx_studio.services.sleep import Sleeper, sleep_commands
from ltx_studio.state.observable import bind
from ltx_studio.state.queue import QueueState
from ltx_studio.ui.controls import Button, IconButton, Label, describe
from ltx_studio.ui.theme import GAP, Appearance

WARNING_S = 30  # how long the user has to stay awake
_ICONS: dict[WhenDone, str] = {
    "nothing": "mdi6.bell-off-outline",
    "notify": "mdi6.bell-ring-outline",
    "sleep": "mdi6.power-sleep",
}


class WhenDoneButton(IconButton):
    """Shows what happens when the queue is done; pressed, it offers the choice."""

    chosen = Signal(str)  # WhenDone

    def __init__(self, appearance: Appearance, parent: QWidget | None = None) -> None:
        super().__init__(_ICONS["nothing"], self.tr("When done"), appearance, parent)
        self.menu_of_choices = QMenu(self)
        self.menu_of_choices.setToolTipsVisible(True)
        self.menu_of_choices.setAccessibleName(self.tr("When done"))
        self._group = QActionGroup(self)
        self._choices: dict[WhenDone, QAction] = {
            "nothing": self._choice("nothing", self.tr("Do nothing")),
            "notify": self._choice("notify", self.tr("Notify me")),
            "sleep": self._choice("sleep", self.tr("Put the computer to sleep")),
        }
        self.clicked.connect(self._offer)

    def _choice(self, action: WhenDone, words: str) -> QAction:
        choice = QAction(words, self)
        choice.setCheckable(True)
        choice.triggered.connect(lambda: self.chosen.emit(action))
        self._group.addAction(choice)
        self.menu_of_choices.addAction(choice)
        return choice

    def show_choice(self, action: WhenDone) -> None:
        self._choices[action].setChecked(True)
        self.set_icon_name(_ICONS[action])
        tips: dict[WhenDone, str] = {
            "nothing": self.tr("When the last clip is made: do nothing. Press to change that."),
            "notify": self.tr("When the last clip is made: you are told. Press to change that."),
            "sleep": self.tr("When the last clip is made: the computer goes to sleep. Press to change that."),
        }
        describe(self, self.tr("When done"), tips[action])
        self.setAccessibleDescription(tips[action])

    @Slot()
    def _offer(self) -> None:
        can_sleep = bool(sleep_commands())
        sleep = self._choices["sleep"]
        sleep.setEnabled(can_sleep)
        reason = self.tr("This system has no command that puts it to sleep")
        sleep.setToolTip(self.tr("After a warning of 30 seconds, in which you can stay awake") if can_sleep else reason)
        self.menu_of_choices.popup(self.mapToGlobal(self.rect().bottomLeft()))


class QueueDone(QObject):
    """Does what was chosen, once the queue has run out."""

    said = Signal(str)

    def __init__(
        self, queue: QueueState, is_exporting: Callable[[], bool], window: QWidget, *, warning_s: int = WARNING_S
    ) -> None:
        super().__init__(window)
        self._queue = queue
        self._is_exporting = is_exporting
        self._window = window
        self.warning_s = warning_s
        self.warning = SleepWarning(window)
        self._sleeper = Sleeper(self)
        self._tick = QTimer(self)
        self._tick.setInterval(1000)
        self._tick.timeout.connect(self._count_down)
        self._left_s = 0
        self.warning.awake_asked.connect(self._stay_awake)
        self._sleeper.refused.connect(self._say_refused)
        queue.emptied.connect(self._react)
        queue.is_adding.changed.connect(self._look_again)
        bind(queue.snapshot, self._look_again)

    @property
    def is_counting(self) -> bool:
        """Whether the computer is about to sleep."""
        return self._tick.isActive()

    @Slot()
    def close(self) -> None:
        """A studio that is closed puts nothing to sleep."""
        self._call_off()

    @Slot()
    def _react(self) -> None:
        match self._queue.snapshot.value.when_done:
            case "nothing":
                pass
            case "notify":
                self.said.emit(self.tr("The queue is done."))
                QApplication.beep()
                QApplication.alert(self._window)
            case "sleep" if self._may_sleep():
                self._left_s = self.warning_s
                self.warning.show_seconds(self._left_s)
                self._tick.start()
                QApplication.alert(self._window)
            case _:
                pass

    def _may_sleep(self) -> bool:
        """Nothing is being made or about to be, and sleep is still what is wanted."""
        snapshot = self._queue.snapshot.value
        is_busy = snapshot.num_to_make > 0 or self._queue.is_adding.value or self._is_exporting()
        return snapshot.when_done == "sleep" and not is_busy

    def _look_again(self, _changed: Snapshot | bool) -> None:
        if self._tick.isActive() and not self._may_sleep():
            self._call_off()

    @Slot()
    def _count_down(self) -> None:
        if not self._may_sleep():
            self._call_off()
            return
        self._left_s -= 1
        if self._left_s > 0:
            self.warning.show_seconds(self._left_s)
            return
        self._call_off()
        self._sleeper.sleep()

    @Slot()
    def _stay_awake(self) -> None:
        self._call_off()
        self.said.emit(self.tr("The computer stays awake. It may go to sleep after the next clips."))

    def _call_off(self) -> None:
        self._tick.stop()
        self.warning.hide()

    @Slot()
    def _say_refused(self) -> None:
        words = self.tr("The system refused to go to sleep, so it stays awake. Every clip is kept; the log has more.")
        self.said.emit(words)


class SleepWarning(QWidget):
    """Part of the status line while the computer is about to sleep."""

    awake_asked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._words = Label(role="warn-small", parent=self)
        self.awake = Button(self.tr("Stay awake"), parent=self)
        describe(self.awake, self.awake.text(), self.tr("Do not put the computer to sleep now"))
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, GAP, 0)
        layout.setSpacing(GAP)
        layout.addWidget(self._words)
        layout.addWidget(self.awake, 0, Qt.AlignmentFlag.AlignVCenter)
        self.awake.clicked.connect(self.awake_asked)
        self.hide()

    def show_seconds(self, seconds: int) -> None:
        words = self.tr("Nothing is left to make. The computer goes to sleep in {seconds} s.").format(seconds=seconds)
        self._words.setText(words)
        self.setAccessibleName(words)
        self.show()
