"""What references, their roles and what happens to them are called. Whole sentences with named places."""

from math import floor
from pathlib import Path

from PySide6.QtCore import QCoreApplication

from engine.request import WHOLE
from ltx_studio.domain.reference_rules import Code, Remark, Remarks, used_frames
from ltx_studio.domain.references import Card, Finding, MediaFacts, Role, Target, Unreadable, frame_count_within
from ltx_studio.ui import words


def tr(text: str) -> str:
    return QCoreApplication.translate("references", text)


def role_name(role: Role) -> str:
    return {
        Role.FIRST_FRAME: tr("First frame"),
        Role.KEYFRAME: tr("Keyframe at a time"),
        Role.LAST_FRAME: tr("Last frame"),
        Role.SOUND: tr("Sound to follow"),
        Role.VIDEO: tr("Reference video"),
    }[role]


def facts(finding: Finding) -> str:
    """What a file is, in a line."""
    match finding:
        case None:
            return tr("Reading it")
        case Unreadable():
            return tr("Cannot be read")
        case MediaFacts():
            parts: list[str] = []
            if finding.size is not None:
                parts.append(words.size(finding.size))
            if finding.frame_rate is not None:
                parts.append(words.duration(finding.frame_rate.seconds(finding.frames)))
            elif finding.sound_s is not None:
                parts.append(words.duration(finding.sound_s))
            return " \N{MIDDLE DOT} ".join(parts)


def refusal(path: Path | None, unreadable: Unreadable) -> str:
    """Why a file was not taken."""
    name = tr("The pasted picture") if path is None else path.name
    sentence = tr("{name} was not added: {reason}. {remedy}")
    return sentence.format(name=name, reason=unreadable.reason, remedy=unreadable.remedy)


def left_out(remarks: Remarks) -> bool:
    return remarks[0].leaves_out


def effect(card: Card, remarks: Remarks, finding: Finding, target: Target) -> str:
    """What the engine will do with a card, or why it is left out."""
    if not left_out(remarks):
        return " ".join(_told(remark, card, target) for remark in remarks)
    return tr("Left out: {reason}").format(reason=_reason(remarks[0], card, finding, target))


def _told(remark: Remark, card: Card, target: Target) -> str:
    match remark.code:
        case Code.READING:
            return tr("The file is being read.")
        case Code.FIRST_FRAME:
            return tr("The clip begins with it.") if remark.number == 1 else tr("The clip begins close to it.")
        case Code.LAST_FRAME:
            return tr("The clip ends on it.") if remark.number == 1 else tr("The clip ends close to it.")
        case Code.KEYFRAME:
            sentence = tr("The clip shows it at {time}.") if card.strength == 1 else tr("The clip nears it at {time}.")
            return sentence.format(time=_time(int(remark.number), target))
        case Code.SOUND:
            return _sound(remark, card)
        case Code.SOUND_ENDS_EARLY:
            return tr("After {length} the clip is silent.").format(length=words.duration(remark.number))
        case Code.VIDEO:
            if not remark.number:
                return tr("The LoRA guides the picture by it.")
            if card.trim.start_s:
                sentence = tr("The LoRA guides the picture by {frames} frames of it, from {start} on.")
            else:
                sentence = tr("The LoRA guides the picture by its first {frames} frames.")
            return sentence.format(frames=int(remark.number), start=words.duration(card.trim.start_s))
        case _:
            return _beside(remark, target)


def _sound(remark: Remark, card: Card) -> str:
    start_s = card.trim.start_s
    if not remark.number and card.trim == WHOLE:
        return tr("The picture follows it, and the clip keeps that sound.")
    if not remark.number:
        return tr("The picture follows this part of it, and the clip keeps that sound.")
    if start_s:
        sentence = tr("The picture follows {length} of it, from {start} on, and the clip keeps that sound.")
    else:
        sentence = tr("The picture follows its first {length}, and the clip keeps that sound.")
    return sentence.format(length=words.duration(remark.number), start=words.duration(start_s))


def _beside(remark: Remark, target: Target) -> str:
    """What is worth knowing beside the effect."""
    rates = {"rate": f"{remark.number:.4g}", "own": f"{float(target.frame_rate):.4g}"}
    percent = round(100 * remark.number)
    match remark.code:
        case Code.SLOWER:
            return tr("Things move slower than in the file: it has {rate} fps, the clip {own}.").format(**rates)
        case Code.FASTER:
            return tr("Things move faster than in the file: it has {rate} fps, the clip {own}.").format(**rates)
        case Code.FIRST_PICTURE_ONLY:
            return tr("Of its pictures the first is used.")
        case Code.WIDTH_CUT:
            return tr("{percent} % of its width is cut off, left and right.").format(percent=percent)
        case Code.HEIGHT_CUT:
            return tr("{percent} % of its height is cut off, above and below.").format(percent=percent)
        case _:
            raise AssertionError(remark)


def _reason(remark: Remark, card: Card, finding: Finding, target: Target) -> str:
    other = remark.other.path.name if remark.other is not None else ""
    match remark.code:
        case Code.UNREADABLE:
            assert isinstance(finding, Unreadable)
            return tr("{reason}. {remedy}").format(reason=finding.reason, remedy=finding.remedy)
        case Code.SAME_FRAME:
            sentence = tr("{other} is at the same frame. Give one of them another role or time.")
            return sentence.format(other=other)
        case Code.OUTSIDE:
            sentence = tr("the clip ends before, at {end}. Choose an earlier time, or make the clip longer.")
            return sentence.format(end=_time(int(remark.number) - 1, target))
        case Code.SECOND_SOUND:
            return tr("the picture can follow one sound, and that is {other}. Remove one of them.").format(other=other)
        case Code.SILENT:
            return tr("the clip is to be silent. Ask for sound, or remove this.")
        case Code.NO_READER:
            return tr("a clip needs an IC-LoRA that reads it, such as one for depth or pose. Add one to the LoRAs.")
        case Code.TOO_SHORT:
            assert isinstance(finding, MediaFacts)
            frames = used_frames(card, finding)
            longest_s = target.frame_rate.seconds(frame_count_within(frames))
            if frames < finding.frames:
                sentence = tr("the part has {frames} frames, and the clip needs {needed}. Use more of it.")
            else:
                sentence = tr(
                    "it has {frames} frames, and the clip needs {needed}. Make the clip {seconds} or shorter."
                )
            return sentence.format(
                frames=frames, needed=int(remark.number), seconds=words.duration(floor(10 * longest_s) / 10)
            )
        case Code.NOTHING_LEFT:
            return tr("the part to use begins after its end. Let it begin earlier.")
        case _:
            return tr("this file cannot be that. Choose another role or another file.")


def _time(frame: int, target: Target) -> str:
    if frame < 0:  # from the end of a clip whose length the model decides
        return tr("{frames} frames before the end").format(frames=-frame - 1)
    return words.timecode(frame, target.frame_rate)
