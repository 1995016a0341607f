"""What the request being edited will take, by the planner's own call: milliseconds, no torch, nothing loaded."""

from dataclasses import dataclass, replace

from engine.errors import EngineError
from engine.folders import models_folder
from engine.hardware import Machine
from engine.pipelines.facts import ModelFacts, model_facts
from engine.pipelines.plan import DEFAULT_FRAME_RATE, Plan, plan
from engine.request import GenerationRequest
from engine.weights.catalog import STARTER, catalogue, is_installed
from ltx_studio.domain.job import Failed
from ltx_studio.starter import UNTRAINED


@dataclass(frozen=True)
class Unknown:
    """The model has yet to be made, so there is nothing to measure."""


Estimate = Plan | Failed | Unknown


def first_request() -> GenerationRequest:
    """What the window opens with: the defaults of the model it will use, and no prompt."""
    entries = catalogue()
    entry = next((item for item in entries.values() if is_installed(item)), entries[STARTER])
    seconds = DEFAULT_FRAME_RATE.seconds(entry.defaults.frames)
    return GenerationRequest("", size=entry.defaults.size, seconds=round(seconds, 1))


def is_trained(request: GenerationRequest) -> bool:
    """Whether a trained model will run this: a named one, or one of the catalogue that is installed."""
    return request.model is not None or any(is_installed(entry) for entry in catalogue().values())


class Estimator:
    """Plans requests; keeps the facts of the model last asked for, whose header is the costly part to read."""

    def __init__(self) -> None:
        self._facts: dict[str | None, ModelFacts] = {}

    def forget_models(self) -> None:
        """Read headers again: a model was installed, removed or made."""
        self._facts.clear()

    def estimate(self, request: GenerationRequest, machine: Machine) -> Estimate:
        if not is_trained(request):
            untrained = models_folder() / UNTRAINED
            if not untrained.is_dir():
                return Unknown()
            request = replace(request, model=str(untrained))
        try:
            if request.model not in self._facts:
                self._facts = {request.model: model_facts(request.model)}
            return plan(request, machine, model=self._facts[request.model])
        except EngineError as error:
            return Failed.of(error)
