"""What to make: the words, the quality, the size, the length and the seed; what it will take; and the one button."""

from itertools import pairwise

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QVBoxLayout, QWidget

from engine.request import GenerationRequest
from ltx_studio.domain.estimate import Estimate
from ltx_studio.domain.job import Failed, Job
from ltx_studio.state.forecast import Forecast
from ltx_studio.state.observable import bind
from ltx_studio.state.prompt import PromptState
from ltx_studio.state.session import Session
from ltx_studio.ui.controls import Button, describe, set_role
from ltx_studio.ui.fit_line import FitLine
from ltx_studio.ui.prompt_builder import PromptBuilder
from ltx_studio.ui.prompt_parameters import Parameters
from ltx_studio.ui.theme import GAP, GRID, PADDING, Appearance


class PromptPanel(QWidget):
    """Edits the session's request; asks for a run with `generate_asked` and for its end with `stop_asked`."""

    generate_asked = Signal()
    stop_asked = Signal()
    batch_asked = Signal(object)  # tuple[str, ...]: every wording of the prompt

    def __init__(
        self, session: Session, forecast: Forecast, appearance: Appearance, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._session = session
        self._estimate: Estimate | None = None
        self._job_state = (False, False)  # running, stopping
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
        self._button.clicked.connect(self._button_clicked)
        bind(session.request, self._show_request)
        bind(forecast.estimate, self._show_estimate)
        bind(session.job, self._show_job)

    @Slot()
    def _button_clicked(self) -> None:
        job = self._session.job.value
        if job is not None and job.is_running:
            self.stop_asked.emit()
        else:
            self.generate_asked.emit()

    def _show_request(self, _request: GenerationRequest) -> None:
        self._show_button()

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
