"""The questions the model page asks: whether to delete, and which folder."""

from pathlib import Path

from PySide6.QtCore import QCoreApplication
from PySide6.QtWidgets import QFileDialog, QMessageBox, QWidget

from ltx_studio.domain.models import ModelRow
from ltx_studio.ui import models_words


def tr(text: str) -> str:
    return QCoreApplication.translate("models", text)


def confirm_remove(parent: QWidget, row: ModelRow) -> bool:
    """Whether to delete a model's files, after saying how much that frees."""
    box = QMessageBox(parent)
    box.setIcon(QMessageBox.Icon.Question)
    box.setWindowTitle(tr("Remove a model"))
    box.setText(tr("Remove {model}?").format(model=row.title))
    box.setInformativeText(remove_consequence(row))
    remove = box.addButton(tr("Remove"), QMessageBox.ButtonRole.DestructiveRole)
    keep = box.addButton(tr("Keep"), QMessageBox.ButtonRole.RejectRole)
    box.setDefaultButton(keep)
    box.setEscapeButton(keep)
    box.exec()
    return box.clickedButton() is remove


def remove_consequence(row: ModelRow) -> str:
    """What removing means for the disk, and for others."""
    freed = row.removable_bytes or 0
    if not freed:
        sentence = tr("Its files are shared with another program or model, which keeps them: nothing is freed.")
    else:
        sentence = tr("Its files are deleted from this machine, which frees {amount}.")
    if row.text_encoder is not None:
        sentence += " " + tr("The text encoder stays.")
    elif row.is_text_encoder:
        sentence += " " + tr("Every LTX-2 model needs it.")
    return sentence.format(amount=models_words.amount(freed))


def choose_folder(parent: QWidget, title: str) -> Path | None:
    """A folder that the user picks; None when they change their mind."""
    folder = QFileDialog.getExistingDirectory(parent, title)
    return Path(folder) if folder else None
