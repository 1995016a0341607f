"""The text encoder: Gemma-3 as `transformers` implements it, its weights read by our own loader, and its tokenizer.

Only the language model is read; the vision tower and the output head of the official folder stay on disk. Tokens are
padded on the left to a fixed length, with no chat template, as the model was trained.

Follows Lightricks/LTX-2 (commit 400fd31). Shapes: B prompts, T tokens, H hidden width, L hidden states (layers + 1).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from engine.errors import CheckpointError
from engine.weights.checkpoint import Checkpoint
from engine.weights.components import load_module

# Where the language model's keys start: the official repository, newer exports of it, and text-only folders.
_LANGUAGE_MODEL_PREFIXES = ("language_model.model.", "model.language_model.", "model.", "")


@dataclass(frozen=True)
class TokenizedText:
    """Token ids and mask (B, T); `num_dropped` counts tokens beyond T, by prompt."""

    ids: Tensor
    mask: Tensor
    num_dropped: tuple[int, ...]


class TextEncoder:
    """A loaded Gemma-3 language model with its tokenizer."""

    def __init__(self, model: nn.Module, tokenizer: Any, *, num_tokens: int) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._num_tokens = num_tokens

    @classmethod
    def load(
        cls, folder: Path, *, num_tokens: int, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"
    ) -> "TextEncoder":
        """From a folder in the Hugging Face layout. Raises CheckpointError."""
        model = _language_model(folder)
        checkpoint = _open_weights(folder)
        entries = _language_model_entries(checkpoint)
        load_module(model, checkpoint, entries, dtype=dtype, device=device)
        return cls(model.to(device), _tokenizer(folder), num_tokens=num_tokens)

    def tokenize(self, prompts: Sequence[str]) -> TokenizedText:
        """Prompts to a fixed number of tokens: padded on the left, cut on the right."""
        rows, masks, dropped = [], [], []
        bos = self._tokenizer.bos_token_id
        for prompt in prompts:
            ids = list(self._tokenizer(prompt.strip(), add_special_tokens=True)["input_ids"])
            if ids[:1] != [bos]:
                ids.insert(0, bos)
            kept = ids[: self._num_tokens]
            padding = self._num_tokens - len(kept)
            rows.append([self._tokenizer.pad_token_id] * padding + kept)
            masks.append([0] * padding + [1] * len(kept))
            dropped.append(len(ids) - len(kept))
        return TokenizedText(torch.tensor(rows), torch.tensor(masks), tuple(dropped))

    @torch.inference_mode()
    def hidden_states(self, text: TokenizedText) -> Tensor:
        """Every hidden state of every token -> (B, T, H, L); the last one is behind the model's final norm."""
        parameter = next(self._model.parameters())
        output = self._model(
            input_ids=text.ids.to(parameter.device),
            attention_mask=text.mask.to(parameter.device),
            output_hidden_states=True,
            use_cache=False,
        )
        return torch.stack(output.hidden_states, dim=-1)


def _language_model(folder: Path) -> nn.Module:
    from transformers import AutoConfig, Gemma3TextConfig, Gemma3TextModel  # noqa: PLC0415 - seconds to import
    from transformers.models.gemma3.modeling_gemma3 import Gemma3RotaryEmbedding  # noqa: PLC0415

    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise CheckpointError(
            folder, "this text encoder's config.json cannot be read.", remedy="Fetch it again."
        ) from error
    config = getattr(config, "text_config", config)
    if not isinstance(config, Gemma3TextConfig):
        raise CheckpointError(
            folder, f"this text encoder is a {config.model_type}, not a Gemma 3.", remedy="Use the Gemma-3 folder."
        )
    with torch.device("meta"):
        model = Gemma3TextModel(config)
    # These two keep tables outside the checkpoint, which building on the meta device leaves without content.
    model.rotary_emb = Gemma3RotaryEmbedding(config)
    model.embed_tokens.register_buffer("embed_scale", torch.tensor(config.hidden_size**0.5), persistent=False)
    return model.eval()


def _open_weights(folder: Path) -> Checkpoint:
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        return Checkpoint.open_sharded(index)
    return Checkpoint.open(folder / "model.safetensors")


def _language_model_entries(checkpoint: Checkpoint) -> dict[str, str]:
    """Module keys of the language model to the file's keys."""
    for prefix in _LANGUAGE_MODEL_PREFIXES:
        if f"{prefix}embed_tokens.weight" in checkpoint.tensors:
            names = [name for name in checkpoint.tensors if name.startswith(prefix) and "lm_head" not in name]
            return {name.removeprefix(prefix): name for name in names}
    raise CheckpointError(checkpoint.path, "holds no Gemma language model.", remedy="Fetch the text encoder again.")


def _tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer  # noqa: PLC0415 - seconds to import

    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError, json.JSONDecodeError) as error:
        raise CheckpointError(
            folder, "this text encoder's tokenizer cannot be read.", remedy="Fetch it again."
        ) from error
