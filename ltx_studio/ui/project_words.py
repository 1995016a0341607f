"""Projects in words: what was repaired, what can be restored, how old a backup is."""

from collections.abc import Iterable

from PySide6.QtCore import QCoreApplication, QDateTime, QLocale

from ltx_studio.domain import project_files
from ltx_studio.domain.project_files import Backup
from ltx_studio.domain.project_opening import Recovery, Repair, Source

_NUM_NAMES = 5


def tr(text: str) -> str:
    return QCoreApplication.translate("project", text)


def moment(seconds: float, locale: QLocale) -> str:
    """A time of today, else a date and a time, as this system writes them."""
    when = QDateTime.fromSecsSinceEpoch(int(seconds))
    if when.date() == QDateTime.currentDateTime().date():
        return locale.toString(when.time(), QLocale.FormatType.ShortFormat)
    return locale.toString(when, QLocale.FormatType.ShortFormat)


def backup(made: Backup, others: Iterable[Backup], locale: QLocale) -> str:
    """When it was made, to the second where another one is of the same minute, and why."""
    words = moment(made.made_s, locale)
    if any(other is not made and int(other.made_s // 60) == int(made.made_s // 60) for other in others):
        words = QDateTime.fromSecsSinceEpoch(int(made.made_s)).toString("HH:mm:ss")
    match made.label:
        case "":
            return words
        case project_files.NOT_RESTORED:
            return tr("{time}, edits that were not restored").format(time=words)
        case project_files.BEFORE_RESTORE:
            return tr("{time}, before edits were restored").format(time=words)
        case _:
            return tr("{time}, of an earlier version of LTX Studio").format(time=words)


def recovery(name: str, found: Recovery, locale: QLocale) -> str:
    """What happened, and what can be restored."""
    saved = moment(found.saved_s, locale)
    count = len(found.names)
    if count == 0:
        return tr("LTX Studio ended before {name} was saved. Restore the changes made after {time}?").format(
            name=name, time=saved
        )
    shown = ", ".join(found.names[-_NUM_NAMES:])
    if count > _NUM_NAMES:
        shown = "\N{HORIZONTAL ELLIPSIS} " + shown
    words = (
        tr("LTX Studio ended before {name} was saved. Restore the edit made after {time}: {names}?")
        if count == 1
        else tr("LTX Studio ended before {name} was saved. Restore the {count} edits made after {time}: {names}?")
    )
    return words.format(name=name, time=saved, count=count, names=shown)


def repair(name: str, done: Repair, locale: QLocale) -> str:
    """What was damaged, and what the project is now."""
    what = tr("was missing") if done.aside is None else tr("was damaged")
    if done.source is Source.JOURNAL:
        return tr("The project file of {name} {what}. Every edit was restored from its journal.").format(
            name=name, what=what
        )
    return tr("The project file of {name} {what}. It is as it was at {time}.").format(
        name=name, what=what, time=moment(done.made_s, locale)
    )
