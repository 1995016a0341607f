"""One component of a checkpoint as a module, ready to run.

header -> config -> module on the meta device -> layers for eight-bit weights -> strict comparison of keys and shapes
-> memory -> bytes -> assign, or, for blocks that stream, where their bytes are.
Nothing is initialised twice, nothing is copied, and a tensor too few or too many is an error: a network with one
random layer still makes pictures, only bad ones.
"""

from collections.abc import Iterable, Mapping, Set
from itertools import chain
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from engine.errors import CheckpointError
from engine.model import config as configs
from engine.model.audio_vae import AudioDecoder, AudioEncoder
from engine.model.quantised import QUANTISED_DTYPES
from engine.model.text import Connector, TextProjection
from engine.model.transformer import Transformer
from engine.model.upsampler import LatentUpsampler
from engine.model.video_vae import VideoDecoder, VideoEncoder
from engine.model.vocoder import Vocoder
from engine.weights import fp8, int8
from engine.weights.checkpoint import FETCH_AGAIN, Checkpoint, some_of
from engine.weights.keymap import SCALE_SUFFIXES, Role, entries_for
from engine.weights.reading import TORCH_DTYPES, TensorSpec, allocate, read_into
from engine.weights.residency import RESIDENT, Residency
from engine.weights.slots import Parcel, Place, Source
from engine.weights.streaming import BlockStream, spread

AnyModule = TypeVar("AnyModule", bound=nn.Module)

# The modulation tables are fp32 in the files. They are rounded to the activations' type before they are added, so
# keeping them costs 10 MB and changes nothing but where the rounding happens.
TABLES = "scale_shift_table"
# The official pipelines compute the vocoder in fp32, whatever the file holds.
ALWAYS_FP32 = frozenset({Role.VOCODER})
# The list of blocks in the component, where it has one that is worth streaming.
BLOCKS = {Role.TRANSFORMER: "transformer_blocks"}


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
    checkpoint: Checkpoint,
    role: Role,
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    keeps_fp8: bool = False,
    residency: Residency = RESIDENT,
) -> nn.Module:
    """The component with its weights in `dtype`, for inference: eval mode, no gradients.

    The vocoder is always fp32, and modulation tables keep the file's fp32. See `load_module` for the rest; only the
    transformer has blocks to stream. Raises CheckpointError.
    """
    return load_module(
        build(checkpoint, role),
        checkpoint,
        entries_for(checkpoint, role),
        dtype=torch.float32 if role in ALWAYS_FP32 else dtype,
        device=device,
        keeps_fp8=keeps_fp8,
        blocks=BLOCKS.get(role),
        residency=residency,
    )


def load_module(
    module: AnyModule,
    checkpoint: Checkpoint,
    entries: Mapping[str, str],
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    keeps_fp8: bool = False,
    blocks: str | None = None,
    residency: Residency = RESIDENT,
) -> AnyModule:
    """Give a module on the meta device the tensors `entries` (module key -> key in the file), and return it.

    FP8 weights are multiplied out, or with `keeps_fp8` stay FP8 in layers that unpack them; INT8 weights always stay,
    and other integer tensors keep their type. `blocks` names the module's list of blocks, which becomes a
    `BlockStream` unless the residency is "resident". Scales among the entries are ignored: they are found by their
    weights. Raises CheckpointError when the file's keys or shapes are not exactly the module's.
    """
    entries = {key: file_key for key, file_key in entries.items() if not key.endswith(SCALE_SUFFIXES)}
    scales = fp8.install(module, checkpoint, entries, keeps_fp8=keeps_fp8)
    entries = {**entries, **int8.install(module, checkpoint, entries)}
    expected = module.state_dict()
    _check_entries(checkpoint, entries, {key: tuple(tensor.shape) for key, tensor in expected.items()})
    in_file_order = sorted(entries, key=lambda key: checkpoint.tensors[entries[key]].start)
    specs = {
        key: TensorSpec(
            _loaded_dtype(key, checkpoint.tensors[entries[key]].dtype, expected[key].dtype, dtype),
            tuple(expected[key].shape),
        )
        for key in in_file_order
    }
    streamed: Set[str] = set()
    if blocks is not None and residency.kind != "resident":
        in_ram = residency.kind == "stream"
        stream = BlockStream(module.get_submodule(blocks).children(), device=torch.device(device), in_ram=in_ram)
        module.set_submodule(blocks, stream)
        streamed = _streamed_keys(blocks, len(stream), residency, specs)
        for index, sources in _sources(stream, blocks, specs, entries, scales, streamed).items():
            stream.carry(index, Parcel(checkpoint, sources))
    state = allocate({key: spec for key, spec in specs.items() if key not in streamed}, device)
    multipliers = {entries[key]: scales[entries[key]] for key in state if entries[key] in scales}
    read_into(checkpoint, {entries[key]: tensor for key, tensor in state.items()}, multipliers=multipliers)
    module.load_state_dict(state, strict=not streamed, assign=True)  # the keys are compared already
    tensors: Iterable[tuple[str, Tensor]] = chain(module.named_parameters(), module.named_buffers())
    left = [name for name, tensor in tensors if tensor.is_meta and name not in streamed]
    assert not left, f"not in the state dict, so never loaded: {left}"
    return module.eval().requires_grad_(False)


def _streamed_keys(blocks: str, num_blocks: int, residency: Residency, keys: Iterable[str]) -> Set[str]:
    resident = spread(residency.resident_blocks, num_blocks)
    prefixes = tuple(f"{blocks}.{index}." for index in range(num_blocks) if index not in resident)
    return {key for key in keys if key.startswith(prefixes)}


def _sources(
    stream: BlockStream,
    blocks: str,
    specs: Mapping[str, TensorSpec],
    entries: Mapping[str, str],
    scales: Mapping[str, float],
    streamed: Set[str],
) -> dict[int, dict[Place, Source]]:
    """What each streamed block reads, in the order of the file."""
    sources: dict[int, dict[Place, Source]] = {}
    for key, spec in specs.items():
        if key in streamed:
            index, _, path = key.removeprefix(f"{blocks}.").partition(".")
            owner, _, name = path.rpartition(".")
            place = (stream[int(index)].get_submodule(owner), name)
            file_key = entries[key]
            sources.setdefault(int(index), {})[place] = Source(file_key, spec, scales.get(file_key))
    return dict(sorted(sources.items()))


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


def _loaded_dtype(key: str, file_dtype: str, module_dtype: torch.dtype, dtype: torch.dtype) -> torch.dtype:
    in_file = TORCH_DTYPES[file_dtype]
    if not in_file.is_floating_point or module_dtype in QUANTISED_DTYPES or key.endswith(int8.SCALE_SUFFIX):
        return in_file
    return in_file if TABLES in key and in_file == torch.float32 else dtype
