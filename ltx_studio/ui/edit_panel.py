"""The Edit panel: what is to become of the clip that is looked at, what that will do and take, and the one button.

It edits an `EditsState` and never waits; which clip is looked at, whether the panel is in front, and where marks are
set, is `edit_wiring`'s.
"""

from itertools import pairwise
from pathlib import Path

from PySide6.QtCore import QEvent, QSignalBlocker, QSize, Qt, Signal, Slot
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import (
    QButtonGroup,
    QFrame,
    QHBoxLayout,
    QPlainTextEdit,
    QScrollArea,
    QSizePolicy,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from engine.pipelines.plan import Plan
from ltx_studio.domain.edits import EditDraft, EditMode, Target
from ltx_studio.domain.estimate import Estimate
from ltx_studio.domain.queue import Item
from ltx_studio.services.peaks import Peaks
from ltx_studio.services.thumbnails import Source
from ltx_studio.state.edits import EditsState, tr
from ltx_studio.state.observable import bind
from ltx_studio.ui import edit_words
from ltx_studio.ui.check_box import CheckBox
from ltx_studio.ui.controls import Button, IconButton, Label, Segment, describe, set_role
from ltx_studio.ui.edit_lipdub import AskFile, LipDubPart, ask_voice_file
from ltx_studio.ui.edit_numbers import ExtensionPart, NumbersPart
from ltx_studio.ui.edit_range import EditRange
from ltx_studio.ui.edit_strip import ZoneStrip
from ltx_studio.ui.edit_takes import TakesPart
from ltx_studio.ui.fit_line import FitLine
from ltx_studio.ui.theme import GAP, GRID, PADDING, Appearance

_SCROLL_BAR_PIXELS = 10  # as the style sheet has it
_PROMPT_LINES = 3


class EditPanel(QWidget):
    """Shows an `EditsState`."""

    library_asked = Signal()
    left = Signal()  # done with it: the keys of playback are wanted again

    def __init__(
        self,
        state: EditsState,
        appearance: Appearance,
        parent: QWidget | None = None,
        *,
        ask_voice: AskFile = ask_voice_file,
    ) -> None:
        super().__init__(parent)
        self._state = state
        self._peaks: Peaks | None = None  # made when a voice is first to be shown
        self._build(appearance, ask_voice)
        self._arrange()
        self._connect()

    # --- building -----------------------------------------------------------------------------------------------------

    def _build(self, appearance: Appearance, ask_voice: AskFile) -> None:
        state = self._state
        self._clip = Label(role="heading", parent=self)
        self._clip.setAccessibleName(tr("Clip"))
        self._clip.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self._facts = Label(role="secondary", parent=self)
        self._facts.setAccessibleName(tr("What the clip is"))
        self._facts.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self._previous = IconButton("mdi6.chevron-left", tr("Previous take"), appearance, self)
        self._next = IconButton("mdi6.chevron-right", tr("Next take"), appearance, self)
        self._modes = QButtonGroup(self)
        for index, mode in enumerate(EditMode):
            self._modes.addButton(Segment(edit_words.mode_name(mode), self), index)
        self._about = Label(role="secondary", parent=self)
        self._about.setWordWrap(True)
        self.range = EditRange(state, self)
        self._picture = CheckBox(tr("Picture"), tr("Picture"), tr("Make the picture of the range again"), appearance)
        self._sound = CheckBox(tr("Sound"), tr("Sound"), tr("Make the sound of the range again"), appearance)
        self._extension = ExtensionPart(state, self)
        self.lipdub = LipDubPart(state, appearance, self, ask_file=ask_voice)
        self.strip = ZoneStrip(appearance, self)
        self._zones = Label(role="secondary", parent=self)
        self._zones.setAccessibleName(tr("What stays and what is made, in words"))
        self._zones.setWordWrap(True)
        self.prompt = QPlainTextEdit(self)
        self.prompt.setTabChangesFocus(True)
        describe(
            self.prompt, tr("Prompt of the edit"), tr("What to see and hear there; empty means the clip's own prompt")
        )
        self.numbers = NumbersPart(state, appearance, self)
        self.takes = TakesPart(state, self)
        self._fit = FitLine(appearance, self)
        self._together = Label(role="secondary", parent=self)
        self._notes = Label(role="warn-small", parent=self)
        self._notes.setAccessibleName(tr("Notes on the edit"))
        self._notes.setWordWrap(True)
        self._problem = Label(role="danger-small", parent=self)
        self._problem.setAccessibleName(tr("Why that is no time of the clip"))
        self._problem.setWordWrap(True)
        self._button = Button(tr("Retake"), "main", self)
        self._batch = Label(role="secondary", parent=self)
        self._batch.setAccessibleName(tr("The takes that were asked for last"))
        self._batch.setWordWrap(True)

    def _arrange(self) -> None:
        form = QWidget(self)
        column = QVBoxLayout(form)
        column.setContentsMargins(PADDING, GAP, PADDING - _SCROLL_BAR_PIXELS, PADDING)
        column.setSpacing(GRID)
        heading = QHBoxLayout()
        heading.setSpacing(GRID)
        heading.addWidget(self._clip, 1)
        for button in (self._previous, self._next):
            heading.addWidget(button)
        column.addLayout(heading)
        column.addWidget(self._facts)
        column.addSpacing(GRID)
        modes = QHBoxLayout()
        modes.setSpacing(1)
        for button in self._modes.buttons():
            modes.addWidget(button, 1)
        column.addLayout(modes)
        column.addWidget(self._about)
        column.addSpacing(GRID)
        column.addWidget(self._extension)
        column.addWidget(self.range)
        for box in (self._picture, self._sound):
            self.range.beside_length.addWidget(box)
        column.addWidget(self.lipdub)
        column.addSpacing(GRID)
        column.addWidget(self.strip)
        column.addWidget(self._zones)
        column.addSpacing(GRID)
        label = Label(tr("Prompt"), "secondary", form)
        label.setBuddy(self.prompt)
        column.addWidget(label)
        self.prompt.setFixedHeight(_PROMPT_LINES * self.fontMetrics().lineSpacing() + 5 * GRID)
        column.addWidget(self.prompt)
        column.addWidget(self.numbers)
        column.addSpacing(GRID)
        column.addWidget(self._notes)
        column.addSpacing(GAP)
        column.addWidget(self.takes)
        column.addStretch(1)
        self._arrange_pages(form)
        self._order_keys()

    def _arrange_pages(self, form: QWidget) -> None:
        scroll = QScrollArea(self)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)  # so that nothing moves when it comes
        scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        scroll.setWidget(form)
        scroll.setMinimumWidth(form.minimumSizeHint().width() + _SCROLL_BAR_PIXELS)
        bottom = QVBoxLayout()
        bottom.setContentsMargins(PADDING, GAP, PADDING, PADDING)
        bottom.setSpacing(GRID)
        for widget in (self._fit, self._together, self._problem, self._button, self._batch):
            bottom.addWidget(widget)
        page = QWidget(self)
        whole = QVBoxLayout(page)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.setSpacing(0)
        whole.addWidget(scroll, 1)
        whole.addWidget(_line(page))
        whole.addLayout(bottom)
        self._pages = QStackedWidget(self)
        invitation = _Invitation(self)
        invitation.open_library.clicked.connect(self.library_asked)
        self._pages.addWidget(invitation)
        self._pages.addWidget(page)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self._pages)

    def _order_keys(self) -> None:
        controls = [
            *(self._previous, self._next, *self._modes.buttons()),
            *(*self._extension.controls(), *self.range.controls(), self._picture, self._sound),
            *(*self.lipdub.controls(), self.prompt, *self.numbers.controls()),
            *(*self.takes.controls(), self._button),
        ]
        for before, after in pairwise(controls):
            QWidget.setTabOrder(before, after)

    def _connect(self) -> None:
        state = self._state
        self._previous.clicked.connect(lambda: state.step_take(-1))
        self._next.clicked.connect(lambda: state.step_take(1))
        self._modes.idToggled.connect(self._mode_chosen)
        self._picture.clicked.connect(lambda is_wanted: state.change(picture=is_wanted))
        self._sound.clicked.connect(lambda is_wanted: state.change(sound=is_wanted))
        self.range.refused.connect(self._say)
        self.prompt.textChanged.connect(self._prompt_edited)
        self._button.clicked.connect(state.make)
        state.own_prompt_known.connect(self._show_prompt)
        bind(state.draft, self._show_draft)
        bind(state.target, self._show_target)
        bind(state.no_lipdub, self._show_no_lipdub)
        bind(state.estimate, self._show_estimate)
        bind(state.batch, self._show_batch)

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        return QSize(360, 640)

    def close_threads(self) -> None:
        if self._peaks is not None:
            self._peaks.close()

    # --- what the user does -------------------------------------------------------------------------------------------

    def event(self, event: QEvent) -> bool:
        """In this panel the key of Generate makes what the panel is about."""
        if event.type() == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent) and _is_main_key(event):
            event.accept()
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        if _is_main_key(event):
            self._state.make()
        elif event.key() == Qt.Key.Key_Escape:
            self.left.emit()
        else:
            super().keyPressEvent(event)

    @Slot(int, bool)
    def _mode_chosen(self, index: int, is_chosen: bool) -> None:
        if is_chosen:
            self._state.change(mode=list(EditMode)[index])

    @Slot()
    def _prompt_edited(self) -> None:
        self._state.change(prompt=self.prompt.toPlainText())

    @Slot(str)
    def _say(self, sentence: str) -> None:
        self._problem.setText(sentence)
        self._problem.setVisible(bool(sentence))

    # --- what is shown ------------------------------------------------------------------------------------------------

    def _show_target(self, target: Target | None) -> None:
        self._pages.setCurrentIndex(0 if target is None else 1)
        self._say("")
        if target is not None:
            self._clip.setText(target.name)
            self._clip.setToolTip(str(target.path))
            self._sound.setEnabled(target.has_sound)
            tip = tr("Make the sound of the range again") if target.has_sound else tr("The clip has no sound.")
            describe(self._sound, tr("Sound"), tip)
        self.show_takes()
        self._show_button()
        self._load_voice()

    def show_takes(self) -> None:
        """The slot may have others now."""
        clip, target = self._state.clip_in_hand(), self._state.target.value
        has_takes = clip is not None and len(clip.takes) > 1
        for button in (self._previous, self._next):
            button.setVisible(has_takes)
        self.takes.show_clip(clip)
        if clip is not None and has_takes:
            self._facts.setText(edit_words.take_line(clip, clip.chosen))
            self._facts.setToolTip(edit_words.seam_tip() if clip.take.seam_score is not None else "")
        elif target is not None:
            self._facts.setText(edit_words.target_facts(target))
            self._facts.setToolTip("")

    def _show_draft(self, draft: EditDraft) -> None:
        mode = draft.mode
        chosen = self._modes.button(list(EditMode).index(mode))
        chosen.setChecked(True)
        self.setFocusProxy(chosen)
        self._about.setText(edit_words.mode_about(mode))
        self.range.setVisible(mode in (EditMode.RETAKE, EditMode.LIPDUB))
        for widget in (self._picture, self._sound):
            widget.setVisible(mode is EditMode.RETAKE)
        self._extension.setVisible(mode is EditMode.EXTEND)
        if self.lipdub.isHidden() == (mode is EditMode.LIPDUB):
            self.lipdub.setVisible(mode is EditMode.LIPDUB)
            self._load_voice()
        if draft.prompt is not None:
            self._show_prompt(draft.prompt)
        self._picture.setChecked(draft.picture)
        self._sound.setChecked(draft.sound)
        self._show_button()

    def _show_prompt(self, prompt: str) -> None:
        """The clip's, or one that comes from elsewhere; what is being written is there already."""
        if prompt != self.prompt.toPlainText():
            with QSignalBlocker(self.prompt):
                self.prompt.setPlainText(prompt)
        self.prompt.setPlaceholderText(tr("What to see and hear there"))

    def _show_no_lipdub(self, reason: str) -> None:
        for index, mode in enumerate(EditMode):
            button, name = self._modes.button(index), edit_words.mode_name(mode)
            is_refused = mode is EditMode.LIPDUB and bool(reason)
            button.setEnabled(not is_refused)
            describe(
                button, tr("Edit: {name}").format(name=name), reason if is_refused else edit_words.mode_about(mode)
            )

    def _show_estimate(self, estimate: Estimate | None) -> None:
        self._fit.show_estimate(estimate)
        target, window = self._state.target.value, self._state.window.value
        sentence = "" if target is None or window is None else edit_words.window_sentence(window, target)
        self.strip.show_window(window, sentence)
        self._zones.setText(sentence)
        for widget in (self.strip, self._zones):
            widget.setVisible(window is not None)
        self._show_notes(estimate)
        self._show_button()

    def _show_notes(self, estimate: Estimate | None) -> None:
        is_plan = isinstance(estimate, Plan)
        together = edit_words.together(estimate.estimate.seconds, self._state.draft.value.num_takes) if is_plan else ""
        self._together.setText(together)
        self._together.setVisible(bool(together))
        notes = "\n".join(estimate.warnings) if is_plan else ""
        self._notes.setText(notes)
        self._notes.setVisible(bool(notes))

    def _show_button(self) -> None:
        reason, name = self._state.why_not(), edit_words.button(self._state.draft.value)
        self._button.setText(name)
        self._button.setEnabled(not reason)
        tip = tr("Put it into the queue; the result is a new take (Ctrl+Return in this panel)")
        describe(self._button, name, reason or tip)

    def _show_batch(self, items: tuple[Item, ...]) -> None:
        sentence, role = edit_words.batch_line(items)
        self._batch.setText(sentence)
        set_role(self._batch, role)
        self._batch.setVisible(bool(sentence))

    # --- the voice ----------------------------------------------------------------------------------------------------

    def _load_voice(self) -> None:
        target = self._state.target.value
        if self._state.draft.value.mode is not EditMode.LIPDUB or target is None:
            return
        if self._peaks is None:
            self._peaks = peaks = Peaks(parent=self)
            peaks.changed.connect(self.lipdub.refresh)
            self.lipdub.follow(lambda path: peaks.outline(_source(path)))
        self.lipdub.refresh()


def _source(path: Path) -> Source:
    try:
        status = path.stat()
    except OSError:
        return Source(path, 0, 0)
    return Source(path, status.st_mtime_ns, status.st_size)


def _is_main_key(event: QKeyEvent) -> bool:
    is_return = event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter)
    return is_return and event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier == Qt.KeyboardModifier.ControlModifier


class _Invitation(QWidget):
    """What goes here."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        text = Label(
            tr("A clip is changed here: a bad second made again, new sound, new words, or a longer ending. Open one."),
            "secondary",
            self,
        )
        text.setWordWrap(True)
        text.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        self.open_library = Button(tr("Open the library"), parent=self)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(PADDING, PADDING, PADDING, PADDING)
        layout.setSpacing(GAP)
        layout.addStretch(1)
        layout.addWidget(text)
        layout.addWidget(self.open_library, 0, Qt.AlignmentFlag.AlignHCenter)
        layout.addStretch(1)


def _line(parent: QWidget) -> QFrame:
    line = QFrame(parent)
    line.setFixedHeight(1)
    set_role(line, "divider")
    return line
