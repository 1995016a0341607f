"""What an edit means for its clip: which frames and sounds are made, in which windows the model works, and what stays.

A window is a stretch of the clip that the model sees at once: what is to be made, with enough around it. Its frames
are 8k+1 and fall into latent groups (one frame, then eight each); what is asked for snaps outward to whole groups.
Frames are counted as in the source, so they may be negative (before its start) or lie beyond its end.

Pure and torch-free, as all of planning. Not here: doing it (`engine.pipelines.windows`), and how the result gets into a
file (`engine.pipelines.composite`).
"""

import math
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from engine.errors import MediaError, RequestError
from engine.media.patch import BLEND_FRAMES, FADE_S
from engine.media.source import SourceClip, open_source
from engine.pipelines.decisions import Decisions
from engine.pipelines.edit_values import (
    CLOCK_S,
    EditPlan,
    PictureFit,
    Span,
    TimeSpan,
    WorkWindow,
    finished_plan,
    first_frame_of,
    seconds_of,
)
from engine.pipelines.facts import ModelFacts
from engine.request import Edit, Extend, Foley, GenerationRequest, Retake
from engine.types import FRAMES_PER_LATENT, Size, frame_count_covering

# The picture at both sides of what is made, so that it joins what is there; the official extension sees all of it.
CONTEXT_S = 1.0
MOST_WINDOW_S = 20.0  # the time axis of the model's positions
DEFAULT_RATE = 24.0  # of the frame counts in the catalogue
LONGEST_EXTENSION_S = 120.0  # every window adds a little drift
LEAST_STRENGTH = 0.05
# How far the work size may exceed the largest that the model was trained on, to meet the clip's shape.
_SIZE_SLACK = 1.25


def plan_edit(
    edit: Retake | Extend | Foley, request: GenerationRequest, model: ModelFacts, decisions: Decisions
) -> EditPlan:
    """Decide everything about an edit but a dub (`engine.pipelines.lipdub`). Raises RequestError and MediaError."""
    check_fields(request)
    source = opened(edit.clip)
    fit = fit_picture(source.size, model, request.size)
    say_size(source.size, fit, decisions)
    match edit:
        case Retake():
            return _plan_retake(edit, request, source, fit, model, decisions)
        case Extend():
            return _plan_extension(edit, request, source, fit, model, decisions)
        case Foley():
            return _plan_foley(request, source, fit, model, decisions)


def own_prompt(edit: Edit) -> str:
    """The prompt that an edited clip was made from; empty where it came from elsewhere. Raises MediaError."""
    prompt = (opened(edit.clip).metadata or {}).get("prompt")
    return prompt if isinstance(prompt, str) else ""


def opened(path: Path) -> SourceClip:
    """The clip, read once for as long as its file stays as it is. Raises MediaError."""
    try:
        facts = path.stat()
    except OSError as error:
        raise MediaError(path, "there is no such file.", remedy="Choose another clip.") from error
    return _opened(path, facts.st_mtime_ns, facts.st_size)


@lru_cache(maxsize=8)
def _opened(path: Path, _changed: int, _num_bytes: int) -> SourceClip:
    return open_source(path)


def check_fields(request: GenerationRequest) -> None:
    for field, is_given, what in (
        ("frames", request.frames is not None or request.seconds is not None, "length"),
        ("frame_rate", request.frame_rate is not None, "frame rate"),
    ):
        if is_given:
            raise RequestError(field, f"An edit keeps its clip's {what}.", remedy=f"Leave out the {what}.")
    if request.audio is not None:
        raise RequestError(
            "audio", "An edit cannot follow another sound.", remedy="Make a new clip that follows the sound."
        )
    if request.reference_videos:
        raise RequestError(
            "reference_videos", "An edit cannot follow a reference clip.", remedy="Leave it out, or make a new clip."
        )


# --- the picture's size -----------------------------------------------------------------------------------------------


