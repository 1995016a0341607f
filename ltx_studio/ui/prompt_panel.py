"""What to make: the words, the quality, the size, the length and the seed; what it will take; and the one button."""

from itertools import pairwise

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QVBoxLayout, QWidget

from engine.pipelines.plan import Plan
from engine.request import GenerationRequest
from ltx_studio.domain.estimate import Estimate
from ltx_studio.domain.job import Failed
from ltx_studio.state.forecast import Forecast
from ltx_studio.state.observable import bind
from ltx_studio.state.prompt import PromptState
from ltx_studio.state.session import Session
from ltx_studio.ui.controls import Button, describe
from ltx_studio.ui.fit_line import FitLine
from ltx_studio.ui.prompt_builder import PromptBuilder
from ltx_studio.ui.prompt_parameters import Parameters
from ltx_studio.ui.theme import GAP, GRID, PADDING, Appearance


class PromptPanel(QWidget):
    """Edits the session's request; asks for it to be made with `generate_asked`."""

    generate_asked = Signal()
    batch_asked = Signal(object)  # tuple[str, ...]: every wording of the prompt

    def __init__(
        self, session: Session, forecast: Forecast, appearance: Appearance, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._session = session
        self._estimate: Estimate | None = None
        self._is_editing_job = False
        self.state = PromptState(session, self)
        self.builder = PromptBuilder(session, self.state, appearance, self)
        self.prompt = self.builder.text
        self.parameters = Parameters(session, appearance, self)
        self._fit = FitLine(appearance, self)
        self._button = Button(self.tr("Generate"), "main", self)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(PADDING, 0, PADDING, PADDING)
        layout.setSpacing(GRID)
        layout.addWidget(self.builder, 1)
        layout.addSpacing(GAP)
        layout.addWidget(self.parameters)
        layout.addSpacing(GAP)
        layout.addWidget(self._fit)
        layout.addSpacing(GRID)
        layout.addWidget(self._button)
        for first, second in pairwise([*self.builder.controls(), *self.parameters.controls(), self._button]):
            QWidget.setTabOrder(first, second)
        self.builder.batch_asked.connect(self.batch_asked)
        self._button.clicked.connect(self.generate_asked)
        bind(session.request, self._show_request)
        bind(forecast.estimate, self._show_estimate)

    def show_editing(self, is_editing_job: bool) -> None:
        """Whether what is written here is a job of the queue, which the button puts back."""
        self._is_editing_job = is_editing_job
        self._show_button()

    def _show_request(self, _request: GenerationRequest) -> None:
        self._show_button()

    def _show_estimate(self, estimate: Estimate | None) -> None:
        self._estimate = estimate
        if isinstance(estimate, Plan):
            self.builder.status.set_limit(estimate.model.text_tokens)
        self._fit.show_estimate(estimate)
        self._show_button()

    def _show_button(self) -> None:
        """Generate, or put back what is being edited, with the reason when it cannot be pressed."""
        reason = self.why_not()
        name, tip = self.tr("Generate"), self.tr("Make this clip, after those that wait (Ctrl+Return)")
        if self._is_editing_job:
            name, tip = self.tr("Put back in the queue"), self.tr("Change the waiting job to this (Ctrl+Return)")
        self._button.setText(name)
        self._button.setEnabled(not reason)
        describe(self._button, name, reason or tip)

    def why_not(self) -> str:
        """Why nothing can be generated now; empty when it can."""
        if not self._session.request.value.prompt.strip():
            return self.tr("Write a prompt first.")
        if isinstance(self._estimate, Failed):
            return f"{self._estimate.message} {self._estimate.remedy}".rstrip()
        return ""
