"""The one owner of everything that is loaded: components by role, with their LoRAs, on their device.

A stage asks for a role and gets the module; asking again costs nothing. What is no longer needed is released by name,
so that the text encoder's memory is free before the transformer's is taken. How the weights of the transformer and of
the text encoder are stored, and where their blocks are while they run, is the placement's to say; everything else is
small enough to be resident.
"""

import gc
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import torch
from torch import nn

from engine.hardware import return_large_blocks
from engine.weights.catalog import ModelFiles
from engine.weights.checkpoint import Checkpoint
from engine.weights.components import load
from engine.weights.keymap import Role, entries_for
from engine.weights.lora import LoraFile, LoraHandle, attach
from engine.weights.packed import packed_checkpoint
from engine.weights.residency import RESIDENT, Precision, Residency
from engine.weights.streaming import BlockStream
from engine.weights.text_encoder import TextEncoder, prepared_weights

WITHOUT_FP8 = frozenset({"mps"})  # devices whose tensors cannot be FP8: the weights are multiplied out there
# A transformer that could keep this many blocks more on the device is not loaded again for them: free memory never is
# the same twice, and loading takes longer than the blocks would save.
SPARE_BLOCKS = 3


@dataclass(frozen=True)
class Placement:
    """Where a run's components live and in which precision."""

    device: torch.device
    dtype: torch.dtype  # of all computing
    precision: Precision = Precision.PLAIN  # of the transformer's large matrices
    residency: Residency = RESIDENT  # of the transformer's blocks
    text_precision: Precision = Precision.PLAIN  # of the text encoder's large matrices
    text_residency: Residency = RESIDENT  # of the text encoder's layers

    @property
    def computing(self) -> tuple[torch.device, torch.dtype]:
        """What every component is loaded for."""
        return self.device, self.dtype


