"""LoRAs in training: low-rank additions to the linear layers of a frozen network, saved in the official format.

`engine.weights.lora` is their other half: it puts a saved LoRA to work, without gradients and in place.
"""

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.training.mixed import MixedLinear, linear_in_bf16
from engine.weights.writing import write_tensors

PREFIX = "diffusion_model."  # what stands before a layer's name in official LoRA files


class TrainableLora(nn.Module):
    """Adds B A x to the outputs of a network's linear layers; at first nothing, as B is zero.

    The network is frozen; only these matrices train. Their parameters lie beside it, not in it, so its state dict stays
    as it was.
    """

    def __init__(self, network: nn.Module, *, rank: int, wanted: Callable[[str], bool] = lambda name: True) -> None:
        """`wanted` chooses layers by name. Random numbers are those of torch's global generator."""
        super().__init__()
        network.requires_grad_(False)
        modules = dict(network.named_modules())
        layers = {name: layer for name, layer in modules.items() if isinstance(layer, nn.Linear) and wanted(name)}
        self.names = tuple(layers)
        ranks = [min(rank, *layer.weight.shape) for layer in layers.values()]
        # As wide as the layer's own inputs, so that what B learns does not depend on the rank.
        self.downs = nn.ParameterList(
            torch.randn(size, layer.in_features) / layer.in_features**0.5
            for size, layer in zip(ranks, layers.values(), strict=True)
        )
        self.ups = nn.ParameterList(
            torch.zeros(layer.out_features, size) for size, layer in zip(ranks, layers.values(), strict=True)
        )
        self.is_on = True
        for index, layer in enumerate(layers.values()):
            layer.register_forward_hook(self._added(index))

    def _added(self, index: int) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor | None]:
        def hook(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
            if not self.is_on:
                return None
            multiply = linear_in_bf16 if isinstance(layer, MixedLinear) else F.linear
            return output + multiply(multiply(inputs[0], self.downs[index]), self.ups[index])

        return hook

    @contextmanager
    def off(self) -> Generator[None]:
        """The network as it was without the LoRA."""
        self.is_on = False
        try:
            yield
        finally:
            self.is_on = True

    def save(self, path: Path, metadata: Mapping[str, str] | None = None) -> None:
        """Write the official format in bf16, by atomic rename."""
        tensors: dict[str, Tensor] = {}
        for name, down, up in zip(self.names, self.downs, self.ups, strict=True):
            tensors[f"{PREFIX}{name}.lora_A.weight"] = down.detach().to("cpu", torch.bfloat16).contiguous()
            tensors[f"{PREFIX}{name}.lora_B.weight"] = up.detach().to("cpu", torch.bfloat16).contiguous()
        path.parent.mkdir(parents=True, exist_ok=True)
        write_tensors(path, tensors, {"format": "pt", **(metadata or {})})
