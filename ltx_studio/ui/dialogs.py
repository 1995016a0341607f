"""The few dialogs there are: choices that cannot be undone, and errors that nobody expected."""

from PySide6.QtCore import QCoreApplication
from PySide6.QtWidgets import QMessageBox, QWidget


def tr(text: str) -> str:
    return QCoreApplication.translate("dialogs", text)


def confirm_quit(parent: QWidget) -> bool:
    """Whether to quit although a clip is being made, which goes on at the next start."""
    box = QMessageBox(parent)
    box.setIcon(QMessageBox.Icon.Question)
    box.setWindowTitle(tr("Quit LTX Studio"))
    box.setText(tr("A clip is being made. Quit all the same?"))
    box.setInformativeText(tr("Nothing is lost: the queue goes on when LTX Studio is opened again."))
    leave = box.addButton(tr("Quit"), QMessageBox.ButtonRole.DestructiveRole)
    stay = box.addButton(tr("Go on"), QMessageBox.ButtonRole.RejectRole)
    box.setDefaultButton(stay)
    box.setEscapeButton(stay)
    box.exec()
    return box.clickedButton() is leave


def show_unexpected_error(parent: QWidget | None, log: str) -> QMessageBox:
    """Open, without blocking, the one dialog for what nobody expected. The caller keeps it."""
    box = QMessageBox(parent)
    box.setIcon(QMessageBox.Icon.Warning)
    box.setWindowTitle(tr("LTX Studio"))
    box.setText(tr("Something went wrong that LTX Studio did not expect."))
    box.setInformativeText(
        tr("Finished clips are safe. You can go on; if it happens again, restart the program. The log: {path}").format(
            path=log
        )
    )
    box.open()
    return box
