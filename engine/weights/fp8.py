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

Here FP8 is a way to store: weights are multiplied out while they are read, into whatever type the module computes
in. Every E4M3 value is exact in fp16, bf16 and fp32, so this rounds once, at the multiplication, and the loaded layer
is an ordinary `nn.Linear`. Products in FP8 are deliberately not in this file.

Source: headers of the official FP8 files as read by Lightricks/LTX-2, commit 400fd31; E4M3: arXiv 2209.05433.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from engine.errors import CheckpointError
from engine.weights.checkpoint import Checkpoint
from engine.weights.reading import read_into

FP8_DTYPES = frozenset({"F8_E4M3", "F8_E5M2"})


@dataclass(frozen=True)
class Fp8Tensor:
    """The keys, in the file, of one FP8 tensor and its scales."""

    key: str
    weight_scale: str | None  # None in a cast file
    input_scale: str | None


def discover(checkpoint: Checkpoint, entries: Mapping[str, str]) -> dict[str, Fp8Tensor]:
    """The FP8 tensors among a component's entries (module key -> key in the file), by module key.

    Raises CheckpointError for scales without an FP8 weight, scales of more than one number, and 4-bit weights.
    """
    found: dict[str, Fp8Tensor] = {}
    for module_key, key in entries.items():
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


def read_weight_scales(checkpoint: Checkpoint, tensors: Mapping[str, Fp8Tensor]) -> dict[str, float]:
    """FP8 key in the file -> the number its values are multiplied by; keys without a scale are left out.

    Raises CheckpointError for a scale that is not a positive number.
    """
    scale_of = {tensor.key: tensor.weight_scale for tensor in tensors.values() if tensor.weight_scale}
    targets = {scale: torch.empty(checkpoint.tensors[scale].shape) for scale in scale_of.values()}
    read_into(checkpoint, targets)
    scales = {key: targets[scale].item() for key, scale in scale_of.items()}
    for key, scale in scales.items():
        if not 0 < scale < float("inf"):
            raise CheckpointError(checkpoint.path, f"the scale of '{key}' is {scale}.", remedy="Fetch the file again.")
    return scales
