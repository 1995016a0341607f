"""FP8 checkpoints: what their numbers mean, how to find them, and how they become ordinary weights.

Formats. E4M3 ("F8_E4M3" in a header, `torch.float8_e4m3fn`) has a sign, four exponent bits and three mantissa bits:
steps of 1/8 within a power of two, +-448 at most, no infinities. Rounding a weight to it errs by at most 1/16 of the
weight (half a step) down to 2**-6, and by at most 2**-10 below. E5M2 trades a mantissa bit for range; official files
do not use it for weights.

Layouts. Two kinds of file are in circulation, and one file can mix FP8 layers with bf16 ones:

- scaled (the official `-fp8` files): `X.weight` is E4M3 in the usual (out, in) layout; `X.weight_scale`, one fp32
  number, says what to multiply it by; `X.input_scale`, another, is the step of X's input for matrix products that run
  in FP8. A weight is `float(fp8) * weight_scale`, scaled so that its largest entry uses the whole range.
- cast: weights, and biases with them, rounded to E4M3 as they are. No scales.

Biases, norms and modulation tables of scaled files are never FP8. Which blocks are differs from file to file (43 or
44 of 48 in the official ones), so layers are discovered one by one from the header and never listed.

Weights are multiplied out while they are read, into whatever type the module computes in, or they stay FP8 in an
`Fp8Linear`, which multiplies them out at every use. Every E4M3 value is exact in fp16, bf16 and fp32, so either way
rounds once, at the multiplication, and either way computes the same.

Source: headers of the official FP8 files as read by Lightricks/LTX-2, commit 400fd31; E4M3: arXiv 2209.05433.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from engine.errors import CheckpointError
from engine.model.quantised import Fp8Linear
from engine.weights.checkpoint import Checkpoint
from engine.weights.int8 import INT8_DTYPE
from engine.weights.reading import read_into

E4M3 = "F8_E4M3"
FP8_DTYPES = frozenset({E4M3, "F8_E5M2"})


@dataclass(frozen=True)
class Fp8Tensor:
    """The keys, in the file, of one FP8 tensor and its scales."""

    key: str
    weight_scale: str | None  # None in a cast file
    input_scale: str | None


def discover(checkpoint: Checkpoint, entries: Mapping[str, str]) -> dict[str, Fp8Tensor]:
    """The FP8 tensors among a component's entries (module key -> key in the file), by module key.

    Raises CheckpointError for scales without an eight-bit weight, FP8 scales of more than one number, and 4-bit
    weights. The scales of INT8 weights are left to `engine.weights.int8`.
    """
    found: dict[str, Fp8Tensor] = {}
    for module_key, key in entries.items():
        if checkpoint.tensors[key].dtype == INT8_DTYPE:
            continue
        is_fp8 = checkpoint.tensors[key].dtype in FP8_DTYPES
        layer = key.removesuffix(".weight") if key.endswith(".weight") else None
        weight_scale, input_scale = (
            name if name in checkpoint.tensors else None for name in (f"{layer}.weight_scale", f"{layer}.input_scale")
        )
        if f"{layer}.weight_scale_2" in checkpoint.tensors:
            raise CheckpointError(
                checkpoint.path, f"the tensor '{key}' is packed in 4 bits.", remedy="Use the FP8 or bf16 file."
            )
        for scale in filter(None, (weight_scale, input_scale)):
            shape = checkpoint.tensors[scale].shape
            if not is_fp8 or shape not in ((), (1,)):
                problem = f"scales '{key}', which is not FP8" if not is_fp8 else f"has the shape {shape}"
                raise CheckpointError(
                    checkpoint.path, f"the tensor '{scale}' {problem}.", remedy="Use an official FP8 file."
                )
        if is_fp8:
            found[module_key] = Fp8Tensor(key, weight_scale, input_scale)
    return found


def install(
    module: nn.Module, checkpoint: Checkpoint, entries: Mapping[str, str], *, keeps_fp8: bool
) -> dict[str, float]:
    """Key in the file -> what its values are to be multiplied by while they are read, for the module's FP8 weights.

    With `keeps_fp8` those of linear layers are not among them: such a layer of the module (on the meta device) is
    replaced by one that takes the weight as it is. Raises CheckpointError.
    """
    found = discover(checkpoint, entries)
    scales = read_scales(checkpoint, found)
    if not keeps_fp8:
        return {tensor.key: scales[tensor.weight_scale] for tensor in found.values() if tensor.weight_scale}
    layers = dict(module.named_modules())
    multipliers: dict[str, float] = {}
    for module_key, tensor in found.items():
        name, _, attribute = module_key.rpartition(".")
        weight_scale = scales[tensor.weight_scale] if tensor.weight_scale else 1.0
        layer = layers.get(name)
        if isinstance(layer, nn.Linear) and attribute == "weight" and checkpoint.tensors[tensor.key].dtype == E4M3:
            input_scale = scales[tensor.input_scale] if tensor.input_scale else None
            kept = Fp8Linear(layer, weight_scale=weight_scale, input_scale=input_scale)
            module.set_submodule(name, kept)
        elif tensor.weight_scale:
            multipliers[tensor.key] = weight_scale
    return multipliers


def read_scales(checkpoint: Checkpoint, tensors: Mapping[str, Fp8Tensor]) -> dict[str, float]:
    """The scales of FP8 tensors by their key in the file. Raises CheckpointError for one that is no positive number."""
    key_of = {
        scale: tensor.key
        for tensor in tensors.values()
        for scale in (tensor.weight_scale, tensor.input_scale)
        if scale is not None
    }
    targets = {scale: torch.empty(checkpoint.tensors[scale].shape) for scale in key_of}
    read_into(checkpoint, targets)
    scales = {scale: value.item() for scale, value in targets.items()}
    for scale, value in scales.items():
        if not 0 < value < float("inf"):
            raise CheckpointError(
                checkpoint.path, f"the scale of '{key_of[scale]}' is {value}.", remedy="Fetch the file again."
            )
    return scales
