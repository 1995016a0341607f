"""Planning new words on moving lips: which LoRA does it, what is made in which windows, and what stays.

The model sees the old clip beside the one it makes, as the lip-dub IC-LoRA was trained to: its picture at the same
places and times, its voice before the clip begins. In the range both streams are new, or only the picture, where a
voice track is given; outside of it both are given. The second stage keeps the first one's sound (Lightricks/LTX-2,
commit 400fd31). A range that is longer than the model sees at once is made in windows that continue each other.

Pure and torch-free, as all of planning. Not here: doing it (`engine.pipelines.windows`), what becomes of the sound
(`engine.pipelines.dubbing`).
"""

from dataclasses import replace
from pathlib import Path

from engine.errors import CheckpointError, RequestError
from engine.media.patch import BLEND_FRAMES, FADE_S
from engine.media.source import SourceClip
from engine.pipelines.decisions import Decisions
from engine.pipelines.edit_values import EditPlan, Span, TimeSpan, WorkWindow, finished_plan, first_frame_of, seconds_of
from engine.pipelines.editing import (
    CONTEXT_S,
    Placed,
    check_fields,
    check_range,
    fit_picture,
    frames_in,
    group_of,
    in_source,
    most_frames,
    opened,
    place_window,
    say_size,
    say_window,
    snapped,
    snapped_sound,
)
from engine.pipelines.facts import ModelFacts
from engine.request import GenerationRequest, LipDub, LoraReference
from engine.types import FRAMES_PER_LATENT, frame_count_covering
from engine.weights.catalog import STARTER, catalogue, loras, loras_folder
from engine.weights.lora_file import LoraFile

# Parts of the names of the official files, old and new, and of the starter model's.
_LORA_NAMES = ("lipdub", "lip-dub", "dubit", "dub-it")


# --- the LoRA ---------------------------------------------------------------------------------------------------------


def with_dub_lora(request: GenerationRequest, model: ModelFacts) -> GenerationRequest:
    """The request with the LoRA that dubs: one that is named in it, else the model's own.

    Raises CheckpointError where there is none; of a model that is not installed nothing is asked.
    """
    if not isinstance(request.edit, LipDub) or model.files is None or any(_dubs(item) for item in request.loras):
        return request
    folders = (model.files.checkpoint.parent, loras_folder())
    found = next((path for folder in folders for path in sorted(folder.glob("*.safetensors")) if _is_named(path)), None)
    if found is None:
        known = (item.name for item in loras().values() if (item.kind, item.generation) == ("lipdub", model.generation))
        name = next(known, None) if model.name in catalogue() and model.name != STARTER else None
        put = f"Fetch '{name}'" if name else f"Put its file there under a name that holds '{_LORA_NAMES[0]}'"
        raise CheckpointError(
            folders[0],
            f"'{model.name}' has no lip-dub LoRA on this machine.",
            remedy=f"{put}, or add the file of one to the LoRAs.",
        )
    return replace(request, loras=(*request.loras, LoraReference(found)))


def _dubs(reference: LoraReference) -> bool:
    if reference.is_off or not reference.path.is_file():
        return False
    return _is_named(reference.path) or LoraFile.open(reference.path).states_reference_factors


def _is_named(path: Path) -> bool:
    return any(name in path.name.lower() for name in _LORA_NAMES)


def _reference_factor(request: GenerationRequest) -> int:
    """How many times smaller than the picture its reference is."""
    files = [item.path for item in request.loras if item.path.is_file()]
    return max((LoraFile.open(path).reference_downscale_factor for path in files), default=1)


# --- the plan ---------------------------------------------------------------------------------------------------------


def plan_lip_dub(edit: LipDub, request: GenerationRequest, model: ModelFacts, decisions: Decisions) -> EditPlan:
    """Decide everything about a dub. Raises RequestError for what cannot be done, CheckpointError and MediaError."""
    check_fields(request)
    source = opened(edit.clip)
    _check_words(edit, request, source)
    fit = fit_picture(source.size, model, request.size, reference_factor=_reference_factor(request))
    say_size(source.size, fit, decisions)
    start_s = 0.0 if edit.start_s is None else edit.start_s
    end_s = source.duration_s if edit.end_s is None else edit.end_s
    check_range(start_s, end_s, source)
    asked = source.frames_between(start_s, end_s)
    # With a few frames at both sides that the seams are spread over.
    wanted = Span(max(asked.start - BLEND_FRAMES, 0), min(asked.stop + BLEND_FRAMES, source.num_frames))
    stretches = _stretches(wanted, source, model)
    windows: list[WorkWindow] = []
    for placed, made in stretches:
        sound = None
        if edit.voice is None:
            sound = snapped_sound(start_s, end_s, source, model, placed)
            if windows:  # goes on where the one before ended
                sound = TimeSpan((made.start - placed.start) / float(source.frame_rate), sound.stop_s)
        windows.append(WorkWindow(placed.start, placed.frames, made, sound, has_sound=True))
    changed = Span(stretches[0][1].start, min(stretches[-1][1].stop, source.num_frames))
    sound_s = _changed_sound(start_s, end_s, source, windows)
    _say(edit, changed, sound_s, source, windows, decisions)
    say_window(windows[0], source, model, decisions)
    return finished_plan(
        source,
        fit,
        tuple(windows),
        picture=changed,
        sound=sound_s,
        result=Span(0, source.num_frames),
        replaces_sound=source.sound is None,
    )


