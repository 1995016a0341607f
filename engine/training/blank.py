"""An untrained model in the official layout: every file a run needs, with random weights.

What training starts from, what tests run on, and what `generate` falls back to where no trained model is installed:
the whole path works, the pictures mean nothing.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from engine.model import config as configs
from engine.model.audio_vae import AudioDecoder, AudioEncoder
from engine.model.header import Section
from engine.model.text import Connector, TextProjection
from engine.model.transformer import Transformer
from engine.model.upsampler import LatentUpsampler
from engine.model.video_vae import VideoDecoder, VideoEncoder
from engine.model.vocoder import Vocoder
from engine.weights.keymap import RULES, STATISTICS, Role
from engine.weights.writing import write_tensors

MODEL_VERSION = "2.3.0"
CHECKPOINT_NAME = "untrained.safetensors"
UPSAMPLER_NAME = "untrained-spatial-upscaler-x2.safetensors"
LORA_NAME = "untrained-distilled-lora.safetensors"
TEXT_ENCODER_FOLDER = "text_encoder"

# In the order of Gemma-3's own vocabulary.
SPECIAL_TOKENS = ("<pad>", "<eos>", "<bos>", "<unk>")
_NUM_BYTES = 256  # as characters: a vocabulary that reads any language without having been trained


@dataclass(frozen=True)
class TextEncoderSize:
    """The dimensions of a small Gemma-3."""

    hidden_size: int = 32
    num_layers: int = 4
    num_heads: int = 2
    num_key_value_heads: int = 1
    head_dim: int = 16
    feed_forward: int = 64


@dataclass(frozen=True)
class ModelShape:
    """Everything that decides the files of a model."""

    config: Mapping[str, Any]  # the header's config
    upsampler: Mapping[str, Any]  # the upsampler file's flat config
    text_encoder: TextEncoderSize


# What the header of every LTX-2.3 model says, whatever its size.
TRANSFORMER_OF_2_3: Final[Mapping[str, Any]] = {
    "rope_type": "split",
    "frequencies_precision": "float64",
    "positional_embedding_max_pos": [20, 2048, 2048],
    "audio_positional_embedding_max_pos": [20],
    "timestep_scale_multiplier": 1000,
    "av_ca_timestep_scale_multiplier": 1000.0,
    "apply_gated_attention": True,
    "cross_attention_adaln": True,
    "caption_proj_before_connector": True,
    "caption_projection_first_linear": False,
    "caption_proj_input_norm": False,
    "caption_projection_second_linear": False,
    "connector_positional_embedding_max_pos": [4096],
    "connector_apply_gated_attention": True,
    "connector_norm_output": True,
}
VIDEO_VAE_OF_2_3: Final[Mapping[str, Any]] = {
    "_class_name": "CausalVideoAutoencoder",
    "patch_size": 4,
    "norm_layer": "pixel_norm",
    "latent_log_var": "uniform",
    "causal_decoder": False,
    "timestep_conditioning": False,
    "spatial_padding_mode": "zeros",
}
AUDIO_NETWORK_OF_2_3: Final[Mapping[str, Any]] = {
    "double_z": True,
    "in_channels": 2,
    "out_ch": 2,
    "mel_bins": 64,
    "attn_resolutions": [],
    "mid_block_add_attention": False,
    "norm_type": "pixel",
    "causality_axis": "height",
}
GENERATOR_OF_2_3: Final[Mapping[str, Any]] = {
    "resblock": "AMP1",
    "activation": "snakebeta",
    "stereo": True,
    "use_bias_at_final": False,
    "use_tanh_at_final": False,
}
UPSAMPLER_X2: Final[Mapping[str, Any]] = {
    "_class_name": "LatentUpsampler",
    "dims": 3,
    "spatial_upsample": True,
    "temporal_upsample": False,
    "rational_resampler": False,
    "spatial_scale": 2.0,
}


def audio_vae_config(network: Mapping[str, Any], *, hop_length: int) -> dict[str, Any]:
    """The header's `audio_vae` for a network over 64 mels of 16 kHz sound, a frame every `hop_length` samples."""
    return {
        "model": {"params": {"sampling_rate": 16000, "ddconfig": {**AUDIO_NETWORK_OF_2_3, **network}}},
        "preprocessing": {
            "stft": {"filter_length": 1024, "win_length": 1024, "hop_length": hop_length},
            "mel": {"n_mel_channels": 64, "mel_fmin": 0, "mel_fmax": 8000},
        },
    }


