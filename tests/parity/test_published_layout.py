"""Our modules, built from the catalogue's configs, hold exactly the tensors of the published checkpoints.

The published layout is written down here a second time, from its description and not from our modules, so that a
wrong key or shape shows before anybody downloads 46 GB. Nothing is allocated: modules live on the meta device, the
checkpoint is a header without a file. Alone: `pytest tests/parity/test_published_layout.py`.

Source: Lightricks/LTX-2 (commit 400fd31), whose modules were counted on the meta device.
"""

from collections import Counter
from math import prod
from pathlib import Path

import pytest

import resources
from engine.weights.checkpoint import BYTES_PER_ELEMENT, Checkpoint, TensorEntry
from engine.weights.components import build
from engine.weights.keymap import STATISTICS, Role, entries_for

CONFIGS = Path(resources.__file__).parent / "models"
Layout = dict[str, tuple[int, ...]]

D, A = 4096, 2048  # widths of the picture and of the sound
HEADS, LAYERS = 32, 48


# --- the layout as published ------------------------------------------------------------------------------------------


def under(prefix: str, layout: Layout) -> Layout:
    return {f"{prefix}.{key}": shape for key, shape in layout.items()}


def joined(*layouts: Layout) -> Layout:
    merged: Layout = {}
    for layout in layouts:
        assert not merged.keys() & layout.keys()
        merged |= layout
    return merged


def biased(key: str, *shape: int) -> Layout:
    return {f"{key}.weight": shape, f"{key}.bias": shape[:1]}


def attention(query: int, context: int, inner: int, *, gated: bool) -> Layout:
    return joined(
        {"q_norm.weight": (inner,), "k_norm.weight": (inner,)},
        biased("to_q", inner, query),
        biased("to_k", inner, context),
        biased("to_v", inner, context),
        biased("to_gate_logits", HEADS, query) if gated else {},
        biased("to_out.0", query, inner),
    )


def feed_forward(width: int) -> Layout:
    return joined(biased("net.0.proj", 4 * width, width), biased("net.2", width, 4 * width))


def adaln(width: int, rows: int) -> Layout:
    return joined(
        biased("emb.timestep_embedder.linear_1", width, 256),
        biased("emb.timestep_embedder.linear_2", width, width),
        biased("linear", rows * width, width),
    )


def block(*, is_2_3: bool) -> Layout:
    rows = 9 if is_2_3 else 6
    attentions = {
        "attn1": (D, D, D),
        "attn2": (D, D, D),
        "audio_attn1": (A, A, A),
        "audio_attn2": (A, A, A),
        "audio_to_video_attn": (D, A, A),
        "video_to_audio_attn": (A, D, A),
    }
    tables = {
        "scale_shift_table": (rows, D),
        "audio_scale_shift_table": (rows, A),
        "scale_shift_table_a2v_ca_video": (5, D),
        "scale_shift_table_a2v_ca_audio": (5, A),
    }
    if is_2_3:
        tables |= {"prompt_scale_shift_table": (2, D), "audio_prompt_scale_shift_table": (2, A)}
    return joined(
        *(under(name, attention(*sizes, gated=is_2_3)) for name, sizes in attentions.items()),
        under("ff", feed_forward(D)),
        under("audio_ff", feed_forward(A)),
        tables,
    )


def transformer(*, is_2_3: bool) -> Layout:
    rows = 9 if is_2_3 else 6
    modules = {
        "adaln_single": (D, rows),
        "audio_adaln_single": (A, rows),
        "av_ca_video_scale_shift_adaln_single": (D, 4),
        "av_ca_audio_scale_shift_adaln_single": (A, 4),
        "av_ca_a2v_gate_adaln_single": (D, 1),
        "av_ca_v2a_gate_adaln_single": (A, 1),
    }
    if is_2_3:
        modules |= {"prompt_adaln_single": (D, 2), "audio_prompt_adaln_single": (A, 2)}
    captions: Layout = {}
    if not is_2_3:
        for name, width in (("caption_projection", D), ("audio_caption_projection", A)):
            captions |= under(name, joined(biased("linear_1", width, 3840), biased("linear_2", width, width)))
    return joined(
        biased("patchify_proj", D, 128),
        biased("audio_patchify_proj", A, 128),
        biased("proj_out", 128, D),
        biased("audio_proj_out", 128, A),
        {"scale_shift_table": (2, D), "audio_scale_shift_table": (2, A)},
        *(under(name, adaln(*sizes)) for name, sizes in modules.items()),
        captions,
        *(under(f"transformer_blocks.{index}", block(is_2_3=is_2_3)) for index in range(LAYERS)),
    )


def connector(width: int) -> Layout:
    layer = joined(under("attn1", attention(width, width, width, gated=True)), under("ff", feed_forward(width)))
    return joined(
        {"learnable_registers": (128, width)},
        *(under(f"transformer_1d_blocks.{index}", layer) for index in range(8)),
    )


def text_projection() -> Layout:
    features = 3840 * 49
    return joined(biased("video_aggregate_embed", D, features), biased("audio_aggregate_embed", A, features))


