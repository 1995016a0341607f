"""One model on the model page: what it is, how far it is, whether it fits, what can be done, and its files."""

from collections.abc import Callable
from dataclasses import dataclass

import qtawesome
from PySide6.QtCore import QSize, Qt, Signal, Slot
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from ltx_studio.domain.model_tasks import Get, Queue, Task
from ltx_studio.domain.models import Inventory, ModelRow
from ltx_studio.ui import models_words
from ltx_studio.ui.controls import Button, Label, describe, set_role
from ltx_studio.ui.models_details import ModelDetails
from ltx_studio.ui.models_words import Said
from ltx_studio.ui.prompt_fold import Fold
from ltx_studio.ui.theme import GAP, GRID, ICON_PIXELS, PADDING, Appearance


@dataclass(frozen=True)
class Shown:
    """Everything that decides what a card looks like."""

    row: ModelRow
    inventory: Inventory
    queue: Queue
    is_sealed: bool
    is_making: bool  # a clip is being made, perhaps with this model


class ModelCard(QWidget):
    """Asks for what its buttons say; the panel knows how."""

    get_asked = Signal(str)
    pause_asked = Signal()
    resume_asked = Signal()
    drop_asked = Signal(object)  # Task
    verify_asked = Signal(str)
    export_asked = Signal(str)
    remove_asked = Signal(str)
    token_given = Signal(str)
    page_asked = Signal(str)  # an address

    def __init__(self, appearance: Appearance, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._shown: Shown | None = None
        self._main_does: Callable[[], None] = self._get
        self._title = Label(role="heading", parent=self)
        self._fold = Fold(self.tr("Details"), appearance, self)
        self._state = SaidLine(appearance, self)
        self._fit = SaidLine(appearance, self)
        self._room = SaidLine(appearance, self)
        self._terms = SaidLine(appearance, self)
        self._problem = SaidLine(appearance, self)
        self._main = Button("", parent=self)
        self._drop = Button(self.tr("Stop"), parent=self)
        self._verify = Button(self.tr("Verify"), parent=self)
        self._export = Button(self.tr("Export"), parent=self)
        self._remove = Button(self.tr("Remove"), parent=self)
        self._details = ModelDetails(appearance, self)
        self._details.hide()
        self._arrange()
        self._connect()

    def _arrange(self) -> None:
        self._title.setWordWrap(True)
        head = QHBoxLayout()
        head.setSpacing(GAP)
        head.addWidget(self._title, 1)
        head.addWidget(self._fold, 0, Qt.AlignmentFlag.AlignTop)
        buttons = QHBoxLayout()
        buttons.setSpacing(GAP)
        for button in (self._main, self._drop, self._verify, self._export, self._remove):
            buttons.addWidget(button)
        buttons.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(PADDING, PADDING, PADDING, PADDING)
        layout.setSpacing(GRID)
        layout.addLayout(head)
        for widget in (self._state, self._fit, self._room, self._terms, self._problem):
            layout.addWidget(widget)
        layout.addSpacing(GRID)
        layout.addLayout(buttons)
        layout.addWidget(self._details)

    def _connect(self) -> None:
        self._main.clicked.connect(self._press_main)
        self._drop.clicked.connect(self._press_drop)
        self._verify.clicked.connect(lambda: self.verify_asked.emit(self._row.name))
        self._export.clicked.connect(lambda: self.export_asked.emit(self._row.name))
        self._remove.clicked.connect(lambda: self.remove_asked.emit(self._row.name))
        self._fold.toggled.connect(self._details.setVisible)
        self._details.token_given.connect(self.token_given)
        self._details.page_asked.connect(self.page_asked)

    @property
    def _row(self) -> ModelRow:
        assert self._shown is not None, "the panel shows a row before anything can be pressed"
        return self._shown.row

    @property
    def last_control(self) -> QWidget:
        """Where Tab leaves the card, at the latest."""
        return self._details.last_control

    def open_details(self) -> None:
        self._fold.setChecked(True)

    def show_model(self, shown: Shown) -> None:
        if shown == self._shown:
            return
        self._shown = shown
        row, inventory, queue = shown.row, shown.inventory, shown.queue
        self._title.setText(row.title)
        name = self.tr("Details: {model}").format(model=row.title)
        describe(self._fold, name, self.tr("Its files, licence and terms"))
        self._state.say(models_words.state(row, inventory, queue))
        self._state.setAccessibleName(self.tr("State of {model}").format(model=row.title))
        self._fit.say(models_words.fit(row))
        room = models_words.room(row, inventory)
        self._room.say(Said(room, "warn", models_words.WARN_ICON) if room else None)
        self._terms.say(self._terms_said(shown))
        problem = queue.problem(row.name)
        if queue.last is not None and queue.last.outcome == problem:
            problem = None  # the message above says it already
        text = "" if problem is None else f"{problem.message} {problem.remedy}".rstrip()
        self._problem.say(Said(text, "danger", models_words.DANGER_ICON) if text else None)
        self._show_buttons(shown)
        self._details.show_model(row, inventory, is_sealed=shown.is_sealed)

    def _terms_said(self, shown: Shown) -> Said | None:
        """What a gated repository asks for, as long as it stands in the way."""
        row = shown.row
        gated = next((licence for licence in row.licences if licence.terms_url is not None), None)
        if gated is None or shown.inventory.has_token or shown.inventory.is_complete(row.name):
            return None
        sentence = self.tr("Needs the {terms} accepted once by an account of yours, and its token: see Details.")
        if not row.is_text_encoder:
            sentence = self.tr("Its text encoder needs the {terms} accepted once, and a token: see Details.")
        role = "warn" if row.is_text_encoder else "secondary"  # the row where it is to be done says it louder
        return Said(sentence.format(terms=gated.name), role, "mdi6.key-outline")

    # --- the buttons --------------------------------------------------------------------------------------------------

    def _show_buttons(self, shown: Shown) -> None:
        row, queue = shown.row, shown.queue
        task = queue.doing(row.name)
        is_running = queue.running is not None and queue.running.task == task
        is_shipped = row.state in {"bundled", "absent"}
        self._show_main(shown, task, is_running=is_running)
        self._drop.setVisible(task is not None and (isinstance(task, Get) or is_running))
        drop = self.tr("Stop") if is_running or queue.is_paused else self.tr("Take out of the queue")
        self._drop.setText(drop)
        self._describe(self._drop, drop, self.tr("What was fetched is kept") if isinstance(task, Get) else "")
        is_idle = task is None and not is_shipped
        has_files = any(file.state in {"verified", "unverified"} for file in row.files)
        self._verify.setVisible(is_idle and has_files)
        self._describe(self._verify, self.tr("Verify"), self.tr("Read every byte and compare the hashes"))
        self._export.setVisible(is_idle and shown.inventory.is_complete(row.name))
        self._describe(
            self._export,
            self.tr("Export"),
            self.tr("Copy it into a folder, an offline pack, for machines without a network"),
        )
        self._remove.setVisible(is_idle and row.removable_bytes is not None)
        self._remove.setEnabled(not shown.is_making)
        tip = self.tr("Delete its files; asks first")
        if shown.is_making:
            tip = self.tr("A clip is being made; remove models when it is done")
        self._describe(self._remove, self.tr("Remove"), tip)

    def _show_main(self, shown: Shown, task: Task | None, *, is_running: bool) -> None:
        row = shown.row
        if isinstance(task, Get) and is_running:
            running = shown.queue.running
            is_stopping = running is not None and running.is_stopping
            tip = self.tr("Stops at once and keeps what was fetched")
            self._set_main(self.tr("Pause"), tip, self.pause_asked.emit, is_on=not is_stopping)
        elif isinstance(task, Get) and shown.queue.is_paused:
            self._set_main(self.tr("Resume"), self._reason(shown), self.resume_asked.emit, is_on=not shown.is_sealed)
        elif task is not None or row.state in {"bundled", "absent"} or shown.inventory.is_complete(row.name):
            self._main.hide()
        else:
            text = self.tr("Get")
            if row.state == "partial":
                text = self.tr("Resume")
            elif row.state == "missing" and row.here_bytes:
                text = self.tr("Get the rest")
            elif row.state == "verified":
                text = self.tr("Get the text encoder")
            self._set_main(text, self._reason(shown), self._get, is_on=not shown.is_sealed)

    def _reason(self, shown: Shown) -> str:
        if shown.is_sealed:
            return self.tr("Sealed: every connection of this program is refused.")
        needed = shown.inventory.missing_bytes(shown.row.name)
        if not needed:
            return self.tr("Fetch what is missing, then check every byte")
        return self.tr("Fetch {amount}, then check every byte").format(amount=models_words.amount(needed))

    def _set_main(self, text: str, tip: str, does: Callable[[], None], *, is_on: bool) -> None:
        self._main.setText(text)
        self._main.setEnabled(is_on)
        self._main.setVisible(True)
        self._describe(self._main, text, tip)
        self._main_does = does

    def _describe(self, button: Button, text: str, tip: str) -> None:
        name = self.tr("{action}: {model}").format(action=text, model=self._row.title)
        describe(button, name, tip or name)

    def _get(self) -> None:
        self.get_asked.emit(self._row.name)

    @Slot()
    def _press_main(self) -> None:
        self._main_does()

    @Slot()
    def _press_drop(self) -> None:
        assert self._shown is not None
        task = self._shown.queue.doing(self._row.name)
        if task is not None:
            self.drop_asked.emit(task)


class SaidLine(QWidget):
    """A shape and a sentence; hidden while there is nothing to say."""

    def __init__(self, appearance: Appearance, parent: QWidget) -> None:
        super().__init__(parent)
        self._appearance = appearance
        self._said: Said | None = None
        self._icon = QLabel(self)
        self._icon.setFixedSize(ICON_PIXELS, ICON_PIXELS)
        self._label = Label(role="secondary", parent=self)
        self._label.setWordWrap(True)
        self._label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setHorizontalSpacing(GAP)
        layout.addWidget(self._icon, 0, 0, Qt.AlignmentFlag.AlignTop)
        layout.addWidget(self._label, 0, 1)
        layout.setColumnStretch(1, 1)
        appearance.theme.changed.connect(self._draw_icon)
        self.hide()

    def say(self, said: Said | None) -> None:
        if said == self._said:
            return
        self._said = said
        self.setVisible(said is not None)
        if said is not None:
            self._label.setText(said.text)
            set_role(self._label, said.small_role)
            self._draw_icon()

    def setAccessibleName(self, name: str) -> None:  # noqa: N802 - Qt's name
        self._label.setAccessibleName(name)

    @Slot()
    def _draw_icon(self) -> None:
        if self._said is None or not self._said.icon:
            self._icon.clear()
            return
        theme = self._appearance.theme.value
        colour = theme.text_dim if self._said.role == "secondary" else getattr(theme, self._said.role)
        drawn = qtawesome.icon(self._said.icon, color=QColor(colour))
        self._icon.setPixmap(drawn.pixmap(QSize(ICON_PIXELS, ICON_PIXELS), self.devicePixelRatioF()))
