"""The video VAE's training: `pytest tests/engine/training/test_training_video_vae.py`."""

from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from engine.model.video_vae import VideoDecoder, VideoEncoder
from engine.training.blank import save_checkpoint
from engine.training.coarse import CoarseVae, coarse_examples, train_coarse
from engine.training.crops import cached_crops, render_crop
from engine.training.loop import Recipe, StepReading, batch_generator
from engine.training.ordered import order_latents
from engine.training.projection import Components, start_as_projection
from engine.training.starter import starter_shape
from engine.training.video_vae import BatchKind, VideoVae, draw_batch, reconstruction_loss, step_loss, to_model
from engine.weights.checkpoint import Checkpoint
from engine.weights.components import load
from engine.weights.keymap import Role

NUM_CROPS = 3


@cache
def toy_crops() -> Tensor:
    return to_model(np.stack([render_crop(index)[:9, :64, :64] for index in range(NUM_CROPS)]))


@cache
def started() -> tuple[dict[str, Tensor], list[Components]]:
    torch.manual_seed(0)
    vae = VideoVae.starter()
    made = start_as_projection(vae.encoder, vae.decoder, toy_crops())
    return vae.state_dict(), made


def started_vae() -> VideoVae:
    vae = VideoVae.starter()
    vae.load_state_dict(started()[0])
    return vae


@torch.no_grad()
def psnr(vae: VideoVae) -> float:
    difference = vae.decoder(vae.encoder(toy_crops())) - toy_crops()
    return -10 * float(torch.log10(difference.square().mean() / 4))


def test_training_starts_as_a_useful_projection() -> None:
    assert psnr(started_vae()) > 15
    assert psnr(VideoVae.starter()) < 10


def test_a_crop_is_the_same_every_time_and_the_cache_goes_on_where_it_stopped(tmp_path: Path) -> None:
    first = np.array(cached_crops(tmp_path, 1))

    both = cached_crops(tmp_path, 2)

    assert np.array_equal(first[0], both[0])
    assert np.array_equal(both[1], render_crop(1))


def test_steps_on_one_batch_lower_its_loss() -> None:
    torch.manual_seed(0)
    vae = VideoVae.starter()
    pixels = toy_crops()[:2, :, :, :32, :32]
    optimizer = torch.optim.Adam(vae.parameters(), lr=3e-4)

    losses: list[float] = []
    for _ in range(8):
        optimizer.zero_grad()
        loss = step_loss(vae, pixels, batch_generator(0, 0))
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))

    assert losses[-1] < 0.9 * losses[0]


def test_coarse_steps_on_one_batch_lower_its_error(tmp_path: Path) -> None:
    vae, made = started_vae(), started()[1]
    coarse = CoarseVae(vae.encoder, vae.decoder, made)
    torch.nn.init.normal_(coarse.decoder_in.conv.weight, std=0.03)
    readings: list[StepReading] = []

    train_coarse(
        coarse,
        coarse_examples(vae.encoder, coarse.made, iter([toy_crops()])),
        Recipe(steps=8, learning_rate=1e-3, warmup_steps=2),
        state_path=tmp_path / "state.pt",
        on_step=readings.append,
        device=torch.device("cpu"),
    )

    assert readings[-1].loss < 0.9 * readings[0].loss


def test_ordering_the_latents_changes_no_picture_and_sorts_them_by_what_they_change() -> None:
    vae = started_vae()
    with torch.no_grad():
        before = vae.decoder(vae.encoder(toy_crops()))

    order_latents(vae.encoder, vae.decoder, toy_crops()[..., :32, :32], device=torch.device("cpu"))

    with torch.no_grad():
        after = vae.decoder(vae.encoder(toy_crops()))
    spreads = vae.encoder.per_channel_statistics.get_buffer("std-of-means")
    assert torch.allclose(before, after, atol=1e-3)
    assert torch.all(spreads[:-1] >= spreads[1:])


def test_the_written_file_loads_as_both_halves(tmp_path: Path) -> None:
    vae = started_vae()
    path = tmp_path / "vae.safetensors"

    save_checkpoint(path, {Role.VIDEO_ENCODER: vae.encoder, Role.VIDEO_DECODER: vae.decoder}, starter_shape().config)

    checkpoint = Checkpoint.open(path)
    encoder, decoder = load(checkpoint, Role.VIDEO_ENCODER), load(checkpoint, Role.VIDEO_DECODER)
    assert isinstance(encoder, VideoEncoder)
    assert isinstance(decoder, VideoDecoder)
    assert torch.equal(encoder.conv_in.conv.weight, vae.encoder.conv_in.conv.weight.bfloat16().float())


def test_batches_are_decided_by_their_step() -> None:
    crops = np.stack([render_crop(index) for index in range(2)])
    kind = BatchKind(crops=3, frames=9, side_px=64)

    first, again, other = (draw_batch(crops, kind, batch_generator(0, step)) for step in (5, 5, 6))

    assert first.shape == (3, 3, 9, 64, 64)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_blurred_edge_costs_more_than_an_equal_error_spread_evenly() -> None:
    pixels = torch.zeros(1, 3, 1, 8, 8)
    even = pixels + 0.1
    uneven = pixels + 0.1 * torch.tensor([1.0, -1.0]).repeat(4)

    assert reconstruction_loss(uneven, pixels) > reconstruction_loss(even, pixels)