def conv3d(key: str, outputs: int, inputs: int) -> Layout:
    return biased(f"{key}.conv", outputs, inputs, 3, 3, 3)


def video_res_blocks(key: str, layers: int, width: int) -> Layout:
    return joined(
        *(conv3d(f"{key}.res_blocks.{layer}.conv{which}", width, width) for layer in range(layers) for which in (1, 2))
    )


# Runs of residual layers (layers, width) and changes of resolution (weight's outputs, inputs), in the module's order.
ENCODER_RUNS = {0: (4, 128), 2: (6, 256), 4: (4, 512), 6: (2, 1024), 8: (2, 1024)}
ENCODER_CHANGES = {1: (64, 128), 3: (256, 256), 5: (128, 512), 7: (128, 1024)}
DECODER_RUNS = {0: (2, 1024), 2: (2, 512), 4: (4, 512), 6: (6, 256), 8: (4, 128)}
DECODER_CHANGES = {1: (4096, 1024), 3: (4096, 512), 5: (512, 512), 7: (512, 256)}


def video_encoder() -> Layout:
    return joined(
        conv3d("conv_in", 128, 48),
        *(video_res_blocks(f"down_blocks.{index}", *run) for index, run in ENCODER_RUNS.items()),
        *(conv3d(f"down_blocks.{index}.conv", *change) for index, change in ENCODER_CHANGES.items()),
        conv3d("conv_out", 129, 1024),
    )


def video_decoder() -> Layout:
    return joined(
        conv3d("conv_in", 1024, 128),
        *(video_res_blocks(f"up_blocks.{index}", *run) for index, run in DECODER_RUNS.items()),
        *(conv3d(f"up_blocks.{index}.conv", *change) for index, change in DECODER_CHANGES.items()),
        conv3d("conv_out", 48, 128),
    )


def statistics() -> Layout:
    return {"per_channel_statistics.mean-of-means": (128,), "per_channel_statistics.std-of-means": (128,)}


def audio_block(key: str, inputs: int, outputs: int) -> Layout:
    return joined(
        biased(f"{key}.conv1.conv", outputs, inputs, 3, 3),
        biased(f"{key}.conv2.conv", outputs, outputs, 3, 3),
        {} if inputs == outputs else biased(f"{key}.nin_shortcut.conv", outputs, inputs, 1, 1),
    )


def audio_encoder() -> Layout:
    downs = (("0", 128, 128), ("1", 128, 256), ("2", 256, 512))
    return joined(
        biased("conv_in.conv", 128, 2, 3, 3),
        *(audio_block(f"down.{level}.block.0", inputs, width) for level, inputs, width in downs),
        *(audio_block(f"down.{level}.block.1", width, width) for level, _, width in downs),
        *(biased(f"down.{level}.downsample.conv", width, width, 3, 3) for level, _, width in downs[:2]),
        *(audio_block(f"mid.block_{index}", 512, 512) for index in (1, 2)),
        biased("conv_out.conv", 16, 512, 3, 3),
    )


def audio_decoder() -> Layout:
    ups = (("2", 512, 512), ("1", 512, 256), ("0", 256, 128))
    return joined(
        biased("conv_in.conv", 512, 8, 3, 3),
        *(audio_block(f"mid.block_{index}", 512, 512) for index in (1, 2)),
        *(audio_block(f"up.{level}.block.0", inputs, width) for level, inputs, width in ups),
        *(audio_block(f"up.{level}.block.{index}", width, width) for level, _, width in ups for index in (1, 2)),
        *(biased(f"up.{level}.upsample.conv.conv", width, width, 3, 3) for level, _, width in ups[:2]),
        biased("conv_out.conv", 2, 128, 3, 3),
    )


def snake(key: str, width: int) -> Layout:
    return {
        f"{key}.act.alpha": (width,),
        f"{key}.act.beta": (width,),
        f"{key}.upsample.filter": (1, 1, 12),
        f"{key}.downsample.lowpass.filter": (1, 1, 12),
    }


def residual_block(key: str, width: int, kernel: int) -> Layout:
    return joined(
        *(biased(f"{key}.convs{which}.{index}", width, width, kernel) for which in (1, 2) for index in range(3)),
        *(snake(f"{key}.acts{which}.{index}", width) for which in (1, 2) for index in range(3)),
    )


def generator(width: int, upsample_kernels: tuple[int, ...]) -> Layout:
    stages: list[Layout] = []
    for index, kernel in enumerate(upsample_kernels):
        inputs, outputs = width >> index, width >> (index + 1)
        # A transposed convolution's weight has its inputs first.
        stages.append({f"ups.{index}.weight": (inputs, outputs, kernel), f"ups.{index}.bias": (outputs,)})
        stages += [residual_block(f"resblocks.{3 * index + j}", outputs, size) for j, size in enumerate((3, 7, 11))]
    last = width >> len(upsample_kernels)
    return joined(
        biased("conv_pre", width, 128, 7), *stages, snake("act_post", last), {"conv_post.weight": (2, last, 7)}
    )


