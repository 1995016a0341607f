"""The first thing a new user sees: what this machine can do, where models go, and one button to begin.

No account, no network, no steps. It comes back from the Help menu.
"""

import os
from pathlib import Path

import qtawesome
from PySide6.QtCore import QSize, Qt, Signal, Slot
from PySide6.QtGui import QColor, QKeyEvent
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QLabel, QScrollArea, QVBoxLayout, QWidget

from engine.folders import models_folder
from engine.hardware import Machine
from engine.pipelines.plan import Plan
from ltx_studio.domain.job import Failed
from ltx_studio.domain.outlook import Outlook, outlooks
from ltx_studio.services.gauges import free_disk_bytes
from ltx_studio.services.installer import has_engine
from ltx_studio.settings import HAS_SEEN_WELCOME, SHOW_WELCOME
from ltx_studio.state.observable import bind
from ltx_studio.state.preferences import Preferences
from ltx_studio.state.session import Session
from ltx_studio.ui import words
from ltx_studio.ui.check_box import CheckBox
from ltx_studio.ui.controls import Button, Label, describe, set_role
from ltx_studio.ui.fit_line import memory_free, memory_needed
from ltx_studio.ui.setup_panel import SetupPanel
from ltx_studio.ui.setup_wiring import make_setup
from ltx_studio.ui.theme import GAP, GRID, ICON_PIXELS, PADDING, WIDE_GAP, Appearance

_WIDTH = 640  # pixels: some ninety characters, the longest line that is read with ease
_MARGIN = 40
_GIGABYTE = 10**9  # of downloads, as hubs and disks count
_LOOKS = {
    "green": ("ok", "mdi6.check-circle-outline"),
    "amber": ("warn", "mdi6.alert-outline"),
    "red": ("danger", "mdi6.close-octagon-outline"),
    "none": ("secondary", "mdi6.tray-arrow-down"),
}