def small_shape() -> ModelShape:
    """The smallest model that still has every part of LTX-2.3: about 1.4 million weights."""
    transformer = {
        **TRANSFORMER_OF_2_3,
        "num_layers": 2,
        "num_attention_heads": 2,
        "attention_head_dim": 32,
        "in_channels": 16,
        "out_channels": 16,
        "cross_attention_dim": 64,
        "audio_num_attention_heads": 2,
        "audio_attention_head_dim": 16,
        "audio_in_channels": 32,
        "audio_out_channels": 32,
        "audio_cross_attention_dim": 32,
        "caption_channels": 32,
        "text_sequence_length": 128,
        "connector_num_attention_heads": 2,
        "connector_attention_head_dim": 32,
        "connector_num_layers": 1,
        "audio_connector_num_attention_heads": 2,
        "audio_connector_attention_head_dim": 16,
        "connector_num_learnable_registers": 128,
    }
    res = ["res_x", {"num_layers": 1}]
    vae = {
        **VIDEO_VAE_OF_2_3,
        "latent_channels": 16,
        "encoder_blocks": [
            res,
            ["compress_space_res", {"multiplier": 2}],
            res,
            ["compress_time_res", {"multiplier": 2}],
            res,
            ["compress_all_res", {"multiplier": 1}],
            res,
            ["compress_all_res", {"multiplier": 1}],
            res,
        ],
        "decoder_blocks": [
            res,
            ["compress_space", {"multiplier": 2}],
            res,
            ["compress_time", {"multiplier": 2}],
            res,
            ["compress_all", {"multiplier": 1}],
            res,
            ["compress_all", {"multiplier": 2}],
            res,
        ],
        "decoder_base_channels": 8,
    }
    audio_network = {"ch": 16, "ch_mult": [1, 2, 4], "num_res_blocks": 1, "z_channels": 2}
    audio_vae = audio_vae_config(audio_network, hop_length=160)
    generator = {
        **GENERATOR_OF_2_3,
        "resblock_kernel_sizes": [3, 7, 11],
        "resblock_dilation_sizes": [[1, 3, 5], [1, 3, 5], [1, 3, 5]],
    }
    vocoder = {
        "vocoder": {
            **generator,
            "upsample_initial_channel": 64,
            "upsample_rates": [5, 2, 2, 2, 2, 2],
            "upsample_kernel_sizes": [11, 4, 4, 4, 4, 4],
        },
        "bwe": {
            **generator,
            "apply_final_activation": False,
            "upsample_initial_channel": 32,
            "upsample_rates": [6, 5, 2, 2, 2],
            "upsample_kernel_sizes": [12, 11, 4, 4, 4],
            "input_sampling_rate": 16000,
            "output_sampling_rate": 48000,
            "num_mels": 64,
            "hop_length": 80,
            "n_fft": 512,
            "win_size": 512,
        },
    }
    upsampler = {**UPSAMPLER_X2, "in_channels": 16, "mid_channels": 32, "num_blocks_per_stage": 1}
    config = {"transformer": transformer, "vae": vae, "audio_vae": audio_vae, "vocoder": vocoder}
    return ModelShape(config, upsampler, TextEncoderSize())


def make_model(folder: Path, shape: ModelShape, *, seed: int = 0) -> Path:
    """Write checkpoint, upsampler, distilled LoRA and text encoder into `folder`; returns the checkpoint's path.

    The LoRA changes nothing: its second factors are zero, as at the start of its training.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        modules = make_modules(shape)
        save_checkpoint(folder / CHECKPOINT_NAME, modules, shape.config)
        root = Section(folder / UPSAMPLER_NAME, "config", shape.upsampler)
        upsampler = LatentUpsampler(configs.parse_upsampler(root))
        metadata = {"config": json.dumps(shape.upsampler)}
        write_tensors(folder / UPSAMPLER_NAME, _stored(upsampler.state_dict()), metadata)
        transformer = modules[Role.TRANSFORMER]
        write_tensors(folder / LORA_NAME, _stored(_neutral_lora(transformer, rank=4)), {"format": "pt"})
        make_text_encoder(folder / TEXT_ENCODER_FOLDER, shape.text_encoder)
    return folder / CHECKPOINT_NAME


def make_modules(shape: ModelShape) -> dict[Role, nn.Module]:
    """Every component of the single file, freshly initialised with torch's global generator, fp32."""
    root = Section(Path(CHECKPOINT_NAME), "config", shape.config)
    encoder = shape.text_encoder
    features = encoder.hidden_size * (encoder.num_layers + 1)
    shapes = {configs.VIDEO_PROJECTION_KEY: (1, features), configs.SHARED_PROJECTION_KEY: (1, features)}
    text = configs.parse_text(root, shapes)
    video, audio = configs.parse_video_vae(root), configs.parse_audio_vae(root)
    modules: dict[Role, nn.Module] = {
        Role.TRANSFORMER: Transformer(configs.parse_transformer(root)),
        Role.VIDEO_CONNECTOR: Connector(text.video),
        Role.AUDIO_CONNECTOR: Connector(text.audio),
        Role.TEXT_PROJECTION: TextProjection(text),
        Role.VIDEO_ENCODER: VideoEncoder(video),
        Role.VIDEO_DECODER: VideoDecoder(video),
        Role.AUDIO_ENCODER: AudioEncoder(audio),
        Role.AUDIO_DECODER: AudioDecoder(audio),
        Role.VOCODER: Vocoder(configs.parse_vocoder(root)),
    }
    for role in (Role.TRANSFORMER, Role.VIDEO_CONNECTOR, Role.AUDIO_CONNECTOR):
        for name, parameter in modules[role].named_parameters():
            if name.endswith(("scale_shift_table", "learnable_registers")) or "scale_shift_table" in name:
                nn.init.normal_(parameter, std=0.02)
    return modules


