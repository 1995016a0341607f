"""The starter model's text encoder: a Gemma-3 a hundred thousand times smaller, with a tokenizer of the world's words.

Real prompts are read by words, not by bytes: a tokenizer trained on the toy world's prompts knows nearly every one of
them as a single token, and falls back to bytes for the rest. Upper case is folded away. The network starts random and
is trained together with the transformer, then saved in the Hugging Face layout that the engine reads.
"""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from engine.training.blank import SPECIAL_TOKENS, wrap_tokenizer
from engine.training.split import training_scene
from engine.training.toyworld import prompt
from engine.types import Size

VOCABULARY_SIZE: Final = 1024
_CORPUS_SCENES: Final = 4000


def train_tokenizer(num_scenes: int = _CORPUS_SCENES) -> Any:
    """A `PreTrainedTokenizerFast` with the special tokens of Gemma-3, trained on prompts; seconds."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers  # noqa: PLC0415

    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    # A space in front makes the first word the token it is elsewhere.
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_corpus(num_scenes), trainer)
    return wrap_tokenizer(tokenizer)


def _corpus(num_scenes: int) -> Iterator[str]:
    for index in range(num_scenes):
        scene = training_scene(index, Size(128, 128), 33)
        yield prompt(scene, np.random.default_rng(index))
