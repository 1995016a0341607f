"""The questions that projects ask, and the lists they show. Tests answer with a class of their own."""

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QCoreApplication, QLocale
from PySide6.QtWidgets import QFileDialog, QInputDialog, QMessageBox, QWidget

from engine.types import FrameRate
from ltx_studio.domain.project_opening import Recovery
from ltx_studio.ui import project_words

# What edit lists are made at, by what editors call it.
_RATES = ("24", "23.976", "25", "29.97", "30", "50", "59.94", "60")


def tr(text: str) -> str:
    return QCoreApplication.translate("project", text)


class ProjectDialogs:
    """What the user answers; None: they changed their mind."""

    def folder_to_open(self, parent: QWidget, start: Path) -> Path | None:
        name = QFileDialog.getExistingDirectory(parent, tr("Open a project"), str(start))
        return Path(name) if name else None

    def new_place(self, parent: QWidget, start: Path) -> Path | None:
        """A folder that is to be made."""
        name, _ = QFileDialog.getSaveFileName(
            parent, tr("Save the project as a folder"), str(start), options=QFileDialog.Option.DontConfirmOverwrite
        )
        return Path(name) if name else None

    def folder_to_search(self, parent: QWidget, start: Path) -> Path | None:
        name = QFileDialog.getExistingDirectory(parent, tr("Where to look for missing files"), str(start))
        return Path(name) if name else None

    def file_to_import(self, parent: QWidget, start: Path) -> Path | None:
        kinds = tr("Timelines of other editors") + " (*.otio *.fcpxml *.edl)"
        name, _ = QFileDialog.getOpenFileName(parent, tr("Import a sequence"), str(start), kinds)
        return Path(name) if name else None

    def file_for_editors(self, parent: QWidget, start: Path) -> Path | None:
        kinds = "OpenTimelineIO (*.otio);;Final Cut Pro XML (*.fcpxml);;CMX 3600 EDL (*.edl)"
        return _with_suffix(*QFileDialog.getSaveFileName(parent, tr("Export for another editor"), str(start), kinds))

    def file_to_render(self, parent: QWidget, start: Path) -> Path | None:
        kinds = ";;".join(
            [tr("To watch and share") + " (*.mp4)", tr("QuickTime") + " (*.mov)", tr("Lossless") + " (*.mkv)"]
        )
        return _with_suffix(*QFileDialog.getSaveFileName(parent, tr("Export the sequence"), str(start), kinds))

    def rate_of_list(self, parent: QWidget, path: Path) -> FrameRate | None:
        words = tr("{name} does not say its frame rate. It was made at").format(name=path.name)
        text, is_chosen = QInputDialog.getItem(parent, tr("Frame rate"), words, _RATES, 0, editable=False)
        return FrameRate.parse(text) if is_chosen else None

    def wants_recovery(self, parent: QWidget, name: str, recovery: Recovery) -> bool:
        """Whether to go on with edits that were not saved. Closing the question keeps them."""
        box = QMessageBox(parent)
        box.setIcon(QMessageBox.Icon.Question)
        box.setWindowTitle(tr("Restore edits"))
        box.setText(project_words.recovery(name, recovery, QLocale()))
        box.setInformativeText(tr("Whatever you choose, the other version is kept among the backups."))
        restore = box.addButton(tr("Restore"), QMessageBox.ButtonRole.AcceptRole)
        refuse = box.addButton(tr("Open as last saved"), QMessageBox.ButtonRole.DestructiveRole)
        box.setDefaultButton(restore)
        box.setEscapeButton(restore)
        box.exec()
        return box.clickedButton() is not refuse

    def wants_alike(self, parent: QWidget, names: Sequence[str]) -> bool:
        """Whether to use files that have the right names and another content."""
        box = QMessageBox(parent)
        box.setIcon(QMessageBox.Icon.Question)
        box.setWindowTitle(tr("Find missing files"))
        box.setText(tr("Files of these names were found, and they are not the same as before. Use them?"))
        box.setInformativeText("\n".join(names[:10]))
        use = box.addButton(tr("Use them"), QMessageBox.ButtonRole.AcceptRole)
        leave = box.addButton(tr("Leave them missing"), QMessageBox.ButtonRole.RejectRole)
        box.setDefaultButton(leave)
        box.setEscapeButton(leave)
        box.exec()
        return box.clickedButton() is use

    def show_losses(self, parent: QWidget, title: str, text: str, losses: Sequence[str]) -> None:
        """What another editor will not see, or what of another editor we do not show. Does not block."""
        box = QMessageBox(parent)
        box.setIcon(QMessageBox.Icon.Information)
        box.setWindowTitle(title)
        box.setText(text)
        shown = [f"\N{BULLET} {loss}" for loss in losses[:8]]
        if len(losses) > len(shown):
            shown.append(tr("and {count} more, see Details").format(count=len(losses) - len(shown)))
            box.setDetailedText("\n".join(losses))
        box.setInformativeText("\n".join(shown))
        box.open()


def _with_suffix(name: str, kind: str) -> Path | None:
    """The chosen kind's suffix, where none was typed."""
    if not name:
        return None
    path = Path(name)
    suffix = kind.rpartition("(*")[2].rstrip(")")
    return path if path.suffix else path.with_name(path.name + suffix)