def save_checkpoint(path: Path, modules: Mapping[Role, nn.Module], config: Mapping[str, Any]) -> None:
    """Write components as one file in the official layout: bf16, with fp32 modulation tables and the config."""
    tensors: dict[str, Tensor] = {}
    for role, module in modules.items():
        rule = RULES[role]
        for key, tensor in module.state_dict().items():
            prefix = rule.root if key.startswith(STATISTICS) else rule.root + rule.inner
            tensors[prefix + key] = tensor
    write_tensors(path, _stored(tensors), {"config": json.dumps(config), "model_version": MODEL_VERSION})


def make_text_encoder(folder: Path, size: TextEncoderSize) -> None:
    """Write a Gemma-3 language model with random weights, and a tokenizer whose tokens are bytes."""
    model = make_language_model(size, vocabulary_size=_NUM_BYTES + len(SPECIAL_TOKENS))
    save_text_encoder(folder, model, _byte_tokenizer())


def make_language_model(size: TextEncoderSize, *, vocabulary_size: int) -> nn.Module:
    """A Gemma-3 language model with random weights from torch's global generator."""
    from transformers import Gemma3TextConfig, Gemma3TextModel  # noqa: PLC0415 - seconds to import

    return Gemma3TextModel(
        Gemma3TextConfig(
            vocab_size=vocabulary_size,
            hidden_size=size.hidden_size,
            intermediate_size=size.feed_forward,
            num_hidden_layers=size.num_layers,
            num_attention_heads=size.num_heads,
            num_key_value_heads=size.num_key_value_heads,
            head_dim=size.head_dim,
            query_pre_attn_scalar=size.head_dim,
            pad_token_id=SPECIAL_TOKENS.index("<pad>"),
            eos_token_id=SPECIAL_TOKENS.index("<eos>"),
            bos_token_id=SPECIAL_TOKENS.index("<bos>"),
        )
    )


def save_text_encoder(folder: Path, model: nn.Module, tokenizer: Any) -> None:
    """Write a language model in bf16 and its tokenizer in the Hugging Face layout."""
    folder.mkdir(parents=True, exist_ok=True)
    model.config.save_pretrained(folder)  # pyright: ignore[reportAttributeAccessIssue, reportCallIssue] - a Gemma-3
    tensors = {f"model.{name}": tensor.cpu() for name, tensor in model.state_dict().items()}
    write_tensors(folder / "model.safetensors", _stored(tensors), {"format": "pt"})
    tokenizer.save_pretrained(folder)


def wrap_tokenizer(tokenizer: Any) -> Any:
    """A tokenizer as `transformers` uses it: Gemma-3's special tokens, a leading <bos>, padding on the left."""
    from tokenizers import processors  # noqa: PLC0415
    from transformers import PreTrainedTokenizerFast  # noqa: PLC0415 - seconds to import

    bos = SPECIAL_TOKENS.index("<bos>")
    tokenizer.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", bos)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        padding_side="left",
        pad_token="<pad>",
        eos_token="<eos>",
        bos_token="<bos>",
        unk_token="<unk>",
    )


def _byte_tokenizer() -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers  # noqa: PLC0415

    vocabulary = {token: index for index, token in enumerate(SPECIAL_TOKENS)}
    vocabulary |= {
        character: len(SPECIAL_TOKENS) + index
        for index, character in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))
    }
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return wrap_tokenizer(tokenizer)


def _neutral_lora(transformer: nn.Module, *, rank: int) -> dict[str, Tensor]:
    """Factors for every attention and feed-forward layer of the blocks."""
    factors: dict[str, Tensor] = {}
    for name, layer in transformer.named_modules():
        if isinstance(layer, nn.Linear) and name.startswith("transformer_blocks."):
            factors[f"diffusion_model.{name}.lora_A.weight"] = torch.randn(rank, layer.in_features) / rank
            factors[f"diffusion_model.{name}.lora_B.weight"] = torch.zeros(layer.out_features, rank)
    return factors


def _stored(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """In the dtypes of the official files."""
    return {
        name: tensor.detach().to(torch.float32 if "scale_shift_table" in name else torch.bfloat16).contiguous()
        for name, tensor in tensors.items()
    }
