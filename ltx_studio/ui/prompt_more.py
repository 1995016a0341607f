"""What few clips need: the model, the frame rate, steps, how strictly the prompt is followed, and LoRAs.

Every field says "as the quality" or the like until it is set, so that what is not touched follows the quality dial.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QSignalBlocker, Qt, Signal, Slot
from PySide6.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QFrame,
    QHBoxLayout,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from engine.pipelines.recipe import MAX_STEPS
from engine.request import GenerationRequest, LoraReference
from engine.types import FrameRate
from engine.weights.catalog import catalogue, is_installed, title_of
from ltx_studio.state.observable import bind
from ltx_studio.state.session import Session
from ltx_studio.ui.controls import Button, Choice, IconButton, Label, Seconds, WholeNumber, describe
from ltx_studio.ui.theme import GAP, GRID, Appearance

_LEAST_CHARACTERS = 8
_RATES = ("24", "25", "30", "48", "50", "60", "24000/1001", "30000/1001")
_NO_STEPS = 0  # the quality's own number
_NO_GUIDANCE = -0.05  # below zero, which is a value: the quality's own
_GUIDANCE_STEP, _MOST_GUIDANCE = 0.05, 20.0
_STRENGTH_STEP, _MOST_STRENGTH = 0.05, 4.0


class MorePage(QScrollArea):
    """Edits the session's request."""

    def __init__(self, session: Session, appearance: Appearance, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._appearance = appearance
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        content = QWidget()
        self._model = Choice(self.tr("Model"), self.tr("Which model makes the clip"), appearance, content)
        self._rate = Choice(self.tr("Frame rate"), self.tr("Pictures a second"), appearance, content)
        self._rate.addItem(self.tr("As the model"), None)
        for rate in _RATES:
            self._rate.addItem(self.tr("{rate} fps").format(rate=_rate_words(rate)), rate)
        steps_tip = self.tr("More steps take longer and settle details; few models gain beyond 40")
        self._steps = WholeNumber(self.tr("Steps"), steps_tip, _NO_STEPS, MAX_STEPS, content)
        self._steps.setSpecialValueText(self.tr("As the quality"))
        self._steps.setKeyboardTracking(False)
        for choice in (self._model, self._rate):  # as wide as there is room, not as its longest line
            choice.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            choice.setMinimumContentsLength(_LEAST_CHARACTERS)
        self._guidance = {
            "video_guidance": self._factor(
                self.tr("Prompt in picture"), self.tr("How strictly the picture follows the prompt; Standard and High")
            ),
            "audio_guidance": self._factor(
                self.tr("Prompt in sound"), self.tr("How strictly the sound follows the prompt; Standard and High")
            ),
            "modality_guidance": self._factor(
                self.tr("Sound with picture"), self.tr("How strictly sound and picture follow each other")
            ),
        }
        self._add_lora = Button(self.tr("Add a LoRA"), parent=content)
        describe(self._add_lora, self._add_lora.text(), self.tr("A file that teaches the model a style or a control"))
        self._loras = QVBoxLayout()
        self._loras.setSpacing(GRID)
        self._rows: list[LoraRow] = []
        self._arrange(content)
        self.setWidget(content)
        self.look_for_models()
        self._model.currentIndexChanged.connect(self._model_chosen)
        self._rate.currentIndexChanged.connect(self._rate_chosen)
        self._steps.valueChanged.connect(self._steps_chosen)
        for name, field in self._guidance.items():
            field.valueChanged.connect(lambda value, name=name: self._guidance_chosen(name, value))
        self._add_lora.clicked.connect(self._choose_loras)
        bind(session.request, self._show)

    def controls(self) -> list[QWidget]:
        """In reading order, for the keyboard."""
        return [self._model, self._rate, self._steps, *self._guidance.values(), self._add_lora]

    def look_for_models(self) -> None:
        """List what is installed, the choice of the studio first."""
        chosen = self._session.request.value.model
        with QSignalBlocker(self._model):
            self._model.clear()
            self._model.addItem(self.tr("The best installed"), None)
            for name, entry in catalogue().items():
                if is_installed(entry) or name == chosen:
                    self._model.addItem(title_of(name), name)
            if chosen is not None and self._model.findData(chosen) < 0:
                self._model.addItem(Path(chosen).name, chosen)
            self._model.setCurrentIndex(max(self._model.findData(chosen), 0))

    # --- building -----------------------------------------------------------------------------------------------------

    def _factor(self, name: str, tip: str) -> Seconds:
        field = Seconds(name, tip, _NO_GUIDANCE, _MOST_GUIDANCE, self)
        field.setSuffix("")
        field.setSingleStep(_GUIDANCE_STEP)
        field.setKeyboardTracking(False)
        field.setMinimumWidth(0)
        field.setSpecialValueText(self.tr("As the quality"))
        return field

    def _arrange(self, content: QWidget) -> None:
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.setHorizontalSpacing(GAP)
        form.setVerticalSpacing(GRID)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for field in (self._model, self._rate, self._steps, *self._guidance.values()):
            form.addRow(Label(field.accessibleName()), field)
        layout = QVBoxLayout(content)
        layout.setContentsMargins(0, 0, GAP, 0)
        layout.setSpacing(GAP)
        layout.addLayout(form)
        layout.addWidget(Label(self.tr("LoRAs"), "secondary"))
        layout.addLayout(self._loras)
        layout.addWidget(self._add_lora, 0, Qt.AlignmentFlag.AlignLeft)
        layout.addStretch(1)

    # --- reactions ----------------------------------------------------------------------------------------------------

    def _show(self, request: GenerationRequest) -> None:
        if self._model.currentData() != request.model:
            self.look_for_models()
        rate = None if request.frame_rate is None else str(request.frame_rate)
        with QSignalBlocker(self._rate):
            if self._rate.findData(rate) < 0:
                self._rate.addItem(self.tr("{rate} fps").format(rate=_rate_words(str(rate))), rate)
            self._rate.setCurrentIndex(self._rate.findData(rate))
        with QSignalBlocker(self._steps):
            self._steps.setValue(request.steps or _NO_STEPS)
        for name, field in self._guidance.items():
            value: float | None = getattr(request, name)
            with QSignalBlocker(field):
                field.setValue(_NO_GUIDANCE if value is None else value)
        self._show_loras(request.loras)

    def _show_loras(self, loras: tuple[LoraReference, ...]) -> None:
        if [row.path for row in self._rows] != [lora.path for lora in loras]:
            for row in self._rows:
                self._loras.removeWidget(row)
                row.deleteLater()
            self._rows = [LoraRow(lora.path, self._appearance, self) for lora in loras]
            for index, row in enumerate(self._rows):
                self._loras.addWidget(row)
                row.strength_chosen.connect(lambda value, index=index: self._strength_chosen(index, value))
                row.removed.connect(lambda index=index: self._remove(index))
        for row, lora in zip(self._rows, loras, strict=True):
            row.show_strength(lora.strength)

    @Slot(int)
    def _model_chosen(self, _index: int) -> None:
        self._session.edit(model=self._model.currentData())

    @Slot(int)
    def _rate_chosen(self, _index: int) -> None:
        rate = self._rate.currentData()
        self._session.edit(frame_rate=None if rate is None else FrameRate.parse(rate))

    @Slot(int)
    def _steps_chosen(self, steps: int) -> None:
        self._session.edit(steps=steps or None)

    def _guidance_chosen(self, name: str, value: float) -> None:
        self._session.edit(**{name: None if value < 0 else round(value, 2)})

    @Slot()
    def _choose_loras(self) -> None:
        self.add_loras(choose_lora_files(self))

    def add_loras(self, paths: list[Path]) -> None:
        """At full strength, each once."""
        loras = self._session.request.value.loras
        known = {lora.path for lora in loras}
        new = [LoraReference(path) for path in dict.fromkeys(paths) if path not in known]
        self._session.edit(loras=(*loras, *new))

    def _strength_chosen(self, index: int, strength: float) -> None:
        self._change_loras(
            lambda loras: [
                replace(lora, strength=strength) if place == index else lora for place, lora in enumerate(loras)
            ]
        )

    def _remove(self, index: int) -> None:
        self._change_loras(lambda loras: [*loras[:index], *loras[index + 1 :]])

    def _change_loras(self, change: Callable[[list[LoraReference]], list[LoraReference]]) -> None:
        self._session.edit(loras=tuple(change(list(self._session.request.value.loras))))


class LoraRow(QWidget):
    """One LoRA: its name, its strength, and taking it off."""

    strength_chosen = Signal(float)
    removed = Signal()

    def __init__(self, path: Path, appearance: Appearance, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.path = path
        name = Label(path.stem, parent=self)
        name.setToolTip(str(path))
        name.setMinimumWidth(0)
        name.setSizePolicy(name.sizePolicy().Policy.Ignored, name.sizePolicy().verticalPolicy())
        label, tip = self.tr("Strength of {name}").format(name=path.stem), self.tr("1 is as it was trained, 0 is off")
        self._strength = Seconds(label, tip, -_MOST_STRENGTH, _MOST_STRENGTH, self)
        self._strength.setSuffix("")
        self._strength.setSingleStep(_STRENGTH_STEP)
        self._strength.setKeyboardTracking(False)
        remove = IconButton("mdi6.close", self.tr("Take off {name}").format(name=path.stem), appearance, self)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(GRID)
        layout.addWidget(name, 1)
        layout.addWidget(self._strength)
        layout.addWidget(remove)
        self._strength.valueChanged.connect(self.strength_chosen)
        remove.clicked.connect(self.removed)

    def show_strength(self, strength: float) -> None:
        with QSignalBlocker(self._strength):
            self._strength.setValue(strength)


def choose_lora_files(parent: QWidget) -> list[Path]:
    """The system's dialog; empty when it was left."""
    kinds = parent.tr("LoRA files") + " (*.safetensors)"
    names, _ = QFileDialog.getOpenFileNames(parent, parent.tr("Choose LoRAs"), "", kinds)
    return [Path(name) for name in names]


def _rate_words(rate: str) -> str:
    return {"24000/1001": "23.976", "30000/1001": "29.97", "60000/1001": "59.94"}.get(rate, rate)
