"""LoRAs at run time: added to the layers' outputs, never folded into their weights.

`y = x W^T + strength * (x A^T) B^T`, accumulated into the layer's own output, so there is no second tensor of that
size. Unfused, a LoRA costs a few percent more arithmetic and buys what fusing cannot give: its strength changes
between two stages for free, the base weights stay as they are in the file (FP8, streamed, shared), and detaching
leaves no rounding behind.

The mechanism is a forward hook per layer: the state dict's keys do not change, a model without LoRAs runs the code it
always ran, and any layer that behaves like `nn.Linear` can carry one.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.errors import CheckpointError
from engine.weights.checkpoint import some_of
from engine.weights.lora_file import LoraFile
from engine.weights.reading import TensorSpec, allocate, read_into

logger = logging.getLogger("engine.weights")


class LoraHandle:
    """A LoRA on a module, until `detach`. At strength 0 the module's output is exactly the base model's."""

    def __init__(self, strength: float, layers: Sequence["_Layer"], unmatched: tuple[str, ...]) -> None:
        self.strength = strength  # may be set at any time between two forward passes
        self.unmatched = unmatched  # layers of the LoRA that the module does not have
        self._adapters = [_Adapter(self, layer.down, layer.up) for layer in layers]
        self._hooks = [
            layer.linear.register_forward_hook(adapter) for layer, adapter in zip(layers, self._adapters, strict=True)
        ]

    @property
    def num_layers(self) -> int:
        return len(self._adapters)

    def detach(self) -> None:
        """Take the LoRA off its module and free its matrices. Does nothing the second time."""
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()
        self._adapters.clear()


@dataclass(frozen=True)
class _Layer:
    """A linear layer and what is added to it. R rank, I inputs, O outputs."""

    linear: nn.Linear
    down: Tensor  # (R, I)
    up: Tensor  # (O, R)


class _Adapter:
    """The forward hook of one layer."""

    def __init__(self, handle: LoraHandle, down: Tensor, up: Tensor) -> None:
        self.handle = handle
        self.down = down
        self.up = up

    def __call__(self, layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        strength = self.handle.strength
        if strength == 0:
            return
        hidden = F.linear(inputs[0], self.down)
        output.view(-1, output.shape[-1]).addmm_(hidden.view(-1, hidden.shape[-1]), self.up.t(), alpha=strength)


def attach(
    module: nn.Module, lora: LoraFile, *, strength: float = 1.0, device: torch.device | str | None = None
) -> LoraHandle:
    """Put a LoRA on the linear layers it names; several at once add up, in the order they were attached.

    Each layer's matrices take its weight's dtype and lie on `device`, by default where the
    weight is. Raises CheckpointError when the LoRA fits none of the module's layers, or one of them in name only.
    """
    layers = {name: layer for name, layer in module.named_modules() if isinstance(layer, nn.Linear)}
    matched = [name for name in lora.pairs if name in layers]
    unmatched = tuple(name for name in lora.pairs if name not in layers)
    path = lora.checkpoint.path
    if not matched:
        raise CheckpointError(
            path,
            f"fits no layer of this model; it names {some_of(unmatched)}.",
            remedy="Choose a LoRA made for this model.",
        )
    if unmatched:
        logger.warning("%s: %d layers are not in this model: %s", path, len(unmatched), some_of(unmatched))
    _check_shapes(lora, {name: layers[name] for name in matched})
    return LoraHandle(strength, _read(lora, {name: layers[name] for name in matched}, device), unmatched)


def _check_shapes(lora: LoraFile, layers: Mapping[str, nn.Linear]) -> None:
    tensors = lora.checkpoint.tensors
    misfits = [
        name
        for name, layer in layers.items()
        if (tensors[lora.pairs[name].up].shape[0], tensors[lora.pairs[name].down].shape[1])
        != (layer.out_features, layer.in_features)
    ]
    if misfits:
        raise CheckpointError(
            lora.checkpoint.path,
            f"is for a model of another size; its matrices do not fit {some_of(misfits)}.",
            remedy="Choose a LoRA made for this model.",
        )


def _read(lora: LoraFile, layers: Mapping[str, nn.Linear], device: torch.device | str | None) -> list[_Layer]:
    """Both matrices of every layer, with alpha / rank multiplied into B."""
    tensors, pairs = lora.checkpoint.tensors, {name: lora.pairs[name] for name in layers}
    alphas = {pair.alpha: torch.empty(tensors[pair.alpha].shape) for pair in pairs.values() if pair.alpha}
    read_into(lora.checkpoint, alphas)
    multipliers = {pair.up: alphas[pair.alpha].item() / pair.rank for pair in pairs.values() if pair.alpha}
    targets: dict[str, Tensor] = {}
    for target_device in {torch.device(device or layer.weight.device) for layer in layers.values()}:
        specs = {
            key: TensorSpec(layer.weight.dtype, tensors[key].shape)
            for name, layer in layers.items()
            if torch.device(device or layer.weight.device) == target_device
            for key in (pairs[name].down, pairs[name].up)
        }
        targets |= allocate(specs, target_device)
    read_into(lora.checkpoint, targets, multipliers=multipliers)
    return [_Layer(layers[name], targets[pair.down], targets[pair.up]) for name, pair in pairs.items()]
