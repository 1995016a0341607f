"""Which references go together, and what becomes of each: in codes and numbers, whose words are the window's.

Cards that cannot be honoured, alone or beside the others, are left out of the request. The rules are the engine's:
`engine.pipelines.plan` and `engine.pipelines.stages` refuse what is left out here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from engine.request import WHOLE, ImageReference, VideoReference
from ltx_studio.domain.references import (
    LAST_FRAME,
    PICTURE_ROLES,
    Card,
    Finding,
    MediaFacts,
    Parts,
    Role,
    Target,
    Unreadable,
)

_CROP_WORTH_SAYING = 0.05  # of a side; the model's sizes are up to 3.6 % off 16:9


class Code(Enum):
    """What there is to say about a card."""

    READING = "reading"
    # what the engine will do with it
    FIRST_FRAME = "first frame"
    KEYFRAME = "keyframe"
    LAST_FRAME = "last frame"
    SOUND = "sound"  # the seconds that are used, 0 where that is all of it
    VIDEO = "video"
    # worth knowing beside that
    FIRST_PICTURE_ONLY = "first picture only"
    WIDTH_CUT = "width cut"
    HEIGHT_CUT = "height cut"
    SOUND_ENDS_EARLY = "sound ends early"
    SLOWER = "slower"
    FASTER = "faster"
    # why it is left out
    UNREADABLE = "unreadable"
    WRONG_KIND = "wrong kind"
    SAME_FRAME = "same frame"
    OUTSIDE = "outside"
    SECOND_SOUND = "second sound"
    SILENT = "silent"
    NO_READER = "no reader"
    TOO_SHORT = "too short"
    NOTHING_LEFT = "nothing left"  # the part that is to be used lies after the file's end


LEFT_OUT = frozenset(
    {
        Code.UNREADABLE,
        Code.WRONG_KIND,
        Code.SAME_FRAME,
        Code.OUTSIDE,
        Code.SECOND_SOUND,
        Code.SILENT,
        Code.NO_READER,
        Code.TOO_SHORT,
        Code.NOTHING_LEFT,
    }
)


@dataclass(frozen=True)
class Remark:
    """A code with its number (frames, seconds, a share or a rate, as the code says) and the card it is about."""

    code: Code
    number: float = 0.0
    other: Card | None = None

    @property
    def leaves_out(self) -> bool:
        return self.code in LEFT_OUT


Remarks = tuple[Remark, ...]  # either the one reason why a card is left out, or its effect and then what else to know


def judge(cards: Sequence[Card], findings: Mapping[Path, Finding], target: Target) -> dict[int, Remarks]:
    """What will be done with each card, by its id. Of cards in each other's way the first stays in."""
    remarks: dict[int, Remarks] = {}
    kept: list[Card] = []
    for card in cards:
        finding = findings.get(card.path)
        reason = _reason_against(card, finding, target) or _in_the_way(card, kept, target)
        if reason is not None:
            remarks[card.id] = (reason,)
            continue
        kept.append(card)
        is_read = isinstance(finding, MediaFacts)
        remarks[card.id] = _effect(card, finding, target) if is_read else (Remark(Code.READING),)
    return remarks


def _reason_against(card: Card, finding: Finding, target: Target) -> Remark | None:
    """Why a card cannot be honoured whatever the others are. A file that nobody looked at yet is believed in."""
    if isinstance(finding, Unreadable):
        return Remark(Code.UNREADABLE)
    if finding is not None and card.role not in finding.roles:
        return Remark(Code.WRONG_KIND)
    if card.role in PICTURE_ROLES and target.frames is not None:
        return None if 0 <= target.frame_of(card) < target.frames else Remark(Code.OUTSIDE, target.frames)
    if card.role is Role.SOUND:
        if target.is_silent:
            return Remark(Code.SILENT)
        return Remark(Code.NOTHING_LEFT) if finding is not None and used_sound_s(card, finding) <= 0 else None
    if card.role is Role.VIDEO:
        if target.num_loras == 0:
            return Remark(Code.NO_READER)
        frames = used_frames(card, finding) if finding is not None else 0
        if finding is not None and target.frames is not None and frames < target.frames:
            return Remark(Code.TOO_SHORT, target.frames)
    return None


