"""The live estimate: what the request being edited will take, asked again shortly after each change."""

from dataclasses import replace

from PySide6.QtCore import QObject, QTimer, Slot

from ltx_studio.domain.estimate import Estimate, Estimator
from ltx_studio.state.observable import Observable
from ltx_studio.state.session import Session

DEBOUNCE_MS = 120
_ANY_PROMPT = "any"  # the cost does not depend on the words, and an empty prompt is no reason to hide it


class Forecast(QObject):
    """Keeps `estimate` in step with the session's request and machine."""

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.estimate = Observable[Estimate | None](None, self)  # None until the machine was first read
        self._session = session
        self._estimator = Estimator()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(DEBOUNCE_MS)
        self._timer.timeout.connect(self._update)
        session.request.changed.connect(self._request_changed)
        session.machine.changed.connect(self._machine_changed)
        session.is_running.changed.connect(self._running_changed)

    @Slot()
    def models_changed(self) -> None:
        """A model was installed or removed: what a request without one gets may be another one now."""
        self._estimator.forget_models()
        self._timer.start()

    @Slot()
    def _request_changed(self) -> None:
        self._timer.start()

    @Slot()
    def _machine_changed(self) -> None:
        # While a job runs, what is free says more about that job than about the next one.
        if self.estimate.value is None or not self._session.is_running.value:
            self._timer.start()

    @Slot(object)
    def _running_changed(self, is_running: bool) -> None:
        if not is_running:
            self._estimator.forget_models()
            self._timer.start()

    @Slot()
    def _update(self) -> None:
        machine = self._session.machine.value
        if machine is None:
            return
        request = self._session.request.value
        prompt = request.prompt if request.prompt.strip() else _ANY_PROMPT
        self.estimate.value = self._estimator.estimate(replace(request, prompt=prompt), machine)