def fit_picture(size: Size, model: ModelFacts, wanted: Size | None, *, reference_factor: int = 1) -> PictureFit:
    """The size that the model works at: the clip's own where it was trained that far, never larger unless `wanted`.

    `reference_factor` is how many times smaller than the picture a reference clip is, which must be on the grid too.
    """
    grid = 2 * model.video_vae.space_factor * reference_factor  # the first stage works at half of it
    if wanted is not None:
        return _fitted(size, wanted.snapped(grid))
    whole = Size(math.ceil(size.width / grid) * grid, math.ceil(size.height / grid) * grid)
    largest = model.defaults.largest
    most_pixels = largest.width * largest.height * _SIZE_SLACK
    if whole.width * whole.height <= most_pixels:
        return PictureFit(size, whole)
    fits = [
        _fitted(size, Size(columns * grid, int(most_pixels / (columns * grid)) // grid * grid))
        for columns in range(1, int(most_pixels / grid**2) + 1)
    ]
    # The most of the picture, in as little as needed for it.
    return max(fits, key=lambda fit: (_area(fit.content), -_area(fit.work)))


def _fitted(size: Size, most: Size) -> PictureFit:
    """As large as fits into `most`, which must be on the grid."""
    scale = min(most.width / size.width, most.height / size.height)
    content = Size(
        min(max(round(size.width * scale), 1), most.width), min(max(round(size.height * scale), 1), most.height)
    )
    return PictureFit(content, most)


def _area(size: Size) -> int:
    return size.width * size.height


def say_size(size: Size, fit: PictureFit, decisions: Decisions) -> None:
    if fit.content == size:
        decisions.add("picture", f"{size} in {fit.work}", "at its own size, on the model's grid")
    else:
        decisions.add("picture", f"{size} as {fit.content} in {fit.work}", "as large as the model was trained on")
        if _area(fit.content) < _area(size):
            decisions.warn(f"New pictures are made at {fit.content} and enlarged to {size}.")


# --- retake -----------------------------------------------------------------------------------------------------------


def _plan_retake(
    edit: Retake,
    request: GenerationRequest,
    source: SourceClip,
    fit: PictureFit,
    model: ModelFacts,
    decisions: Decisions,
) -> EditPlan:
    check_range(edit.start_s, edit.end_s, source)
    if not LEAST_STRENGTH <= edit.strength <= 1:
        raise RequestError(
            "edit",
            f"A strength of {edit.strength:g} is out of range.",
            remedy=f"Choose {LEAST_STRENGTH:g} to 1; 1 makes the window from nothing.",
        )
    if not (edit.picture or edit.sound):
        raise RequestError("edit", "Nothing is to be made again.", remedy="Choose the picture, the sound or both.")
    if edit.sound and not edit.picture and source.sound is None:
        raise RequestError("edit", f"{source.path.name} has no sound.", remedy="Make its sound with foley.")
    remakes_sound = edit.sound and source.sound is not None and not request.silent
    if edit.sound and source.sound is None:
        decisions.warn(f"{source.path.name} has no sound: only the picture is made again.")
    asked = source.frames_between(edit.start_s, edit.end_s)
    most = most_frames(source)
    if len(asked) + 2 * FRAMES_PER_LATENT > most:
        raise RequestError(
            "edit",
            f"{edit.end_s - edit.start_s:g} s are too long to be made again at once.",
            remedy=f"Choose at most {MOST_WINDOW_S - 1:g} s, or retake in parts.",
        )
    # With a few frames at both sides that the seams are spread over.
    wanted = Span(max(asked.start - BLEND_FRAMES, 0), min(asked.stop + BLEND_FRAMES, source.num_frames))
    placed = place_window(wanted, source, model, most)
    made = snapped(wanted, placed.start, placed.frames)
    if made.stop >= source.num_frames:  # what only repeats the old last frame must not be given
        made = Span(made.start, placed.start + placed.frames)
    changed = Span(made.start, min(made.stop, source.num_frames))
    sound = snapped_sound(edit.start_s, edit.end_s, source, model, placed) if remakes_sound else None
    window = WorkWindow(
        placed.start,
        placed.frames,
        made if edit.picture else None,
        sound,
        source.sound is not None and not request.silent,
    )
    say_window(window, source, model, decisions)
    sound_s = None if sound is None else in_source(sound, source, placed.start)
    if sound_s is not None:
        sound_s = TimeSpan(sound_s.start_s, min(sound_s.stop_s, source.duration_s))
    if edit.picture:
        snapped_s = seconds_of(changed, source)
        decisions.add(
            "picture made again",
            f"{snapped_s.start_s:.3f} to {snapped_s.stop_s:.3f} s",
            "whole groups of 8 frames around the window",
        )
        _warn_of_snapping(edit, snapped_s, decisions)
    if sound_s is not None:
        decisions.add(
            "sound made again", f"{sound_s.start_s:.3f} to {sound_s.stop_s:.3f} s", "whole audio latents of 40 ms"
        )
    return finished_plan(
        source,
        fit,
        (window,),
        picture=changed if edit.picture else None,
        sound=sound_s,
        result=Span(0, source.num_frames),
    )


def check_range(start_s: float, end_s: float, source: SourceClip) -> None:
    """A window has to have a length, and to lie in its clip."""
    duration_s = source.duration_s
    has = f"{source.path.name} has {duration_s:.2f} s."
    if not (math.isfinite(start_s) and math.isfinite(end_s)):
        raise RequestError("edit", "The window has no beginning or no end.", remedy="Give both in seconds.")
    if end_s <= start_s:
        raise RequestError(
            "edit", f"The window from {start_s:g} to {end_s:g} s has no length.", remedy="Let it end after it starts."
        )
    tolerance_s = float(1 / source.frame_rate.value)
    if end_s - start_s > duration_s + tolerance_s:
        raise RequestError(
            "edit", f"A window of {end_s - start_s:g} s is longer than the clip.", remedy=f"Shorten it: {has}"
        )
    if start_s < 0 or start_s >= duration_s or end_s > duration_s + tolerance_s:
        raise RequestError(
            "edit", f"The window from {start_s:g} to {end_s:g} s lies outside the clip.", remedy=f"Move it: {has}"
        )
    if not len(source.frames_between(start_s, end_s)):
        raise RequestError(
            "edit", f"There is no frame from {start_s:g} to {end_s:g} s.", remedy="Choose a longer window."
        )


class Placed(NamedTuple):
    """Where a window begins, and how many frames it has."""

    start: int
    frames: int


def place_window(wanted: Span, source: SourceClip, model: ModelFacts, most: int) -> Placed:
    """A clip that the model can see whole is seen whole; of a longer one, a stretch around what is wanted.

    Such a stretch begins so that a latent group begins where what is wanted begins.
    """
    rate, num_frames = float(source.frame_rate), source.num_frames
    best = frames_in(model.defaults.longest_s, rate)
    context_s = min(CONTEXT_S, model.defaults.longest_s / 8)
    needed = frame_count_covering(wanted.num_frames + 2 * context_s * rate)
    frames = min(max(best, needed), most)
    if frame_count_covering(num_frames) <= frames:
        return Placed(0, frame_count_covering(num_frames))
    if wanted.start == 0:
        return Placed(0, frames)
    # As many groups before as after; what is wanted begins with a group, and ends before the last one.
    step = FRAMES_PER_LATENT
    num_wanted = -(-wanted.num_frames // step)
    num_before = min(max((frames - 1) // step - num_wanted, 0) // 2, (wanted.start - 1) // step)
    frames = max(frames, min((num_before + num_wanted + 1) * step + 1, most))
    start = wanted.start - 1 - num_before * step
    while start + frames >= num_frames + step and start >= step:  # no group that only repeats the last frame
        start -= step
    return Placed(start, frames)


def snapped(wanted: Span, start: int, frames: int) -> Span:
    """Whole latent groups of a window that hold every wanted frame."""
    first = group_of(wanted.start - start)
    last = min(group_of(wanted.stop - 1 - start), (frames - 1) // FRAMES_PER_LATENT)
    return Span(start + first_frame_of(first), start + last * FRAMES_PER_LATENT + 1)


def group_of(frame: int) -> int:
    """The latent frame that holds a frame of a window."""
    return -(-frame // FRAMES_PER_LATENT)


def frames_in(seconds: float, rate: float) -> int:
    """The most 8k+1 frames that are not longer; at least nine."""
    return max(int(seconds * rate + 1e-6) - 1, FRAMES_PER_LATENT) // FRAMES_PER_LATENT * FRAMES_PER_LATENT + 1


def most_frames(source: SourceClip) -> int:
    return frames_in(MOST_WINDOW_S, float(source.frame_rate))


def latent_s(model: ModelFacts) -> float:
    """How long an audio latent lasts."""
    audio = model.audio_vae
    return audio.hop_length * audio.downsampling / audio.sample_rate


def snapped_sound(start_s: float, end_s: float, source: SourceClip, model: ModelFacts, placed: Placed) -> TimeSpan:
    """Whole audio latents around a stretch of the clip and its fades, in seconds of the work window."""
    start = float(source.frame_start(placed.start))
    length_s = placed.frames / float(source.frame_rate)
    step_s = latent_s(model)
    offset_s = step_s - _first_latent_s(model)  # every latent but the first ends this much early
    first = math.floor((max(start_s - start - FADE_S, 0) + offset_s) / step_s + 1e-9)
    is_to_the_end = end_s + FADE_S >= source.duration_s - CLOCK_S
    stop_s = length_s if is_to_the_end else min(end_s - start + FADE_S, length_s)
    last = math.ceil((stop_s + offset_s) / step_s - 1e-9)
    return TimeSpan(max(first * step_s - offset_s, 0.0), min(last * step_s - offset_s, length_s))


def _first_latent_s(model: ModelFacts) -> float:
    audio = model.audio_vae
    return audio.hop_length / audio.sample_rate


def in_source(span: TimeSpan, source: SourceClip, start: int) -> TimeSpan:
    offset_s = float(source.frame_start(start))
    return TimeSpan(span.start_s + offset_s, span.stop_s + offset_s)


def _warn_of_snapping(edit: Retake, made: TimeSpan, decisions: Decisions) -> None:
    if made.start_s < edit.start_s - 1e-3 or made.stop_s > edit.end_s + 1e-3:
        decisions.warn(
            f"The window of {edit.start_s:.2f} to {edit.end_s:.2f} s snaps outward to whole groups of frames: the "
            f"picture changes from {made.start_s:.2f} to {made.stop_s:.2f} s."
        )


# --- extend -----------------------------------------------------------------------------------------------------------


def _plan_extension(
    edit: Extend,
    request: GenerationRequest,
    source: SourceClip,
    fit: PictureFit,
    model: ModelFacts,
    decisions: Decisions,
) -> EditPlan:
    rate = float(source.frame_rate)
    if not math.isfinite(edit.seconds) or not 1 / rate <= edit.seconds <= LONGEST_EXTENSION_S:
        raise RequestError(
            "edit",
            f"A clip cannot be extended by {edit.seconds:g} s.",
            remedy=f"Choose one frame to {LONGEST_EXTENSION_S:g} s.",
        )
    num_new = round(edit.seconds * rate)
    has_sound = source.sound is not None and not request.silent
    windows, num_left = list[WorkWindow](), num_new
    known = Span(0, source.num_frames)
    while num_left > 0:
        window = _next_extension(known, edit, num_left, source, model, has_sound=has_sound)
        windows.append(window)
        made = window.picture
        assert made is not None
        known = Span(known.start, made.stop) if edit.at == "end" else Span(made.start, known.stop)
        num_left = num_new - (known.stop - source.num_frames if edit.at == "end" else -known.start)
    seen_s = source.frame_rate.seconds(windows[0].frames)
    decisions.add(
        "windows",
        len(windows),
        f"each of up to {seen_s:.2f} s, with what it continues" if len(windows) > 1 else "it fits",
    )
    if len(windows) > 1:
        decisions.warn(f"The extension is made in {len(windows)} windows, each continuing the one before.")
    say_window(windows[0], source, model, decisions)
    # The decoder's picture of a few old frames is mixed with them, so that neither colour nor light jumps.
    blend = min(BLEND_FRAMES, source.num_frames)
    if edit.at == "end":
        result = Span(0, source.num_frames + num_new)
        picture = Span(source.num_frames - blend, result.stop)
    else:
        result = Span(-num_new, source.num_frames)
        picture = Span(result.start, blend)
    sound = None
    if has_sound:
        edges = seconds_of(Span(source.num_frames, result.stop) if edit.at == "end" else Span(result.start, 0), source)
        is_end = edit.at == "end"
        sound = TimeSpan(edges.start_s - (FADE_S if is_end else 0), edges.stop_s + (0 if is_end else FADE_S))
    return finished_plan(source, fit, tuple(windows), picture=picture, sound=sound, result=result)


def _next_extension(
    known: Span, edit: Extend, num_left: int, source: SourceClip, model: ModelFacts, *, has_sound: bool
) -> WorkWindow:
    """One window of an extension: what is known last, and as much new as the model can do at once.

    The edge between both is an edge of latent groups, on the grid that the clip's own latents have: groups end at
    frames 0, 8, 16, ... of the clip.
    """
    rate, step = float(source.frame_rate), FRAMES_PER_LATENT
    most = min(frames_in(max(model.defaults.longest_s, CONTEXT_S), rate), most_frames(source))
    num_known = known.stop - known.start
    # As much as fits into a clip of the usual length, and no less than a second.
    usual = frame_count_covering(max(model.defaults.frames / DEFAULT_RATE, num_left / rate + CONTEXT_S) * rate)
    seen = min(most, usual)
    if edit.at == "end":
        # The last group that is given ends with the last known frame.
        least = min(max(round(CONTEXT_S * rate) - 1, 0) // step * step, seen // 2 // step * step) + 1
        new = min(-(-num_left // step) * step, seen - min(least, num_known // step * step + 1))
        context = max(min(seen - new, max(num_known - 1, 0) // step * step + 1), 1)
        start, frames = known.stop - context, context + new
        made, sound_s = Span(known.stop, known.stop + new), TimeSpan(context / rate, frames / rate)
    else:
        # Groups that are given begin after the first known frame, which is made again with the new ones.
        least = min(max(round(CONTEXT_S * rate) // step * step, step), seen // 2 // step * step)
        new = min(-(-num_left // step) * step, max(seen - 1 - least, step))
        context = max(min(seen - 1 - new, (num_known - 1) // step * step), step)
        start, frames = known.start - new, new + 1 + context
        made, sound_s = Span(start, known.start + 1), TimeSpan(0.0, new / rate)
    return WorkWindow(start, frames, made, sound_s if has_sound else None, has_sound)


# --- foley ------------------------------------------------------------------------------------------------------------


def _plan_foley(
    request: GenerationRequest, source: SourceClip, fit: PictureFit, model: ModelFacts, decisions: Decisions
) -> EditPlan:
    if request.silent:
        raise RequestError("silent", "A silent clip has no new sound.", remedy="Leave out the wish for silence.")
    rate = float(source.frame_rate)
    most = min(frames_in(model.defaults.longest_s, rate), most_frames(source))
    whole = frame_count_covering(source.num_frames)
    windows: list[WorkWindow] = []
    if whole <= most:
        windows.append(WorkWindow(0, whole, None, TimeSpan(0.0, whole / rate), has_sound=True))
    else:
        overlap = min(round(CONTEXT_S * rate), most // 4)
        start = 0
        while True:
            start = min(start, source.num_frames - most)
            known = 0 if start == 0 else windows[-1].span.stop - start
            windows.append(WorkWindow(start, most, None, TimeSpan(known / rate, most / rate), has_sound=True))
            if start + most >= source.num_frames:
                break
            start += most - overlap
        decisions.warn(f"The sound is made in {len(windows)} windows, each continuing the one before.")
    decisions.add("windows", len(windows), "the picture is given, its sound is new")
    say_window(windows[0], source, model, decisions)
    sound = seconds_of(Span(0, source.num_frames), source)
    return finished_plan(
        source,
        fit,
        tuple(windows),
        picture=None,
        sound=sound,
        result=Span(0, source.num_frames),
        replaces_sound=True,
    )


# --- what all have in common ------------------------------------------------------------------------------------------


def say_window(window: WorkWindow, source: SourceClip, model: ModelFacts, decisions: Decisions) -> None:
    length_s = source.frame_rate.seconds(window.frames)
    decisions.add(
        "window", f"{window.frames} frames from {window.start}", f"{length_s:.2f} s that the model sees at once"
    )
    if length_s > model.defaults.longest_s + 0.1:
        decisions.warn(
            f"The model sees {length_s:.1f} s at once and was trained on {model.defaults.longest_s:.1f} s; "
            "a shorter window may come out better."
        )
