"""One component of a checkpoint as a module, ready to run.

header -> config -> module on the meta device -> strict comparison of keys and shapes -> memory -> bytes -> assign.
Nothing is initialised twice, nothing is copied, and a tensor too few or too many is an error: a network with one
random layer still makes pictures, only bad ones.
"""

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from engine.errors import CheckpointError
from engine.model import config as configs
from engine.model.audio_vae import AudioDecoder, AudioEncoder
from engine.model.text import Connector, TextProjection
from engine.model.transformer import Transformer
from engine.model.upsampler import LatentUpsampler
from engine.model.video_vae import VideoDecoder, VideoEncoder
from engine.model.vocoder import Vocoder
from engine.weights import fp8
from engine.weights.checkpoint import FETCH_AGAIN, Checkpoint, some_of
from engine.weights.keymap import Role, entries_for
from engine.weights.reading import TORCH_DTYPES, TensorSpec, allocate, read_into

AnyModule = TypeVar("AnyModule", bound=nn.Module)

# The modulation tables are fp32 in the files. They are rounded to the activations' type before they are added, so
# keeping them costs 10 MB and changes nothing but where the rounding happens.
TABLES = "scale_shift_table"
# The official pipelines compute the vocoder in fp32, whatever the file holds.
ALWAYS_FP32 = frozenset({Role.VOCODER})


class _WithoutInitialisation(TorchFunctionMode):
    """Leaves out the random initialisation of layers, which on the meta device fills nothing and costs two seconds."""

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", None) == "torch.nn.init":
            return kwargs["tensor"] if "tensor" in kwargs else args[0]
        return func(*args, **kwargs)


def build(checkpoint: Checkpoint, role: Role) -> nn.Module:
    """The component's module on the meta device, from the checkpoint's config. Raises CheckpointError."""
    config, shapes = checkpoint.config, checkpoint.shapes
    with torch.device("meta"), _WithoutInitialisation():
        match role:
            case Role.TRANSFORMER:
                return Transformer(configs.parse_transformer(config))
            case Role.VIDEO_CONNECTOR:
                return Connector(configs.parse_text(config, shapes).video)
            case Role.AUDIO_CONNECTOR:
                return Connector(configs.parse_text(config, shapes).audio)
            case Role.TEXT_PROJECTION:
                return TextProjection(configs.parse_text(config, shapes))
            case Role.VIDEO_ENCODER:
                return VideoEncoder(configs.parse_video_vae(config))
            case Role.VIDEO_DECODER:
                return VideoDecoder(configs.parse_video_vae(config))
            case Role.AUDIO_ENCODER:
                return AudioEncoder(configs.parse_audio_vae(config))
            case Role.AUDIO_DECODER:
                return AudioDecoder(configs.parse_audio_vae(config))
            case Role.VOCODER:
                return Vocoder(configs.parse_vocoder(config))
            case Role.UPSAMPLER:
                return LatentUpsampler(configs.parse_upsampler(config))


def load(
    checkpoint: Checkpoint, role: Role, *, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"
) -> nn.Module:
    """The component with its weights in `dtype`, for inference: eval mode, no gradients.

    The vocoder is always fp32, and modulation tables keep the file's fp32. Raises CheckpointError.
    """
    entries = entries_for(checkpoint, role)
    module = build(checkpoint, role)
    return load_module(
        module, checkpoint, entries, dtype=torch.float32 if role in ALWAYS_FP32 else dtype, device=device
    )


def load_module(
    module: AnyModule,
    checkpoint: Checkpoint,
    entries: Mapping[str, str],
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> AnyModule:
    """Give a module on the meta device the tensors `entries` (module key -> key in the file), and return it.

    FP8 weights are multiplied out, integer tensors keep their type. Raises CheckpointError when the file's keys or
    shapes are not exactly the module's.
    """
    expected = {key: tuple(tensor.shape) for key, tensor in module.state_dict().items()}
    _check_entries(checkpoint, entries, expected)
    scales = fp8.read_weight_scales(checkpoint, fp8.discover(checkpoint, entries))
    in_file_order = sorted(entries, key=lambda key: checkpoint.tensors[entries[key]].start)
    specs = {
        key: TensorSpec(_loaded_dtype(key, checkpoint.tensors[entries[key]].dtype, dtype), expected[key])
        for key in in_file_order
    }
    state = allocate(specs, device)
    read_into(checkpoint, {entries[key]: tensor for key, tensor in state.items()}, multipliers=scales)
    module.load_state_dict(state, strict=True, assign=True)
    tensors: Iterable[tuple[str, Tensor]] = chain(module.named_parameters(), module.named_buffers())
    left = [name for name, tensor in tensors if tensor.is_meta]
    assert not left, f"not in the state dict, so never loaded: {left}"
    return module.eval().requires_grad_(False)


def _check_entries(checkpoint: Checkpoint, entries: Mapping[str, str], expected: Mapping[str, tuple[int, ...]]) -> None:
    missing = sorted(expected.keys() - entries.keys())
    left_over = sorted(entries[key] for key in entries.keys() - expected.keys())
    misshapen = sorted(
        f"{file_key} {checkpoint.tensors[file_key].shape} instead of {expected[key]}"
        for key, file_key in entries.items()
        if key in expected and checkpoint.tensors[file_key].shape != expected[key]
    )
    for problem, names, remedy in (
        ("lacks", missing, FETCH_AGAIN),
        ("holds tensors that this model does not have:", left_over, "Use a file of this model's generation."),
        ("holds tensors of the wrong shape:", misshapen, "Use a file whose config and weights belong together."),
    ):
        if names:
            raise CheckpointError(checkpoint.path, f"{problem} {some_of(names)}.", remedy=remedy)


def _loaded_dtype(key: str, file_dtype: str, dtype: torch.dtype) -> torch.dtype:
    in_file = TORCH_DTYPES[file_dtype]
    if not in_file.is_floating_point or (TABLES in key and in_file == torch.float32):
        return in_file
    return dtype
