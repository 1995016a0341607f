"""A fuller prompt from a short one, written by the language model that reads prompts, on this machine.

The model is asked as in a chat, with instructions of our own (`resources/presets/enhance.txt`), in the format that
Gemma was tuned on. Sampling and clean-up follow what the official tool does: temperature 0.7, at most 512 tokens,
plain quotes and dashes, nothing before the first letter. Only a text encoder tuned for chats can do this: the small
one of the starter model cannot, and that is said.
"""

from collections.abc import Generator
from importlib.resources import files
from typing import Any

from engine.errors import RequestError
from engine.pipelines import stages
from engine.pipelines.plan import plan as make_plan
from engine.pipelines.session import placement_of
from engine.request import GenerationRequest
from engine.weights.store import ModelStore
from engine.weights.text_generation import TokenChoice, generate

MAX_NEW_TOKENS = 512
_TEMPERATURE = 0.7
_TURN_STARTS, _TURN_ENDS = "<start_of_turn>", "<end_of_turn>"
# Double and single quotes, the long and the middle dash, the ellipsis, the space that does not break.
_PLAIN = str.maketrans(
    {
        **dict.fromkeys("\u201c\u201d", '"'),
        **dict.fromkeys("\u2018\u2019", "'"),
        **dict.fromkeys("\u2013\u2014", "-"),
        "\u2026": "...",
        "\u00a0": " ",
    }
)


def enhance(
    prompt: str, *, model: str | None = None, seed: int = 0, device: str = "auto", store: ModelStore | None = None
) -> Generator[str, None, str]:
    """Yields the text as far as it is written, after every token; returns the whole of it, cleaned up.

    `model` and `device` are those of a request. With a `store` of the caller's, what it holds already is used. Close
    the generator to stop. Raises RequestError where the text encoder cannot write, and CheckpointError.
    """
    if not prompt.strip():
        raise RequestError("prompt", "There is no prompt to enhance.", remedy="Write a few words first.")
    plan = make_plan(GenerationRequest(prompt, model=model, device=device))
    own_store = store or ModelStore()
    try:
        own_store.use(stages.require_files(plan), placement_of(plan))
        encoder = own_store.text_encoder(num_tokens=plan.model.text_tokens)
        ids, stops = _asked(encoder.tokenizer, prompt, plan.model.name)
        choice = TokenChoice(temperature=_TEMPERATURE, seed=seed)
        written: list[int] = []
        for token in generate(encoder, ids, choice=choice, max_tokens=MAX_NEW_TOKENS, stops=stops):
            written.append(token)
            yield cleaned(encoder.tokenizer.decode(written, skip_special_tokens=True))
        text = cleaned(encoder.tokenizer.decode(written, skip_special_tokens=True))
        return text or prompt
    finally:
        if store is None:
            own_store.unload()


def _asked(tokenizer: Any, prompt: str, model_name: str) -> tuple[list[int], frozenset[int]]:
    """The chat's tokens up to where the answer begins, and those that end it. Raises RequestError."""
    ends = tokenizer.convert_tokens_to_ids(_TURN_ENDS)
    if ends is None or ends == tokenizer.unk_token_id:
        raise RequestError(
            "model",
            f"The text encoder of '{model_name}' can read prompts but not write them.",
            remedy="Fetch a model that comes with Gemma 3.",
        )
    chat = f"{_TURN_STARTS}user\n{instructions()}\n\nuser prompt: {prompt.strip()}{_TURN_ENDS}\n{_TURN_STARTS}model\n"
    ids = [tokenizer.bos_token_id, *tokenizer(chat, add_special_tokens=False)["input_ids"]]
    return ids, frozenset({int(ends), int(tokenizer.eos_token_id)})


def instructions() -> str:
    """What the model is told to do."""
    return (files("resources") / "presets" / "enhance.txt").read_text(encoding="utf-8").strip()


def cleaned(text: str) -> str:
    """Plain quotes and dashes, one paragraph, nothing before the first letter or opening quote of what was written."""
    plain = " ".join(text.translate(_PLAIN).split())
    start = next((index for index, character in enumerate(plain) if character.isalpha()), len(plain))
    opens_quote = start > 0 and plain[start - 1] in "\"'"
    return plain[start - opens_quote :]
