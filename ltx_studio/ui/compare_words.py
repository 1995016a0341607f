"""What comparisons are called: modes, settings and their values. Whole sentences with named places."""

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from PySide6.QtCore import QCoreApplication, QLocale

from ltx_studio.domain.compare import Lock, Mode


def tr(text: str) -> str:
    return QCoreApplication.translate("compare", text)


def mode_name(mode: Mode) -> str:
    return {
        Mode.SIDES: tr("Side by side"),
        Mode.WIPE: tr("Wipe"),
        Mode.DIFFERENCE: tr("Difference"),
        Mode.ONION: tr("Onion skin"),
        Mode.SINGLE: tr("One at a time"),
    }[mode]


def mode_tip(mode: Mode) -> str:
    return {
        Mode.SIDES: tr("Every clip in a place of its own"),
        Mode.WIPE: tr("Two clips in one place, on both sides of a line to drag"),
        Mode.DIFFERENCE: tr("Black where two clips are the same, brighter the more they differ"),
        Mode.ONION: tr("One clip shining through the other"),
        Mode.SINGLE: tr("One clip after the other in the same place, with the keys 1 to 4"),
    }[mode]


def lock_name(lock: Lock) -> str:
    return {Lock.TIME: tr("Locked by time"), Lock.FRAMES: tr("Locked by frame")}[lock]


def side_letter(side: int) -> str:
    """What a side is called."""
    return "ABCD"[side]


_IN_SECONDS = {
    *("seconds", "audio_trim.start_s", "audio_trim.end_s"),
    *("edit.start_s", "edit.end_s", "edit.seconds"),
}


def setting_name(field: str) -> str:
    """Of a field of a request, dotted; one that has no name here is shown as it is written in the file."""
    names = {
        "prompt": tr("Prompt"),
        "negative_prompt": tr("What to avoid"),
        "model": tr("Model"),
        "preset": tr("Quality"),
        "size": tr("Size"),
        "frames": tr("Frames"),
        "seconds": tr("Length"),
        "frame_rate": tr("Frames per second"),
        "seed": tr("Seed"),
        "steps": tr("Steps"),
        "video_guidance": tr("Guidance of the picture"),
        "audio_guidance": tr("Guidance of the sound"),
        "modality_guidance": tr("Guidance between picture and sound"),
        "silent": tr("Silent"),
        "images": tr("Pictures"),
        "audio": tr("Sound to follow"),
        "audio_trim.start_s": tr("Sound from"),
        "audio_trim.end_s": tr("Sound to"),
        "reference_videos": tr("Control videos"),
        "loras": tr("LoRA files"),
        "precision": tr("Precision"),
        "memory": tr("Memory"),
        "device": tr("Device"),
        "noise": tr("Noise"),
        "edit.kind": tr("Edit"),
        "edit.clip": tr("Edited clip"),
        "edit.start_s": tr("From"),
        "edit.end_s": tr("To"),
        "edit.seconds": tr("Added length"),
        "edit.strength": tr("Strength"),
    }
    return names.get(field, field.replace("_", " ").replace(".", ", "))


def setting_value(field: str, value: object) -> str:
    """None is what was left to the program."""
    match value:
        case None:
            return tr("automatic")
        case bool():
            return tr("yes") if value else tr("no")
        case float() | int() if field in _IN_SECONDS:
            return tr("{seconds} s").format(seconds=QLocale().toString(float(value), "g", 6))
        case float():
            return QLocale().toString(value, "g", 6)
        case list() | tuple():
            return "; ".join(_item(each) for each in value) or tr("none")
        case str():
            return PurePath(value).name if field in ("model", "audio", "edit.clip") else value
        case _:
            return str(value)


def _item(value: object) -> str:
    """One of several files, with what was said about it."""
    if not isinstance(value, Mapping):
        return str(value)
    parts: Mapping[str, Any] = value
    others = ", ".join(f"{name} {each}" for name, each in parts.items() if name != "path")
    name = PurePath(str(parts.get("path", ""))).name
    return f"{name} ({others})" if others else name
