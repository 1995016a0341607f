"""The LTX engine: from a request to a clip with sound. Importing this package does not import torch.

from engine import GenerationRequest, plan, run

for event in run(GenerationRequest("a red ball bounces"), "clip.mp4"):
    ...  # the last one is Finished(result)
"""

from typing import TYPE_CHECKING, Any

from engine.errors import EngineError
from engine.request import GenerationRequest

if TYPE_CHECKING:
    from engine.pipelines.plan import plan
    from engine.pipelines.run import run

__all__ = ["EngineError", "GenerationRequest", "plan", "run"]


def __getattr__(name: str) -> Any:
    if name == "plan":
        from engine.pipelines.plan import plan  # noqa: PLC0415 - lazy, so that importing the engine costs nothing

        return plan
    if name == "run":
        from engine.pipelines.run import run  # noqa: PLC0415 - this one brings torch

        return run
    raise AttributeError(f"module 'engine' has no attribute '{name}'")
