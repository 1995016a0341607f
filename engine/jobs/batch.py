"""Batches: one request times its wordings, presets and seeds. Pure.

`a {red|blue} ball` is two wordings; groups multiply and may lie within each other, an option may be empty, and a group
without a bar, or a brace without its partner, stays as it was written.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import prod

from engine.jobs.queue import QueueError
from engine.request import GenerationRequest, Preset

MAX_BATCH_JOBS = 1000  # some days of work; beyond it somebody multiplied by mistake
MAX_NESTING = 20
_TOKENS = re.compile(r"[{|}]|[^{|}]+")


@dataclass(frozen=True)
class _Group:
    """One of these."""

    options: tuple["_Text", ...]


_Text = tuple["str | _Group", ...]  # pieces that follow each other


def num_wordings(text: str) -> int:
    """How many texts `wordings` would make, without making them."""
    return _count(_parse(text))


def wordings(text: str) -> list[str]:
    """Every text that the groups allow, the last group changing fastest."""
    return list(_expand(_parse(text)))


def expand(
    request: GenerationRequest, *, seeds: Sequence[int] = (), presets: Sequence[Preset] = ()
) -> list[GenerationRequest]:
    """The requests of a batch: for each wording each preset, for each preset each seed; without any, the request's own.

    Raises QueueError for more than `MAX_BATCH_JOBS`.
    """
    own_seeds: Sequence[int | None] = seeds or (request.seed,)
    own_presets = presets or (request.preset,)
    num_texts = num_wordings(request.prompt)
    total = num_texts * len(own_presets) * len(own_seeds)
    if total > MAX_BATCH_JOBS:
        factors = f"{num_texts:,} wordings x {len(own_presets)} presets x {len(own_seeds):,} seeds"
        raise QueueError(
            f"This batch would be {total:,} clips ({factors}).",
            remedy=f"Leave some out: a batch holds up to {MAX_BATCH_JOBS:,}.",
        )
    return [
        replace(request, prompt=prompt, preset=preset, seed=seed)
        for prompt, preset, seed in product(wordings(request.prompt), own_presets, own_seeds)
    ]


def _parse(text: str) -> _Text:
    """Raises QueueError for groups too deep within each other to be meant."""
    open_groups: list[list[list[str | _Group]]] = []
    pieces: list[str | _Group] = []
    for token in _TOKENS.findall(text):
        if token == "{":
            if len(open_groups) == MAX_NESTING:
                raise QueueError(
                    f"The prompt has braces more than {MAX_NESTING} deep within each other.", remedy="Write it flatter."
                )
            open_groups.append([pieces])
            pieces = []
        elif token == "|" and open_groups:
            open_groups[-1].append(pieces)
            pieces = []
        elif token == "}" and open_groups:
            outer, *options = (*open_groups.pop(), pieces)
            if len(options) > 1:
                outer.append(_Group(tuple(tuple(option) for option in options)))
            else:
                outer.extend(("{", *options[0], "}"))
            pieces = outer
        else:
            pieces.append(token)
    while open_groups:  # a brace that is never closed is a brace
        outer, *options = (*open_groups.pop(), pieces)
        outer.append("{")
        for index, option in enumerate(options):
            outer.extend(("|", *option) if index else option)
        pieces = outer
    return tuple(pieces)


def _count(text: _Text) -> int:
    return prod(sum(_count(option) for option in piece.options) for piece in text if isinstance(piece, _Group))


def _expand(text: _Text) -> Iterator[str]:
    pieces = [
        [piece] if isinstance(piece, str) else [made for option in piece.options for made in _expand(option)]
        for piece in text
    ]
    return ("".join(chosen) for chosen in product(*pieces))
