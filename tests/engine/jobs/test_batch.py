"""Batches: wordings, presets and seeds. Alone: `pytest tests/engine/jobs/test_batch.py`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.jobs.batch import MAX_BATCH_JOBS, expand, num_wordings, wordings
from engine.jobs.queue import QueueError
from engine.request import GenerationRequest, Preset


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a ball", ["a ball"]),
        ("a {red|blue} ball", ["a red ball", "a blue ball"]),
        ("{a|b} {c|d}", ["a c", "a d", "b c", "b d"]),
        ("a {|very }big ball", ["a big ball", "a very big ball"]),
        ("{a|{b|c}{d|e}}", ["a", "bd", "be", "cd", "ce"]),
        ("{x {b|c}}", ["{x b}", "{x c}"]),
        ("either | or", ["either | or"]),
        ("{one}", ["{one}"]),
        ("{}", ["{}"]),
        ("{a|b", ["{a|b"]),
        ("a|b} {c", ["a|b} {c"]),
        ("{a {b|c}", ["{a b", "{a c"]),
        ("", [""]),
    ],
)
def test_groups_become_wordings(text: str, expected: list[str]) -> None:
    assert wordings(text) == expected


@given(st.text(alphabet="ab {|}", max_size=25))
def test_wordings_are_counted_without_being_made(text: str) -> None:
    assert num_wordings(text) == len(wordings(text))


@given(st.text())
def test_a_text_without_groups_is_untouched(text: str) -> None:
    plain = text.replace("|", "")

    assert wordings(plain) == [plain]


def test_a_batch_is_every_wording_times_every_preset_times_every_seed() -> None:
    request = GenerationRequest("a {red|blue} ball", silent=True)

    batch = expand(request, seeds=[1, 2], presets=[Preset.DRAFT, Preset.FAST])

    made = [(item.prompt, item.preset.value, item.seed) for item in batch]
    assert made == [
        (f"a {colour} ball", preset, seed)
        for colour in ("red", "blue")
        for preset in ("draft", "fast")
        for seed in (1, 2)
    ]
    assert all(item.silent for item in batch)


def test_a_request_without_variations_is_a_batch_of_itself() -> None:
    request = GenerationRequest("a ball", seed=3, preset=Preset.HIGH)

    assert expand(request) == [request]


def test_a_batch_beyond_the_limit_is_refused_in_words_before_it_is_made() -> None:
    request = GenerationRequest("{a|b}" * 40)

    with pytest.raises(
        QueueError, match=rf"1,099,511,627,776 wordings x 1 presets x 1 seeds.*up to {MAX_BATCH_JOBS:,}"
    ):
        expand(request)


def test_a_batch_may_be_as_large_as_the_limit() -> None:
    assert len(expand(GenerationRequest("a ball"), seeds=range(MAX_BATCH_JOBS))) == MAX_BATCH_JOBS


def test_braces_too_deep_to_be_meant_are_refused() -> None:
    with pytest.raises(QueueError, match="20 deep"):
        wordings("{" * 5000)
