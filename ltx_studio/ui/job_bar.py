"""The job that runs, or how the last one ended: in words, as a bar, with the time left and a way to stop."""

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QHBoxLayout, QProgressBar, QSizePolicy, QVBoxLayout, QWidget

from engine.events import Result
from ltx_studio.domain.job import Cancelled, Failed, Job, Paused
from ltx_studio.state.observable import bind
from ltx_studio.state.session import Session
from ltx_studio.ui import words
from ltx_studio.ui.actions import with_keys
from ltx_studio.ui.controls import IconButton, Label, describe, set_role
from ltx_studio.ui.theme import CONTROL_HEIGHT, GAP, GRID, PADDING, WIDE_GAP, Appearance
from ltx_studio.ui.throttle import Throttle

REDRAW_MS = 60  # the engine may report hundreds of times a second
_BAR_UNITS = 1000


class JobBar(QWidget):
    """Reads the session's job; asks for its end with `stop_asked`."""

    stop_asked = Signal()

    def __init__(self, session: Session, appearance: Appearance, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._words = Label(parent=self)
        self._words.setAccessibleName(self.tr("Job"))
        self._words.setMinimumHeight(CONTROL_HEIGHT)
        self._words.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self._left = Label(role="secondary", parent=self)
        self._bar = QProgressBar(self)
        self._bar.setRange(0, _BAR_UNITS)
        self._bar.setTextVisible(False)
        self._bar.setAccessibleName(self.tr("Progress"))
        self._note = Label(" ", "secondary", self)
        self._note.setAccessibleName(self.tr("Notes on the job"))
        self._note.setWordWrap(True)
        self._note.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._stop = IconButton("mdi6.stop", self.tr("Stop making this clip"), appearance, self)
        self._redraw = Throttle(REDRAW_MS, self._draw, self)
        self._arrange()
        self._stop.clicked.connect(self.stop_asked)
        bind(session.job, self._job_changed)

    def show_stop_keys(self, action: QAction) -> None:
        """The command's keys belong to the button's tooltip; they can be changed."""
        name = self.tr("Stop making this clip")
        describe(self._stop, name, with_keys(name, action))

    def _arrange(self) -> None:
        first = QHBoxLayout()
        first.setSpacing(WIDE_GAP)
        first.addWidget(self._words, 1)
        first.addWidget(self._left)
        first.addWidget(self._stop)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(PADDING, GAP, PADDING, GAP)
        layout.setSpacing(GRID)
        layout.addLayout(first)
        layout.addWidget(self._bar)
        layout.addWidget(self._note)
        # What is hidden keeps its room at the end, so that the picture above stays where it is.
        self.setMinimumHeight(layout.sizeHint().height())
        layout.addStretch(1)

    def _job_changed(self, job: Job | None) -> None:
        if job is None or not job.is_running:
            self._draw()
        else:
            self._redraw.request()

    @Slot()
    def _draw(self) -> None:
        job = self._session.job.value
        is_running = job is not None and job.is_running
        self._stop.setVisible(is_running)
        self._bar.setVisible(is_running)
        set_role(self._words, "")
        if job is None:
            self._say(self.tr("Nothing is being made."), "", "")
            set_role(self._words, "secondary")
        elif is_running:
            self._draw_running(job)
        else:
            self._draw_outcome(job)

    def _draw_running(self, job: Job) -> None:
        fraction = 0.0 if job.progress is None else job.progress.fraction
        self._bar.setValue(round(fraction * _BAR_UNITS))
        self._stop.setEnabled(not job.is_stopping)
        notes = " ".join(job.notices)
        if job.is_stopping:
            self._say(self.tr("Stopping"), "", notes)
        elif job.progress is None:
            self._say(self.tr("Starting the engine"), "", notes)
        else:
            percent = self.tr("{percent} %").format(percent=round(fraction * 100))
            left = words.time_left(job.progress.eta_s)
            self._say(words.doing(job.progress), f"{percent}  {left}".rstrip(), notes)

    def _draw_outcome(self, job: Job) -> None:
        notes = " ".join(job.notices)
        match job.outcome:
            case Result() as result:
                made = self.tr("Done in {time}").format(time=words.duration(result.timings["total"]))
                seed = self.tr("Seed {seed}").format(seed=result.seed)
                self._say(made, seed, notes)
            case Failed(_, message, remedy):
                set_role(self._words, "danger")
                self._say(message, "", remedy)
            case Cancelled():
                self._say(self.tr("Stopped. Your prompt and settings are as they were."), "", "")
            case Paused():
                self._say(self.tr("Paused. The clip goes on from what is made of it."), "", notes)
            case None:
                pass

    def _say(self, text: str, left: str, note: str) -> None:
        self._words.setText(text)
        self._words.setToolTip(text)
        self._left.setText(left)
        self._note.setText(note)
        self._note.setVisible(bool(note))
