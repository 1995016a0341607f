"""What to make: the words, the quality, the size, the length and the seed; what it will take; and the one button."""

from itertools import pairwise

from PySide6.QtCore import QEvent, QSignalBlocker, QSize, Qt, Signal, Slot
from PySide6.QtGui import QTextCursor
from PySide6.QtWidgets import QButtonGroup, QGridLayout, QHBoxLayout, QPlainTextEdit, QToolButton, QVBoxLayout, QWidget

from engine.pipelines.plan import DEFAULT_FRAME_RATE
from engine.request import GenerationRequest, Preset
from ltx_studio.domain.estimate import Estimate
from ltx_studio.domain.job import Failed, Job
from ltx_studio.state.forecast import Forecast
from ltx_studio.state.observable import bind
from ltx_studio.state.session import NUM_SEEDS, Session
from ltx_studio.ui.controls import (
    PRESS_KEYS,
    Button,
    IconButton,
    Label,
    Seconds,
    Segment,
    WholeNumber,
    describe,
    icon,
    keeps,
    set_role,
)
from ltx_studio.ui.fit_line import FitLine
from ltx_studio.ui.size_picker import SizePicker
from ltx_studio.ui.theme import GAP, GRID, ICON_PIXELS, PADDING, WIDE_GAP, Appearance

LONGEST_S = 60.0
_RANDOM_SEED = -1  # shown as the word
_AVOID_LINES = 4


