"""Guided prediction of the clean latents: which extra forward passes a step needs, and how their results combine.

All passes of a step run as one batch, so weights are read once; `max_batch` cuts the batch where memory is short.
Everything is combined on predictions of the clean latent x0, in fp32.

Follows Lightricks/LTX-2 (commit 400fd31). Shapes: B batch, T tokens, C channels, S text tokens, D width.
"""

from collections.abc import Generator
from typing import NamedTuple

import torch
from torch import Tensor

from engine.model.transformer import Pass, StreamInput, Transformer, rope_tables, strength_bias
from engine.request import Guidance, GuidanceScales
from engine.sampling.conditioning import StreamState
from engine.sampling.latents import AVLatents


class TextContexts(NamedTuple):
    """The text contexts (1, S, D) of both streams."""

    video: Tensor
    audio: Tensor


class PassProgress(NamedTuple):
    """How much of one prediction is done, in transformer blocks."""

    done: int
    total: int


Prediction = Generator[PassProgress, None, AVLatents]

_PLAIN, _NEGATIVE, _PERTURBED, _ISOLATED = "plain", "negative", "perturbed", "isolated"


def combine(
    scales: GuidanceScales,
    plain: Tensor,
    *,
    negative: Tensor | None = None,
    perturbed: Tensor | None = None,
    isolated: Tensor | None = None,
) -> Tensor:
    """The guided x0 of one stream, fp32; a pass that did not run counts as equal to the plain one.

    The rescale brings the spread back towards the plain prediction's; spreads are taken over the whole tensor.
    """
    plain = plain.float()
    guided = plain
    for other, weight in ((negative, scales.cfg - 1), (perturbed, scales.stg), (isolated, scales.modality - 1)):
        if other is not None and weight != 0:
            guided = guided + weight * (plain - other.float())
    if scales.rescale != 0 and guided is not plain:
        factor = plain.std() / guided.std()
        guided = guided * (scales.rescale * factor + 1 - scales.rescale)
    return guided


class Denoiser:
    """Predicts the clean latents of one stage; everything but the noisy latents and their level is fixed."""

    def __init__(
        self,
        transformer: Transformer,
        video: StreamState | None,
        audio: StreamState | None,
        *,
        positive: TextContexts,
        negative: TextContexts | None = None,
        guidance: Guidance | None = None,
        max_batch: int = 4,
    ) -> None:
        reference = video if video is not None else audio
        assert reference is not None, "a stage needs at least one stream"
        self.transformer = transformer
        self.video = video
        self.audio = audio
        self.positive = positive
        self.negative = negative
        self.guidance = guidance or Guidance()
        self.max_batch = max_batch
        self._rope = rope_tables(
            transformer.config,
            None if video is None else video.positions,
            None if audio is None else audio.positions,
            reference.latent.dtype,
        )

    def predict(self, latents: AVLatents, sigma: float) -> Prediction:
        """The guided x0 of both streams with what is given blended in; yields after every transformer block."""
        kinds = self._passes()
        outputs: dict[str, AVLatents] = {}
        batches = [kinds[start : start + self.max_batch] for start in range(0, len(kinds), self.max_batch)]
        for index, batch in enumerate(batches):
            steps = self._run(batch, latents, sigma)
            num_blocks = len(self.transformer.transformer_blocks)
            while True:
                try:
                    block = next(steps)
                except StopIteration as finished:
                    outputs.update(finished.value)
                    break
                yield PassProgress(index * num_blocks + block + 1, len(batches) * num_blocks)
        return AVLatents(
            self._combined(self.guidance.video, self.video, [outputs[kind].video for kind in kinds], kinds),
            self._combined(self.guidance.audio, self.audio, [outputs[kind].audio for kind in kinds], kinds),
        )

    def _passes(self) -> list[str]:
        active = [
            scales
            for scales, state in ((self.guidance.video, self.video), (self.guidance.audio, self.audio))
            if state is not None and not state.is_frozen
        ]
        kinds = [_PLAIN]
        if any(scales.cfg != 1 for scales in active):
            kinds.append(_NEGATIVE)
        if any(scales.stg != 0 for scales in active):
            kinds.append(_PERTURBED)
        if any(scales.modality != 1 for scales in active) and self.video is not None and self.audio is not None:
            kinds.append(_ISOLATED)
        return kinds

    def _run(self, kinds: list[str], latents: AVLatents, sigma: float) -> Generator[int, None, dict[str, AVLatents]]:
        video = self._input(self.video, latents.video, sigma, [self._contexts(kind).video for kind in kinds])
        audio = self._input(self.audio, latents.audio, sigma, [self._contexts(kind).audio for kind in kinds])
        passes = [self._deviation(kind) for kind in kinds]
        video_velocity, audio_velocity = yield from self.transformer.walk(
            video,
            audio,
            self._rope,
            passes if any(sample != Pass() for sample in passes) else None,
        )
        video_x0 = _clean_prediction(self.video, latents.video, video_velocity, sigma)
        audio_x0 = _clean_prediction(self.audio, latents.audio, audio_velocity, sigma)
        return {
            kind: AVLatents(
                None if video_x0 is None else video_x0[index : index + 1],
                None if audio_x0 is None else audio_x0[index : index + 1],
            )
            for index, kind in enumerate(kinds)
        }

    def _contexts(self, kind: str) -> TextContexts:
        return self.negative if kind == _NEGATIVE and self.negative is not None else self.positive

    def _deviation(self, kind: str) -> Pass:
        if kind == _ISOLATED:
            return Pass(isolate_streams=True)
        if kind == _PERTURBED:
            blocks = frozenset(self.guidance.stg_blocks)
            return Pass(
                skip_video_attention=blocks if self.guidance.video.stg != 0 else frozenset(),
                skip_audio_attention=blocks if self.guidance.audio.stg != 0 else frozenset(),
            )
        return Pass()

    @staticmethod
    def _input(
        state: StreamState | None, latent: Tensor | None, sigma: float, contexts: list[Tensor]
    ) -> StreamInput | None:
        if state is None or latent is None:
            return None
        batch = len(contexts)
        bias = None if state.attention is None else strength_bias(state.attention, latent.dtype)
        return StreamInput(
            latent=latent.expand(batch, -1, -1),
            timesteps=state.timesteps(sigma).expand(batch, -1),
            sigma=state.stream_sigma(sigma).expand(batch),
            context=torch.cat(contexts),
            attention_bias=bias,
        )

    @staticmethod
    def _combined(
        scales: GuidanceScales, state: StreamState | None, outputs: list[Tensor | None], kinds: list[str]
    ) -> Tensor | None:
        if state is None:
            return None
        by_kind = {kind: output for kind, output in zip(kinds, outputs, strict=True) if output is not None}
        plain = by_kind[_PLAIN]
        guided = combine(
            scales,
            plain,
            negative=by_kind.get(_NEGATIVE),
            perturbed=by_kind.get(_PERTURBED),
            isolated=by_kind.get(_ISOLATED),
        )
        return state.blend(guided.to(plain.dtype))


def _clean_prediction(
    state: StreamState | None, latent: Tensor | None, velocity: Tensor | None, sigma: float
) -> Tensor | None:
    """x0 = x - t v with each token's own noise level t, in fp32, in the latent's dtype."""
    if state is None or latent is None or velocity is None:
        return None
    return (latent.float() - state.timesteps(sigma)[..., None] * velocity.float()).to(latent.dtype)
