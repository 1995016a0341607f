"""The estimate above Generate: whether it fits, how long it takes, how much memory, and what will be made."""

import os

import qtawesome
from PySide6.QtCore import QCoreApplication, QPoint, QSize, Qt, Slot
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QGridLayout, QLabel, QSizePolicy, QWhatsThis, QWidget

from engine.pipelines.plan import Plan
from ltx_studio.domain.estimate import Estimate, Unknown
from ltx_studio.domain.job import Failed
from ltx_studio.starter import UNTRAINED
from ltx_studio.ui import words
from ltx_studio.ui.controls import IconButton, Label, set_role
from ltx_studio.ui.theme import GAP, GRID, ICON_PIXELS, Appearance

# The look of each verdict: its role, which is a token of the theme too, and a shape, for who cannot tell the colours.
_LOOKS = {
    "green": ("ok", "mdi6.check-circle-outline"),
    "amber": ("warn", "mdi6.alert-outline"),
    "red": ("danger", "mdi6.close-octagon-outline"),
}


class FitLine(QWidget):
    """Two lines of text and, behind a button, the planner's reasons."""

    def __init__(self, appearance: Appearance, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._appearance = appearance
        self._look = _LOOKS["green"]
        self._reasons: list[str] = []
        self._icon = QLabel(self)
        self._verdict = Label(parent=self)
        self._verdict.setAccessibleName(self.tr("Estimate"))
        self._details = Label(" ", "secondary", self)
        for label in (self._verdict, self._details):
            label.setWordWrap(True)
            label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
        self._details.setMinimumHeight(2 * self._details.sizeHint().height())
        self._details.setAlignment(Qt.AlignmentFlag.AlignTop)
        self._why = IconButton("mdi6.information-outline", self.tr("Why this estimate"), appearance, self)
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setHorizontalSpacing(GAP)
        layout.setVerticalSpacing(GRID)
        layout.addWidget(self._icon, 0, 0)
        layout.addWidget(self._verdict, 0, 1)
        layout.addWidget(self._why, 0, 2)
        layout.addWidget(self._details, 1, 0, 1, 3)
        layout.setColumnStretch(1, 1)
        self._why.clicked.connect(self._explain)
        appearance.theme.changed.connect(self._draw_icon)

    def show_estimate(self, estimate: Estimate | None) -> None:
        match estimate:
            case None:
                self._show("green", self.tr("Looking at this machine"), "")
                self._icon.clear()
            case Plan():
                self._show_plan(estimate)
            case Unknown():
                self._show(
                    "amber",
                    self.tr("No model is installed"),
                    self.tr("A tiny untrained one is made first, so that you can try the studio. The clip is noise."),
                )
            case Failed(_, message, remedy):
                self._show("red", message, remedy)

    def _show_plan(self, plan: Plan) -> None:
        verdicts = {
            "green": self.tr("Fits: about {time}, {memory}"),
            "amber": self.tr("Just fits: about {time}, {memory}"),
            "red": self.tr("Does not fit: {memory} needed, {free} free"),
        }
        verdict = verdicts[plan.light].format(
            time=words.duration(plan.estimate.seconds), memory=memory_needed(plan), free=memory_free(plan)
        )
        sentence = self.tr("{size}, {seconds} s, {frames} frames. Model: {model}")
        if plan.model.name == UNTRAINED:
            sentence = self.tr("{size}, {seconds} s, {frames} frames. The model is untrained: the clip is noise.")
        details = sentence.format(
            size=words.size(plan.size), seconds=f"{plan.duration_s:.2f}", frames=plan.frames, model=plan.model.name
        )
        self._show(plan.light, verdict, details)
        self._reasons = [
            *plan.warnings,
            *(f"{choice.what.capitalize()}: {choice.value} ({choice.why})" for choice in plan.choices),
        ]
        self._why.setEnabled(True)

    def _show(self, light: str, verdict: str, details: str) -> None:
        self._look = _LOOKS[light]
        self._verdict.setText(verdict.replace(os.sep, f"{os.sep}\N{ZERO WIDTH SPACE}"))  # a path may break at each
        set_role(self._verdict, self._look[0])
        self._details.setText(details)
        self._reasons = []
        self._why.setEnabled(False)
        self._draw_icon()

    @Slot()
    def _draw_icon(self) -> None:
        role, icon_name = self._look
        icon = qtawesome.icon(icon_name, color=QColor(getattr(self._appearance.theme.value, role)))
        self._icon.setPixmap(icon.pixmap(QSize(ICON_PIXELS, ICON_PIXELS), self.devicePixelRatioF()))

    @Slot()
    def _explain(self) -> None:
        QWhatsThis.showText(self._why.mapToGlobal(QPoint(0, 0)), "\n".join(self._reasons), self._why)


def memory_needed(plan: Plan) -> str:
    """Of the GPU and of the machine; where both are the same memory, of that."""
    ram = words.memory(plan.estimate.peak_ram_bytes)
    if plan.device.kind != "cuda":
        return _tr("{memory} of memory").format(memory=ram)
    vram = words.memory(plan.estimate.peak_device_bytes)
    return _tr("{vram} of GPU memory and {ram} of main memory").format(vram=vram, ram=ram)


def memory_free(plan: Plan) -> str:
    """Of the memory that is short."""
    is_card_short = plan.device.kind == "cuda" and plan.estimate.peak_device_bytes > plan.device.free_bytes
    return words.memory(plan.device.free_bytes if is_card_short else plan.estimate.ram_free_bytes)


def _tr(text: str) -> str:
    return QCoreApplication.translate("FitLine", text)
