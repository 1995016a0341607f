"""All networks between a prompt and a clip's latents as one module, so that they train together.

The language model, the projection of its states, both connectors and the transformer; each is the engine's own. Also
how they begin, and how they are saved: one file in the official layout, and a folder for the text encoder.

Shapes: B batch, S text tokens, T latent tokens, C channels.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from engine.errors import CheckpointError
from engine.model.config import parse_text
from engine.model.layers import AdaLayerNormSingle
from engine.model.text import Connector, TextProjection
from engine.model.transformer import Transformer, rope_tables
from engine.sampling.guidance import TextContexts
from engine.training.blank import ModelShape, make_language_model, make_modules, save_checkpoint, save_text_encoder
from engine.training.flow import NoisyStream
from engine.training.small_gemma import VOCABULARY_SIZE
from engine.weights.checkpoint import Checkpoint
from engine.weights.components import load
from engine.weights.keymap import Role
from engine.weights.text_encoder import TextEncoder, TokenizedText

CHECKPOINT_NAME: Final = "transformer.safetensors"
TEXT_ENCODER_FOLDER: Final = "text_encoder"


class TextPath(nn.Module):
    """Token ids to the two contexts that the transformer reads."""

    def __init__(self, shape: ModelShape) -> None:
        """Freshly initialised with torch's global generator, fp32."""
        super().__init__()
        modules = make_modules(shape)
        self.language_model = make_language_model(shape.text_encoder, vocabulary_size=VOCABULARY_SIZE)
        self.projection = cast(TextProjection, modules[Role.TEXT_PROJECTION])
        self.video_connector = cast(Connector, modules[Role.VIDEO_CONNECTOR])
        self.audio_connector = cast(Connector, modules[Role.AUDIO_CONNECTOR])

    def forward(self, text: TokenizedText) -> TextContexts:
        """Contexts (B, S, D)."""
        output = self.language_model(
            input_ids=text.ids, attention_mask=text.mask, output_hidden_states=True, use_cache=False
        )
        video, audio = self.projection(torch.stack(output.hidden_states, dim=-1), text.mask)
        return TextContexts(self.video_connector(video, text.mask), self.audio_connector(audio, text.mask))


class TextToClip(nn.Module):
    """Token ids and noisy latents to velocities."""

    def __init__(self, shape: ModelShape) -> None:
        """Freshly initialised with torch's global generator, fp32."""
        super().__init__()
        self.text = TextPath(shape)
        self.transformer = cast(Transformer, make_modules(shape)[Role.TRANSFORMER])
        self._shape = shape
        initialise(self.transformer)

    def forward(
        self, text: TokenizedText, video: NoisyStream, audio: NoisyStream | None
    ) -> tuple[Tensor, Tensor | None]:
        """Velocities (B, T, C) of both streams."""
        return predict_velocity(self.transformer, self.text(text), video, audio)

    def save(self, folder: Path, tokenizer: Any) -> Path:
        """Write the checkpoint and the text encoder; returns the checkpoint's path."""
        save_text_encoder(folder / TEXT_ENCODER_FOLDER, self.text.language_model, tokenizer)
        save_checkpoint(folder / CHECKPOINT_NAME, self._components(), self._shape.config)
        return folder / CHECKPOINT_NAME

    def load(self, checkpoint: Path, text_encoder: Path) -> None:
        """Take the weights of a saved model, or of an assembled one. Raises CheckpointError."""
        source = Checkpoint.open(checkpoint)
        path = text_encoder / "model.safetensors"
        try:
            for role, module in self._components().items():
                module.load_state_dict(load(source, role).state_dict())
            weights = {name.removeprefix("model."): tensor for name, tensor in load_file(path).items()}
            self.text.language_model.load_state_dict(weights)
        except (OSError, RuntimeError, SafetensorError) as error:
            raise CheckpointError(checkpoint, "is a model of another shape.", remedy="Train from the start.") from error

    def _components(self) -> dict[Role, nn.Module]:
        return {
            Role.TRANSFORMER: self.transformer,
            Role.TEXT_PROJECTION: self.text.projection,
            Role.VIDEO_CONNECTOR: self.text.video_connector,
            Role.AUDIO_CONNECTOR: self.text.audio_connector,
        }


def predict_velocity(
    transformer: Transformer, contexts: TextContexts, video: NoisyStream, audio: NoisyStream | None
) -> tuple[Tensor, Tensor | None]:
    """The transformer's answer to a training batch; contexts are (B, S, D)."""
    is_autocast = torch.is_autocast_enabled(video.latent.device.type)
    dtype = torch.get_autocast_dtype(video.latent.device.type) if is_autocast else video.latent.dtype
    rope = rope_tables(transformer.config, video.positions, None if audio is None else audio.positions, dtype)
    video_velocity, audio_velocity = transformer(
        video.with_context(contexts.video), None if audio is None else audio.with_context(contexts.audio), rope
    )
    return video_velocity, audio_velocity


def initialise(transformer: Transformer) -> None:
    """Start as a network that answers nothing: the noise level changes no row, branches hardly add, heads are zero.

    The practice of diffusion transformers (Peebles and Xie, 2023). Measured on toy-world latents, the loss of both
    streams after 150 steps of 24 clips: 1.58, against 1.71 with torch's own initial weights and 1.96 with open gates.
    """
    for module in transformer.modules():
        if isinstance(module, AdaLayerNormSingle):
            nn.init.zeros_(module.linear.weight)
            nn.init.zeros_(module.linear.bias)
    for head in (transformer.proj_out, transformer.audio_proj_out):
        nn.init.zeros_(head.weight)
        nn.init.zeros_(head.bias)


class FrozenText:
    """The trained text half of a model, for trainings that only change the transformer."""

    def __init__(self, checkpoint: Checkpoint, folder: Path, *, device: torch.device | str = "cpu") -> None:
        """`folder` holds the text encoder. Raises CheckpointError."""
        num_tokens = parse_text(checkpoint.config, checkpoint.shapes).sequence_length
        self._encoder = TextEncoder.load(folder, num_tokens=num_tokens, device=device)
        self._projection = load(checkpoint, Role.TEXT_PROJECTION, device=device)
        self._connectors = [
            load(checkpoint, role, device=device) for role in (Role.VIDEO_CONNECTOR, Role.AUDIO_CONNECTOR)
        ]

    @torch.no_grad()
    def contexts(self, prompts: Sequence[str]) -> TextContexts:
        """The contexts (B, S, D) of prompts."""
        text = self._encoder.tokenize(prompts)
        states = self._encoder.hidden_states(text)
        mask = text.mask.to(states.device)
        video, audio = self._projection(states, mask)
        return TextContexts(self._connectors[0](video, mask), self._connectors[1](audio, mask))