def vocoder() -> Layout:
    return joined(
        under("vocoder", generator(1536, (11, 4, 4, 4, 4, 4))),
        under("bwe_generator", generator(512, (12, 11, 4, 4, 4))),
        {
            "mel_stft.mel_basis": (64, 257),
            "mel_stft.stft_fn.forward_basis": (514, 1, 512),
            "mel_stft.stft_fn.inverse_basis": (514, 1, 512),
        },
    )


def ltx_2_3() -> Layout:
    return joined(
        under("model.diffusion_model", transformer(is_2_3=True)),
        under("model.diffusion_model.video_embeddings_connector", connector(D)),
        under("model.diffusion_model.audio_embeddings_connector", connector(A)),
        under("text_embedding_projection", text_projection()),
        under("vae.encoder", video_encoder()),
        under("vae.decoder", video_decoder()),
        under("vae", statistics()),
        under("audio_vae.encoder", audio_encoder()),
        under("audio_vae.decoder", audio_decoder()),
        under("audio_vae", statistics()),
        under("vocoder", vocoder()),
    )


# --- our modules ------------------------------------------------------------------------------------------------------

# Without the latent statistics, which count for both halves of a VAE: tensors and elements.
COUNTS = {
    Role.TRANSFORMER: (4186, 18_988_838_144),
    Role.VIDEO_CONNECTOR: (129, 1_612_546_304),
    Role.AUDIO_CONNECTOR: (129, 403_620_096),
    Role.TEXT_PROJECTION: (4, 1_156_061_184),
    Role.VIDEO_ENCODER: (84, 318_937_153 - 256),
    Role.VIDEO_DECODER: (84, 407_169_328 - 256),
    Role.AUDIO_ENCODER: (44, 21_333_264 - 256),
    Role.AUDIO_DECODER: (56, 31_915_394 - 256),
    Role.VOCODER: (1227, 129_085_032),
}


def checkpoint(layout: Layout, config: str) -> Checkpoint:
    """The header of a checkpoint: modulation tables in fp32, the rest in bfloat16."""
    path = Path("published.safetensors")
    tensors: dict[str, TensorEntry] = {}
    position = 0
    for key, shape in layout.items():
        dtype = "F32" if "scale_shift_table" in key else "BF16"
        end = position + prod(shape) * BYTES_PER_ELEMENT[dtype]
        tensors[key] = TensorEntry(path, dtype, shape, position, end)
        position = end
    return Checkpoint(path, tensors, {"config": (CONFIGS / config).read_text(encoding="utf-8")})


def our_layout(published: Checkpoint, role: Role) -> Layout:
    return {key: tuple(tensor.shape) for key, tensor in build(published, role).state_dict().items()}


def their_layout(published: Checkpoint, role: Role) -> Layout:
    return {key: published.tensors[name].shape for key, name in entries_for(published, role).items()}


def num_elements(layout: Layout) -> int:
    return sum(prod(shape) for shape in layout.values())


@pytest.fixture(scope="module")
def published() -> Checkpoint:
    return checkpoint(ltx_2_3(), "ltx-2.3-22b.config.json")


def test_the_layout_has_the_published_size(published: Checkpoint) -> None:
    dtypes = Counter(entry.dtype for entry in published.tensors.values())
    num_bytes = sum(entry.num_bytes for entry in published.tensors.values())

    assert len(published.tensors) == 5947
    assert num_elements(published.shapes) == 23_069_505_387
    assert dtypes["F32"] == 290
    assert round(num_bytes / 1e9, 1) == 46.1


@pytest.mark.parametrize("role", COUNTS, ids=lambda role: role.value)
def test_a_module_holds_exactly_the_published_tensors_of_its_role(published: Checkpoint, role: Role) -> None:
    ours = our_layout(published, role)

    assert ours == their_layout(published, role)


@pytest.mark.parametrize("role", COUNTS, ids=lambda role: role.value)
def test_a_role_has_its_published_size(published: Checkpoint, role: Role) -> None:
    own = {key: shape for key, shape in their_layout(published, role).items() if not key.startswith(STATISTICS)}

    assert (len(own), num_elements(own)) == COUNTS[role]


def test_every_published_tensor_belongs_to_one_role_and_statistics_to_two(published: Checkpoint) -> None:
    owners = Counter(name for role in COUNTS for name in entries_for(published, role).values())

    assert owners.keys() == published.tensors.keys()
    assert {name: count for name, count in owners.items() if count != 1} == {
        f"{family}.{key}": 2 for family in ("vae", "audio_vae") for key in statistics()
    }


def test_the_transformer_of_ltx_2_0_holds_exactly_the_published_tensors() -> None:
    layout = transformer(is_2_3=False)
    older = checkpoint(under("model.diffusion_model", layout), "ltx-2-19b.config.json")

    assert (len(layout), num_elements(layout)) == (3510, 18_876_174_592)
    assert our_layout(older, Role.TRANSFORMER) == layout


def test_one_block_has_its_published_size() -> None:
    assert (len(block(is_2_3=True)), num_elements(block(is_2_3=True))) == (86, 386_695_360)
    assert (len(block(is_2_3=False)), num_elements(block(is_2_3=False))) == (72, 386_074_624)