def _in_the_way(card: Card, kept: Sequence[Card], target: Target) -> Remark | None:
    """Two pictures at one frame, or two sounds."""
    if card.role is Role.SOUND:
        other = next((item for item in kept if item.role is Role.SOUND), None)
        return None if other is None else Remark(Code.SECOND_SOUND, other=other)
    if card.role in PICTURE_ROLES:
        frame = target.frame_of(card)
        pictures = (item for item in kept if item.role in PICTURE_ROLES)
        other = next((item for item in pictures if target.frame_of(item) == frame), None)
        return None if other is None else Remark(Code.SAME_FRAME, frame, other)
    return None


def _effect(card: Card, facts: MediaFacts, target: Target) -> Remarks:
    match card.role:
        case Role.FIRST_FRAME:
            effect = Remark(Code.FIRST_FRAME, card.strength)
        case Role.LAST_FRAME:
            effect = Remark(Code.LAST_FRAME, card.strength)
        case Role.KEYFRAME:
            effect = Remark(Code.KEYFRAME, target.frame_of(card))
        case Role.VIDEO:
            return (Remark(Code.VIDEO, target.frames or 0), *_rate_remark(facts, target), *_crop_remark(facts, target))
        case Role.SOUND:
            return _sound_effect(card, facts, target)
    only = (Remark(Code.FIRST_PICTURE_ONLY),) if facts.is_animated else ()
    return (effect, *only, *_crop_remark(facts, target))


def used_frames(card: Card, facts: MediaFacts) -> int:
    """How many frames of a clip there are in the part that is used."""
    return facts.frames if facts.frame_rate is None else len(card.trim.frames(facts.frame_rate, facts.frames))


def used_sound_s(card: Card, facts: MediaFacts) -> float:
    """How long the part of a sound is that is used; 0 or less where it lies outside the file."""
    sound_s = facts.sound_s or 0.0
    return (sound_s if card.trim.end_s is None else min(card.trim.end_s, sound_s)) - card.trim.start_s


def _sound_effect(card: Card, facts: MediaFacts, target: Target) -> Remarks:
    used_s = used_sound_s(card, facts)
    whole = Remark(Code.SOUND)
    if target.frames is None:
        return (whole,)
    clip_s = target.frame_rate.seconds(target.frames)
    if used_s < clip_s - target.frame_rate.seconds(1):  # less than a frame of silence nobody notices
        return (whole, Remark(Code.SOUND_ENDS_EARLY, used_s))
    return (Remark(Code.SOUND, clip_s),) if used_s > clip_s else (whole,)


def _rate_remark(facts: MediaFacts, target: Target) -> Remarks:
    """The engine counts frames: a clip of another rate is shown at the target's, not converted."""
    if facts.frame_rate is None or facts.frame_rate == target.frame_rate:
        return ()
    code = Code.SLOWER if facts.frame_rate > target.frame_rate else Code.FASTER
    return (Remark(code, float(facts.frame_rate)),)


def _crop_remark(facts: MediaFacts, target: Target) -> Remarks:
    """Pictures are scaled to cover the clip's and cut around the middle."""
    if facts.size is None or target.size is None:
        return ()
    proportion = (facts.size.width * target.size.height) / (facts.size.height * target.size.width)
    share = 1 - min(proportion, 1 / proportion)
    if share < _CROP_WORTH_SAYING:
        return ()
    return (Remark(Code.WIDTH_CUT if proportion > 1 else Code.HEIGHT_CUT, share),)


def parts_of(cards: Sequence[Card], remarks: Mapping[int, Remarks]) -> Parts:
    """The cards that are not left out, in their order."""
    kept = [card for card in cards if not remarks[card.id][0].leaves_out]
    frames = {Role.FIRST_FRAME: 0, Role.LAST_FRAME: LAST_FRAME}
    sound = next((card for card in kept if card.role is Role.SOUND), None)
    return Parts(
        images=tuple(
            ImageReference(card.path, frames.get(card.role, card.frame), card.strength)
            for card in kept
            if card.role in PICTURE_ROLES
        ),
        audio=None if sound is None else sound.path,
        audio_trim=WHOLE if sound is None else sound.trim,
        reference_videos=tuple(
            VideoReference(card.path, card.strength, card.trim) for card in kept if card.role is Role.VIDEO
        ),
    )
