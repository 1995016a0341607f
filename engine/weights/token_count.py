"""How many tokens of the model's text limit a prompt takes, counted as the text encoder does, without torch.

The tokenizer of Gemma-3 is a file of 33 MB whose reading holds the interpreter for 1.5 s (measured on two cores with a
vocabulary of its size), so a window counts in a process of its own: `python -m engine.weights.token_count FOLDER`
answers each line of standard input, a JSON string, with a line that holds the number.
"""

import json
import sys
from pathlib import Path
from typing import TextIO

from tokenizers import Tokenizer  # comes with transformers; 10 ms to import

from engine.errors import CheckpointError, EngineError
from engine.weights.catalog import find_model

MAX_TOKENS = 1024  # what the official models were trained with; Lightricks/LTX-2 (commit 400fd31)
_FILE = "tokenizer.json"
_BOS = "<bos>"


def tokenizer_folder(model: str | None) -> Path | None:
    """The folder of the tokenizer that a model reads prompts with; None when model or tokenizer is not installed."""
    try:
        folder = find_model(model).text_encoder
    except EngineError:
        return None
    return folder if folder is not None and (folder / _FILE).is_file() else None


class TokenCounter:
    """A tokenizer that is loaded."""

    def __init__(self, folder: Path) -> None:
        """Raises CheckpointError."""
        try:
            self._tokenizer = Tokenizer.from_file(str(folder / _FILE))
        except Exception as error:  # the library raises nothing narrower
            raise CheckpointError(
                folder, "this text encoder's tokenizer cannot be read.", remedy="Fetch it again."
            ) from error
        self._bos = self._tokenizer.token_to_id(_BOS)

    def count(self, text: str) -> int:
        """Tokens of a prompt with the one that starts it; more than `MAX_TOKENS` are cut off when it is read."""
        readable = text.strip().encode("utf-8", "replace").decode("utf-8")  # half an emoji is no text
        ids = self._tokenizer.encode(readable).ids
        return len(ids) if ids[:1] == [self._bos] else len(ids) + 1


def estimated_tokens(text: str) -> int:
    """A guess without a tokenizer: four bytes of UTF-8 a token in English prose, and one for the start.

    Other scripts take more bytes for a character and about as many for a token, so the same rule errs high for them.
    """
    stripped = text.strip()
    return 1 + -(-len(stripped.encode("utf-8", "replace")) // 4)


def answer(counter: TokenCounter, questions: TextIO, answers: TextIO) -> None:
    """Count each line until there are no more."""
    for line in questions:
        answers.write(f"{counter.count(json.loads(line))}\n")
        answers.flush()


if __name__ == "__main__":
    answer(TokenCounter(Path(sys.argv[1])), sys.stdin, sys.stdout)
