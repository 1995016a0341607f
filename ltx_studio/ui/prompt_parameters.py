"""What to make apart from the words: quality, picture size, length and seed."""

from PySide6.QtCore import QSignalBlocker, Slot
from PySide6.QtWidgets import QButtonGroup, QGridLayout, QHBoxLayout, QVBoxLayout, QWidget

from engine.pipelines.plan import DEFAULT_FRAME_RATE
from engine.request import GenerationRequest, Preset
from ltx_studio.state.observable import bind
from ltx_studio.state.session import NUM_SEEDS, Session
from ltx_studio.ui.controls import IconButton, Label, Seconds, Segment, WholeNumber, describe
from ltx_studio.ui.size_picker import SizePicker
from ltx_studio.ui.theme import GAP, GRID, Appearance

LONGEST_S = 60.0
_RANDOM_SEED = -1  # shown as the word


class Parameters(QWidget):
    """Edits the session's request."""

    def __init__(self, session: Session, appearance: Appearance, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._appearance = appearance
        self._build_quality()
        self._size = SizePicker(appearance, self)
        self._build_numbers()
        self._arrange()
        self._connect()

    def controls(self) -> list[QWidget]:
        """In reading order, for the keyboard."""
        return [*self._quality.buttons(), self._size, self._seconds, self._seed, self._dice, self._lock]

    def _build_quality(self) -> None:
        self._quality_label = Label(self.tr("Quality"), "secondary", self)
        self._quality_note = Label(role="secondary", parent=self)
        self._quality = QButtonGroup(self)
        names = {
            Preset.DRAFT: self.tr("Draft"),
            Preset.FAST: self.tr("Fast"),
            Preset.STANDARD: self.tr("Standard"),
            Preset.HIGH: self.tr("High"),
        }
        self._preset_notes = {
            Preset.DRAFT: self.tr("Half the size, to try an idea"),
            Preset.FAST: self.tr("Full size in few steps"),
            Preset.STANDARD: self.tr("Full size, follows the prompt more closely"),
            Preset.HIGH: self.tr("The most careful, and the slowest"),
        }
        for index, preset in enumerate(Preset):
            segment = Segment(names[preset], self)
            describe(
                segment,
                self.tr("Quality: {name}").format(name=names[preset]),
                self._preset_notes[preset],
            )
            self._quality.addButton(segment, index)

    def _build_numbers(self) -> None:
        self._seconds = Seconds(self.tr("Length"), self.tr("Length of the clip in seconds"), 0.04, LONGEST_S, self)
        seed_tip = self.tr("The same seed and settings make the same clip again")
        self._seed = WholeNumber(self.tr("Seed"), seed_tip, _RANDOM_SEED, NUM_SEEDS - 1, self)
        self._seed.setSpecialValueText(self.tr("Random"))
        self._dice = IconButton("mdi6.dice-5-outline", self.tr("Draw a new seed and keep it"), self._appearance, self)
        self._lock = IconButton("mdi6.lock-open-variant-outline", self.tr("Keep this seed"), self._appearance, self)
        self._lock.setCheckable(True)

    def _arrange(self) -> None:
        segments = QHBoxLayout()
        segments.setSpacing(1)
        for button in self._quality.buttons():
            segments.addWidget(button, 1)
        numbers = QGridLayout()
        numbers.setHorizontalSpacing(GAP)
        numbers.setVerticalSpacing(GRID)
        for column, field in ((0, self._seconds), (1, self._seed)):
            label = Label(field.accessibleName(), "secondary", self)
            label.setBuddy(field)
            numbers.addWidget(label, 0, column)
        seed = QHBoxLayout()
        seed.setSpacing(GRID)
        seed.addWidget(self._seed, 1)
        seed.addWidget(self._dice)
        seed.addWidget(self._lock)
        numbers.addWidget(self._seconds, 1, 0)
        numbers.addLayout(seed, 1, 1)
        numbers.setColumnStretch(0, 2)
        numbers.setColumnStretch(1, 3)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(GRID)
        layout.addWidget(self._quality_label)
        layout.addLayout(segments)
        layout.addWidget(self._quality_note)
        layout.addSpacing(GRID)
        layout.addWidget(self._size)
        layout.addSpacing(GRID)
        layout.addLayout(numbers)

    def _connect(self) -> None:
        self._quality.idToggled.connect(self._quality_chosen)
        self._size.picked.connect(self._size_picked)
        self._seconds.valueChanged.connect(self._seconds_edited)
        self._seed.valueChanged.connect(self._seed_edited)
        self._dice.clicked.connect(self._session.draw_seed)
        self._lock.toggled.connect(self._lock_toggled)
        bind(self._session.request, self._show_request)
        bind(self._session.is_seed_locked, self._show_lock)

    @Slot(int, bool)
    def _quality_chosen(self, index: int, is_chosen: bool) -> None:
        if is_chosen:
            self._session.edit(preset=list(Preset)[index])

    @Slot(object)
    def _size_picked(self, size: object) -> None:
        self._session.edit(size=size)

    @Slot(float)
    def _seconds_edited(self, seconds: float) -> None:
        self._session.edit(seconds=seconds, frames=None)

    @Slot(int)
    def _seed_edited(self, seed: int) -> None:
        self._session.edit(seed=None if seed == _RANDOM_SEED else seed)
        self._session.is_seed_locked.value = seed != _RANDOM_SEED

    @Slot(bool)
    def _lock_toggled(self, is_locked: bool) -> None:
        if is_locked and self._session.request.value.seed is None:
            self._session.draw_seed()
        self._session.is_seed_locked.value = is_locked

    def _show_request(self, request: GenerationRequest) -> None:
        self._quality.button(list(Preset).index(request.preset)).setChecked(True)
        self._quality_note.setText(self._preset_notes[request.preset])
        self._size.show_size(request.size)
        # A value that is being typed is there already, and setting it would complete its text under the hands.
        seconds = _seconds(request)
        if seconds is not None and seconds != self._seconds.value():
            with QSignalBlocker(self._seconds):
                self._seconds.setValue(seconds)
        seed = _RANDOM_SEED if request.seed is None else request.seed
        if seed != self._seed.value():
            with QSignalBlocker(self._seed):
                self._seed.setValue(seed)

    def _show_lock(self, is_locked: bool) -> None:
        with QSignalBlocker(self._lock):
            self._lock.setChecked(is_locked)
        self._lock.set_icon_name("mdi6.lock-outline" if is_locked else "mdi6.lock-open-variant-outline")
        describe(
            self._lock,
            self.tr("Keep this seed"),
            self.tr("This seed is kept") if is_locked else self.tr("Each run draws a new seed; press to keep this one"),
        )


def _seconds(request: GenerationRequest) -> float | None:
    if request.frames is None:
        return request.seconds
    return (request.frame_rate or DEFAULT_FRAME_RATE).seconds(request.frames)
