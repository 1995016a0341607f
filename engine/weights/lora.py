"""LoRAs at run time: added to the layers' outputs, never folded into their weights.

`y = x W^T + strength * (x A^T) B^T`, accumulated into the layer's own output, so there is no second tensor of that
size. Unfused, a LoRA costs a few percent more arithmetic and buys what fusing cannot give: its strength changes
between two stages for free, the base weights stay as they are in the file (FP8, streamed, shared), and detaching
leaves no rounding behind.

The mechanism is a forward hook per layer: the state dict's keys do not change, a model without LoRAs runs the code it
always ran, and any layer that behaves like `nn.Linear` can carry one, whatever its weight is stored in.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.weights.checkpoint import some_of
from engine.weights.lora_file import LoraFile, LoraMatch, LoraPair
from engine.weights.reading import TensorSpec, allocate, read_into
from engine.weights.slots import Parcel, Place, Source
from engine.weights.streaming import BlockStream

logger = logging.getLogger("engine.weights")


class LoraHandle:
    """A LoRA on a module, until `detach`. At strength 0 the module's output is exactly the base model's."""

    def __init__(self, strength: float, match: LoraMatch) -> None:
        self.strength = strength  # may be set at any time between two forward passes
        self.match = match
        self.num_layers = 0
        self._undo: list[Callable[[], None]] = []

    def add(self, layer: nn.Linear) -> "_Adapter":
        """Let this LoRA act on a layer, whose matrices the adapter is given."""
        adapter = _Adapter(self)
        self._undo.append(layer.register_forward_hook(adapter).remove)
        self.num_layers += 1
        return adapter

    def carry(self, stream: BlockStream, index: int, parcel: Parcel) -> None:
        """Let matrices come and go with a block. Raises CheckpointError."""
        stream.carry(index, parcel)
        self._undo.append(lambda: stream.drop(index, parcel))

    def is_needed(self) -> bool:
        return self.strength != 0

    def detach(self) -> None:
        """Take the LoRA off its module and free its matrices. Does nothing the second time."""
        for undo in self._undo:
            undo()
        self._undo.clear()
        self.num_layers = 0


class _Adapter:
    """The forward hook of one layer. R rank, I inputs, O outputs."""

    def __init__(self, handle: LoraHandle) -> None:
        self.handle = handle
        self.down: Tensor | None = None  # (R, I)
        self.up: Tensor | None = None  # (O, R), times alpha / rank

    def __call__(self, layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        strength = self.handle.strength
        if strength == 0:
            return
        assert self.down is not None, "the strength of a streamed LoRA was changed during a sweep"
        assert self.up is not None
        hidden = F.linear(inputs[0], self.down)
        output.view(-1, output.shape[-1]).addmm_(hidden.view(-1, hidden.shape[-1]), self.up.t(), alpha=strength)


def attach(
    module: nn.Module,
    lora: LoraFile,
    *,
    strength: float = 1.0,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> LoraHandle:
    """Put a LoRA on the linear layers it names; several at once add up, in the order they were attached.

    Each layer's matrices lie on `device` in `dtype`, by default those of its weight; a weight in eight bits needs
    the dtype, which is that of the layer's input. Matrices of blocks that stream come and go with their block.
    Raises CheckpointError when the LoRA fits none of the module's layers, or one of them in name only.
    """
    layers = {name: layer for name, layer in module.named_modules() if isinstance(layer, nn.Linear)}
    match = lora.match({name: (layer.out_features, layer.in_features) for name, layer in layers.items()})
    path = lora.checkpoint.path
    if match.unmatched:
        logger.warning("%s: %d layers are not in this model: %s", path, len(match.unmatched), some_of(match.unmatched))
    pairs = {name: lora.pairs[in_file] for name, in_file in match.layers.items()}
    multipliers = _read_multipliers(lora, pairs.values())
    handle = LoraHandle(strength, match)
    blocks = _streamed_blocks(module)
    resident: list[tuple[nn.Linear, LoraPair]] = []
    by_block: dict[tuple[BlockStream, int], dict[Place, Source]] = {}
    try:
        for name, pair in pairs.items():
            block = next((block for prefix, block in blocks.items() if name.startswith(prefix)), None)
            if block is None:
                resident.append((layers[name], pair))
                continue
            adapter = handle.add(layers[name])
            sources = _sources(lora, pair, adapter, dtype or layers[name].weight.dtype, multipliers)
            by_block.setdefault(block, {}).update(sources)
        _load(lora, resident, handle, device, dtype, multipliers)
        for (stream, index), sources in by_block.items():
            handle.carry(stream, index, Parcel(lora.checkpoint, sources, handle.is_needed))
    except BaseException:
        handle.detach()
        raise
    return handle


def _read_multipliers(lora: LoraFile, pairs: Iterable[LoraPair]) -> dict[str, float]:
    """Key of B in the file -> alpha / rank, where the file states an alpha."""
    chosen = list(pairs)
    alphas = {pair.alpha: torch.empty(lora.checkpoint.tensors[pair.alpha].shape) for pair in chosen if pair.alpha}
    read_into(lora.checkpoint, alphas)
    scales = {pair.up: alphas[pair.alpha].item() / pair.rank if pair.alpha else pair.header_scale for pair in chosen}
    return {up: scale for up, scale in scales.items() if scale != 1}


def _streamed_blocks(module: nn.Module) -> dict[str, tuple[BlockStream, int]]:
    """What the names of a streamed block's layers start with -> the block."""
    return {
        f"{name}.{index}.": (stream, index)
        for name, stream in module.named_modules()
        if isinstance(stream, BlockStream)
        for index in stream.streamed
    }


def _sources(
    lora: LoraFile, pair: LoraPair, adapter: _Adapter, dtype: torch.dtype, multipliers: Mapping[str, float]
) -> dict[Place, Source]:
    """Where the two matrices of a layer come from."""
    tensors = lora.checkpoint.tensors
    return {
        (adapter, "down"): Source(pair.down, TensorSpec(dtype, tensors[pair.down].shape)),
        (adapter, "up"): Source(pair.up, TensorSpec(dtype, tensors[pair.up].shape), multipliers.get(pair.up)),
    }


def _load(
    lora: LoraFile,
    layers: Sequence[tuple[nn.Linear, LoraPair]],
    handle: LoraHandle,
    device: torch.device | str | None,
    dtype: torch.dtype | None,
    multipliers: Mapping[str, float],
) -> None:
    """Both matrices of every layer, for as long as the LoRA is attached."""
    tensors = lora.checkpoint.tensors
    targets: dict[str, Tensor] = {}
    for target_device in {torch.device(device or layer.weight.device) for layer, _ in layers}:
        specs = {
            key: TensorSpec(dtype or layer.weight.dtype, tensors[key].shape)
            for layer, pair in layers
            if torch.device(device or layer.weight.device) == target_device
            for key in (pair.down, pair.up)
        }
        targets |= allocate(specs, target_device)
    wanted = {key: multiplier for key, multiplier in multipliers.items() if key in targets}
    read_into(lora.checkpoint, targets, multipliers=wanted)
    for layer, pair in layers:
        adapter = handle.add(layer)
        adapter.down, adapter.up = targets[pair.down], targets[pair.up]
