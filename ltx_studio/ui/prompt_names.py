"""What the prompt builder calls the parts, and an example of each."""

from PySide6.QtCore import QCoreApplication

from ltx_studio.domain.prompt_words import Part


def tr(text: str) -> str:
    return QCoreApplication.translate("prompt", text)


def part_names() -> dict[Part, str]:
    """The parts a user fills, in reading order."""
    return {
        Part.STYLE: tr("Style"),
        Part.SHOT: tr("Shot"),
        Part.SUBJECT: tr("Subject"),
        Part.ACTION: tr("Action"),
        Part.SETTING: tr("Setting"),
        Part.LIGHT: tr("Light"),
        Part.LENS: tr("Lens"),
        Part.CAMERA: tr("Camera"),
        Part.SPEAKER: tr("Speaker"),
        Part.LANGUAGE: tr("Language"),
        Part.LINE: tr("Says"),
        Part.AMBIENCE: tr("Ambience"),
        Part.EFFECTS: tr("Effects"),
        Part.MUSIC: tr("Music"),
    }


def part_examples() -> dict[Part, str]:
    return {
        Part.STYLE: tr("handheld documentary"),
        Part.SHOT: tr("close-up"),
        Part.SUBJECT: tr("an old fisherman"),
        Part.ACTION: tr("mends a net"),
        Part.SETTING: tr("on a foggy pier"),
        Part.LIGHT: tr("golden hour"),
        Part.LENS: tr("50 mm lens"),
        Part.CAMERA: tr("the camera dollies in"),
        Part.SPEAKER: tr("The fisherman"),
        Part.LANGUAGE: tr("Spanish"),
        Part.LINE: tr("I knew you would come."),
        Part.AMBIENCE: tr("waves and far gulls"),
        Part.EFFECTS: tr("a rope creaks"),
        Part.MUSIC: tr("a slow accordion"),
    }
