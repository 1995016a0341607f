"""The text encoder: Gemma-3 as `transformers` implements it, its weights read by our own loader, and its tokenizer.

Only the language model is read; the vision tower and the output head of the official folder stay on disk. Tokens are
padded on the left to a fixed length, with no chat template, as the model was trained.

`walk` goes through the layers itself, so that it can stop between two of them, so that several prompts share one sweep
over layers that stream, and so that no prompt's numbers depend on the prompts beside it. A streaming encoder does not
hold its table of embeddings either, 2 GB of the official one: it reads the rows of the tokens at hand.

Follows Lightricks/LTX-2 (commit 400fd31). Shapes: B prompts, T tokens, H hidden width, L hidden states (layers + 1).
"""

import json
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from engine.errors import CheckpointError
from engine.weights.checkpoint import Checkpoint
from engine.weights.components import load_module
from engine.weights.packed import packed_checkpoint
from engine.weights.reading import TORCH_DTYPES, read_into
from engine.weights.residency import RESIDENT, Precision, Residency

# Where the language model's keys start: the official repository, newer exports of it, and text-only folders.
_LANGUAGE_MODEL_PREFIXES = ("language_model.model.", "model.language_model.", "model.", "")


@dataclass(frozen=True)
class TokenizedText:
    """Token ids and mask (B, T); `num_dropped` counts tokens beyond T, by prompt."""

    ids: Tensor
    mask: Tensor
    num_dropped: tuple[int, ...]


class LayerProgress(NamedTuple):
    """How much of a sweep over the layers is done."""

    done: int
    total: int


class TextEncoder:
    """A loaded Gemma-3 language model with its tokenizer."""

    def __init__(self, model: nn.Module, tokenizer: Any, *, num_tokens: int) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._num_tokens = num_tokens

    @classmethod
    def load(
        cls,
        folder: Path,
        *,
        num_tokens: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        weights: Checkpoint | None = None,
        keeps_fp8: bool = False,
        residency: Residency = RESIDENT,
    ) -> "TextEncoder":
        """From a folder in the Hugging Face layout.

        `weights` are those of `prepared_weights`, by default the folder's own; for the rest see `load_module`. Raises
        CheckpointError.
        """
        model = _language_model(folder)
        weights = weights or _open_weights(folder)
        entries = _language_model_entries(weights)
        if residency.kind != "resident":
            entries = _leave_embeddings_on_disk(model, weights, entries, dtype)
        load_module(
            model,
            weights,
            entries,
            dtype=dtype,
            device=device,
            keeps_fp8=keeps_fp8,
            blocks="layers",
            residency=residency,
        )
        return cls(model.to(device), _tokenizer(folder), num_tokens=num_tokens)

    @property
    def model(self) -> nn.Module:
        """The language model; what is resident of it takes memory."""
        return self._model

    @property
    def tokenizer(self) -> Any:
        """As `transformers` loads it."""
        return self._tokenizer

    def embedding_table(self) -> Tensor:
        """What every token's embedding is, before it is scaled, (V, H): also what scores the next token.

        Read from disk where the encoder leaves it there. Raises CheckpointError.
        """
        table: Any = self._model.get_submodule("embed_tokens")
        return table.read_all() if isinstance(table, _RowsOnDisk) else table.weight

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

    def hidden_states(self, text: TokenizedText) -> Tensor:
        """Every hidden state of every token -> (B, T, H, L); the last one is behind the model's final norm."""
        sweep = self.walk([text])
        while True:
            try:
                next(sweep)
            except StopIteration as finished:
                return finished.value[0]

    @torch.inference_mode()
    def walk(self, texts: Sequence[TokenizedText]) -> Generator[LayerProgress, None, list[Tensor]]:
        """As `hidden_states` for each text, all in one sweep; yields after every layer. Raises CheckpointError."""
        model: Any = self._model
        device, num_layers = model.norm.weight.device, model.config.num_hidden_layers
        hidden: list[Tensor] = [model.embed_tokens(text.ids.to(device)) for text in texts]
        positions = torch.arange(texts[0].ids.shape[1], device=device)[None]
        kinds: list[str] = model.config.layer_types
        rotations = {kind: model.rotary_emb(hidden[0], positions, kind) for kind in set(kinds)}
        masks = [self._masks(text.mask.to(device)) for text in texts]
        # Filled layer by layer: stacking them at the end would need all of them twice.
        states = [x.new_empty(*x.shape, num_layers + 1) for x in hidden]
        for index, layer in enumerate(model.layers):
            for text, x in enumerate(hidden):
                states[text][..., index] = x
                hidden[text] = layer(
                    x,
                    position_embeddings=rotations[kinds[index]],
                    attention_mask=masks[text][kinds[index]],
                    position_ids=positions,
                )
            yield LayerProgress(index + 1, num_layers)
        for text, x in enumerate(hidden):
            states[text][..., num_layers] = model.norm(x)
        return states

    def _masks(self, is_text: Tensor) -> Mapping[str, Tensor]:
        """Which tokens each token sees, by kind of layer -> (B, 1, T, T) bool: text up to itself, or a window of it."""
        config: Any = self._model.config
        tokens = torch.arange(is_text.shape[1], device=is_text.device)
        distance = tokens[:, None] - tokens
        seen = is_text.bool()[:, None, None, :] & (distance >= 0)
        return {"full_attention": seen, "sliding_attention": seen & (distance < config.sliding_window)}


