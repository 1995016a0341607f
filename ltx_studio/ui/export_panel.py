"""The export panel: a clip, what is to be made of it, one line that says what that will be, and what became of it.

It edits an `ExportState` and never waits: exports go into the queue, where they run beside generation.
"""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

from PySide6.QtCore import QSize, Qt, Signal, Slot
from PySide6.QtWidgets import (
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QLineEdit,
    QProgressBar,
    QScrollArea,
    QSizePolicy,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from engine.media.export_request import ExportRequest
from ltx_studio.domain.queue import Item
from ltx_studio.services.desktop import reveal
from ltx_studio.state.export import ExportState
from ltx_studio.state.observable import bind
from ltx_studio.ui import export_words, queue_words
from ltx_studio.ui.check_box import CheckBox
from ltx_studio.ui.controls import Button, IconButton, Label, describe, set_role
from ltx_studio.ui.export_picture import ExportPicture
from ltx_studio.ui.export_presets import PresetRow
from ltx_studio.ui.export_range import TEXT_INSET, ExportRange
from ltx_studio.ui.export_sound import ExportSound
from ltx_studio.ui.theme import GAP, GRID, PADDING, WIDE_GAP, Appearance

_BAR_UNITS = 1000
_SCROLL_BAR_PIXELS = 10  # as the style sheet has it
_WARNINGS = {"enlarged", "odd_size", "alpha", "hdr", "bits", "no_hardware", "surround", "gif_rate", "cut"}
# Asks the user for a file: the parent, a title, and where to start. None: given up.
AskFile = Callable[[QWidget, str, Path], Path | None]


def ask_sound_file(parent: QWidget, title: str, start: Path) -> Path | None:
    name, _ = QFileDialog.getOpenFileName(parent, title, str(start))
    return Path(name) if name else None


def ask_output(parent: QWidget, title: str, start: Path) -> Path | None:
    name, _ = QFileDialog.getSaveFileName(parent, title, str(start))
    return Path(name) if name else None


class ExportPanel(QWidget):
    """Shows an `ExportState`."""

    clip_wanted = Signal()  # export the clip in the player
    marks_wanted = Signal()  # its in and out points

    def __init__(
        self,
        state: ExportState,
        appearance: Appearance,
        parent: QWidget | None = None,
        *,
        ask_sound: AskFile = ask_sound_file,
        ask_name: AskFile = ask_output,
        show_in_folder: Callable[[Path], bool] = reveal,
    ) -> None:
        super().__init__(parent)
        self._state = state
        self._ask_sound = ask_sound
        self._ask_name = ask_name
        self._show_in_folder = show_in_folder
        self._build(appearance)
        self._arrange()
        self._connect()

    # --- building -----------------------------------------------------------------------------------------------------

    def _build(self, appearance: Appearance) -> None:
        state = self._state
        self._empty = _Invitation(self)
        self._clip = Label(role="heading", parent=self)
        self._clip.setAccessibleName(self.tr("Clip"))
        self._clip.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self._facts = Label(role="secondary", parent=self)
        self._facts.setAccessibleName(self.tr("What the clip is"))
        self._presets = PresetRow(state, appearance, self)
        self._preset = self._presets.choice
        self._about = Label(role="secondary", parent=self)
        self._about.setWordWrap(True)
        self.range = ExportRange(state, self)
        self.picture = ExportPicture(state, appearance, self)
        self.sound = ExportSound(state, appearance, self)
        self._name = QLineEdit(self)
        self._name.setProperty("role", "field")
        self._name.setTextMargins(-TEXT_INSET, 0, -TEXT_INSET, 0)
        describe(self._name, self.tr("File name"), self.tr("The file's name; its ending follows the format"))
        self._browse = IconButton("mdi6.folder-outline", self.tr("Choose where to save it"), appearance, self)
        self._folder = Label(role="secondary", parent=self)
        self._folder.setAccessibleName(self.tr("Folder"))
        self._folder.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        text = self.tr("Leave out how it was made")
        tip = self.tr("The file then holds neither prompt and settings nor any other remark of a program")
        self._strip = CheckBox(text, text, tip, appearance, self)
        self._summary = Label(parent=self)
        self._summary.setAccessibleName(self.tr("What will be made"))
        self._summary.setWordWrap(True)
        self._notes = Label(role="secondary", parent=self)
        self._notes.setAccessibleName(self.tr("Notes on the export"))
        self._notes.setWordWrap(True)
        self._problem = Label(role="danger-small", parent=self)
        self._problem.setAccessibleName(self.tr("Why it cannot be exported"))
        self._problem.setWordWrap(True)
        self._export = Button(self.tr("Export"), "main", self)
        self._outcome = _Outcome(appearance, self)

    def _arrange(self) -> None:
        form = QWidget(self)
        column = QVBoxLayout(form)
        column.setContentsMargins(PADDING, GAP, PADDING - _SCROLL_BAR_PIXELS, PADDING)
        column.setSpacing(GRID)
        column.addWidget(self._clip)
        column.addWidget(self._facts)
        column.addSpacing(GAP)
        label = Label(self._preset.accessibleName(), "secondary", form)
        label.setBuddy(self._preset)
        column.addWidget(label)
        column.addWidget(self._presets)
        column.addWidget(self._about)
        for title, part in (
            (self.tr("Range"), self.range),
            (self.tr("Picture"), self.picture),
            (self.tr("Sound"), self.sound),
        ):
            self._add_part(column, title, part)
        self._add_part(column, self.tr("File"), self._file_part(form))
        column.addStretch(1)
        scroll = QScrollArea(self)
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)  # so that nothing moves when it comes
        scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        scroll.setWidget(form)
        # Nothing is ever cut off at the side: there is no bar to bring it back with.
        scroll.setMinimumWidth(form.minimumSizeHint().width() + _SCROLL_BAR_PIXELS)
        bottom = QVBoxLayout()
        bottom.setContentsMargins(PADDING, GAP, PADDING, PADDING)
        bottom.setSpacing(GRID)
        for widget in (self._summary, self._notes, self._problem, self._export, self._outcome):
            bottom.addWidget(widget)
        self._pages = QStackedWidget(self)
        page = QWidget(self)
        layout = QVBoxLayout(page)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(scroll, 1)
        layout.addWidget(_line(page))
        layout.addLayout(bottom)
        self._pages.addWidget(self._empty)
        self._pages.addWidget(page)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self._pages)
        self._order_keys()
        self.setFocusProxy(self._preset)

    def _add_part(self, column: QVBoxLayout, title: str, part: QWidget) -> None:
        column.addSpacing(WIDE_GAP)
        column.addWidget(_line(self))
        column.addSpacing(GRID)
        column.addWidget(Label(title, "heading", self))
        column.addSpacing(GRID)
        column.addWidget(part)

    def _file_part(self, parent: QWidget) -> QWidget:
        part = QWidget(parent)
        first = QHBoxLayout()
        first.setSpacing(GRID)
        first.addWidget(self._name, 1)
        first.addWidget(self._browse)
        layout = QVBoxLayout(part)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(GRID)
        layout.addLayout(first)
        layout.addWidget(self._folder)
        layout.addWidget(self._strip)
        return part

    def _order_keys(self) -> None:
        controls = [
            *(*self._presets.controls(), *self.range.controls(), *self.picture.controls(), *self.sound.controls()),
            *(self._name, self._browse, self._strip, self._export),
        ]
        for before, after in pairwise(controls):
            QWidget.setTabOrder(before, after)

    def _connect(self) -> None:
        state = self._state
        self._empty.clip_asked.connect(self.clip_wanted)
        self.range.marks_asked.connect(self.marks_wanted)
        self.range.refused.connect(self._say)
        self.sound.file_asked.connect(self._choose_sound)
        self._name.editingFinished.connect(self._name_edited)
        self._browse.clicked.connect(self._choose_name)
        self._strip.clicked.connect(lambda is_wanted: state.change(keeps_metadata=not is_wanted))
        self._export.clicked.connect(state.export)
        self._outcome.reveal_asked.connect(self._reveal)
        self._outcome.cancel_asked.connect(state.cancel)
        bind(state.source, self._show_clip)
        bind(state.is_reading, self._show_clip)
        bind(state.preset, self._show_preset)
        bind(state.request, self._show_request)
        bind(state.output, self._show_output)
        bind(state.plan, self._show_plan)
        bind(state.problem, self._show_plan)
        bind(state.job, self._outcome.show_job)

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        return QSize(360, 640)

    # --- what the user does -------------------------------------------------------------------------------------------

    @Slot()
    def _choose_sound(self) -> None:
        path = self._ask_sound(self, self.tr("Add a sound file"), self._state.request.value.clip.parent)
        if path is not None:
            self._state.add_audio(path)

    @Slot()
    def _choose_name(self) -> None:
        path = self._ask_name(self, self.tr("Export to"), self._state.output.value)
        if path is not None:
            self._state.name_output(path)

    @Slot()
    def _name_edited(self) -> None:
        name = self._name.text().strip()
        current = self._state.output.value
        if name and name != current.name and Path(name).name == name:
            self._state.name_output(current.with_name(name))
        self._show_output(self._state.output.value)

    @Slot()
    def _reveal(self) -> None:
        item = self._state.job.value
        if item is not None and not self._show_in_folder(item.job.path):
            self._say(self.tr("No file manager answered. The file is {path}").format(path=item.job.path))

    @Slot(str)
    def _say(self, text: str) -> None:
        self._problem.setText(text)
        self._problem.setVisible(bool(text))

    # --- what is shown ------------------------------------------------------------------------------------------------

    def _show_clip(self, _changed: object) -> None:
        state = self._state
        source, path = state.source.value, state.request.value.clip
        self._pages.setCurrentIndex(1 if source is not None or state.is_reading.value or state.problem.value else 0)
        self._clip.setText(path.name)
        self._clip.setToolTip(str(path))
        reading = self.tr("Reading the clip") if state.is_reading.value else ""
        self._facts.setText(reading or (export_words.clip_facts(source) if source is not None else ""))

    def _show_preset(self, _name: str) -> None:
        about = self._preset.currentData(Qt.ItemDataRole.ToolTipRole) or self.tr("As you set it below")
        self._about.setText(about)

    def _show_request(self, request: ExportRequest) -> None:
        self._strip.setChecked(not request.settings.keeps_metadata)

    def _show_output(self, output: Path) -> None:
        if output.name:
            self._name.setText(output.name)
            self._folder.setText(self.tr("in {folder}").format(folder=output.parent))
            self._folder.setToolTip(str(output.parent))

    def _show_plan(self, _changed: object) -> None:
        plan, problem = self._state.plan.value, self._state.problem.value
        self._say(problem)
        self._export.setEnabled(plan is not None)
        why = problem or self.tr("The clip is not read yet.")
        describe(self._export, self.tr("Export"), self.tr("Put it into the queue") if plan is not None else why)
        self._summary.setText("" if plan is None else export_words.summary(plan))
        self._summary.setVisible(plan is not None)
        notes = () if plan is None else plan.notes
        self._notes.setText("\n".join(note.message for note in notes))
        self._notes.setVisible(bool(notes))
        set_role(self._notes, "warn-small" if any(note.code in _WARNINGS for note in notes) else "secondary")
        if self._state.source.value is None:
            self._show_clip(None)


