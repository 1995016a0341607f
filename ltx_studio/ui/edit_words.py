"""Edits in words: what a mode does, what stays and what is made, and how a take came out."""

from collections.abc import Sequence

from engine.pipelines.edit_values import EditWindow, Zone, ZoneKind
from engine.request import Extend, Foley, LipDub, Retake
from ltx_studio.domain.edits import REJECTED, UNSEEN_SEAM, VISIBLE_SEAM, EditDraft, EditMode, Target
from ltx_studio.domain.queue import Item
from ltx_studio.domain.timeline import Clip, Take
from ltx_studio.state.edits import tr
from ltx_studio.ui import queue_words, words


def mode_name(mode: EditMode) -> str:
    match mode:
        case EditMode.RETAKE:
            return tr("Retake")
        case EditMode.EXTEND:
            return tr("Extend")
        case EditMode.FOLEY:
            return tr("New sound")
        case EditMode.LIPDUB:
            return tr("New words")


def mode_about(mode: EditMode) -> str:
    match mode:
        case EditMode.RETAKE:
            return tr("Make the marked range again; the rest stays exact.")
        case EditMode.EXTEND:
            return tr("Go on where the clip ends, or lead up to its start.")
        case EditMode.FOLEY:
            return tr("A new sound for the whole clip; the picture stays.")
        case EditMode.LIPDUB:
            return tr("Change what is said, with the lips that go with it.")


def button(draft: EditDraft) -> str:
    """What the main button is called."""
    if draft.num_takes > 1:
        return tr("Make {count} takes").format(count=draft.num_takes)
    match draft.mode:
        case EditMode.RETAKE:
            return tr("Retake")
        case EditMode.EXTEND:
            return tr("Extend")
        case EditMode.FOLEY:
            return tr("Make new sound")
        case EditMode.LIPDUB:
            return tr("Make new words")


def target_facts(target: Target) -> str:
    length = words.timecode(len(target.span), target.rate)
    where = tr("on the timeline") if target.slot is not None else tr("in the player")
    sound = tr("with sound") if target.has_sound else tr("without sound")
    return tr("{where}, {length}, {sound}").format(where=where, length=length, sound=sound)


def window_sentence(window: EditWindow, target: Target) -> str:
    """What is made, in the times of the target; what a screen reader says of the zones."""
    picture, sound = _made(window.picture, target), _made(window.sound, target)
    if picture and sound and picture != sound:
        return tr("New picture {picture}, new sound {sound}; all else stays identical.").format(
            picture=picture, sound=sound
        )
    if picture and sound:
        return tr("New picture and sound {when}; all else stays identical.").format(when=picture)
    if picture:
        return tr("New picture {when}; all else stays identical.").format(when=picture)
    return tr("New sound {when}; the picture stays identical.").format(when=sound)


def _made(zones: Sequence[Zone], target: Target) -> str:
    """From the first change to the last, seams included; empty where nothing changes."""
    changed = [zone for zone in zones if zone.kind is not ZoneKind.KEPT]
    if not changed:
        return ""
    start, end = (f"{at:.2f}" for at in (changed[0].start_s, changed[-1].end_s))
    return tr("from {start} to {end} s").format(start=start, end=end)


def together(seconds: float, num_takes: int) -> str:
    """Empty for one take: the estimate says it."""
    if num_takes < 2:
        return ""
    return tr("{count} takes: about {time} together").format(count=num_takes, time=words.duration(seconds * num_takes))


# --- takes ------------------------------------------------------------------------------------------------------------


def take_line(clip: Clip, index: int) -> str:
    """A take in a list."""
    take = clip.takes[index]
    parts = [tr("Take {number}").format(number=index + 1), how_made(take)]
    if take.seam_score is not None:
        parts.append(seam(take.seam_score))
    if take.rating == REJECTED:
        parts.append(tr("rejected"))
    return " · ".join(parts)


def how_made(take: Take) -> str:
    """By which edit, and with which seed."""
    request = take.request
    if request is None:
        return tr("original")
    names = {Retake: tr("retake"), Extend: tr("extension"), Foley: tr("new sound"), LipDub: tr("new words")}
    name = tr("generated") if request.edit is None else names[type(request.edit)]
    return name if request.seed is None else tr("{what}, seed {seed}").format(what=name, seed=request.seed)


def seam(score: float) -> str:
    number = f"{score:.1f}"
    if score < UNSEEN_SEAM:
        return tr("seams not seen ({score})").format(score=number)
    if score < VISIBLE_SEAM:
        return tr("seams may be seen ({score})").format(score=number)
    return tr("seams are seen ({score})").format(score=number)


def seam_tip() -> str:
    return tr(
        "The largest jump at the seams, as a multiple of what changes from frame to frame elsewhere: 1 is a change "
        "like any other, 5 looks like a cut."
    )


def batch_line(items: Sequence[Item]) -> tuple[str, str]:
    """How the takes that were asked for last are getting on, and the role of the words."""
    failed = next((item for item in items if item.state == "failed"), None)
    if failed is not None:
        return queue_words.error(failed), "danger-small"
    running = next((item for item in items if item.state == "running"), None)
    done = sum(item.state == "done" for item in items)
    if not items or all(item.state == "cancelled" for item in items):
        return "", "secondary"
    if running is not None and len(items) == 1:
        return tr("The take is being made."), "secondary"
    if done == len(items):
        ready = tr("The take is ready.") if done == 1 else tr("All {count} takes are ready.").format(count=done)
        return ready, "ok-small"
    return tr("{done} of {count} takes are ready").format(done=done, count=len(items)), "secondary"
