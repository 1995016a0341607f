"""INT8 weights in a file: `X.weight` in I8 (outputs, inputs), and `X.weight_scale`, one fp32 number for each output.

No official file holds any. `engine.weights.packed` makes them, for processors and graphics cards without FP8; what
the numbers mean is said in `engine.model.quantised`.
"""

from collections.abc import Mapping

from torch import nn

from engine.errors import CheckpointError
from engine.model.quantised import Int8Linear
from engine.weights.checkpoint import Checkpoint

INT8_DTYPE = "I8"
SCALE_SUFFIX = ".weight_scale"


def install(module: nn.Module, checkpoint: Checkpoint, entries: Mapping[str, str]) -> dict[str, str]:
    """Replace every linear layer whose weight is INT8 in the file by one that takes it as it is.

    The module is on the meta device. Returns the entries (module key -> key in the file) of the scales, which are
    part of the new layers' state. Raises CheckpointError for a weight without a scale.
    """
    layers = dict(module.named_modules())
    scales: dict[str, str] = {}
    for module_key, key in entries.items():
        name, _, attribute = module_key.rpartition(".")
        if attribute != "weight" or checkpoint.tensors[key].dtype != INT8_DTYPE:
            continue
        layer, scale = layers.get(name), key.removesuffix(".weight") + SCALE_SUFFIX
        if scale not in checkpoint.tensors or not isinstance(layer, nn.Linear):
            raise CheckpointError(
                checkpoint.path, f"'{key}' is in INT8 of another kind.", remedy="Use the FP8 or bf16 file."
            )
        module.set_submodule(name, Int8Linear(layer))
        scales[name + SCALE_SUFFIX] = scale
    return scales
