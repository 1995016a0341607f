"""Guidance, and the denoiser that runs its passes. Alone: `pytest tests/engine/sampling/test_guidance.py`."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from engine.model.transformer import Pass, Transformer, rope_tables
from engine.request import Guidance, GuidanceScales
from engine.sampling.conditioning import StreamState, audio_state, frozen, replace_first_frames, video_state
from engine.sampling.guidance import Denoiser, PassProgress, TextContexts, combine
from engine.sampling.latents import AVLatents, LatentGrid
from tests.fakes.denoising import random_normal
from tests.fakes.tiny_transformer import AUDIO_TOKENS, FRAME_RATE, SHAPE, TEXT_TOKENS, inputs, tiny_transformer

SIGMA, CHANNELS = 0.725, 8
FULL = Guidance(
    video=GuidanceScales(cfg=3, stg=1, modality=3, rescale=0.7),
    audio=GuidanceScales(cfg=7, stg=1, modality=3, rescale=0.7),
    stg_blocks=(1,),
)


@pytest.fixture(autouse=True)
def _without_gradients():
    with torch.no_grad():
        yield


# --- the formula ------------------------------------------------------------------------------------------------------

SHAPE_OF_PASS = (1, 50, 8)
PLAIN, NEGATIVE, PERTURBED, ISOLATED = (random_normal(*SHAPE_OF_PASS, seed=seed) for seed in range(4))


def test_neutral_scales_return_the_plain_prediction_itself() -> None:
    guided = combine(GuidanceScales(rescale=0.7), PLAIN, negative=NEGATIVE, perturbed=PERTURBED, isolated=ISOLATED)

    assert torch.equal(guided, PLAIN)


def test_every_scale_pushes_away_from_its_own_pass() -> None:
    scales = GuidanceScales(cfg=3, stg=0.5, modality=2)

    guided = combine(scales, PLAIN, negative=NEGATIVE, perturbed=PERTURBED, isolated=ISOLATED)

    expected = PLAIN + 2 * (PLAIN - NEGATIVE) + 0.5 * (PLAIN - PERTURBED) + (PLAIN - ISOLATED)
    assert torch.allclose(guided, expected, atol=1e-5)


def test_a_pass_that_did_not_run_pushes_nowhere() -> None:
    scales = GuidanceScales(cfg=3, stg=1, modality=3)

    assert torch.allclose(combine(scales, PLAIN, negative=NEGATIVE), 3 * PLAIN - 2 * NEGATIVE, atol=1e-5)


@pytest.mark.parametrize("rescale", [0.3, 0.7, 1.0])
def test_the_rescale_restores_its_share_of_the_plain_spread(rescale: float) -> None:
    pushed = combine(GuidanceScales(cfg=5), PLAIN, negative=NEGATIVE)

    guided = combine(GuidanceScales(cfg=5, rescale=rescale), PLAIN, negative=NEGATIVE)

    spread = rescale * PLAIN.std() + (1 - rescale) * pushed.std()
    assert float(guided.std()) == pytest.approx(float(spread), rel=1e-5)
    assert torch.allclose(guided / guided.std(), pushed / pushed.std(), atol=1e-5)


def test_guidance_is_computed_in_fp32() -> None:
    guided = combine(GuidanceScales(cfg=3), PLAIN.bfloat16(), negative=NEGATIVE.bfloat16())

    assert guided.dtype == torch.float32
    assert torch.allclose(guided, 3 * PLAIN.bfloat16().float() - 2 * NEGATIVE.bfloat16().float(), atol=1e-5)


# --- the denoiser -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def network() -> Transformer:
    return tiny_transformer()


def streams() -> tuple[StreamState, StreamState]:
    grid = LatentGrid()
    return video_state(SHAPE, CHANNELS, FRAME_RATE, grid), audio_state(AUDIO_TOKENS, CHANNELS, grid)


def contexts(network: Transformer, seed: int) -> TextContexts:
    config = network.config
    return TextContexts(
        random_normal(1, TEXT_TOKENS, config.video.context_dim, seed=seed),
        random_normal(1, TEXT_TOKENS, config.audio.context_dim, seed=seed + 1),
    )


def denoiser(
    network: Transformer,
    video: StreamState | None,
    audio: StreamState | None,
    guidance: Guidance | None = None,
    *,
    max_batch: int = 4,
) -> Denoiser:
    return Denoiser(
        network,
        video,
        audio,
        positive=contexts(network, 20),
        negative=contexts(network, 30),
        guidance=guidance,
        max_batch=max_batch,
    )


def noisy() -> AVLatents:
    return AVLatents(random_normal(1, SHAPE.tokens, CHANNELS), random_normal(1, AUDIO_TOKENS, CHANNELS, seed=1))


def predict(denoiser: Denoiser, latents: AVLatents) -> tuple[AVLatents, list[PassProgress]]:
    prediction, progress = denoiser.predict(latents, SIGMA), list[PassProgress]()
    while True:
        try:
            progress.append(next(prediction))
        except StopIteration as finished:
            return finished.value, progress


def num_passes(network: Transformer, video: StreamState | None, audio: StreamState | None, guidance: Guidance) -> int:
    """With one pass in a batch, the blocks that were run count the passes."""
    latents = AVLatents(None if video is None else noisy().video, None if audio is None else noisy().audio)
    _, progress = predict(denoiser(network, video, audio, guidance, max_batch=1), latents)
    return len(progress) // network.config.num_layers


def present(tensor: Tensor | None) -> Tensor:
    assert tensor is not None
    return tensor


def test_without_guidance_a_prediction_is_one_forward_pass(network: Transformer) -> None:
    video, audio = streams()
    latents, text = noisy(), contexts(network, 20)
    given_video, given_audio = inputs(network, SIGMA)

    predicted, progress = predict(denoiser(network, video, audio), latents)

    velocities = network(
        replace(given_video, latent=present(latents.video), context=text.video),
        replace(given_audio, latent=present(latents.audio), context=text.audio),
        rope_tables(network.config, video.positions, audio.positions),
    )
    for x0, x, velocity in zip(predicted, latents, velocities, strict=True):
        assert torch.allclose(present(x0), present(x) - SIGMA * present(velocity), atol=1e-5)
    assert progress == [PassProgress(done, 3) for done in (1, 2, 3)]


@pytest.mark.parametrize("max_batch", [1, 2, 3])
def test_smaller_batches_predict_the_same(network: Transformer, max_batch: int) -> None:
    together, _ = predict(denoiser(network, *streams(), FULL), noisy())

    predicted, progress = predict(denoiser(network, *streams(), FULL, max_batch=max_batch), noisy())

    for one, other in zip(predicted, together, strict=True):
        assert torch.allclose(present(one), present(other), atol=1e-4)
    num_batches = -(-4 // max_batch)
    assert progress == [PassProgress(done + 1, 3 * num_batches) for done in range(3 * num_batches)]


@pytest.mark.parametrize(
    ("scales", "expected"),
    [
        (GuidanceScales(), 1),
        (GuidanceScales(rescale=0.7), 1),
        (GuidanceScales(cfg=3), 2),
        (GuidanceScales(stg=1), 2),
        (GuidanceScales(modality=3), 2),
        (GuidanceScales(cfg=3, stg=1, modality=3), 4),
    ],
)
def test_only_passes_that_a_stream_needs_are_run(network: Transformer, scales: GuidanceScales, expected: int) -> None:
    assert num_passes(network, *streams(), Guidance(video=scales, stg_blocks=(1,))) == expected
    assert num_passes(network, *streams(), Guidance(audio=scales, stg_blocks=(1,))) == expected


def test_a_frozen_stream_needs_no_passes_of_its_own(network: Transformer) -> None:
    video, audio = streams()
    given = frozen(audio, random_normal(1, AUDIO_TOKENS, CHANNELS, seed=5))

    assert num_passes(network, video, given, Guidance(audio=FULL.audio)) == 1


def test_a_silent_clip_has_no_other_stream_to_be_isolated_from(network: Transformer) -> None:
    video, _ = streams()

    assert num_passes(network, video, None, FULL) == 3


def test_a_stream_with_neutral_scales_ignores_the_passes_of_the_other(network: Transformer) -> None:
    plain, _ = predict(denoiser(network, *streams()), noisy())

    guided, _ = predict(denoiser(network, *streams(), Guidance(video=FULL.video, stg_blocks=(1,))), noisy())

    assert torch.allclose(present(guided.audio), present(plain.audio), atol=1e-5)
    assert not torch.allclose(present(guided.video), present(plain.video), atol=1e-2)


@pytest.mark.parametrize(
    ("video", "audio", "deviation"),
    [
        (GuidanceScales(stg=1), GuidanceScales(), Pass(skip_video_attention=frozenset({1}))),
        (GuidanceScales(), GuidanceScales(stg=1), Pass(skip_audio_attention=frozenset({1}))),
        (GuidanceScales(stg=1), GuidanceScales(stg=1), Pass(frozenset({1}), frozenset({1}))),
    ],
    ids=["picture", "sound", "both"],
)
def test_attention_is_skipped_in_the_streams_that_ask_for_it(
    network: Transformer, video: GuidanceScales, audio: GuidanceScales, deviation: Pass
) -> None:
    latents, states, text = noisy(), streams(), contexts(network, 20)
    rope = rope_tables(network.config, states[0].positions, states[1].positions)
    given = [
        replace(stream, latent=present(x), context=context)
        for stream, x, context in zip(inputs(network, SIGMA), latents, text, strict=True)
    ]

    guided, _ = predict(denoiser(network, *states, Guidance(video, audio, stg_blocks=(1,))), latents)

    plain, perturbed = network(*given, rope), network(*given, rope, [deviation])
    for stream, scales in enumerate((video, audio)):
        velocity = present(plain[stream]) + scales.stg * (present(plain[stream]) - present(perturbed[stream]))
        assert torch.allclose(present(guided[stream]), present(latents[stream]) - SIGMA * velocity, atol=1e-4)


def test_skipping_attention_in_no_block_pushes_nowhere(network: Transformer) -> None:
    plain, _ = predict(denoiser(network, *streams()), noisy())

    guided, _ = predict(denoiser(network, *streams(), Guidance(video=GuidanceScales(stg=1))), noisy())

    assert torch.allclose(present(guided.video), present(plain.video), atol=1e-4)


def test_what_is_given_comes_out_of_guidance_untouched(network: Transformer) -> None:
    video, audio = streams()
    video = replace_first_frames(video, random_normal(1, CHANNELS, 1, SHAPE.height, SHAPE.width, seed=5), 1.0)
    audio = frozen(audio, random_normal(1, AUDIO_TOKENS, CHANNELS, seed=6))

    predicted, _ = predict(denoiser(network, video, audio, FULL), noisy())

    frame = SHAPE.height * SHAPE.width
    assert torch.equal(present(predicted.video)[:, :frame], video.clean[:, :frame])
    assert torch.equal(present(predicted.audio), audio.clean)
