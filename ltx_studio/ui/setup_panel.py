"""The engine on the first page: which one, how far its installation is, and what can be done with it later.

Hidden where nothing manages the installation and nothing is missing. The rest of the window stays usable throughout.
"""

from pathlib import Path

from PySide6.QtCore import QSignalBlocker, Signal, Slot
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QProgressBar, QVBoxLayout, QWidget

from ltx_studio.installation.messages import Step
from ltx_studio.state.observable import bind
from ltx_studio.state.setup import Phase, SetupState, SetupView
from ltx_studio.ui import setup_words
from ltx_studio.ui.controls import Button, Choice, Label, describe
from ltx_studio.ui.models_card import SaidLine
from ltx_studio.ui.theme import GAP, GRID, Appearance

_BAR_UNITS = 1000
_BUNDLE_NAME = "ltx-studio-support.zip"


class SetupPanel(QWidget):
    """Says with `said` what happens, for when the page is not looked at, and `ending` when the window closes."""

    said = Signal(str)
    ending = Signal()

    def __init__(self, state: SetupState, appearance: Appearance, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state = state
        self._title = Label(parent=self)
        self._title.setAccessibleName(self.tr("The engine"))
        self._target = Choice(
            self.tr("Engine"), self.tr("What clips are made with; the one that fits is chosen"), appearance, self
        )
        self._bar = QProgressBar(self)
        self._bar.setTextVisible(False)
        self._bar.setAccessibleName(self.tr("Progress of the installation"))
        self._numbers = Label(parent=self)
        self._numbers.setAccessibleName(self.tr("How far the installation is"))
        self._room = Label(role="secondary", parent=self)
        self._said_line = SaidLine(appearance, self)
        self._release = Label(parent=self)
        for label in (self._title, self._numbers, self._room, self._release):
            label.setWordWrap(True)
        self.main = Button("", "main", self)
        self._folder = Button(self.tr("Other &folder…"), parent=self)
        self._support = Button(self.tr("Save a &log…"), parent=self)
        self._models = Button(self.tr("&Models folder…"), parent=self)
        self._projects = Button(self.tr("Pro&jects folder…"), parent=self)
        self._repair = Button(self.tr("&Repair"), parent=self)
        self._back = Button(self.tr("&Go back"), parent=self)
        self._update = Button(self.tr("&Update"), parent=self)
        self._skip = Button(self.tr("S&kip this version"), parent=self)
        self._describe()
        self._arrange()
        self.main.clicked.connect(self._press_main)
        self._folder.clicked.connect(self._choose_folder)
        self._models.clicked.connect(lambda: self._choose_place("models", self._models.toolTip()))
        self._projects.clicked.connect(lambda: self._choose_place("projects", self._projects.toolTip()))
        self._support.clicked.connect(self._save_support)
        self._repair.clicked.connect(state.repair)
        self._back.clicked.connect(self._go_back)
        self._update.clicked.connect(state.update)
        self._skip.clicked.connect(state.skip)
        self._target.activated.connect(self._choose_target)
        self._last_said = ""
        bind(state.view, self._show)

    def _describe(self) -> None:
        for button, name, tip in (
            (self._folder, self.tr("Other folder for the engine"), self.tr("Choose where the engine's files go")),
            (
                self._support,
                self.tr("Save a log for support"),
                self.tr("What happened here, as a file; names, folders and prompts are taken out"),
            ),
            (
                self._models,
                self.tr("Other folder for models"),
                self.tr("Choose where models go from the next start on"),
            ),
            (
                self._projects,
                self.tr("Other folder for projects"),
                self.tr("Choose where projects go from the next start on"),
            ),
            (
                self._repair,
                self.tr("Repair the installation"),
                self.tr("Look at every installed file, and mend only what is broken"),
            ),
            (self._back, self.tr("Go back to the version before"), self.tr("Use what was installed before this")),
            (self._update, self.tr("Update LTX Studio"), self.tr("Fetch and install the new version")),
            (self._skip, self.tr("Skip this version"), self.tr("Do not offer this version again")),
        ):
            describe(button, name, tip)

    def _arrange(self) -> None:
        buttons = QHBoxLayout()
        buttons.setSpacing(GAP)
        for button in (
            *(self.main, self._folder, self._models, self._projects),
            *(self._repair, self._back, self._support),
        ):
            buttons.addWidget(button)
        buttons.addStretch(1)
        updates = QHBoxLayout()
        updates.setSpacing(GAP)
        updates.addWidget(self._update)
        updates.addWidget(self._skip)
        updates.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(GAP)
        for widget in (self._title, self._target, self._bar, self._numbers, self._room, self._said_line):
            layout.addWidget(widget)
        layout.addSpacing(GRID)
        layout.addLayout(buttons)
        layout.addWidget(self._release)
        layout.addLayout(updates)

    # --- what it shows ------------------------------------------------------------------------------------------------

    def _show(self, view: SetupView) -> None:
        self._title.setText(setup_words.title(view))
        is_choosing = view.phase in {Phase.OFFER, Phase.FAILED} and not view.has_engine
        self._show_choices(view, is_choosing=is_choosing)
        self._show_progress(view)
        self._room.setText(setup_words.room(view))
        self._room.setVisible(is_choosing and bool(self._room.text()))
        self._said_line.say(setup_words.said(view))
        self._show_main(view)
        self._folder.setVisible(is_choosing)
        self._folder.setEnabled(not view.has_begun)
        if view.has_begun:
            self._folder.setToolTip(self.tr("Part of the engine is there already. Uninstall it to choose another."))
        for button in (self._models, self._projects):
            button.setVisible(view.phase in {Phase.OFFER, Phase.READY})
        is_resting = view.phase in {Phase.READY, Phase.FAILED, Phase.RESTART}
        self._repair.setVisible(is_resting and (view.has_engine or view.has_begun))
        self._back.setVisible(is_resting and bool(view.can_roll_back))
        self._support.setVisible(is_resting)
        self._release.setText(setup_words.release(view))
        has_release = view.release is not None and view.phase is not Phase.WORKING
        for widget in (self._release, self._update, self._skip):
            widget.setVisible(has_release)
        now = f"{setup_words.title(view)} {setup_words.numbers(view)}".rstrip()
        if view.phase is not Phase.LOOKING and now != self._last_said:
            self._last_said = now
            self.said.emit(now)

    def _show_choices(self, view: SetupView, *, is_choosing: bool) -> None:
        self._target.setVisible(is_choosing and len(view.choices) > 1)
        with QSignalBlocker(self._target):
            if self._target.count() != len(view.choices):
                self._target.clear()
                for item in view.choices:
                    self._target.addItem(setup_words.choice(item), item.target)
            for index, item in enumerate(view.choices):
                self._target.setItemText(index, setup_words.choice(item))
            self._target.setCurrentIndex(self._target.findData(view.target))

    def _show_progress(self, view: SetupView) -> None:
        progress = view.progress
        is_shown = view.phase in {Phase.WORKING, Phase.PAUSED}
        self._bar.setVisible(is_shown)
        has_number = progress is not None and progress.total > 0
        # Without a number the bar runs to and fro.
        self._bar.setRange(0, _BAR_UNITS if has_number or view.phase is Phase.PAUSED else 0)
        if progress is not None and has_number:
            self._bar.setValue(round(_BAR_UNITS * min(1.0, progress.done / progress.total)))
        self._numbers.setText(setup_words.numbers(view))
        self._numbers.setVisible(bool(self._numbers.text()))

    def _show_main(self, view: SetupView) -> None:
        match view.phase:
            case Phase.OFFER:
                self.main.setText(self.tr("&Install the engine"))
                describe(self.main, self.tr("Install the engine"), setup_words.why_not(view))
            case Phase.WORKING:
                is_testing = view.progress is not None and view.progress.step is Step.TESTING
                self.main.setText(self.tr("&Pause"))
                tip = self.tr("This takes a few seconds") if is_testing else self.tr("Stops, and keeps what is there")
                describe(self.main, self.tr("Pause the installation"), tip)
            case Phase.PAUSED:
                self.main.setText(self.tr("&Resume"))
                describe(self.main, self.tr("Resume the installation"), self.tr("Goes on from where it was"))
            case Phase.FAILED:
                self.main.setText(self.tr("&Try again"))
                describe(self.main, self.tr("Try again"), self.tr("Goes on from where it was"))
            case Phase.RESTART:
                self.main.setText(self.tr("Start &again"))
                describe(
                    self.main, self.tr("Start the studio again"), self.tr("Closes this window, and opens a new one")
                )
            case _:
                pass
        self.main.setVisible(view.phase not in {Phase.LOOKING, Phase.READY})
        self.main.setEnabled(view.phase is not Phase.OFFER or not setup_words.why_not(view))

    # --- what is pressed ----------------------------------------------------------------------------------------------

    @Slot()
    def _press_main(self) -> None:
        match self._state.view.value.phase:
            case Phase.OFFER:
                self._state.install()
            case Phase.WORKING:
                self._state.pause()
            case Phase.FAILED if self._state.view.value.work is None:
                self._state.install()
            case Phase.PAUSED | Phase.FAILED:
                self._state.again()
            case Phase.RESTART:
                self._state.restart()
            case _:
                pass

    @Slot(int)
    def _choose_target(self, index: int) -> None:
        self._state.choose_target(str(self._target.itemData(index)))

    @Slot()
    def _choose_folder(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, self.tr("Where the engine goes"), self._state.view.value.folder)
        if folder:
            self._state.choose_folder(Path(folder))

    def _choose_place(self, use: str, title: str) -> None:
        folder = QFileDialog.getExistingDirectory(self, title)
        if folder:
            self._state.choose_place(use, Path(folder))

    @Slot()
    def _save_support(self) -> None:
        title = self.tr("Save a log for support")
        path, _ = QFileDialog.getSaveFileName(self, title, str(Path.home() / _BUNDLE_NAME), "*.zip")
        if path:
            self._state.save_support(Path(path))

    @Slot()
    def _go_back(self) -> None:
        self._state.roll_back(self._state.view.value.can_roll_back)
