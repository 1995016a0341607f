"""diffusers' transformer with our weights: the oracle of the parity test and the opponent of the benchmark.

The two agree only when all timesteps and noise levels of a pass are equal: diffusers 0.42.1 feeds either the own
timestep or the other stream's noise level to everything in the cross-modal attentions, the official code feeds the own
timestep to scales and shifts and the other stream's noise level to the gates.
"""

from typing import Any

import torch
from diffusers.models.transformers.transformer_ltx2 import LTX2VideoTransformer3DModel
from torch import Tensor

from engine.model.config import TransformerConfig
from engine.model.transformer import StreamInput, Transformer

# By whole components of a key: `adaln_single` is a part of seven other names, `scale_shift_table` of five.
_COMPONENTS = {
    "patchify_proj": "proj_in",
    "audio_patchify_proj": "audio_proj_in",
    "adaln_single": "time_embed",
    "audio_adaln_single": "audio_time_embed",
    "prompt_adaln_single": "prompt_adaln",
    "audio_prompt_adaln_single": "audio_prompt_adaln",
    "av_ca_video_scale_shift_adaln_single": "av_cross_attn_video_scale_shift",
    "av_ca_audio_scale_shift_adaln_single": "av_cross_attn_audio_scale_shift",
    "av_ca_a2v_gate_adaln_single": "av_cross_attn_video_a2v_gate",
    "av_ca_v2a_gate_adaln_single": "av_cross_attn_audio_v2a_gate",
    "scale_shift_table_a2v_ca_video": "video_a2v_cross_attn_scale_shift_table",
    "scale_shift_table_a2v_ca_audio": "audio_a2v_cross_attn_scale_shift_table",
    "q_norm": "norm_q",
    "k_norm": "norm_k",
}


def twin(network: Transformer) -> LTX2VideoTransformer3DModel:
    """The oracle with the network's weights, shared with it."""
    config = network.config
    with torch.device("meta"):
        oracle = LTX2VideoTransformer3DModel(**_options(config))
    state = {
        ".".join(_COMPONENTS.get(part, part) for part in name.split(".")): value
        for name, value in network.state_dict().items()
    }
    oracle.load_state_dict(state, strict=True, assign=True)
    return oracle.eval()


def forward(
    oracle: LTX2VideoTransformer3DModel,
    video: StreamInput,
    audio: StreamInput,
    video_positions: Tensor,
    audio_positions: Tensor,
    *,
    is_per_token: bool = False,
    **options: Any,
) -> tuple[Tensor, Tensor]:
    """Velocities of both streams, with one timestep for each sample, its noise level, or one for each token."""
    scale = oracle.config["timestep_scale_multiplier"]
    batch = video.latent.shape[0]
    return oracle(
        hidden_states=video.latent,
        audio_hidden_states=audio.latent,
        encoder_hidden_states=video.context,
        audio_encoder_hidden_states=audio.context,
        timestep=(video.timesteps if is_per_token else video.sigma[:, None]) * scale,
        audio_timestep=(audio.timesteps if is_per_token else audio.sigma[:, None]) * scale,
        sigma=video.sigma * scale,
        audio_sigma=audio.sigma * scale,
        video_coords=video_positions.expand(batch, -1, -1, -1),
        audio_coords=audio_positions.expand(batch, -1, -1, -1),
        return_dict=False,
        **options,
    )


def _options(config: TransformerConfig) -> dict[str, Any]:
    video, audio = config.video, config.audio
    return {
        "in_channels": video.in_channels,
        "out_channels": video.out_channels,
        "num_attention_heads": video.num_heads,
        "attention_head_dim": video.head_dim,
        "cross_attention_dim": video.context_dim,
        "gated_attn": config.gated_attention,
        "cross_attn_mod": config.text_adaln,
        "pos_embed_max_pos": video.max_positions[0],
        "base_height": video.max_positions[1],
        "base_width": video.max_positions[2],
        "audio_in_channels": audio.in_channels,
        "audio_out_channels": audio.out_channels,
        "audio_num_attention_heads": audio.num_heads,
        "audio_attention_head_dim": audio.head_dim,
        "audio_cross_attention_dim": audio.context_dim,
        "audio_gated_attn": config.gated_attention,
        "audio_cross_attn_mod": config.text_adaln,
        "audio_pos_embed_max_pos": audio.max_positions[0],
        "num_layers": config.num_layers,
        "norm_eps": config.norm_eps,
        "caption_channels": config.caption_channels or video.context_dim,
        "rope_theta": config.rope_theta,
        "rope_double_precision": config.rope_double_precision,
        "timestep_scale_multiplier": config.timestep_scale,
        "cross_attn_timestep_scale_multiplier": config.cross_gate_timestep_scale,
        "rope_type": config.rope_type,
        "use_prompt_embeddings": config.caption_channels is not None,
        "perturbed_attn": True,
        "ff_bias": video.ff_bias,
        "audio_ff_bias": audio.ff_bias,
    }
