"""Numbers and codes in words. Whole sentences with named places, so that they can be translated."""

from fractions import Fraction

from PySide6.QtCore import QCoreApplication

from engine.events import Progress
from engine.types import FrameRate, Size

GIB = 2**30  # shown as GB, as graphics cards and task managers do
LONG_WAIT_S = 10  # from here on a wait says how long it will be


def tr(text: str) -> str:
    return QCoreApplication.translate("words", text)


def phase(progress: Progress) -> str:
    """What the engine is doing."""
    match progress.phase:
        case "load":
            return tr("Loading the model")
        case "text":
            return tr("Reading the prompt")
        case "references":
            return tr("Reading your references")
        case "denoise":
            return tr("Adding detail") if progress.stage.startswith("refine") else tr("Making the clip")
        case "upsample":
            return tr("Enlarging the picture")
        case "decode":
            return tr("Finishing the frames") if progress.num_steps else tr("Finishing the sound")
        case "write":
            return tr("Writing the file")


def doing(progress: Progress) -> str:
    """What the engine is doing, and how far it is in that."""
    if progress.phase == "denoise":
        step = min(progress.step + 1, progress.num_steps)
        return tr("{phase}, step {step} of {steps}").format(phase=phase(progress), step=step, steps=progress.num_steps)
    return phase(progress)


def duration(seconds: float) -> str:
    """Rounded as one would say it: 0.4 s, 12 s, 3 min, 2 h 10 min, 4 days."""
    if seconds < 10:
        return tr("{seconds} s").format(seconds=f"{seconds:.1f}")
    if seconds < 100:
        return tr("{seconds} s").format(seconds=round(seconds))
    minutes = round(seconds / 60)
    if minutes < 60:
        return tr("{minutes} min").format(minutes=minutes)
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return tr("{hours} h {minutes} min").format(hours=hours, minutes=minutes)
    return tr("{days} days").format(days=round(hours / 24))


def time_left(seconds: float | None) -> str:
    """Empty when nobody knows, or when it is not worth saying."""
    if seconds is None:
        return ""
    if seconds < 1:
        return tr("nearly done")
    return tr("about {duration} left").format(duration=duration(seconds if seconds < 10 else round(seconds)))


def memory(num_bytes: int) -> str:
    return tr("{amount} GB").format(amount=f"{num_bytes / GIB:.1f}")


def size(picture: Size) -> str:
    return f"{picture.width} \N{MULTIPLICATION SIGN} {picture.height}"


def timecode(frame: int, rate: FrameRate) -> str:
    """Hours, minutes, seconds and frames; frames count up to the rate rounded up, as editors do without drop-frame."""
    per_second = -(-rate.value.numerator // rate.value.denominator) if rate.value > 1 else 1
    seconds, frames = divmod(frame, Fraction(per_second))
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}:{int(frames):02}"
