"""The part of the export panel about sound: volumes, a sound file below the clip's own, and how loud it all is."""

from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QSignalBlocker, Signal, Slot
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from engine.media.export_request import ExportRequest
from ltx_studio.state.export import ExportState
from ltx_studio.state.observable import bind
from ltx_studio.ui.check_box import CheckBox
from ltx_studio.ui.controls import Button, Choice, IconButton, Label, Seconds, WholeNumber, describe
from ltx_studio.ui.theme import GAP, GRID, Appearance

_LOUDEST_DB, _QUIETEST_DB = 24, -60
_LONGEST_S = 36_000.0
_TARGETS = (-14.0, -16.0, -23.0, -24.0)


class ExportSound(QWidget):
    """Edits an `ExportState`'s request."""

    file_asked = Signal()  # choose a sound file

    def __init__(self, state: ExportState, appearance: Appearance, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state = state
        self._build(appearance)
        self._arrange()
        self._connect()
        bind(state.request, self._show)
        bind(state.source, self._show)

    def controls(self) -> list[QWidget]:
        """In reading order, for the keyboard."""
        return [
            *(self._has_sound, self._gain, self._loudness, self._add, self._remove),
            *(self._added_start, self._added_gain),
        ]

    def _build(self, appearance: Appearance) -> None:
        self._has_sound = CheckBox(self.tr("With sound"), self.tr("With sound"), "", appearance, self)
        self._gain = self._decibels(self.tr("Volume"))
        self._loudness = Choice(self.tr("Loudness"), "", appearance, self)
        self._loudness.setSizeAdjustPolicy(Choice.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self._loudness.setMinimumContentsLength(6)  # as wide as the field beside it, whatever its entries
        self._loudness.addItem(self.tr("As it is"), None)
        names = {
            -14.0: self.tr("-14 LUFS, web"),
            -16.0: self.tr("-16 LUFS, podcast"),
            -23.0: self.tr("-23 LUFS, EBU R 128"),
            -24.0: self.tr("-24 LKFS, ATSC A/85"),
        }
        for target in _TARGETS:
            self._loudness.addItem(names[target], target)
        self._add = Button(self.tr("Add a sound file"), parent=self)
        self._remove = IconButton("mdi6.close", self.tr("Take the added sound away"), appearance, self)
        self._name = Label(parent=self)
        self._name.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        tip = self.tr("Seconds into the export; below 0 its own beginning is left out")
        self._added_start = Seconds(self.tr("Begins at"), tip, -_LONGEST_S, _LONGEST_S, self)
        self._added_start.setKeyboardTracking(False)
        self._added_gain = self._decibels(self.tr("Its volume"))

    def _decibels(self, name: str) -> WholeNumber:
        field = WholeNumber(name, self.tr("In decibels; 0 is as it is"), _QUIETEST_DB, _LOUDEST_DB, self)
        field.setSuffix(self.tr(" dB"))
        field.setKeyboardTracking(False)
        return field

    def _arrange(self) -> None:
        own = QGridLayout()
        own.setHorizontalSpacing(GAP)
        own.setVerticalSpacing(GRID)
        for column, field in enumerate((self._gain, self._loudness)):
            label = Label(field.accessibleName(), "secondary", self)
            label.setBuddy(field)
            own.addWidget(label, 0, column)
            own.addWidget(field, 1, column)
            own.setColumnStretch(column, 1)
        file = QHBoxLayout()
        file.setSpacing(GRID)
        file.addWidget(self._name, 1)
        file.addWidget(self._remove)
        self._added = QWidget(self)
        added = QGridLayout(self._added)
        added.setContentsMargins(0, 0, 0, 0)
        added.setHorizontalSpacing(GAP)
        added.setVerticalSpacing(GRID)
        added.addLayout(file, 0, 0, 1, 2)
        for column, field in enumerate((self._added_start, self._added_gain)):
            label = Label(field.accessibleName(), "secondary", self)
            label.setBuddy(field)
            added.addWidget(label, 1, column)
            added.addWidget(field, 2, column)
            added.setColumnStretch(column, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(GRID)
        layout.addWidget(self._has_sound)
        layout.addLayout(own)
        layout.addSpacing(GRID)
        layout.addWidget(self._add)
        layout.addWidget(self._added)

    def _connect(self) -> None:
        self._has_sound.clicked.connect(lambda is_wanted: self._state.change(has_sound=is_wanted))
        self._gain.valueChanged.connect(lambda value: self._state.change_request(gain_db=float(value)))
        self._loudness.activated.connect(lambda index: self._state.change(loudness_lufs=self._loudness.itemData(index)))
        self._add.clicked.connect(self.file_asked)
        self._remove.clicked.connect(lambda: self._state.add_audio(None))
        self._added_start.valueChanged.connect(self._added_edited)
        self._added_gain.valueChanged.connect(self._added_edited)

    @Slot()
    def _added_edited(self) -> None:
        added = self._state.request.value.added
        if added is not None:
            start, gain = self._added_start.value(), float(self._added_gain.value())
            self._state.change_request(added=replace(added, start_s=start, gain_db=gain))

    def choose_file(self, path: Path) -> None:
        self._state.add_audio(path)

    def _show(self, _changed: object) -> None:
        request, source = self._state.request.value, self._state.source.value
        settings, added = request.settings, request.added
        is_silent = source is not None and source.sound is None
        silent = self.tr("This format has no sound.") if not settings.format.may_have_sound else ""
        no_own = self.tr("The clip is silent.") if is_silent else ""
        off = "" if settings.has_sound or not settings.format.has_picture else self.tr("Sound is switched off.")
        nothing = no_own if added is None else ""
        needed = "" if settings.format.has_picture else self.tr("This format is sound alone.")
        self._has_sound.setChecked((settings.has_sound or bool(needed)) and not silent)
        self._allow(self._has_sound, silent or needed or nothing, self.tr("The picture alone, or with sound"))
        self._allow(self._gain, silent or no_own or off, self.tr("Of the clip's own sound; 0 is as it is"))
        self._allow(self._loudness, silent or nothing or off, self.tr("The whole clip's loudness; peaks stay at -1 dB"))
        self._allow(self._add, silent or off, self.tr("Music or a voice below the clip's own sound"))
        self._show_loudness(settings.loudness_lufs)
        with QSignalBlocker(self._gain):
            self._gain.setValue(round(request.gain_db))
        self._show_added(request)

    def _show_loudness(self, target: float | None) -> None:
        index = self._loudness.findData(target) if target is not None else 0
        if index < 0:
            self._loudness.addItem(self.tr("{loudness} LUFS").format(loudness=f"{target:g}"), target)
            index = self._loudness.count() - 1
        self._loudness.setCurrentIndex(index)

    def _show_added(self, request: ExportRequest) -> None:
        added = request.added
        self._add.setVisible(added is None)
        self._added.setVisible(added is not None)
        if added is not None:
            self._name.setText(added.path.name)
            self._name.setToolTip(str(added.path))
            with QSignalBlocker(self._added_start), QSignalBlocker(self._added_gain):
                self._added_start.setValue(added.start_s)
                self._added_gain.setValue(round(added.gain_db))

    def _allow(self, control: QWidget, reason: str, tip: str) -> None:
        control.setEnabled(not reason)
        describe(control, control.accessibleName(), reason or tip)
