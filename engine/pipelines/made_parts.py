"""What an edit has made so far, at the size that the model works at, and all of it as a patch for the clip.

Not here: making it (`engine.pipelines.windows`), and putting the patch into a file (`engine.pipelines.composite`).

Shapes: H W pixels, N samples.
"""

import tempfile
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from engine.media.audio import SoundClip
from engine.media.patch import BLEND_FRAMES, FADE_S, NewSoundtrack, Patch, PicturePatch, SoundPatch
from engine.pipelines.edit_values import EditPlan, PictureFit, Span, TimeSpan
from engine.pipelines.session import Session
from engine.types import Size

Pixels = NDArray[np.uint8]


class MadeParts:
    """What an edit has made so far: frames at the work size in a file that vanishes with the process, and sound."""

    def __init__(self, session: Session, edit: EditPlan) -> None:
        self.edit = edit
        self.sample_rate = session.plan.model.vocoder.output_rate
        spans = [span for span in (window.picture for window in edit.windows) if span is not None]
        self.pictures = Span(0, 0)
        if spans:
            assert edit.picture is not None
            first = min(edit.picture.start, *(span.start for span in spans))
            self.pictures = Span(first, max(edit.picture.stop, *(span.stop for span in spans)))
        size = edit.fit.work
        session.record.folder.mkdir(parents=True, exist_ok=True)
        shape = (max(self.pictures.num_frames, 1), size.height, size.width, 3)
        with tempfile.TemporaryFile(dir=session.record.folder) as file:  # the mapping has a handle of its own
            self._frames = np.memmap(file, np.uint8, "w+", shape=shape)
        self._is_made = np.zeros(shape[0], bool)
        self.sound_from = TimeSpan(0.0, 0.0) if edit.sound is None else edit.sound
        num_samples = round((self.sound_from.stop_s - self.sound_from.start_s) * self.sample_rate)
        self._samples = np.zeros((2, num_samples), np.float32)
        self._is_heard = np.zeros(num_samples, bool)

    def frame(self, frame: int) -> Pixels | None:
        """A frame that is made (H, W, 3), in the source's numbers."""
        index = frame - self.pictures.start
        return self._frames[index] if 0 <= index < len(self._is_made) and self._is_made[index] else None

    def add_frames(self, start: int, frames: Pixels, mixed: Mapping[int, float]) -> None:
        """Frames from `start` on; `mixed` says how much of the new one there is in a frame that is made already."""
        for offset, frame in enumerate(frames):
            index = start + offset - self.pictures.start
            if not 0 <= index < len(self._is_made):
                continue
            weight = mixed.get(start + offset, 1.0)
            if self._is_made[index] and weight < 1:
                old = self._frames[index].astype(np.float32)
                frame = np.rint(old + (frame.astype(np.float32) - old) * np.float32(weight)).astype(np.uint8)  # noqa: PLW2901
            self._frames[index] = frame
            self._is_made[index] = True

    def add_sound(self, start_s: float, samples: NDArray[np.float32]) -> None:
        """Samples (2, N) from a time of the source on, faded into what is made already."""
        begin = round((start_s - self.sound_from.start_s) * self.sample_rate)
        first, last = max(begin, 0), min(begin + samples.shape[1], self._samples.shape[1])
        if first >= last:
            return
        new, old = samples[:, first - begin : last - begin], self._samples[:, first:last]
        is_new = ~self._is_heard[first:last]
        weight = is_new.astype(np.float32)
        num_fading = min(round(FADE_S * self.sample_rate), int((~is_new).sum()))
        if num_fading:
            ramp = (np.arange(num_fading, dtype=np.float32) + 0.5) / num_fading
            known = np.flatnonzero(~is_new)
            if known[0] == 0 and last - first > len(known):  # goes on after what is there
                weight[known[-1] + 1 - num_fading : known[-1] + 1] = ramp
            elif is_new.any():  # comes before it
                weight[known[0] : known[0] + num_fading] = ramp[::-1]
        old_part, new_part = np.cos(weight * np.pi / 2), np.sin(weight * np.pi / 2)
        self._samples[:, first:last] = old * old_part + new * new_part
        self._is_heard[first:last] = True

    def heard(self, start_s: float, num_samples: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Sound that is made (2, N), zeros elsewhere, and where it is."""
        begin = round((start_s - self.sound_from.start_s) * self.sample_rate)
        samples, where = np.zeros((2, num_samples), np.float32), np.zeros(num_samples, bool)
        first, last = max(begin, 0), min(begin + num_samples, self._samples.shape[1])
        if first < last:
            samples[:, first - begin : last - begin] = self._samples[:, first:last]
            where[first - begin : last - begin] = self._is_heard[first:last]
        return samples, where

    def sound(self) -> SoundClip:
        return SoundClip(self._samples, self.sample_rate)

    def replace_sound(self, sound: SoundClip) -> None:
        """Other samples in the place of all that is made."""
        self._samples[:] = sound.fitted(self._samples.shape[1]).samples

    def patch(self) -> Patch:
        """Everything, at the source's size."""
        edit, picture, sound = self.edit, None, None
        if edit.picture is not None:
            span = edit.picture
            blend = min(BLEND_FRAMES, span.num_frames // 2)
            picture = PicturePatch(span.start, span.num_frames, self._pictures(span), blend)
        if edit.replaces_sound:
            sound = NewSoundtrack(self.sound())
        elif edit.sound is not None:
            rate = self.sample_rate if edit.source.sound is None else edit.source.sound.sample_rate
            sound = SoundPatch(round(edit.sound.start_s * rate), self.sound())
        return Patch(picture, sound)

    def _pictures(self, span: Span) -> Iterator[Pixels]:
        for number in range(span.start, span.stop):
            frame = self.frame(number)
            assert frame is not None, f"frame {number} was not made"
            yield from_work_size(frame, self.edit.fit, self.edit.source.size)


def to_work_size(frame: Pixels, fit: PictureFit) -> Pixels:
    """A frame of the clip as the model sees it: scaled, its right and lower edges repeated."""
    scaled = _resized(frame, fit.content)
    rows, columns = fit.work.height - fit.content.height, fit.work.width - fit.content.width
    return np.pad(scaled, ((0, rows), (0, columns), (0, 0)), mode="edge")


def from_work_size(frame: Pixels, fit: PictureFit, size: Size) -> Pixels:
    """And back."""
    return _resized(np.ascontiguousarray(frame[: fit.content.height, : fit.content.width]), size)


def _resized(frame: Pixels, size: Size) -> Pixels:
    if frame.shape[:2] == (size.height, size.width):
        return frame
    tensor = torch.from_numpy(frame).permute(2, 0, 1)[None].float()
    scaled = torch.nn.functional.interpolate(tensor, (size.height, size.width), mode="bicubic", antialias=True)
    return scaled[0].permute(1, 2, 0).round().clamp(0, 255).to(torch.uint8).numpy()
