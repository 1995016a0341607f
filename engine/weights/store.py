"""The one owner of everything that is loaded: components by role, with their LoRAs, on their device.

A stage asks for a role and gets the module; asking again costs nothing. What is no longer needed is released by name,
so that the text encoder's memory is free before the transformer's is taken. How the transformer's weights are stored
and where its blocks are while it runs is the placement's to say; everything else is small enough to be resident.
"""

import gc
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from engine.weights.catalog import ModelFiles
from engine.weights.checkpoint import Checkpoint
from engine.weights.components import load
from engine.weights.keymap import Role, entries_for
from engine.weights.lora import LoraFile, LoraHandle, attach
from engine.weights.packed import packed_checkpoint
from engine.weights.residency import RESIDENT, Precision, Residency
from engine.weights.text_encoder import TextEncoder

WITHOUT_FP8 = frozenset({"mps"})  # devices whose tensors cannot be FP8: the weights are multiplied out there
TEXT_ROLES = (Role.TEXT_PROJECTION, Role.VIDEO_CONNECTOR, Role.AUDIO_CONNECTOR)


@dataclass(frozen=True)
class Placement:
    """Where a run's components live and in which precision."""

    device: torch.device
    dtype: torch.dtype  # of all computing
    precision: Precision = Precision.PLAIN  # of the transformer's large matrices
    residency: Residency = RESIDENT  # of the transformer's blocks

    @property
    def computing(self) -> tuple[torch.device, torch.dtype]:
        """What every component is loaded for."""
        return self.device, self.dtype


class ModelStore:
    """Loaded components of one model; asking for another model releases the first."""

    def __init__(self) -> None:
        self._files: ModelFiles | None = None
        self._placement: Placement | None = None
        self._modules: dict[Role, nn.Module] = {}
        self._loras: dict[Path, LoraHandle] = {}
        self._text_encoder: TextEncoder | None = None
        self._transformer_weights: Checkpoint | None = None

    def use(self, files: ModelFiles, placement: Placement) -> None:
        """Work with this model from now on; what is loaded of it already stays, if it may stay where it is."""
        before = self._placement
        if (
            files != self._files
            or before is None
            or (placement.device, placement.dtype) != (before.device, before.dtype)
        ):
            self.unload()
        elif placement != before:
            self.release(Role.TRANSFORMER)
            self._transformer_weights = None
        self._files, self._placement = files, placement

    def prepare(self) -> Generator[float, None, None]:
        """Convert the transformer's weights to this placement's precision, where there is no copy in it on disk yet.

        Yields the fraction done; takes minutes for a large model, once. `module` does it too, in silence. Raises
        CheckpointError and StorageFull.
        """
        if self._transformer_weights is None:
            files, placement = self._current()
            checkpoint = Checkpoint.open(files.checkpoint)
            entries = entries_for(checkpoint, Role.TRANSFORMER)
            self._transformer_weights = yield from packed_checkpoint(checkpoint, entries, placement.precision)

    @property
    def placement(self) -> Placement:
        return self._current()[1]

    @property
    def loaded_roles(self) -> frozenset[Role]:
        return frozenset(self._modules)

    def module(self, role: Role) -> nn.Module:
        """A component, loaded if it is not. Raises CheckpointError, OutOfMemory and StorageFull."""
        if role not in self._modules:
            files, placement = self._current()
            if role is Role.TRANSFORMER:
                self._modules[role] = self._load_transformer(placement)
            else:
                path = files.spatial_upsampler if role is Role.UPSAMPLER else files.checkpoint
                assert path is not None, role
                self._modules[role] = load(Checkpoint.open(path), role, dtype=placement.dtype, device=placement.device)
        return self._modules[role]

    def _load_transformer(self, placement: Placement) -> nn.Module:
        for _ in self.prepare():
            pass
        assert self._transformer_weights is not None
        return load(
            self._transformer_weights,
            Role.TRANSFORMER,
            dtype=placement.dtype,
            device=placement.device,
            keeps_fp8=placement.precision is Precision.FP8 and placement.device.type not in WITHOUT_FP8,
            residency=placement.residency,
        )

    def text_encoder(self, *, num_tokens: int) -> TextEncoder:
        """The text encoder, loaded if it is not. Raises CheckpointError."""
        if self._text_encoder is None:
            files, placement = self._current()
            assert files.text_encoder is not None
            self._text_encoder = TextEncoder.load(
                files.text_encoder, num_tokens=num_tokens, dtype=placement.dtype, device=placement.device
            )
        return self._text_encoder

    def set_loras(self, strengths: Sequence[tuple[Path, float]]) -> None:
        """Exactly these LoRAs act on the transformer, at these strengths. Raises CheckpointError."""
        wanted = dict(strengths)
        transformer = self.module(Role.TRANSFORMER)
        for path, handle in self._loras.items():
            handle.strength = wanted.get(path, 0.0)
        for path, strength in wanted.items():
            if path not in self._loras and strength != 0:
                device, dtype = self.placement.device, self.placement.dtype
                self._loras[path] = attach(
                    transformer, LoraFile.open(path), strength=strength, device=device, dtype=dtype
                )

    def release(self, *roles: Role) -> None:
        """Give these components' memory back; costs nothing for those that are not loaded."""
        released = [self._modules.pop(role) for role in roles if role in self._modules]
        if Role.TRANSFORMER in roles:
            self._loras.clear()
        if released:
            del released
            self._collect()

    def release_text(self) -> None:
        """Give back the text encoder and what turns its states into contexts."""
        self._text_encoder = None
        self.release(*TEXT_ROLES)

    def unload(self) -> None:
        """Give everything back."""
        self._text_encoder = None
        self._transformer_weights = None
        self._loras.clear()
        self._modules.clear()
        self._collect()

    def _current(self) -> tuple[ModelFiles, Placement]:
        assert self._files is not None and self._placement is not None, "use() names the model first"
        return self._files, self._placement

    @staticmethod
    def _collect() -> None:
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