class ModelStore:
    """Loaded components of one model; asking for another model releases the first."""

    def __init__(self) -> None:
        return_large_blocks()
        self._files: ModelFiles | None = None
        self._placement: Placement | None = None
        self._modules: dict[Role, nn.Module] = {}
        self._loras: dict[Path, LoraHandle] = {}
        self._text_encoder: TextEncoder | None = None
        self._transformer_weights: Checkpoint | None = None
        self._text_weights: Checkpoint | None = None

    def use(self, files: ModelFiles, placement: Placement) -> None:
        """Work with this model from now on; what is loaded of it already stays, if it may stay where it is."""
        before = self._placement
        if files != self._files or before is None or placement.computing != before.computing:
            self.unload()
        else:
            placement = _settled(placement, before)
            if (placement.precision, placement.residency) != (before.precision, before.residency):
                self.release(Role.TRANSFORMER)
                self._transformer_weights = None
            if (placement.text_precision, placement.text_residency) != (before.text_precision, before.text_residency):
                self.release_text_encoder()
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

    def prepare_text_encoder(self) -> Generator[float, None, None]:
        """As `prepare`, for the text encoder."""
        if self._text_weights is None:
            files, placement = self._current()
            assert files.text_encoder is not None
            self._text_weights = yield from prepared_weights(files.text_encoder, placement.text_precision)

    @property
    def placement(self) -> Placement:
        return self._current()[1]

    @property
    def files(self) -> ModelFiles:
        return self._current()[0]

    @property
    def loaded_roles(self) -> frozenset[Role]:
        return frozenset(self._modules)

    @property
    def is_text_encoder_loaded(self) -> bool:
        return self._text_encoder is not None

    @property
    def ram_bytes(self) -> int:
        """Main memory that `unload` would give back, but for what the process keeps for itself."""
        modules = list(self._modules.values())
        if self._text_encoder is not None:
            modules.append(self._text_encoder.model)
        storages = {
            storage.data_ptr(): storage.nbytes()
            for tensor in chain.from_iterable(chain(module.parameters(), module.buffers()) for module in modules)
            if tensor.is_cpu
            for storage in (tensor.untyped_storage(),)
        }
        streams = [part for module in modules for part in module.modules() if isinstance(part, BlockStream)]
        return sum(storages.values()) + sum(stream.ram_bytes for stream in streams)

    @property
    def device_bytes(self) -> int:
        """Memory of a CUDA GPU that `unload` would give back; 0 on other devices, whose memory is the main memory."""
        if self._placement is None or self._placement.device.type != "cuda":
            return 0
        return torch.cuda.memory_reserved(self._placement.device)

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
        """The text encoder, loaded if it is not. Raises CheckpointError, OutOfMemory and StorageFull."""
        if self._text_encoder is None:
            for _ in self.prepare_text_encoder():
                pass
            files, placement = self._current()
            assert files.text_encoder is not None
            self._text_encoder = TextEncoder.load(
                files.text_encoder,
                num_tokens=num_tokens,
                dtype=placement.dtype,
                device=placement.device,
                weights=self._text_weights,
                keeps_fp8=placement.text_precision is Precision.FP8 and placement.device.type not in WITHOUT_FP8,
                residency=placement.text_residency,
            )
        return self._text_encoder

    def set_loras(self, strengths: Sequence[tuple[Path, float]]) -> None:
        """Exactly these LoRAs act on the transformer, at these strengths, which add up where a file is named twice.

        Those at strength 0 stay attached if they are; those that are not named are taken off. Raises CheckpointError.
        """
        wanted: dict[Path, float] = {}
        for path, strength in strengths:
            wanted[path] = wanted.get(path, 0.0) + strength
        transformer = self.module(Role.TRANSFORMER)
        needed = [path for path, strength in wanted.items() if strength != 0 or path in self._loras]
        # Sums are rounded, so what is added is added in the order of the request, whatever ran before.
        attached = list(self._loras)
        num_kept = next((at for at, path in enumerate(attached) if needed[at : at + 1] != [path]), len(attached))
        for path in attached[num_kept:]:
            self._loras.pop(path).detach()
        for path in needed[:num_kept]:
            self._loras[path].strength = wanted[path]
        device, dtype = self.placement.device, self.placement.dtype
        for path in needed[num_kept:]:
            self._loras[path] = attach(
                transformer, LoraFile.open(path), strength=wanted[path], device=device, dtype=dtype
            )

    @property
    def loras(self) -> Mapping[Path, LoraHandle]:
        """What is attached to the transformer."""
        return self._loras

    def release(self, *roles: Role) -> None:
        """Give these components' memory back; costs nothing for those that are not loaded."""
        released = [self._modules.pop(role) for role in roles if role in self._modules]
        if Role.TRANSFORMER in roles:
            self._loras.clear()
        if released:
            del released
            self.collect()

    def release_text_encoder(self) -> None:
        """Give back the text encoder, and forget which of its copies on disk it was loaded from."""
        self._text_weights = None
        if self._text_encoder is not None:
            self._text_encoder = None
            self.collect()

    def keep_only(self, roles: Iterable[Role], *, keeps_text_encoder: bool) -> None:
        """Give everything else back."""
        if not keeps_text_encoder:
            self.release_text_encoder()
        self.release(*self._modules.keys() - set(roles))

    def unload(self) -> None:
        """Give everything back."""
        self._text_encoder = None
        self._transformer_weights = self._text_weights = None
        self._loras.clear()
        self._modules.clear()
        self.collect()

    def _current(self) -> tuple[ModelFiles, Placement]:
        assert self._files is not None and self._placement is not None, "use() names the model first"
        return self._files, self._placement

    @staticmethod
    def collect() -> None:
        """Let the allocator give back what nobody holds any more."""
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _settled(wanted: Placement, present: Placement) -> Placement:
    """The wanted placement, but the present residency if the wanted one hardly differs from it."""
    now, then = present.residency, wanted.residency
    num_more = then.resident_blocks - now.resident_blocks
    if now.kind == then.kind != "resident" and 0 < num_more <= SPARE_BLOCKS:
        return replace(wanted, residency=now)
    return wanted