class _Outcome(QWidget):
    """How the export that was asked for last is getting on."""

    reveal_asked = Signal()
    cancel_asked = Signal()

    def __init__(self, appearance: Appearance, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._words = Label(parent=self)
        self._words.setAccessibleName(self.tr("The last export"))
        self._words.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self._words.setWordWrap(True)
        self._bar = QProgressBar(self)
        self._bar.setRange(0, _BAR_UNITS)
        self._bar.setTextVisible(False)
        self._bar.setAccessibleName(self.tr("Progress of the export"))
        self._reveal = Button(self.tr("Reveal file"), parent=self)
        describe(self._reveal, self._reveal.text(), self.tr("Show it in its folder"))
        self._cancel = IconButton("mdi6.close", self.tr("Cancel this export"), appearance, self)
        first = QHBoxLayout()
        first.setSpacing(GAP)
        first.addWidget(self._words, 1)
        first.addWidget(self._reveal)
        first.addWidget(self._cancel)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, GRID, 0, 0)
        layout.setSpacing(GRID)
        layout.addLayout(first)
        layout.addWidget(self._bar)
        self._reveal.clicked.connect(self.reveal_asked)
        self._cancel.clicked.connect(self.cancel_asked)

    def show_job(self, item: Item | None) -> None:
        self.setVisible(item is not None)
        if item is None:
            return
        is_busy = item.state in {"waiting", "running", "paused"}
        self._reveal.setVisible(item.state == "done")
        self._cancel.setVisible(is_busy)
        self._bar.setVisible(is_busy)
        self._bar.setValue(round(item.fraction * _BAR_UNITS))
        set_role(self._words, "danger-small" if item.state == "failed" else "secondary")
        self._words.setText(self._sentence(item))
        self._words.setToolTip(item.job.output)

    def _sentence(self, item: Item) -> str:
        name = item.job.path.name
        match item.state:
            case "waiting":
                return self.tr("{name} waits for its turn").format(name=name)
            case "running":
                return self.tr("Exporting {name}, {percent} %").format(name=name, percent=round(item.fraction * 100))
            case "paused":
                return self.tr("{name} is paused").format(name=name)
            case "done":
                return self.tr("{name} is done").format(name=name)
            case "cancelled":
                return self.tr("{name} was cancelled").format(name=name)
            case "failed":
                return queue_words.error(item)


class _Invitation(QWidget):
    """What goes here, and the one thing to do about it."""

    clip_asked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        text = Label(self.tr("A clip you export is made into a file for somebody else here."), "secondary", self)
        text.setWordWrap(True)
        text.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        button = Button(self.tr("Export the clip on show"), parent=self)
        describe(button, button.text(), self.tr("The one in the player"))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(PADDING, PADDING, PADDING, PADDING)
        layout.setSpacing(GAP)
        layout.addStretch(1)
        layout.addWidget(text)
        layout.addWidget(button, 0, Qt.AlignmentFlag.AlignHCenter)
        layout.addStretch(1)
        button.clicked.connect(self.clip_asked)


def _line(parent: QWidget) -> QFrame:
    line = QFrame(parent)
    line.setFixedHeight(1)
    set_role(line, "divider")
    return line
