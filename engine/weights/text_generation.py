"""Writing text with the language model that otherwise encodes prompts: Gemma-3, one token after the other.

What is already computed of the text is kept (keys and values of every layer), so a token costs one sweep over the
layers, wherever they are. The output head is the table of embeddings, which is resident for this: 2 GB of the official
model. Token for token this is the model of `transformers`; why not its `generate`: layers that stream pass through a
loop of ours, and a loop can be left between two tokens.

Shapes: T tokens, H hidden width, V vocabulary.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from engine.weights.text_encoder import TextEncoder


@dataclass(frozen=True)
class TokenChoice:
    """How the next token is drawn; at temperature 0 it is the likeliest one."""

    temperature: float = 0.7
    largest_share: float = 0.95  # of the probability, from the likeliest token down: the others are never drawn
    seed: int = 0


@torch.inference_mode()
def generate(
    encoder: TextEncoder, ids: Sequence[int], *, choice: TokenChoice, max_tokens: int, stops: frozenset[int]
) -> Generator[int, None, None]:
    """The tokens that follow `ids`, until one of `stops`, which is not yielded, or `max_tokens`.

    Drawn on the CPU, so that a seed gives the same text on every device that computes the same numbers. Raises
    CheckpointError.
    """
    from transformers import DynamicCache  # noqa: PLC0415 - seconds to import

    model: Any = encoder.model
    head = encoder.embedding_table()
    known, num_done = list(ids), 0
    cache = DynamicCache()
    generator = torch.Generator().manual_seed(choice.seed)
    for _ in range(max_tokens):
        last = _last_state(model, cache, known[num_done:], num_done)
        num_done = len(known)
        token = _drawn(functional.linear(last.to(head.device, head.dtype), head)[0].float().cpu(), choice, generator)
        if token in stops:
            return
        known.append(token)
        yield token


def _last_state(model: Any, cache: Any, ids: Sequence[int], start: int) -> Tensor:
    """The last state (1, H) of `ids`, which follow `start` tokens that are in the cache; behind the final norm."""
    device, kinds = model.norm.weight.device, model.config.layer_types
    positions = torch.arange(start, start + len(ids), device=device)
    distance = positions[:, None] - torch.arange(start + len(ids), device=device)
    seen = (distance >= 0)[None, None]
    masks = {"full_attention": seen, "sliding_attention": seen & (distance < model.config.sliding_window)}
    x = model.embed_tokens(torch.tensor([list(ids)], device=device))
    rotations = {kind: model.rotary_emb(x, positions[None], kind) for kind in set(kinds)}
    for index, layer in enumerate(model.layers):
        x = layer(
            x,
            position_embeddings=rotations[kinds[index]],
            attention_mask=masks[kinds[index]],
            position_ids=positions[None],
            past_key_values=cache,
        )
    return model.norm(x)[:, -1]


def _drawn(scores: Tensor, choice: TokenChoice, generator: torch.Generator) -> int:
    """A token by its scores (V,)."""
    if choice.temperature == 0:
        return int(scores.argmax())
    shares, order = (scores / choice.temperature).softmax(dim=0).sort(descending=True)
    shares[shares.cumsum(dim=0) - shares >= choice.largest_share] = 0.0
    return int(order[torch.multinomial(shares, 1, generator=generator)])