def _check_words(edit: LipDub, request: GenerationRequest, source: SourceClip) -> None:
    if request.silent:
        raise RequestError("silent", "A dub cannot be silent.", remedy="Leave out the wish for silence.")
    if edit.voice is not None:
        if not edit.voice.is_file():
            raise RequestError("edit", f"The voice track {edit.voice} does not exist.", remedy="Choose another file.")
        return
    if source.sound is None:
        raise RequestError(
            "edit",
            f"{source.path.name} has no sound, so there is no voice to go on with.",
            remedy="Give a voice track.",
        )
    if not request.prompt.strip():
        raise RequestError(
            "prompt", "There are no new words.", remedy="Describe who speaks, and put what is said in quotation marks."
        )


def _stretches(wanted: Span, source: SourceClip, model: ModelFacts) -> list[tuple[Placed, Span]]:
    """Windows, and what is made in each, in whole latent groups that follow each other without a gap."""
    rate, step, num_frames = float(source.frame_rate), FRAMES_PER_LATENT, source.num_frames
    best = min(frames_in(model.defaults.longest_s, rate), most_frames(source))
    context = round(min(CONTEXT_S, model.defaults.longest_s / 8) * rate)
    is_short = frame_count_covering(wanted.num_frames + 2 * context) <= best
    if is_short or frame_count_covering(num_frames) <= best:
        placed = place_window(wanted, source, model, most_frames(source))
        return [(placed, _to_the_end(snapped(wanted, *placed), placed, source))]
    # The first window begins so that a group begins where what is wanted begins.
    groups_before = min(context // step, (wanted.start - 1) // step) if wanted.start > 0 else 0
    start = wanted.start - 1 - groups_before * step if wanted.start > 0 else 0
    made_start = start + first_frame_of(group_of(wanted.start - start))
    groups_again = min(max(context // step, 1), (best - 1) // step - 1)  # that a later window is given
    stretches: list[tuple[Placed, Span]] = []
    while True:
        # Up to the range's end and a little more, or to the clip's end.
        frames = min(frame_count_covering(min(wanted.stop + context, num_frames) - start), best)
        placed = Placed(start, frames)
        made = Span(made_start, start + frames)
        is_last = wanted.stop <= made.stop - (0 if wanted.stop >= num_frames else 1)
        if is_last:
            made = _to_the_end(Span(made_start, snapped(wanted, start, frames).stop), placed, source)
        stretches.append((placed, made))
        if is_last:
            return stretches
        start, made_start = made.stop - 1 - groups_again * step, made.stop


def _to_the_end(made: Span, placed: Placed, source: SourceClip) -> Span:
    """What only repeats the old last frame must not be given."""
    return Span(made.start, placed.start + placed.frames) if made.stop >= source.num_frames else made


def _changed_sound(start_s: float, end_s: float, source: SourceClip, windows: list[WorkWindow]) -> TimeSpan:
    """In seconds of the source. A voice track is put in as it is, with room for its fades."""
    if source.sound is None:
        return seconds_of(Span(0, source.num_frames), source)
    first, last = windows[0], windows[-1]
    if first.sound is None or last.sound is None:
        return TimeSpan(max(start_s - FADE_S, 0.0), min(end_s + FADE_S, source.duration_s))
    start = in_source(first.sound, source, first.start).start_s
    return TimeSpan(start, min(in_source(last.sound, source, last.start).stop_s, source.duration_s))


def _say(
    edit: LipDub,
    changed: Span,
    sound: TimeSpan,
    source: SourceClip,
    windows: list[WorkWindow],
    decisions: Decisions,
) -> None:
    picture = seconds_of(changed, source)
    decisions.add(
        "picture made again",
        f"{picture.start_s:.3f} to {picture.stop_s:.3f} s",
        "whole latent groups of 8 frames; all of it, not the mouth alone",
    )
    how = "the new words in the old voice" if edit.voice is None else f"{edit.voice.name}, as it is"
    decisions.add("sound made again", f"{sound.start_s:.3f} to {sound.stop_s:.3f} s", how)
    if len(windows) > 1:
        decisions.warn(f"The dub is made in {len(windows)} windows, each continuing the one before.")
    if source.sound is None:
        return
    if not edit.keep_background:
        decisions.add("background", "not kept", "as asked; the new voice stands alone")
        return
    decisions.add(
        "background",
        "kept",
        "what is wide in stereo or steady; music and noises in the middle go with the old voice",
    )
    if source.sound.num_channels == 1:
        decisions.warn("The sound is mono: only its steady part can be told from the old voice and kept.")