class PromptPanel(QWidget):
    """Edits the session's request; asks for a run with `generate_asked` and for its end with `stop_asked`."""

    generate_asked = Signal()
    stop_asked = Signal()

    def __init__(
        self, session: Session, forecast: Forecast, appearance: Appearance, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._session = session
        self._appearance = appearance
        self._estimate: Estimate | None = None
        self._job_state = (False, False)  # running, stopping
        self._build_words()
        self._build_quality()
        self._size = SizePicker(appearance, self)
        self._build_numbers()
        self._fit = FitLine(appearance, self)
        self._button = Button(self.tr("Generate"), "main", self)
        self._arrange()
        self._connect(forecast)

    # --- building -----------------------------------------------------------------------------------------------------

    def _build_words(self) -> None:
        self.prompt = QPlainTextEdit(self)
        describe(self.prompt, self.tr("Prompt"), self.tr("What to see and hear"))
        self.prompt.setPlaceholderText(
            self.tr("Describe what to see and hear: the subject, what happens, the place, the camera, the sounds.")
        )
        self.prompt.setTabChangesFocus(True)
        self._fold = _Fold(self.tr("What to avoid"), self._appearance, self)
        self._avoid = QPlainTextEdit(self)
        describe(self._avoid, self.tr("What to avoid"), self.tr("Empty: the usual faults of generated clips"))
        self._avoid.setPlaceholderText(self.tr("For example: text, logos, shaky camera"))
        self._avoid.setTabChangesFocus(True)
        self._avoid.setFixedHeight(self._avoid.fontMetrics().lineSpacing() * _AVOID_LINES + 2 * GAP)
        self._avoid_note = Label(self.tr("Only Standard and High read this."), "secondary", self)
        self._unfold(False)

    def _build_quality(self) -> None:
        self._quality_label = Label(self.tr("Quality"), "secondary", self)
        self._quality_note = Label(role="secondary", parent=self)
        self._quality = QButtonGroup(self)
        names = {
            Preset.DRAFT: self.tr("Draft"),
            Preset.FAST: self.tr("Fast"),
            Preset.STANDARD: self.tr("Standard"),
            Preset.HIGH: self.tr("High"),
        }
        self._preset_notes = {
            Preset.DRAFT: self.tr("Half the size, to try an idea"),
            Preset.FAST: self.tr("Full size in few steps"),
            Preset.STANDARD: self.tr("Full size, follows the prompt more closely"),
            Preset.HIGH: self.tr("The most careful, and the slowest"),
        }
        for index, preset in enumerate(Preset):
            segment = Segment(names[preset], self)
            describe(
                segment,
                self.tr("Quality: {name}").format(name=names[preset]),
                self._preset_notes[preset],
            )
            self._quality.addButton(segment, index)

    def _build_numbers(self) -> None:
        self._seconds = Seconds(self.tr("Length"), self.tr("Length of the clip in seconds"), 0.04, LONGEST_S, self)
        seed_tip = self.tr("The same seed and settings make the same clip again")
        self._seed = WholeNumber(self.tr("Seed"), seed_tip, _RANDOM_SEED, NUM_SEEDS - 1, self)
        self._seed.setSpecialValueText(self.tr("Random"))
        self._dice = IconButton("mdi6.dice-5-outline", self.tr("Draw a new seed and keep it"), self._appearance, self)
        self._lock = IconButton("mdi6.lock-open-variant-outline", self.tr("Keep this seed"), self._appearance, self)
        self._lock.setCheckable(True)

    def _arrange(self) -> None:
        segments = QHBoxLayout()
        segments.setSpacing(1)
        for button in self._quality.buttons():
            segments.addWidget(button, 1)
        numbers = QGridLayout()
        numbers.setHorizontalSpacing(GAP)
        numbers.setVerticalSpacing(GRID)
        for column, field in ((0, self._seconds), (1, self._seed)):
            label = Label(field.accessibleName(), "secondary", self)
            label.setBuddy(field)
            numbers.addWidget(label, 0, column)
        seed = QHBoxLayout()
        seed.setSpacing(GRID)
        seed.addWidget(self._seed, 1)
        seed.addWidget(self._dice)
        seed.addWidget(self._lock)
        numbers.addWidget(self._seconds, 1, 0)
        numbers.addLayout(seed, 1, 1)
        numbers.setColumnStretch(0, 2)
        numbers.setColumnStretch(1, 3)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(PADDING, 0, PADDING, PADDING)
        layout.setSpacing(GRID)
        layout.addWidget(self.prompt, 1)
        layout.addWidget(self._fold, 0, Qt.AlignmentFlag.AlignLeft)
        layout.addWidget(self._avoid)
        layout.addWidget(self._avoid_note)
        layout.addSpacing(GAP)
        layout.addWidget(self._quality_label)
        layout.addLayout(segments)
        layout.addWidget(self._quality_note)
        layout.addSpacing(GAP)
        layout.addWidget(self._size)
        layout.addSpacing(GAP)
        layout.addLayout(numbers)
        layout.addSpacing(WIDE_GAP)
        layout.addWidget(self._fit)
        layout.addSpacing(GRID)
        layout.addWidget(self._button)
        order: list[QWidget] = [self.prompt, self._fold, self._avoid, *self._quality.buttons()]
        order += [self._size, self._seconds, self._seed, self._dice, self._lock, self._button]
        for first, second in pairwise(order):
            QWidget.setTabOrder(first, second)

    def _connect(self, forecast: Forecast) -> None:
        self.prompt.textChanged.connect(self._prompt_edited)
        self._avoid.textChanged.connect(self._avoid_edited)
        self._fold.toggled.connect(self._unfold)
        self._quality.idToggled.connect(self._quality_chosen)
        self._size.picked.connect(self._size_picked)
        self._seconds.valueChanged.connect(self._seconds_edited)
        self._seed.valueChanged.connect(self._seed_edited)
        self._dice.clicked.connect(self._session.draw_seed)
        self._lock.toggled.connect(self._lock_toggled)
        self._button.clicked.connect(self._button_clicked)
        bind(self._session.request, self._show_request)
        bind(self._session.is_seed_locked, self._show_lock)
        bind(forecast.estimate, self._show_estimate)
        bind(self._session.job, self._show_job)

    # --- from the window to the session -------------------------------------------------------------------------------

    @Slot()
    def _prompt_edited(self) -> None:
        self._session.edit(prompt=self.prompt.toPlainText())

    @Slot()
    def _avoid_edited(self) -> None:
        self._session.edit(negative_prompt=self._avoid.toPlainText() or None)

    @Slot(int, bool)
    def _quality_chosen(self, index: int, is_chosen: bool) -> None:
        if is_chosen:
            self._session.edit(preset=list(Preset)[index])

    @Slot(object)
    def _size_picked(self, size: object) -> None:
        self._session.edit(size=size)

    @Slot(float)
    def _seconds_edited(self, seconds: float) -> None:
        self._session.edit(seconds=seconds, frames=None)

    @Slot(int)
    def _seed_edited(self, seed: int) -> None:
        self._session.edit(seed=None if seed == _RANDOM_SEED else seed)
        self._session.is_seed_locked.value = seed != _RANDOM_SEED

    @Slot(bool)
    def _lock_toggled(self, is_locked: bool) -> None:
        if is_locked and self._session.request.value.seed is None:
            self._session.draw_seed()
        self._session.is_seed_locked.value = is_locked

    @Slot()
    def _button_clicked(self) -> None:
        job = self._session.job.value
        if job is not None and job.is_running:
            self.stop_asked.emit()
        else:
            self.generate_asked.emit()

    # --- from the session to the window -------------------------------------------------------------------------------

    def _show_request(self, request: GenerationRequest) -> None:
        _set_text(self.prompt, request.prompt)
        _set_text(self._avoid, request.negative_prompt or "")
        self._fold.set_filled(bool(request.negative_prompt))
        self._quality.button(list(Preset).index(request.preset)).setChecked(True)
        self._quality_note.setText(self._preset_notes[request.preset])
        self._size.show_size(request.size)
        # A value that is being typed is there already, and setting it would complete its text under the hands.
        seconds = _seconds(request)
        if seconds is not None and seconds != self._seconds.value():
            with QSignalBlocker(self._seconds):
                self._seconds.setValue(seconds)
        seed = _RANDOM_SEED if request.seed is None else request.seed
        if seed != self._seed.value():
            with QSignalBlocker(self._seed):
                self._seed.setValue(seed)
        self._show_button()

    def _show_lock(self, is_locked: bool) -> None:
        with QSignalBlocker(self._lock):
            self._lock.setChecked(is_locked)
        self._lock.set_icon_name("mdi6.lock-outline" if is_locked else "mdi6.lock-open-variant-outline")
        describe(
            self._lock,
            self.tr("Keep this seed"),
            self.tr("This seed is kept") if is_locked else self.tr("Each run draws a new seed; press to keep this one"),
        )

    def _show_estimate(self, estimate: Estimate | None) -> None:
        self._estimate = estimate
        self._fit.show_estimate(estimate)
        self._show_button()

    def _show_job(self, job: Job | None) -> None:
        """Progress arrives hundreds of times a second, and the button has no use for it."""
        state = (job is not None and job.is_running, job is not None and job.is_stopping)
        if state != self._job_state:
            self._job_state = state
            self._show_button()

    def _show_button(self) -> None:
        """Generate, with the reason when it cannot be pressed; or Stop while a job runs."""
        job = self._session.job.value
        if job is not None and job.is_running:
            set_role(self._button, "stop")
            self._button.setText(self.tr("Stopping") if job.is_stopping else self.tr("Stop"))
            self._button.setEnabled(not job.is_stopping)
            describe(self._button, self._button.text(), self.tr("Stop making this clip; nothing is left half written"))
            return
        reason = self.why_not()
        set_role(self._button, "main")
        self._button.setText(self.tr("Generate"))
        self._button.setEnabled(not reason)
        describe(self._button, self.tr("Generate"), reason or self.tr("Make this clip (Ctrl+Return)"))

    def why_not(self) -> str:
        """Why nothing can be generated now; empty when it can."""
        if not self._session.request.value.prompt.strip():
            return self.tr("Write a prompt first.")
        if isinstance(self._estimate, Failed):
            return f"{self._estimate.message} {self._estimate.remedy}".rstrip()
        return ""

    @Slot(bool)
    def _unfold(self, is_open: bool) -> None:
        self._avoid.setVisible(is_open)
        self._avoid_note.setVisible(is_open)


class _Fold(QToolButton):
    """A line that opens and closes what is below it."""

    def __init__(self, text: str, appearance: Appearance, parent: QWidget) -> None:
        super().__init__(parent)
        self._text = text
        self._appearance = appearance
        self.setProperty("role", "fold")
        self.setCheckable(True)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.setIconSize(QSize(ICON_PIXELS, ICON_PIXELS))
        self.set_filled(False)
        self.toggled.connect(self._draw)
        appearance.theme.changed.connect(self._draw)
        self._draw()

    def set_filled(self, is_filled: bool) -> None:
        """Say, also while closed, that something is written there."""
        text = self.tr("{name} (in use)").format(name=self._text) if is_filled else self._text
        self.setText(text)
        describe(self, text, self.tr("Show or hide it"))

    def event(self, event: QEvent) -> bool:
        return keeps(event, PRESS_KEYS) or super().event(event)

    def _draw(self, _value: object = None) -> None:
        name = "mdi6.chevron-down" if self.isChecked() else "mdi6.chevron-right"
        self.setIcon(icon(name, self._appearance.theme.value))


def _seconds(request: GenerationRequest) -> float | None:
    if request.frames is None:
        return request.seconds
    return (request.frame_rate or DEFAULT_FRAME_RATE).seconds(request.frames)


def _set_text(field: QPlainTextEdit, text: str) -> None:
    """Replace the text as one edit that the field can undo; nothing happens when it is there already."""
    if field.toPlainText() == text:
        return
    cursor = field.textCursor()
    cursor.select(QTextCursor.SelectionType.Document)
    with QSignalBlocker(field):
        cursor.insertText(text)