class WelcomePage(QWidget):
    """Says `start_asked` when the user wants to begin, `models_asked` when they want a larger model first."""

    start_asked = Signal()
    models_asked = Signal()
    said = Signal(str)  # of the engine's installation, for when the page is not looked at

    def __init__(
        self,
        session: Session,
        preferences: Preferences,
        appearance: Appearance,
        *,
        has_models_page: bool,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._appearance = appearance
        self._machine_label = Label(self.tr("Looking at this machine"), parent=self)
        self._machine_label.setAccessibleName(self.tr("This machine"))
        self._models = QGridLayout()
        self._folder = Label(parent=self)
        self._folder.setAccessibleName(self.tr("Where models go"))
        self._free = Label(role="secondary", parent=self)
        for label in (self._machine_label, self._folder, self._free):
            label.setWordWrap(True)
        again = self.tr("Show this &page each time the studio starts")
        name = again.replace("&", "")
        self._again = CheckBox(again, name, name, appearance, self)
        self.start = Button("", "main", self)
        self._other = Button(self.tr("Choose a &larger model"), parent=self)
        self._other.setVisible(has_models_page)
        describe(self._other, self.tr("Choose a larger model"), self.tr("See all models, and fetch one"))
        self._setup = make_setup(preferences, appearance, self)
        if isinstance(self._setup, SetupPanel):
            self._setup.said.connect(self.said)
        self._arrange()
        self._preferences = preferences
        self.start.clicked.connect(self.start_asked)
        self._other.clicked.connect(self.models_asked)
        self.start_asked.connect(self._seen)
        self.models_asked.connect(self._seen)
        self._again.toggled.connect(lambda is_on: preferences.put(SHOW_WELCOME, is_on))
        preferences.watch(SHOW_WELCOME, self._again.setChecked, self)
        bind(session.machine, self._show_machine)
        appearance.theme.changed.connect(lambda: self._show_machine(session.machine.value))

    def _arrange(self) -> None:
        column = QWidget(self)
        column.setMaximumWidth(_WIDTH)
        layout = QVBoxLayout(column)
        layout.setContentsMargins(PADDING, _MARGIN, PADDING, PADDING)
        layout.setSpacing(GAP)
        layout.addWidget(Label(self.tr("Welcome to LTX Studio"), "title", self))
        promise = self.tr("Everything is made on this machine. No account, and no network once a model is here.")
        layout.addWidget(Label(promise, "secondary", self))
        for heading, *contents in (
            *([] if self._setup is None else [(self.tr("The engine"), self._setup)]),
            (self.tr("This machine"), self._machine_label),
            (self.tr("What it can make"), self._models),
            (self.tr("Where models go"), self._folder, self._free),
        ):
            layout.addSpacing(WIDE_GAP)
            layout.addWidget(Label(heading, "heading", self))
            for item in contents:
                if isinstance(item, QGridLayout):
                    layout.addLayout(item)
                else:
                    layout.addWidget(item)
        self._models.setHorizontalSpacing(GAP)
        self._models.setVerticalSpacing(GRID)
        self._models.setColumnStretch(1, 1)
        buttons = QHBoxLayout()
        buttons.setSpacing(GAP)
        buttons.addWidget(self.start)
        buttons.addWidget(self._other)
        buttons.addStretch(1)
        layout.addSpacing(2 * WIDE_GAP)
        layout.addLayout(buttons)
        layout.addWidget(self._again, 0, Qt.AlignmentFlag.AlignLeft)
        layout.addStretch(1)
        # Centred, and scrolled where the window is lower than the page.
        middle = QWidget(self)
        centre = QHBoxLayout(middle)
        centre.setContentsMargins(0, 0, 0, 0)
        centre.addStretch(1)
        centre.addWidget(column, 100)
        centre.addStretch(1)
        area = QScrollArea(self)
        area.setWidgetResizable(True)
        area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        area.setWidget(middle)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(area)

    @Slot()
    def end(self) -> None:
        """The window closes: an installation that runs stops, and goes on at the next start."""
        if isinstance(self._setup, SetupPanel):
            self._setup.ending.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        if event.key() == Qt.Key.Key_Escape:
            self.start_asked.emit()
        elif event.key() in {Qt.Key.Key_Return, Qt.Key.Key_Enter}:
            self.start.click()
        else:
            super().keyPressEvent(event)

    @Slot()
    def _seen(self) -> None:
        self._preferences.put(HAS_SEEN_WELCOME, True)

    # --- what it says -------------------------------------------------------------------------------------------------

    def _show_machine(self, machine: Machine | None) -> None:
        self._show_folder(models_folder())
        if machine is None:
            self._say_start(is_starter_there=False, is_another_there=False)
            return
        self._machine_label.setText(self._about(machine))
        found = outlooks(machine)
        while self._models.count():
            item = self._models.takeAt(0)
            if item is not None and (widget := item.widget()) is not None:
                widget.deleteLater()
        for row, outlook in enumerate(found):
            self._add_outlook(2 * row, outlook)
        self._say_start(
            is_starter_there=found[0].is_installed, is_another_there=any(item.is_installed for item in found[1:])
        )

    def _about(self, machine: Machine) -> str:
        device = machine.best_device
        ram = words.memory(machine.ram_total_bytes)
        if device.kind == "cuda":
            sentence = self.tr("{gpu} with {vram} of its own memory; {ram} of main memory, {cores} processor cores.")
        elif device.kind == "mps":
            sentence = self.tr("{gpu}, which shares {ram} of memory with {cores} processor cores.")
        else:
            sentence = self.tr(
                "No graphics card that can run the model was found: clips are made by {cores} processor cores, "
                "with {ram} of memory. That works, slowly."
            )
        return sentence.format(gpu=device.name, vram=words.memory(device.total_bytes), ram=ram, cores=machine.num_cores)

    def _show_folder(self, folder: Path) -> None:
        free_bytes = free_disk_bytes(folder)
        self._folder.setText(str(folder).replace(os.sep, f"{os.sep}\N{ZERO WIDTH SPACE}"))  # a path may break at each
        self._free.setText("" if free_bytes is None else self.tr("{free} free").format(free=words.memory(free_bytes)))

    def _say_start(self, *, is_starter_there: bool, is_another_there: bool) -> None:
        with_starter = is_starter_there and not is_another_there
        is_engine_there = self._setup is None or has_engine()
        if not is_engine_there:
            self.start.setText(self.tr("&Look around"))
        else:
            self.start.setText(self.tr("&Start with the starter model") if with_starter else self.tr("&Start"))
        set_role(self.start, "main" if is_engine_there else "")  # one main button at a time
        describe(self.start, self.start.text().replace("&", ""), self.tr("Go to the studio"))

    def _add_outlook(self, row: int, outlook: Outlook) -> None:
        light, verdict = self._verdict(outlook)
        role, icon_name = _LOOKS[light]
        colour = "text_dim" if role == "secondary" else role
        icon = QLabel(self)
        pixmap = qtawesome.icon(icon_name, color=QColor(getattr(self._appearance.theme.value, colour)))
        icon.setPixmap(pixmap.pixmap(QSize(ICON_PIXELS, ICON_PIXELS), self.devicePixelRatioF()))
        title = Label(self._title(outlook), parent=self)
        sentence = Label(verdict, "secondary", self)
        if role != "secondary":
            set_role(sentence, f"{role}-small")
        title.setWordWrap(True)
        sentence.setWordWrap(True)
        self._models.addWidget(icon, row, 0, Qt.AlignmentFlag.AlignTop)
        self._models.addWidget(title, row, 1)
        self._models.addWidget(sentence, row + 1, 1)

    def _title(self, outlook: Outlook) -> str:
        if outlook.is_installed:
            return self.tr("{model} (installed)").format(model=outlook.title)
        if not outlook.download_bytes:
            return outlook.title
        sentence = self.tr("{model} ({size} GB to fetch)")
        if not outlook.is_all_counted:
            sentence = self.tr("{model} ({size} GB to fetch, and the text encoder)")
        return sentence.format(model=outlook.title, size=f"{outlook.download_bytes / _GIGABYTE:.0f}")

    def _verdict(self, outlook: Outlook) -> tuple[str, str]:
        match outlook.plan:
            case None:
                return "none", self.tr(
                    "Not part of this copy. Until a model is here, clips are noise: you can try the studio."
                )
            case Failed(_, message, remedy):
                return "red", f"{message} {remedy}".rstrip()
            case Plan() as plan:
                verdicts = {
                    "green": self.tr("Fits: {seconds} s of {size} in about {time}."),
                    "amber": self.tr("Just fits: {seconds} s of {size} in about {time}. Close other programs first."),
                    "red": self.tr("Does not fit: {seconds} s of {size} take {memory}; {free} are free."),
                }
                return plan.light, verdicts[plan.light].format(
                    seconds=f"{plan.duration_s:.0f}" if plan.duration_s >= 3 else f"{plan.duration_s:.1f}",
                    size=words.size(plan.size),
                    time=words.duration(plan.estimate.seconds),
                    memory=memory_needed(plan),
                    free=memory_free(plan),
                )