def prepared_weights(folder: Path, precision: Precision) -> Generator[float, None, Checkpoint]:
    """The folder's language model in a precision; see `packed_checkpoint`. Raises CheckpointError and StorageFull."""
    weights = _open_weights(folder)
    return (yield from packed_checkpoint(weights, _language_model_entries(weights), precision))


class _RowsOnDisk(nn.Module):
    """A table of embeddings that stays in its file: the rows of the tokens at hand are read, a few kilobytes each."""

    def __init__(self, weights: Checkpoint, key: str, dtype: torch.dtype, scale: Tensor) -> None:
        super().__init__()
        self._weights = weights
        self._key = key
        self._entry = weights.tensors[key]
        self._dtype = dtype
        self._scale = scale

    def forward(self, ids: Tensor) -> Tensor:
        """Token ids (B, T) -> (B, T, H). Raises CheckpointError."""
        distinct, places = torch.unique(ids.cpu(), return_inverse=True)
        rows = self._read([int(token) for token in distinct])
        return rows[places].to(ids.device, self._dtype) * self._scale.to(self._dtype)

    def read_all(self) -> Tensor:
        """The whole table (V, H), in the type that is computed in. Raises CheckpointError."""
        with torch.inference_mode(mode=False):  # in which other threads could not write to what is made
            table = torch.empty(self._entry.shape, dtype=self._dtype)
        read_into(self._weights, {self._key: table})
        return table

    def _read(self, tokens: Sequence[int]) -> Tensor:
        entry = self._entry
        num_bytes = entry.num_bytes // entry.shape[0]
        buffer = bytearray(len(tokens) * num_bytes)
        try:
            with entry.path.open("rb") as file:
                for index, token in enumerate(tokens):
                    file.seek(entry.start + token * num_bytes)
                    row = file.read(num_bytes)
                    if len(row) != num_bytes:
                        raise CheckpointError(entry.path, "is cut off.", remedy="Fetch the text encoder again.")
                    buffer[index * num_bytes : (index + 1) * num_bytes] = row
        except OSError as error:
            raise CheckpointError(
                entry.path, f"cannot be read: {error.strerror}.", remedy="Check its permissions and its disk."
            ) from error
        return torch.frombuffer(buffer, dtype=TORCH_DTYPES[entry.dtype]).view(len(tokens), entry.shape[1])


def _leave_embeddings_on_disk(
    model: nn.Module, weights: Checkpoint, entries: Mapping[str, str], dtype: torch.dtype
) -> Mapping[str, str]:
    """Replace the table of embeddings; returns what is left to load."""
    key = "embed_tokens.weight"
    entry, table = weights.tensors[entries[key]], model.get_submodule("embed_tokens")
    expected = tuple(cast("Tensor", table.weight).shape)
    if entry.shape != expected or not TORCH_DTYPES[entry.dtype].is_floating_point or entry.dtype.startswith("F8"):
        return entries  # of another model, which loading says, or in a form that a row alone does not explain
    model.set_submodule("embed_tokens", _RowsOnDisk(weights, entries[key], dtype, table.get_buffer("embed_scale")))
    return {name: file_key for name, file_key in entries.items() if name != key}


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
